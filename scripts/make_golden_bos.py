#!/usr/bin/env python3
"""Writes tests/golden/tokenizers/bos.json: what transformers puts around a text, for combinations of a tokenizer's class,
its flags add_bos_token and add_eos_token, the post-processor of its tokenizer.json and the model type of config.json; and
of a tokenizer.model, and of vocab.json and merges.txt, in place of a tokenizer.json. Run again after a change here:

    pip install transformers==5.24.0 sentencepiece protobuf
    scripts/make_golden_bos.py --before PYTHON      # a Python with transformers==4.57.6

`now` is transformers 5, `before` transformers 4: the tokens in front of a text and behind it, or null where it cannot load
the directory. Rows with one result in both versions have no `before`.
"""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "critical"

TARGET = pathlib.Path(__file__).resolve().parents[1] / "tests/golden/tokenizers/bos.json"

FLAGS = [{**({} if bos is None else {"add_bos_token": bos}), **({} if eos is None else {"add_eos_token": eos})}
         for bos, eos in itertools.product([None, False, True], repeat=2)]
CLASSES = [None, "PreTrainedTokenizerFast", "TokenizersBackend", "LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer",
           "GemmaTokenizer", "GemmaTokenizerFast", "Qwen2Tokenizer", "Qwen2TokenizerFast", "GPT2Tokenizer",
           "GPTNeoXTokenizer", "GPTNeoXTokenizerFast", "CohereTokenizer", "NoSuchTokenizer"]
MODEL_TYPES = ["llama", "mistral", "qwen2", "qwen3", "smollm3", "phi3", "gemma", "gemma2", "gemma3_text", "olmo2", "granite"]

VOCAB = {"<unk>": 0, "<s>": 1, "</s>": 2, "<cls>": 3, "a": 4, "b": 5, "ab": 6, "\u2581": 7, "\u0120": 8, "<bos>": 9, "<eos>": 10}
SPECIAL = ["<unk>", "<s>", "</s>", "<cls>"]


def template(*parts):
    names = [part for part in parts if part != "$A"]
    one = [{"Sequence": {"id": "A", "type_id": 0}} if part == "$A" else {"SpecialToken": {"id": part, "type_id": 0}}
           for part in parts]
    pair = one + [{"Sequence": {"id": "B", "type_id": 1}}]
    tokens = {name: {"id": name, "ids": [VOCAB[name]], "tokens": [name]} for name in names}
    return {"type": "TemplateProcessing", "single": one, "pair": pair, "special_tokens": tokens}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
PROCESSORS = {
    "none": None,
    "byte_level": BYTE_LEVEL,
    "bos": template("<s>", "$A"),
    "eos": template("$A", "</s>"),
    "both": template("<s>", "$A", "</s>"),
    "other": template("<cls>", "$A"),
    "roberta": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": True,
                "add_prefix_space": True},
    "sequence": {"type": "Sequence", "processors": [BYTE_LEVEL, template("<s>", "$A")]},
}


def tokenizer_json(processor):
    added = [{"id": VOCAB[name], "content": name, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for name in SPECIAL]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": None, "post_processor": PROCESSORS[processor], "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": VOCAB, "merges": ["a b"]}}


def sentencepiece_model():
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    kinds = {"<unk>": 2, "<s>": 3, "</s>": 3}
    for rank, name in enumerate(["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "b", "ab"]):
        model.pieces.add(piece=name, score=-float(rank), type=kinds.get(name, 6 if name.startswith("<0x") else 1))
    model.trainer_spec.model_type = 2
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.unk_id, model.trainer_spec.bos_id, model.trainer_spec.eos_id = 0, 1, 2
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.escape_whitespaces = True
    model.normalizer_spec.remove_extra_whitespaces = False
    return model.SerializeToString()


def cases():
    """Every combination that is kept, without its results."""
    for kind, flags, processor in itertools.product(CLASSES, FLAGS, PROCESSORS):
        yield {"files": "json", "class": kind, "model": "llama", "flags": flags, "processor": processor}
    for kind, model, processor in itertools.product(CLASSES, MODEL_TYPES[1:], ("none", "bos")):
        for flags in ({}, {"add_bos_token": False, "add_eos_token": True}, {"add_bos_token": True}):
            yield {"files": "json", "class": kind, "model": model, "flags": flags, "processor": processor}
    for kind, flags, model in itertools.product([None, "LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer",
                                                 "GemmaTokenizer", "GemmaTokenizerFast", "TokenizersBackend",
                                                 "PreTrainedTokenizerFast"], FLAGS, ["llama", "mistral", "gemma", "phi3"]):
        yield {"files": "model", "class": kind, "model": model, "flags": flags, "processor": "none"}
    for kind, flags, model in itertools.product(["GPT2Tokenizer", "GPT2TokenizerFast", "Qwen2Tokenizer", "Qwen2TokenizerFast"],
                                                FLAGS, ["llama", "qwen2", "qwen3"]):
        yield {"files": "vocab", "class": kind, "model": model, "flags": flags, "processor": "none"}


def write(case, directory):
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **case["flags"]}
    if case["class"]:
        config["tokenizer_class"] = case["class"]
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    (directory / "config.json").write_text(json.dumps({"model_type": case["model"]}))
    if case["files"] == "json":
        (directory / "tokenizer.json").write_text(json.dumps(tokenizer_json(case["processor"])))
    elif case["files"] == "model":
        (directory / "tokenizer.model").write_bytes(sentencepiece_model())
    else:
        (directory / "vocab.json").write_text(json.dumps(VOCAB))
        (directory / "merges.txt").write_text("#version: 0.2\na b\n")


def around(case):
    """The tokens before a text and behind it."""
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as name:
        write(case, pathlib.Path(name))
        try:
            tokenizer = AutoTokenizer.from_pretrained(name)
            bare = tokenizer("ab", add_special_tokens=False)["input_ids"]
            whole = tokenizer("ab")["input_ids"]
        except Exception as error:  # what it cannot load has no right value
            print(f"{case}: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
            return None
    starts = [at for at in range(len(whole) - len(bare) + 1) if whole[at:at + len(bare)] == bare]
    assert len(starts) == 1 and bare, (case, whole, bare)
    names = tokenizer.convert_ids_to_tokens
    return [names(whole[:starts[0]]), names(whole[starts[0] + len(bare):])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", help="a Python with transformers 4")
    parser.add_argument("--print", action="store_true", help="print the results of this Python's transformers")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    results = [around(case) for case in cases()]
    if arguments.print:
        print(json.dumps(results))
        return
    rows = [{**case, "now": result} for case, result in zip(cases(), results)]
    if arguments.before:
        output = subprocess.run([arguments.before, __file__, "--print"], check=True, stdout=subprocess.PIPE).stdout
        for row, before in zip(rows, json.loads(output), strict=True):
            if before != row["now"]:
                row["before"] = before
    document = {"tokenizers": {name: tokenizer_json(name) for name in PROCESSORS}, "vocab": VOCAB, "rows": rows}
    lines = ",\n".join(json.dumps(row) for row in rows)
    head = json.dumps({key: document[key] for key in ("tokenizers", "vocab")})[:-1]
    TARGET.write_text(head + ',\n"rows": [\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
