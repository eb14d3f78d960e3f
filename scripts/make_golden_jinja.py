#!/usr/bin/env python3
"""Writes tests/golden/jinja.json: expressions and statements of Jinja as Jinja2 renders them with transformers' settings.

    scripts/make_golden_jinja.py      needs transformers and jinja2

The cases are in scripts/jinja_cases.py; each is rendered with its VARIABLES, on the same day.
"""

import datetime
import json
import pathlib

from transformers.utils import chat_template_utils

from jinja_cases import CASES, VARIABLES


class FixedDay(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def render(template, variables):
    chat_template_utils.datetime = FixedDay
    try:
        return {"text": chat_template_utils._compile_jinja_template(template).render(**variables)}
    except Exception as error:  # whatever Jinja2 or Python thinks of it
        return {"error": type(error).__name__}


def main():
    cases = [{"template": case, **render(case, VARIABLES)} for case in CASES]
    path = pathlib.Path(__file__).parent.parent / "tests/golden/jinja.json"
    path.write_text(json.dumps({"variables": VARIABLES, "cases": cases}, ensure_ascii=False, indent=1) + "\n")
    print(f"{path}: {len(cases)} cases, {sum('error' in case for case in cases)} of them errors")


if __name__ == "__main__":
    main()
