#!/usr/bin/env python3
"""Answers that are drawn from a small model by JSON Schemas, checked by PyPI's jsonschema: each that came to its end is
JSON that keeps to its schema."""

import json
import pathlib
import subprocess
import tempfile

import jsonschema

import common

PERSON = {"type": "object", "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 8}, "age": {"type": "integer", "minimum": 1, "maximum": 120},
          "tags": {"type": "array", "items": {"enum": ["a", "ä", "日本"]}, "maxItems": 3}}, "required": ["name", "age"],
          "additionalProperties": False}
SCHEMAS = [
    {"type": "object"},
    PERSON,
    {"type": "array", "items": {"type": "number", "exclusiveMinimum": -0.25, "maximum": 12.5}, "minItems": 1, "maxItems": 4},
    {"type": "array", "items": {"type": ["number", "null", "boolean"]}, "minItems": 1, "maxItems": 4},
    {"anyOf": [{"type": "string", "maxLength": 5}, PERSON, {"type": "integer"}]},
    {"oneOf": [{"type": "object", "properties": {"kind": {"const": kind}, "value": {"type": type_}}, "required": ["kind", "value"],
                "additionalProperties": False} for kind, type_ in (("n", "integer"), ("b", "boolean"))]},
    {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["b"], "additionalProperties": {"type": "boolean"}},
    {"$defs": {"list": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"next": {"$ref": "#/$defs/list"}},
     "required": ["next"], "additionalProperties": False}]}}, "$ref": "#/$defs/list"},
]
TOKENS = 200


def main():
    options = common.parse(__doc__, needs_data=False)
    program, model = options.lora_train.parent / "lora-generate", common.ROOT / "recipes/quickstart/model"
    with tempfile.TemporaryDirectory() as place:
        files = pathlib.Path(place)
        (files / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"What comes after {i}?"}) + "\n" for i in range(25)))
        for number, schema in enumerate(SCHEMAS):
            jsonschema.Draft202012Validator.check_schema(schema)
            validator = jsonschema.Draft202012Validator(schema)
            (files / "schema.json").write_text(json.dumps(schema))
            whole = 0
            for seed in range(4):
                said = subprocess.run([program, model, "--prompts", files / "prompts.jsonl", "--json-schema", files / "schema.json",
                                       "--temperature", "1.5", "--seed", str(seed), "--max-new-tokens", str(TOKENS), "--logprobs", "0"],
                                      check=True, capture_output=True)
                for row in map(json.loads, said.stdout.splitlines()):
                    if len(row["tokens"]) == TOKENS:
                        continue  # cut off
                    answer, value = row["answer"], json.loads(row["answer"])
                    errors = [error.message for error in validator.iter_errors(value)]
                    assert not errors, (schema, answer, errors)
                    whole += 1
            assert whole >= 20, (schema, whole)
            print(f"schema {number}: {whole} of 100 answers came to their end, and keep to it")


if __name__ == "__main__":
    main()
