#!/usr/bin/env python3
"""What an editor does with a recipe: the schema is valid by its own rules, every recipe in recipes/ keeps to it as a YAML
1.1 reader reads it, and a key that is misspelt or out of its range does not."""

import copy
import json
import subprocess

import jsonschema
import yaml

import common


def main():
    options = common.parse(__doc__, needs_data=False)
    schema = json.loads(subprocess.run([options.lora_train, "--schema"], check=True, capture_output=True).stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    count = 0
    for path in sorted((common.ROOT / "recipes").glob("*.yaml")):
        recipe = yaml.safe_load(path.read_text())
        errors = [f"{path.name}: {error.json_path}: {error.message}" for error in validator.iter_errors(recipe)]
        assert not errors, "\n".join(errors)
        for section in (key for key, value in recipe.items() if isinstance(value, dict)):
            wrong = copy.deepcopy(recipe)
            key = next(iter(wrong[section]))
            wrong[section][key + "x"] = wrong[section].pop(key)
            assert not validator.is_valid(wrong), (path.name, section, key)
        for wrong_training in ({"batch_size": 0}, {"learning_rate": "fast"}, {"lr_schedule": "cosin"}):
            wrong = copy.deepcopy(recipe)
            wrong["training"].update(wrong_training)
            assert not validator.is_valid(wrong), (path.name, wrong_training)
        count += 1
    assert count >= 25, count
    print(f"{count} recipes keep to the schema, and misspelt ones do not")


if __name__ == "__main__":
    main()
