"""Seeds of tokenizer.model, and of directories with the small files around a tokenizer."""

import struct

from fuzz_inputs.formats import as_json, protobuf_bytes, protobuf_number, varint, variants
from fuzz_inputs.tokenizer_json import PIECES, SPACES, small_trie, tokenizer_documents

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BYTES = [(f"<0x{b:02X}>", 0, BYTE) for b in range(256)]
FIRST = [("<unk>", 0, UNKNOWN), ("<s>", 0, CONTROL), ("</s>", 0, CONTROL), ("user", 0, USER), ("gone", 0, UNUSED)]
WORDS = [(piece, -i, NORMAL) for i, piece in enumerate(["▁a", "ab", "▁", "a", "b", "1", "é"])]


def tokenizer_model(kind, fallback=True, prefix=True, table=b"", pieces=None, last=b"", normalizer=b""):
    """`kind`: 1 unigram, 2 BPE. `last`: fields behind all others."""
    pieces = pieces or FIRST + (BYTES if fallback else []) + WORDS
    out = b"".join(protobuf_bytes(1, protobuf_bytes(1, piece.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) +
                                  protobuf_number(3, type)) for piece, score, type in pieces)
    out += protobuf_bytes(2, b"".join(protobuf_number(*field) for field in
                                      ((3, kind), (35, int(fallback)), (40, 0), (41, 1), (42, 2))))
    spec = protobuf_bytes(1, b"identity") + (protobuf_bytes(2, table) if table else b"")
    return out + protobuf_bytes(3, spec + protobuf_number(3, int(prefix)) + protobuf_number(4, 1) + normalizer) + last


def with_text(model, text="ab  a1é"):
    return bytes([len(text.encode())]) + text.encode() + model


def tokenizer_model_seeds():
    unit = struct.pack("<I", 1 << 10) + bytes(4 * 255)
    sized = lambda trie: struct.pack("<I", len(trie)) + trie
    for kind in (1, 2):
        yield with_text(tokenizer_model(kind))
        yield with_text(tokenizer_model(kind, fallback=False), "user <s>gone ab <new>  xé\n\nb")
        yield with_text(tokenizer_model(kind, fallback=False, prefix=False))
        yield with_text(tokenizer_model(kind, fallback=False, table=small_trie({97: b"b", 65: b"ab"})), "aAa")
        # White space stays as it is, so that texts may be cut behind lines; with a piece that has a line's end, not.
        kept = protobuf_number(4, 0)
        for extra in ([], [("a\nb", -9, NORMAL)]):
            pieces = FIRST + BYTES + WORDS + extra
            yield with_text(tokenizer_model(kind, pieces=pieces, normalizer=kept), "a \n \nb\n\n")
    for table in (b"\0", sized(b""), sized(unit), sized(unit) + b"a\0", sized(unit[:-4]), sized(b"\xff" * 1024) + b"\0",
                  sized(struct.pack("<I", 1 << 31 | 1 << 9) * 256) + b"\0"):
        yield with_text(tokenizer_model(2, fallback=False, table=table))
    yield with_text(tokenizer_model(2, fallback=False, last=protobuf_bytes(5, protobuf_bytes(2, small_trie({97: b"b"})))))
    yield with_text(tokenizer_model(2, fallback=False, last=protobuf_bytes(5, protobuf_bytes(2, b"x"))))
    for score in (float("nan"), float("inf")):
        yield with_text(tokenizer_model(1, pieces=FIRST + [("a", score, NORMAL)], fallback=False))
    for pieces in (WORDS, FIRST + WORDS + WORDS, FIRST[:1] + WORDS, FIRST + [("", 0, NORMAL)], FIRST + [("ab", 0, CONTROL)],
                   FIRST + BYTES[:10] + WORDS, FIRST[:1] + [("<new>", 0, USER), ("<0x0A>", 0, NORMAL)], FIRST[1:] + WORDS):
        yield with_text(tokenizer_model(2, pieces=pieces, fallback=len(pieces) > 14), "a <new> ab")
    whole = tokenizer_model(2, fallback=False)
    for damaged in (whole[:-3], whole[:9], b"", whole + b"\x80", whole + b"\xff" * 11, whole + b"\x0d\0", whole + b"\x09\0",
                    whole + varint(200 << 3 | 1) + bytes(8), whole + varint(200 << 3 | 5) + bytes(4), whole + varint(9 << 3 | 3),
                    whole + varint(7 << 3 | 2) + varint(2**40), protobuf_number(1, 5), protobuf_bytes(1, b"\x10\1")):
        yield with_text(damaged)
    for text in (b"IQ== 0\nIg== 1\n", b"IQ== 0", b"IQ==", b" 0\n", b"IQ== x\n", b"!! 0\n", b"IQ==  0\r\n", b"a " + b"0" * 2000):
        yield with_text(text)
    yield with_text(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


TOKEN = {"content": "<s>", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
TEMPLATES = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}, {"name": "rag", "template": "c"}]
CONFIG = {"bos_token": TOKEN, "eos_token": "</s>", "pad_token": None, "add_bos_token": True, "add_eos_token": False,
          "tokenizer_class": "LlamaTokenizerFast", "legacy": False, "chat_template": "{{ messages }}",
          "added_tokens_decoder": {"1": TOKEN, "2": TOKEN | {"content": "</s>"}}, "additional_special_tokens": ["<a>", TOKEN],
          "extra_special_tokens": {"image": "<i>"}}
CONFIG_CHANGES = {
    "bos_token": [None, "nowhere", 3, {"content": 1}, {}, "ab"], "eos_token": [None, "nowhere"], "pad_token": ["</s>", "nowhere"],
    "unk_token": ["<unk>"], "add_bos_token": [None, False, 1], "add_eos_token": [True], "legacy": [True, "x"],
    "tokenizer_class": [None, "GPT2Tokenizer", "Qwen2TokenizerFast", "GPTNeoXTokenizerFast", "CodeLlamaTokenizer", "Other", 3],
    "chat_template": [TEMPLATES, None, 3, [], TEMPLATES[1:], [1], [{"name": "default"}], TEMPLATES[:1] * 2,
                      TEMPLATES[:1] + [{"name": "a/b", "template": "x"}], TEMPLATES[:1] + [{"name": "", "template": "x"}]],
    "added_tokens_decoder": [None, {}, {"x": TOKEN}, {"-1": TOKEN}, {"99999999": TOKEN}, {"1": 3}, {"3": TOKEN}, {"270":
                             TOKEN | {"content": "<x>", "special": False, "normalized": True, "single_word": True}}],
    "additional_special_tokens": [None, [], "x", [1], ["ab", "<x>"]],
}
CLASSES = ["LlamaTokenizer", "GPTNeoXTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "PreTrainedTokenizerFast", "GPT2Tokenizer",
           "Qwen2TokenizerFast", "Other", ""]
MODEL_TYPES = ["llama", "mistral", "qwen2", "qwen3", "olmo2", "gemma2", "smollm3", "other"]


def directory(config=None, special=None, added=None, model_config=None, tokenizer=None, vocab=b"", merges=b"", template=b"",
              tool_template=b"", model=b"", text=b"ab <s>"):
    """In the order of tests/fuzz/tokenizer_directory.cpp."""
    parts = [part if isinstance(part, bytes) else as_json(part) if part is not None else b"" for part in
             (config, special, added, model_config, tokenizer)]
    return b"\0".join([*parts, vocab, merges, template, tool_template, text, model])


def small_tokenizer():
    small = next(tokenizer_documents()) | {"added_tokens": [TOKEN | {"id": 1}, TOKEN | {"id": 2, "content": "</s>"}]}
    small["model"] = small["model"] | {"vocab": {"a": 0, "<s>": 1, "</s>": 2, "b": 3, "ab": 4}, "merges": ["a b"],
                                       "unk_token": None, "byte_fallback": False}
    return small


def unigram_tokenizer():
    """The pieces of tokenizer_model() without bytes."""
    pieces = [[piece, score] for piece, score, _ in FIRST + WORDS]
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}},
                                                         {"SpecialToken": {"id": "</s>"}}], "pair": [],
                "special_tokens": {name: {"id": name, "ids": [1], "tokens": [name]} for name in ("<s>", "</s>")}}
    return {"model": {"type": "Unigram", "vocab": pieces}, "added_tokens": [TOKEN | {"id": 1}],
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, SPACES | {"prepend_scheme": "always"}]},
            "post_processor": template}


def tokenizer_directory_seeds():
    model, small, unigram = tokenizer_model(1, fallback=False), small_tokenizer(), unigram_tokenizer()
    vocabulary, merges = as_json({"a": 0, "b": 1, "ab": 2, "<s>": 3, "</s>": 4}), b"#version: 0.2\na b\r\n\n"
    for config in variants(CONFIG, CONFIG_CHANGES):
        yield directory(config, model=model)
        yield directory(config, tokenizer=small)
    plain = {"bos_token": "<s>", "eos_token": "</s>"}
    for name in CLASSES:
        for flags in ({}, {"add_bos_token": True}, {"add_bos_token": False, "add_eos_token": True}):
            config = plain | flags | ({"tokenizer_class": name} if name else {})
            yield directory(config, tokenizer=small, model_config={"model_type": "qwen3"})
            yield directory(config, model=model)
            yield directory(config, vocab=vocabulary, merges=merges)
    for kind in MODEL_TYPES:
        yield directory(plain, model_config={"model_type": kind}, tokenizer=small)
        yield directory(plain, model_config={"model_type": kind, "tokenizer_class": "LlamaTokenizer"}, model=model)
        yield directory(None, model_config={"model_type": kind}, model=model)
    changes = {"pre_tokenizer": [None, SPACES, SPACES | {"add_prefix_space": False}, {"type": "Sequence"}, {"type": "Whitespace"}],
               "post_processor": [None, {"type": "ByteLevel"}], "added_tokens": [None, [TOKEN | {"id": -1}], [TOKEN | {"id": 3}]],
               "model": [{"type": "Unigram", "vocab": vocab} for vocab in (PIECES, [], ["a"], [[1, 2]], [["<unk>", 0]] * 99)]}
    for tokenizer in variants(unigram, changes):
        yield directory(plain, tokenizer=tokenizer, model=model)
        yield directory(plain | {"legacy": False, "added_tokens_decoder": {"1": TOKEN}}, tokenizer=tokenizer, model=model)
    yield directory(plain, tokenizer=unigram)
    special = {"bos_token": "<s>", "eos_token": TOKEN | {"content": "</s>"}, "pad_token": "</s>", "additional_special_tokens":
               ["<x>"], "cls_token": TOKEN, "mask_token": 3}
    for names in variants(special, {"mask_token": ["</s>", None]}):
        yield directory(plain, names, {"<x>": 270, "<y>": 271}, model=model)
        yield directory(None, names, {"<x>": 270, "<s>": 1}, model=model)
        yield directory(CONFIG, names, {"<s>": 1, "<z>": 2}, model=model)
    for added in ({"<x>": 3}, {"<x>": -1}, {"<x>": "a"}, [], {"a": 300}):
        yield directory(plain, None, added, model=model)
    for template, tools in ((b"{{ a }}", b""), (b"{{ a }}", b"{{ b }}"), (b"", b"{{ b }}"), (b"ab", b""), (b"abcd", b"b"), (b"abc", b"b")):
        yield directory(CONFIG, model=model, template=template, tool_template=tools)
    for text in ("abc", "abcd", "abcde"):
        for templates in (text, [{"name": "default", "template": text}, TEMPLATES[1]]):
            yield directory(CONFIG | {"chat_template": templates}, model=model)
    for name in ("x" * 201, "a\0b", 3):
        yield directory(CONFIG | {"chat_template": TEMPLATES[:1] + [{"name": name, "template": "x"}]}, model=model)
    bytes_of = [[f"<0x{b:02X}>", -9.0] for b in range(256)]
    yield directory(plain, tokenizer=unigram | {"model": {"type": "Unigram", "vocab": [["<unk>", 0], *bytes_of]}}, model=tokenizer_model(1))
    for steps in ([SPACES | {"prepend_scheme": "first"}, SPACES | {"prepend_scheme": "never"}], [SPACES, SPACES]):
        yield directory(plain, tokenizer=unigram | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}, model=model)
    # Without names of BOS and EOS.
    bare = tokenizer_model(1, fallback=False, pieces=FIRST[:1] + WORDS)
    for config in ({}, {"add_bos_token": True, "add_eos_token": True}, None):
        yield directory(config, model=bare)
        yield directory(config, tokenizer=small | {"added_tokens": []})
    for other in ([], {"model": []}, {"model": {"type": "Unigram"}}, {"model": {}}, 3):
        yield directory(plain, tokenizer=other, model=model)
        yield directory(plain, tokenizer=other)
    yield directory(b"{", model=model)
    yield directory(b"<html></html>", model=model)
    yield directory(plain, model_config=b"{", tokenizer=small)
    yield directory(plain, model_config={"model_type": 3}, tokenizer=small)
    yield directory(plain, vocab=vocabulary)
    yield directory(None, vocab=vocabulary, merges=merges)
    yield directory({"tokenizer_class": "GPT2Tokenizer"}, vocab=b"[]", merges=b"x")
    yield directory(plain)
