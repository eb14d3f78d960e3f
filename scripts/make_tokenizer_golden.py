#!/usr/bin/env python3
"""Writes tests/golden/tokenizers/: small tokenizer.json files trained here, and what `tokenizers` makes of some texts.

    .deps/peer/bin/python3 scripts/make_tokenizer_golden.py --data ../shared/data
"""

import argparse
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peer"))
import compare_tokenizers as peer  # noqa: E402
import tokenizer_kinds as kinds  # noqa: E402
import tokenizer_texts as samples  # noqa: E402

TARGET = pathlib.Path(__file__).resolve().parents[1] / "tests/golden/tokenizers"


def byte_fallback(data):
    """A small tokenizer as they are converted from SentencePiece: no pre-tokenizer, bytes for unknown characters."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Metaspace(kinds.SPACE, prepend_scheme="always")
    made.train_from_iterator(samples.real_lines(data)[:3000], trainers.BpeTrainer(vocab_size=500, show_progress=False))
    document = json.loads(made.to_str())
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = sorted(document["model"]["vocab"], key=document["model"]["vocab"].get)
    vocab = {word: i for i, word in enumerate([*first, *words])}
    merges = [tuple(merge) for merge in document["model"]["merges"]]
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend(kinds.SPACE), normalizers.Replace(" ", kinds.SPACE)])
    made.decoder = kinds.strip_decoder()
    made.add_special_tokens([kinds.special("<unk>"), kinds.special("<s>"), kinds.special("</s>", rstrip=True)])
    return made


# Full-width letters, a ligature, an accent that joins its letter, a character that goes, one that grows.
RULES = "\n".join([*(f"{0xFF21 + i:X}\t{0x41 + i:X}" for i in range(26)), "FB01\t66 69", "65 301\tE9", "6F 308\tF6",
                   "AD\t", "2026\t2E 2E 2E", "1F600\t3A 29"]) + "\n"


def unigram(data, **options):
    return kinds.unigram(data, rules=RULES, size=500, **options)


def llama3(data):
    made = kinds.trained(data, kinds.split_words(kinds.LLAMA3_WORDS), 500, ignore_merges=True)
    made.add_special_tokens([kinds.special("<|begin_of_text|>"), kinds.special("<|eot_id|>")])
    made.post_processor = kinds.processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", made.token_to_id("<|begin_of_text|>"))]
    )
    return made


def nfc(data):
    made = kinds.trained(data, kinds.split_words(kinds.QWEN2_WORDS), 400)
    made.normalizer = normalizers.NFC()
    made.add_special_tokens([kinds.special("<|im_start|>"), kinds.special("<|im_end|>")])
    made.add_tokens([AddedToken("<tool_call>", normalized=False)])
    return made


def newer(*steps):
    """Characters of Unicode 15 and 16. Each pair of neighbours has a merge, so that ids show where words end."""
    lower = normalizers.Lowercase().normalize_str
    texts = [lower(text) for text in newer_texts()]
    characters = sorted({c for text in texts for c in text})
    pairs = list(dict.fromkeys(pair for text in texts for pair in zip(text, text[1:])))
    vocab = {name: i for i, name in enumerate([*characters, *(a + b for a, b in pairs)])}
    made = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
    return made


NEWER = [0x897, 0x1C89, 0xA7CB, 0xA7DC, 0x105C0, 0x10D41, 0x10D50, 0x10EFD, 0x113B8, 0x116D5, 0x11BF2, 0x11DE3, 0x11F02,
         0x11F51, 0x11F5A, 0x13450, 0x16139, 0x16FF5, 0x1CCF7, 0x1D2C4, 0x1E4F3, 0x1E5D1, 0x2EBF7, 0x31355]


def newer_texts():
    around = (("a", "b"), ("1", "2"), ("!", "?"))
    return [before + chr(code) + chr(code) + behind for code in NEWER for before, behind in around]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--only", help="write this one alone")
    arguments = parser.parse_args()
    data = arguments.data
    TARGET.mkdir(parents=True, exist_ok=True)
    makers = {"byte_fallback": byte_fallback, "llama3": llama3, "nfc": nfc, "added": kinds.with_added,
              "falcon": kinds.falcon, "word_end": kinds.word_end,
              "word_end_lower": lambda data: kinds.word_end(data, lowercase=True)}
    makers |= {"unigram": unigram, "unigram_unknown": lambda data: unigram(data, fallback=False),
               "unigram_whole": lambda data: unigram(data, split=False)}
    split = lambda regex: pre_tokenizers.Split(Regex(regex), "isolated")  # noqa: E731
    makers["newer_digits"] = lambda _: newer(pre_tokenizers.Digits(individual_digits=True))
    makers["newer_words"] = lambda _: newer(split(r"\w+|[^\s\w]+"), split(r"\W|\d+"))
    makers["newer_letters"] = lambda _: newer(split(kinds.GPT4O_WORDS), split(r"\P{L}+"))
    makers["newer_whitespace"] = lambda _: newer(pre_tokenizers.Whitespace())
    for name, make in makers.items():
        if arguments.only not in (None, name):
            continue
        tokenizer = make(data)
        specials = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        cases = []
        texts = newer_texts() if name.startswith("newer") else samples.make_texts(data, 120, specials, random.Random(3))
        if name.startswith("unigram"):
            texts = samples.make_texts(data, 120, [], random.Random(3))  # see compare_tokenizers.main
            texts += ["ＡＢＣ ﬁne cafe\u0301 o\u0308 o\u0308\u0301", "so\u00adft … 😀 😀\u200d👩", "e\u0301\u0302", "\u0301", "a  b"]
        for text in texts:
            text = text if isinstance(text, str) else text.decode("utf-8", errors="replace")[:200]
            case = {"text": text}
            for mode in ("none", "all"):
                tokenizer.encode_special_tokens = mode == "none"
                encoded = tokenizer.encode(text, add_special_tokens=False)
                case[mode] = {"ids": encoded.ids, "decoded": tokenizer.decode(encoded.ids)}
                if peer.offsets_are_known(tokenizer, name, text, text.encode()):
                    case[mode]["begins"] = peer.byte_begins(text, encoded.offsets)
            cases.append(case)
        document = {"tokenizer": json.loads(tokenizer.to_str()), "cases": cases}
        (TARGET / f"{name}.json").write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
