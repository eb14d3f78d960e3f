#!/usr/bin/env python3
"""Encodes the same texts with the `tokenizers` package and with this project, and compares ids, offsets and decoding.

Thousands of lines of many scripts, emoji, code, control characters and broken UTF-8 go through GPT-2's and Qwen2's
vocabularies, through a converted SentencePiece model (byte fallback), through a Llama 3 kind of tokenizer, and through
small ones that have one thing each: a normalizer, a pre-tokenizer, an added token with a rule of its own.

    scripts/peer/compare_tokenizers.py --lora-train build/lora-train --data ../shared/data [--only NAME] [--lines N]
"""

import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer

from tokenizer_kinds import all_tokenizers
from tokenizer_texts import make_texts


def ours(program, directory, mode, texts):
    records = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    output = subprocess.run([program, directory, mode], input=records, capture_output=True)
    if output.returncode != 0:
        raise SystemExit(f"{program}: {output.stderr.decode()}")
    return [json.loads(line) for line in output.stdout.splitlines()]


def byte_begins(text, offsets):
    at = [0]
    for character in text:
        at.append(at[-1] + len(character.encode("utf-8")))
    return [at[begin] for begin, _ in offsets]


def offsets_are_known(tokenizer, name, read, text):
    """Not of broken text, which only we see; nor where `tokenizers` itself is wrong or vague: it loses count where bytes
    without a token are dropped (tiny), guesses where marks in a row change places in normalization, takes the last
    of several characters that are replaced by one (replace, unigram), and gives unknown characters in a row one place
    (unigram)."""
    if read.encode("utf-8") != text or name in ("tiny", "replace") or name.startswith("unigram"):
        return False
    marks = [unicodedata.category(character)[0] == "M" for character in unicodedata.normalize("NFKD", read)]
    return tokenizer.normalizer is None or not any(a and b for a, b in zip(marks, marks[1:]))


def compare(name, tokenizer, program, texts):
    wrong = 0
    with tempfile.TemporaryDirectory() as directory:
        tokenizer.save(f"{directory}/tokenizer.json")
        tokenizer = Tokenizer.from_file(f"{directory}/tokenizer.json")
        tokens = 0
        for mode in ("none", "all"):
            tokenizer.encode_special_tokens = mode == "none"
            for text, got in zip(texts, ours(program, directory, mode, texts), strict=True):
                read = text.decode("utf-8", errors="replace")
                wanted = tokenizer.encode(read, add_special_tokens=False)
                tokens += len(wanted.ids)
                problem = None
                if got["ids"] != wanted.ids:
                    problem = "ids"
                    got_is, wanted_is = got["ids"], wanted.ids
                elif bytes(got["decoded"]).decode("utf-8") != tokenizer.decode(wanted.ids, skip_special_tokens=True):
                    problem = "decoded text"
                    got_is, wanted_is = bytes(got["decoded"]), tokenizer.decode(wanted.ids).encode()
                elif offsets_are_known(tokenizer, name, read, text) and got["begins"] != byte_begins(read, wanted.offsets):
                    problem = "begins"
                    got_is, wanted_is = got["begins"], byte_begins(read, wanted.offsets)
                if problem:
                    wrong += 1
                    if wrong <= 3:
                        print(f"{name}, special tokens {mode}: {problem} of {text!r}\n  wanted {wanted_is}\n  got    {got_is}")
                        print("  tokens", wanted.tokens)
    print(f"{name:28} {2 * len(texts):6} texts {tokens:8} tokens  {'the same' if wrong == 0 else f'{wrong} DIFFER'}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora-train", required=True, type=pathlib.Path)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--only", help="one tokenizer, by name")
    parser.add_argument("--lines", type=int, default=10000, help="texts for the large tokenizers")
    arguments = parser.parse_args()
    program = arguments.lora_train.parent / "tests" / "tokenize_lines"
    draw = random.Random(7)
    large, small = all_tokenizers()
    wrong = 0
    for name, make in {**large, **small}.items():
        if arguments.only and name != arguments.only:
            continue
        tokenizer = make(arguments.data)
        specials = [str(token.content) for token in tokenizer.get_added_tokens_decoder().values()]
        # `tokenizers` finds the pieces "<s>" and "</s>" of a unigram model in plain text, where we have text.
        specials = [] if name.startswith("unigram") else specials
        texts = make_texts(arguments.data, arguments.lines if name in large else 1000, specials, draw)
        wrong += compare(name, tokenizer, program, texts)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
