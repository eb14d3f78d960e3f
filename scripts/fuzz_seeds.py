"""What scripts/fuzz begins with: the targets, inputs of each, and dictionaries.

Inputs are files of tests/golden, cases of other tests, and small files, valid and with one thing wrong at a time, most of
which scripts/fuzz_inputs makes. A dictionary is every text literal of the parser's own sources: its keys, names and marks.
"""

import re
import struct

from fuzz_inputs import configs, data, foreign, languages, models, runs, serving, tokenizer_files, tokenizer_json
from fuzz_inputs.formats import ROOT

# What reads other tools' files, the project's own, or none.
UNREAD_BY_RECIPE = ["convert*", "foreign_*", "key_descriptions", "schema", "starting"]
# The sources of each target's parser, as patterns, and with ! what is left out of these: what its dictionary is of, and
# what its coverage is counted over.
SOURCES = {
    "safetensors": ["models/io/safetensors_*.cpp"],
    "gguf": ["models/io/gguf_read.cpp"],
    "model_config": ["models/network/families/*.cpp", "models/network/config*.cpp", "models/network/labels.cpp"],
    "model_directory": ["models/network/pretrained.cpp"],
    "tokenizer_json": ["lora/data/tokenizers/added_tokens.cpp", "lora/data/tokenizers/aligned_text.cpp",
                       "lora/data/tokenizers/bpe*.cpp", "lora/data/tokenizers/decoder.cpp",
                       "lora/data/tokenizers/json_*.cpp", "lora/data/tokenizers/normalizer.cpp",
                       "lora/data/tokenizers/p*_*.cpp", "lora/data/tokenizers/precompiled.cpp", "lora/data/tokenizers/unicode.cpp",
                       "lora/data/tokenizers/unigram_*.cpp", "lora/data/tokenizers/vocabulary.cpp"],
    "tokenizer_model": ["lora/data/sentencepiece*.cpp", "lora/data/protobuf_fields.cpp"],
    "tokenizer_directory": ["lora/data/tokenizer.cpp", "lora/data/tokenizers/tokenizer_config.cpp",
                            "lora/data/tokenizers/surroundings.cpp", "lora/data/tokenizers/unigram.cpp",
                            "lora/data/tokenizers/vocab_and_merges.cpp", "lora/data/template_files.cpp"],
    "tokenizer_pattern": ["lora/data/tokenizers/pattern.cpp"],
    "adapter_config": ["lora/adapters/peft_config.cpp", "lora/adapters/matcher.cpp"],
    "adapter_directory": ["lora/adapters/peft.cpp", "lora/adapters/peft_*s.cpp"],
    "module_pattern": ["lora/adapters/regex.cpp"],
    "chat_template": ["lora/jinja/*.cpp"],
    "recipe": ["lora/recipe/*.cpp", *(f"!lora/recipe/{name}.cpp" for name in UNREAD_BY_RECIPE)],
    "foreign_recipe": ["lora/recipe/convert*.cpp", "lora/recipe/foreign_*.cpp"],
    "rows": ["lora/data/formats/*.cpp", "lora/data/chat.cpp", "lora/data/rows.cpp", "lora/data/input.cpp",
             "lora/data/unpack.cpp"],
    "csv": ["lora/data/csv.cpp"],
    "token_file": ["lora/data/token_file.cpp"],
    "manifest": ["lora/checkpoints/manifest.cpp"],
    "training_state": ["lora/checkpoints/training_state.cpp"],
    "completion_request": ["lora/serving/completion_request.cpp", "lora/serving/embedding_request.cpp",
                           "lora/serving/request_values.cpp"],
    "json_answer": ["lora/inference/json_*.cpp", "lora/inference/decimal_range.cpp", "!lora/inference/json_answer.cpp"],
}
# Headers with names that a recipe may have.
RECIPE_NAMES = ["lora/recipe/*.h", "lora/*/config.h", "lora/data/*/config.h", "lora/data/mixing_config.h"]
# What these parsers give a meaning to and have as single characters.
MARKS = {
    "json": ["{", "}", "[", "]", ",", ":", '"', "null", "true", "false", "1e999", "-1", "9223372036854775808", "0.5",
             "\\ud800", "\\u0000", "[[[[", "}}}}"],
    "regex": ["(?:", "(?=", "(?!", "(?<=", "(?i:", "(?s)", "\\p{L}", "\\p{N}", "\\P{Lu}", "[^\\s]", "[[:alpha:]]", "\\r\\n",
              "{1,3}", "{2,}", "*+", "+?", "??", "\\X", "\\K", "\\R", "\\h", "\\x{10FFFF}", "(?P<a>", "\\1", "|", "^", "$", "\\b",
              "\\G", "\\z", "[a-z&&[^b]]", "(?>", "\\Q", "\\E", "(?#", "(?R)", "(*SKIP)", "\\uFFFF", "\\u00e9"],
    "jinja": ["{%", "%}", "{{", "}}", "{#", "#}", "{%-", "-%}", "endfor", "endif", "endmacro", "endset", "endcall", "endfilter",
              "endgeneration", "endraw", "elif", "else", "messages", "message", "content", "role", "tools", "loop.", "ns.",
              "in", "not", "is", "and", "or", "recursive", "|", "~", "**", "//", "[::", "loop.index0", "namespace("],
    "yaml": ["\n  ", "- ", ": ", "&a", "*a", "!!map", "|\n", ">\n", "? ", "---", "...", "<<: ", ".nan", ".inf", "0o17", "0x1f",
             "1e-4", "yes", "no", "null", "~", "\t", "\ufeff", "{", "}", "[", "]", "\"", "'", "#"],
    "csv": ['"', '""', ",", "\t", "\r\n", "\n", "\r", "\ufeff", '",', '"\n'],
    "protobuf": ["\x0a", "\x1a", "\x12\x02", "\x15\x00\x00\x80\x3f", "\x18\x06", "<0x0A>", "<unk>", "\u2581"],
}
# Of what a target reads; most read JSON.
KINDS = {
    "tokenizer_json": ["json", "regex"], "tokenizer_model": ["protobuf"], "tokenizer_pattern": ["regex"], "adapter_config": ["json", "regex"],
    "module_pattern": ["regex"], "chat_template": ["jinja"], "recipe": ["yaml", "regex"], "foreign_recipe": ["yaml"], "csv": ["csv"], "gguf": [],
}


def files_of(patterns):
    left_out = {path for pattern in patterns if pattern[0] == "!" for path in ROOT.glob(pattern[1:])}
    return sorted({path for pattern in patterns if pattern[0] != "!" for path in ROOT.glob(pattern)} - left_out)


def literals(patterns):
    """The text literals of sources, of up to 40 bytes."""
    found = set()
    for path in files_of(patterns):
        for line in path.read_text().splitlines():
            if not line.lstrip().startswith(("#include", "//")):
                found.update(re.findall(r'"((?:[^"\\\n]|\\.){1,40})"', line))
    return found


def dictionary(target):
    patterns = SOURCES[target] + (RECIPE_NAMES if target == "recipe" else [])
    words = {word.encode().decode("unicode_escape").encode("latin-1", "ignore") for word in literals(patterns)}
    words |= {mark.encode() for kind in KINDS.get(target, ["json"]) for mark in MARKS[kind]}
    if target == "gguf":
        words |= {struct.pack("<I", code) for code in range(13)} | {struct.pack("<Q", n) for n in (0, 1, 32, 2**63, 2**64 - 1)}
    quoted = lambda word: "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in word)
    return "".join(f'"{quoted(word)}"\n' for word in sorted(words) if 0 < len(word) <= 60)


SEEDS = {
    "safetensors": models.safetensors_seeds,
    "gguf": models.gguf_seeds,
    "model_config": configs.model_config_seeds,
    "model_directory": models.model_directory_seeds,
    "tokenizer_json": tokenizer_json.tokenizer_json_seeds,
    "tokenizer_model": tokenizer_files.tokenizer_model_seeds,
    "tokenizer_directory": tokenizer_files.tokenizer_directory_seeds,
    "tokenizer_pattern": languages.pattern_seeds,
    "adapter_config": configs.adapter_config_seeds,
    "adapter_directory": models.adapter_directory_seeds,
    "module_pattern": configs.module_pattern_seeds,
    "chat_template": languages.chat_template_seeds,
    "recipe": runs.recipe_seeds,
    "foreign_recipe": foreign.foreign_recipe_seeds,
    "rows": data.row_seeds,
    "csv": data.csv_seeds,
    "token_file": data.token_file_seeds,
    "manifest": runs.manifest_seeds,
    "training_state": runs.training_state_seeds,
    "completion_request": serving.completion_request_seeds,
    "json_answer": serving.json_answer_seeds,
}


def write_seeds(directory):
    """directory/TARGET/seed-NUMBER and directory/TARGET.dict of every target, beside programs that read them."""
    for target, seeds in SEEDS.items():
        (directory / target).mkdir(parents=True, exist_ok=True)
        contents = {f"seed-{number:04}": seed for number, seed in enumerate(dict.fromkeys(seeds()))}
        for path in (directory / target).iterdir():
            if path.name not in contents:
                path.unlink()
        for name, seed in contents.items():
            path = directory / target / name
            if not path.exists() or path.read_bytes() != seed:
                path.write_bytes(seed)
        (directory / f"{target}.dict").write_text(dictionary(target))
