#!/usr/bin/env python3
"""Renders chat templates with this project's Jinja and with transformers, and compares the texts.

    scripts/peer/jinja_with_transformers.py [--lora-train build/lora-train] [--data …] [--templates ARCHIVE]

The templates are the built-in ones of lora/data/templates, and those of real models in the source archive of
llama-cpp-python (pip download --no-deps --no-binary :all: llama-cpp-python; looked for in .deps), where it is: the
latter are other people's and stay in there. Conversations have system and tool messages, tool calls, reasoning and
several turns, each with and without tools and generation prompt.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

from transformers.utils import chat_template_utils

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Differ, and why.
KNOWN = {
    "llama-cpp-deepseek-r1": "gives a generator to tojson, which Python refuses and we print",
    "meetkai-functionary-medium-v3.1": "relies on text beside |safe being escaped as HTML, which we do not",
}
KNOWN |= {f"deepseek-ai-DeepSeek-{v}": "has a filter from_json that transformers lacks too" for v in
          ("V3.2", "V4", "V4-Flash-0731")}


class FixedDay(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def builtin_templates():
    source = (ROOT / "lora/data/templates/builtin.cpp").read_text()
    return dict(re.findall(r'constexpr const char\* k(\w+) = R"\((.*?)\)";', source, re.S))


def archived_templates(path):
    templates = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if "/models/templates/" in member.name and member.name.endswith(".jinja"):
                templates[pathlib.Path(member.name).stem] = archive.extractfile(member).read().decode()
    return templates


TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a <city> & \"more\"",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "naïve café"}, "days": {"type": "integer", "default": 3}}}}}]


def conversations():
    def say(role, content, **more):
        return {"role": role, "content": content, **more}

    system, user, answer = say("system", "You are  terse. "), say("user", " Hello\n"), say("assistant", " Hi! <b>é</b> 😀 ")
    again, last = say("user", "And\tthen?"), say("assistant", "Nothing.")
    call = say("assistant", "", tool_calls=[{"id": "abcdefghi", "type": "function", "function": {
        "name": "get_weather", "arguments": {"city": "Oslo", "days": 2}}}])
    result = say("tool", "{\"t\": -3}", name="get_weather", tool_call_id="abcdefghi")
    thinking = say("assistant", "Fine.", reasoning_content="hmm\nwell")
    thought = say("assistant", "<think>\nlong\n</think>\n\nFine.")
    return [[user], [system, user], [user, answer, again], [system, user, answer, again, last],
            [system, user, call, result, last], [system, user, call, result], [user, thinking, again, last],
            [user, thought, again], [user, thought], [system], [user, again]]


def cases(templates):
    for name, template in templates.items():
        for messages in conversations():
            for tools in (None, TOOLS):
                for prompt in (False, True):
                    yield name, template, {"messages": messages, "tools": tools, "documents": None,
                                           "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>"}


def reference(template, variables):
    chat_template_utils.datetime = FixedDay
    try:
        return {"text": chat_template_utils._compile_jinja_template(template).render(**variables)}
    except Exception as error:  # a template's own, or one of Python's
        return {"error": f"{type(error).__name__}: {error}"}


def ours(all_cases, program):
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = pathlib.Path(folder) / "cases", pathlib.Path(folder) / "out"
        asked.write_text("".join(json.dumps({"template": t, "variables": v}) + "\n" for _, t, v in all_cases))
        subprocess.run([program, "renders the cases of a file"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "LORA_JINJA_CASES": str(asked), "LORA_JINJA_OUT": str(answered)})
        return [json.loads(line) for line in answered.read_text().splitlines()]


def parse_options(test, show=False):
    """The options, the templates by name and the test program; ends where there is no such program."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.split("\n")[0])
    parser.add_argument("--lora-train", default=ROOT / "build/lora-train", type=pathlib.Path)
    parser.add_argument("--data", help="not needed")
    parser.add_argument("--templates", type=pathlib.Path, help="a source archive of llama-cpp-python")
    if show:
        parser.add_argument("--show", help="prints the answers in templates of this name")
    options = parser.parse_args()
    program = options.lora_train.parent / "tests" / test
    if not program.exists():
        print(f"skipped: no {program}")
        sys.exit(77)
    templates = builtin_templates()
    archive = options.templates or next(iter((ROOT / ".deps").glob("llama_cpp_python-*.tar.gz")), None)
    if archive:
        templates |= archived_templates(archive)
    else:
        print("no archive of llama-cpp-python in .deps: the built-in templates alone")
    return options, templates, program


def main():
    _, templates, program = parse_options("test_jinja")
    all_cases = list(cases(templates))
    counts = {"equal": 0, "errors in both": 0}
    different = {}
    for (name, template, variables), result in zip(all_cases, ours(all_cases, program), strict=True):
        expected = reference(template, variables)
        if "error" in expected and "error" in result:
            counts["errors in both"] += 1
        elif expected == result:
            counts["equal"] += 1
        else:
            different.setdefault(name, []).append((expected, result))
    print(f"{len(templates)} templates, {len(all_cases)} renderings: {counts}")
    for name, pairs in different.items():
        print(f"{name}: {len(pairs)} differ ({KNOWN.get(name, 'not known why')})\n  {pairs[0][0]}\n  {pairs[0][1]}"[:1500])
    sys.exit(any(name not in KNOWN for name in different))


if __name__ == "__main__":
    main()
