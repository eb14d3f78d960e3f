#!/usr/bin/env python3
"""Writes tests/golden/tokenizers/: small tokenizer.json files trained here, and what `tokenizers` makes of some texts.

    .deps/peer/bin/python3 scripts/make_tokenizer_golden.py --data ../shared/data
"""

import argparse
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peer"))
import compare_tokenizers as peer  # noqa: E402

TARGET = pathlib.Path(__file__).resolve().parents[1] / "tests/golden/tokenizers"


def byte_fallback(data):
    """A small tokenizer as they are converted from SentencePiece: no pre-tokenizer, bytes for unknown characters."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Metaspace(peer.SPACE, prepend_scheme="always")
    made.train_from_iterator(peer.real_lines(data)[:3000], trainers.BpeTrainer(vocab_size=500, show_progress=False))
    document = json.loads(made.to_str())
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = sorted(document["model"]["vocab"], key=document["model"]["vocab"].get)
    vocab = {word: i for i, word in enumerate([*first, *words])}
    merges = [tuple(merge) for merge in document["model"]["merges"]]
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend(peer.SPACE), normalizers.Replace(" ", peer.SPACE)])
    made.decoder = peer.strip_decoder()
    made.add_special_tokens([peer.special("<unk>"), peer.special("<s>"), peer.special("</s>", rstrip=True)])
    return made


def llama3(data):
    made = peer.trained(data, peer.split_words(peer.LLAMA3_WORDS), 500, ignore_merges=True)
    made.add_special_tokens([peer.special("<|begin_of_text|>"), peer.special("<|eot_id|>")])
    made.post_processor = peer.processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", made.token_to_id("<|begin_of_text|>"))]
    )
    return made


def nfc(data):
    made = peer.trained(data, peer.split_words(peer.QWEN2_WORDS), 400)
    made.normalizer = normalizers.NFC()
    made.add_special_tokens([peer.special("<|im_start|>"), peer.special("<|im_end|>")])
    made.add_tokens([AddedToken("<tool_call>", normalized=False)])
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    data = parser.parse_args().data
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, make in {"byte_fallback": byte_fallback, "llama3": llama3, "nfc": nfc, "added": peer.with_added}.items():
        tokenizer = make(data)
        specials = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        cases = []
        for text in peer.make_texts(data, 120, specials, random.Random(3)):
            text = text.decode("utf-8", errors="replace")[:200]
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
