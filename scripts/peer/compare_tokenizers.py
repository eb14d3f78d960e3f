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

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_WORDS = QWEN2_WORDS.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
GPT4O_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPACE = "\u2581"


# ---------------------------------------------------------------------------------------------------------------- texts


def random_text(draw, alphabet, most):
    return "".join(draw.choice(alphabet) for _ in range(draw.randint(1, most)))


def scripts():
    ranges = {
        "latin": [(0x20, 0x7F), (0xA0, 0x250)],
        "greek, cyrillic": [(0x20, 0x21), (0x370, 0x378), (0x384, 0x38B), (0x400, 0x500)],
        "hebrew, arabic": [(0x20, 0x21), (0x5D0, 0x5EB), (0x620, 0x660), (0x660, 0x66A)],
        "indic, thai": [(0x20, 0x21), (0x905, 0x950), (0x966, 0x970), (0xE01, 0xE3B), (0xE40, 0xE5C)],
        "east asian": [(0x3000, 0x3040), (0x3041, 0x3097), (0x30A1, 0x30FF), (0x4E00, 0x5000), (0xFF01, 0xFF60)],
        "korean": [(0x20, 0x21), (0xAC00, 0xAE00), (0x1100, 0x1113), (0x1161, 0x1176), (0x11A8, 0x11C3)],
        "marks": [(0x41, 0x5B), (0x61, 0x7B), (0x300, 0x345), (0x1E00, 0x1F00), (0x20, 0x21)],
        "symbols": [(0x2000, 0x2070), (0x2070, 0x2095), (0x20A0, 0x20C0), (0x2100, 0x2200), (0x2460, 0x2500)],
        "emoji": [(0x1F300, 0x1F650), (0x1F3FB, 0x1F400), (0x200D, 0x200E), (0xFE0F, 0xFE10), (0x1F1E6, 0x1F200)],
        "controls": [(0x0, 0x21), (0x7F, 0xA1), (0x180E, 0x180F), (0x200B, 0x2010), (0x2028, 0x2030), (0xFEFF, 0xFF00)],
        "anything": [(0x0, 0x378), (0x1000, 0x1200), (0x2C00, 0x2D00), (0x10000, 0x10100), (0x1D400, 0x1D4FF)],
    }
    return [[chr(c) for low, high in parts for c in range(low, high)] for parts in ranges.values()]


def real_lines(data):
    lines = (data / "text/input.txt").read_text().splitlines(keepends=True)
    for name in ("gsm8k/test.jsonl", "wikisql/test.jsonl"):
        for row in (data / name).read_text().splitlines():
            lines.extend(str(value) for value in json.loads(row).values())
    return lines


CODE = [
    "def f(x, *, y=None):\n\treturn {k: v**2 for k, v in x.items()}  # ok\n",
    "#include <vector>\r\nint main() {\r\n    std::vector<int> a{1, 2, 3};\r\n    return a[0] != 0 ? 1 : 0;\r\n}\r\n",
    "SELECT COUNT(*) FROM t WHERE a LIKE '%x%' AND b >= 10;;",
    '{"a": [1, 2.5e-10, null], "\\ud83d\\ude00": "\\u00e9"}',
    "<html><body class='x'>&nbsp;<br/></body></html>",
    "          deeply    indented\n\n\n\n      and\t\t\ttabbed   ",
    "I'm you're HE'LL it'S we'Ve they'd don't o'clock 'sss 'ſ",
    "1234567890 12 3.14159 ½ ² ³ ١٢٣ १२३ Ⅳ ㊿ 1,000,000",
    "https://example.org/a?b=c&d=%20#e mail@example.org @user #tag $9.99 100%",
]


def make_texts(data, count, specials, draw):
    """`count` byte strings, some of which are no UTF-8."""
    alphabets = scripts()
    lines = real_lines(data)
    texts = [b"", b" ", b"\n", b"  ", b"a", b" a", b"a ", " ".encode() * 300, b"a" * 500, "語".encode() * 200]
    while len(texts) < count:
        kind = draw.random()
        if kind < 0.35:
            text = "".join(draw.choice(lines) for _ in range(draw.randint(1, 3)))
        elif kind < 0.45:
            text = draw.choice(CODE)
        elif kind < 0.75:
            text = random_text(draw, draw.choice(alphabets), 60)
        elif kind < 0.85:
            text = "".join(random_text(draw, draw.choice(alphabets), 8) for _ in range(draw.randint(2, 10)))
        elif kind < 0.93 and specials:
            parts = [*specials, "<Norm>", " ", "  ", "\n", "x", "é", "word", "_", "1"] + draw.choice(lines).split()[:3]
            text = "".join(draw.choice(parts) for _ in range(draw.randint(1, 12)))
        else:
            size = draw.randint(1, 40)
            if draw.random() < 0.5:
                texts.append(bytes(draw.randrange(256) for _ in range(size)))
            else:  # text with broken characters and halves of surrogate pairs
                broken = bytearray(random_text(draw, draw.choice(alphabets), 20).encode("utf-8"))
                for _ in range(draw.randint(1, 3)):
                    broken[draw.randrange(len(broken)) :] += draw.choice([b"\xed\xa0\x80", b"\xf0\x9f", b"\xe2\x96", b"\xff"])
                texts.append(bytes(broken))
            continue
        texts.append(text.encode("utf-8"))
    return texts


# ----------------------------------------------------------------------------------------------------------- tokenizers


def byte_level(prefix=False, regex=True):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, trim_offsets=False, use_regex=regex)


def finish(tokenizer):
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def split_words(regex):
    split = pre_tokenizers.Split(Regex(regex), "isolated")
    return pre_tokenizers.Sequence([split, byte_level(regex=False)])


def special(name, **rules):
    return AddedToken(name, special=True, normalized=rules.pop("normalized", False), **rules)


def gpt2(data):
    made = Tokenizer(models.BPE.from_file(str(data / "tokenizers/gpt2/gpt2_vocab.json"), str(data / "tokenizers/gpt2/gpt2_merges.txt")))
    made.pre_tokenizer = byte_level()
    made.add_special_tokens([special("<|endoftext|>")])
    return finish(made)


def qwen2(data):
    made = Tokenizer(models.BPE.from_file(str(data / "tokenizers/qwen2/vocab.json"), str(data / "tokenizers/qwen2/merges.txt")))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = split_words(QWEN2_WORDS)
    made.add_special_tokens([special(name) for name in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    made.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    return finish(made)


def tiny(data):
    return Tokenizer.from_file(str(data / "tokenizers/tiny/tiny_bpe_tokenizer.json"))


def trained(data, pre_tokenizer, size=3000, **options):
    made = Tokenizer(models.BPE(ignore_merges=options.pop("ignore_merges", False)))
    made.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, **options
    )
    made.train_from_iterator(real_lines(data)[:20000] + CODE, trainer)
    return finish(made)


def llama3(data):
    made = trained(data, split_words(LLAMA3_WORDS), ignore_merges=True)
    made.add_special_tokens([special("<|begin_of_text|>"), special("<|eot_id|>"), special("<|start_header_id|>")])
    made.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", made.token_to_id("<|begin_of_text|>"))]
    )
    return made


def sentencepiece_parts(data):
    """Vocabulary and merges of a SentencePiece model, as transformers converts it."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(data / "tokenizers/mistral/tokenizer.model.v1"))
    vocab = {model.id_to_piece(i): i for i in range(model.vocab_size())}
    own_kind = (model.is_control, model.is_unknown, model.is_byte, model.is_unused)
    normal = {piece: (model.get_score(i), i) for piece, i in vocab.items() if not any(kind(i) for kind in own_kind)}
    ranked = []
    for token, (score, index) in normal.items():
        for at in range(1, len(token)):
            if token[:at] in normal and token[at:] in normal:
                ranked.append((-score, index, token[:at], token[at:]))
    return vocab, [(left, right) for _, _, left, right in sorted(ranked)]


def converted(data):
    vocab, merges = sentencepiece_parts(data)
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.add_special_tokens([special("<unk>"), special("<s>"), special("</s>")])
    made.add_tokens([AddedToken("[TOOL]", normalized=False)])
    return made


def strip_decoder():
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    return decoders.Sequence(steps)


def llama2(data):
    made = converted(data)
    made.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    made.decoder = strip_decoder()
    return made


def llama2_metaspace(data):
    made = converted(data)
    made.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False)
    made.decoder = strip_decoder()
    return made


def protobuf_field(message, wanted):
    """The bytes of a message's field of that number."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        size = {0: 0, 1: 8, 5: 4}.get(key & 7)
        if size == 0:
            number()
            continue
        size = number() if size is None else size
        if key >> 3 == wanted:
            return message[at:at + size]
        at += size
    raise ValueError(f"no field {wanted}")


def unigram(data, fallback=True, split=True, rules=None, size=800):
    """A unigram model of SentencePiece, as transformers converts it. `rules` of normalization: lines of a TSV file;
    otherwise SentencePiece's own, nmt_nfkc."""
    with tempfile.TemporaryDirectory() as folder:
        text, table = pathlib.Path(folder) / "text", pathlib.Path(folder) / "rules.tsv"
        text.write_text("\n".join(real_lines(data)[:5000]))
        table.write_text(rules or "")
        normalization = {"normalization_rule_tsv": str(table)} if rules else {"normalization_rule_name": "nmt_nfkc"}
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{folder}/made", vocab_size=size, model_type="unigram",
            byte_fallback=fallback, split_by_whitespace=split, minloglevel=2, **normalization)
        file = pathlib.Path(folder) / "made.model"
        model = sentencepiece.SentencePieceProcessor(model_file=str(file))
        charsmap = protobuf_field(protobuf_field(file.read_bytes(), 3), 2)
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.vocab_size())]
    made = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=fallback))
    made.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="always", split=split)
    made.decoder = strip_decoder() if fallback else decoders.Metaspace(SPACE, prepend_scheme="always")
    made.add_special_tokens([special("<unk>"), special("<s>"), special("</s>")])
    return made


def gemma(data):
    made = converted(data)
    made.normalizer = normalizers.Replace(" ", SPACE)
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_tokens([AddedToken("\n\n", normalized=False), AddedToken(SPACE * 2, normalized=False)])
    return made


def metaspace_split(data):
    made = converted(data)
    made.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="always", split=True)
    made.decoder = decoders.Metaspace(SPACE, prepend_scheme="always")
    return made


def no_fallback(data, fuse):
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=["<unk>"], show_progress=False)
    made.train_from_iterator(real_lines(data)[:5000], trainer)
    return made


def falcon(data):
    """Steps behind ByteLevel: they split the characters that stand for bytes."""
    steps = [
        pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
    ]
    return trained(data, pre_tokenizers.Sequence(steps), 400)


def word_end(data, lowercase=False):
    """Subwords that end a word have a suffix, as in herbert's files."""
    made = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=False))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    made.train_from_iterator(real_lines(data)[:3000], trainer)
    return made


def clip(data):
    """Words end with a suffix, over bytes."""
    made = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.pre_tokenizer = byte_level()
    trainer = trainers.BpeTrainer(
        vocab_size=1000, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(real_lines(data)[:5000], trainer)
    made.decoder = decoders.ByteLevel()
    return made


def with_added(data):
    made = trained(data, byte_level(prefix=True), 1000)
    made.normalizer = normalizers.Lowercase()
    made.add_tokens([
        AddedToken("word", single_word=True), AddedToken("<mask>", lstrip=True), AddedToken("<fill>", rstrip=True, normalized=False),
        AddedToken("<both>", lstrip=True, rstrip=True, single_word=True), AddedToken("ŁÓDŹ"), AddedToken("<m"),
    ])
    made.add_special_tokens([special("<S>"), special("<norm>", normalized=True), special("<s>s", lstrip=True)])
    return made


def with_normalizer(data, normalizer):
    made = trained(data, byte_level(), 600)
    made.normalizer = normalizer
    return made


def with_splits(data, *steps):
    return trained(data, pre_tokenizers.Sequence([*steps, byte_level(regex=False)]), 600)


def all_tokenizers():
    P, N = pre_tokenizers, normalizers
    small = {
        "smollm": lambda d: trained(d, P.Sequence([P.Digits(individual_digits=True), byte_level()]), 600),
        "gpt4o": lambda d: trained(d, split_words(GPT4O_WORDS), 600),
        "digits": lambda d: with_splits(d, P.Digits(individual_digits=False)),
        "whitespace": lambda d: with_splits(d, P.Whitespace()),
        "whitespace split": lambda d: with_splits(d, P.WhitespaceSplit(), P.Punctuation("contiguous")),
        "bert": lambda d: with_splits(d, P.BertPreTokenizer()),
        "delimiter": lambda d: with_splits(d, P.CharDelimiterSplit("e")),
        "unk": lambda d: no_fallback(d, False),
        "fused unk": lambda d: no_fallback(d, True),
        "added": with_added,
        "falcon": falcon,
        "word end": word_end,
        "word end, lower case": lambda d: word_end(d, lowercase=True),
        "clip": clip,
        "unigram": unigram,
        "unigram, unknown": lambda d: unigram(d, fallback=False),
        "unigram, whole texts": lambda d: unigram(d, split=False),
    }
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        small["split " + behavior] = lambda d, b=behavior: with_splits(d, P.Split(Regex(r"\d|[aeiou]+?|\s"), b))
        small["inverted " + behavior] = lambda d, b=behavior: with_splits(d, P.Split(Regex(r"\p{L}+"), b, invert=True))
        small["punctuation " + behavior] = lambda d, b=behavior: with_splits(d, P.Punctuation(b))
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip"):
        small[name] = lambda d, n=name: with_normalizer(d, getattr(N, n)())
    small["accents"] = lambda d: with_normalizer(d, N.Sequence([N.NFD(), N.StripAccents(), N.Prepend("_")]))
    small["replace"] = lambda d: with_normalizer(
        d, N.Sequence([N.Replace("e", "éé"), N.Replace(Regex(r"\s{2,}"), " "), N.Replace(Regex(r"\A[A-Z]+"), "")])
    )
    large = {
        "gpt2": gpt2, "qwen2": qwen2, "llama3": llama3, "llama2": llama2, "llama2 metaspace": llama2_metaspace,
        "gemma": gemma, "metaspace split": metaspace_split, "tiny": tiny,
    }
    return large, small


# ----------------------------------------------------------------------------------------------------------- comparison


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
