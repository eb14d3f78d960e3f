"""Tokenizers that are compared: of known models, and small ones that have one thing each."""

import json
import pathlib
import tempfile

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizer_texts import CODE, real_lines

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
