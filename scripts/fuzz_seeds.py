"""What scripts/fuzz begins with: the targets, valid inputs of each, and dictionaries.

Inputs are files of tests/golden, cases of other tests, and small files made here. A dictionary is every text literal of
the parser's own sources: its keys, names and marks.
"""

import gzip
import itertools
import json
import pathlib
import re
import struct
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden"

# The sources of each target's parser, as patterns: what its dictionary is of, and what its coverage is counted over.
SOURCES = {
    "safetensors": ["models/io/safetensors_read.cpp", "models/io/safetensors_dtypes.cpp"],
    "gguf": ["models/io/gguf_read.cpp"],
    "model_config": ["models/network/families/*.cpp", "models/network/config*.cpp", "models/network/labels.cpp"],
    "tokenizer_json": ["lora/data/tokenizers/added_tokens.cpp", "lora/data/tokenizers/aligned_text.cpp",
                       "lora/data/tokenizers/bpe*.cpp", "lora/data/tokenizers/decoder.cpp",
                       "lora/data/tokenizers/json_*.cpp", "lora/data/tokenizers/normalizer.cpp",
                       "lora/data/tokenizers/p*_*.cpp", "lora/data/tokenizers/vocabulary.cpp"],
    "tokenizer_model": ["lora/data/sentencepiece*.cpp", "lora/data/protobuf_fields.cpp"],
    "tokenizer_directory": ["lora/data/tokenizer.cpp", "lora/data/tokenizers/tokenizer_config.cpp",
                            "lora/data/tokenizers/surroundings.cpp", "lora/data/tokenizers/unigram.cpp",
                            "lora/data/tokenizers/vocab_and_merges.cpp", "lora/data/template_files.cpp"],
    "tokenizer_pattern": ["lora/data/tokenizers/pattern.cpp"],
    "adapter_config": ["lora/adapters/peft_config.cpp", "lora/adapters/matcher.cpp"],
    "module_pattern": ["lora/adapters/regex.cpp"],
    "chat_template": ["lora/jinja/*.cpp"],
    "recipe": ["lora/recipe/*.cpp"],
    "rows": ["lora/data/formats/*.cpp", "lora/data/chat.cpp", "lora/data/rows.cpp", "lora/data/input.cpp",
             "lora/data/unpack.cpp"],
    "csv": ["lora/data/csv.cpp"],
    "token_file": ["lora/data/token_file.cpp"],
    "manifest": ["lora/checkpoints/manifest.cpp"],
    "training_state": ["lora/checkpoints/training_state.cpp"],
    "completion_request": ["lora/serving/completion_request.cpp", "lora/serving/api_error.cpp"],
    "json_answer": ["lora/inference/json_grammar.cpp", "lora/inference/json_places.cpp"],
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
KINDS = {
    "safetensors": ["json"], "model_config": ["json"], "tokenizer_json": ["json", "regex"], "tokenizer_model": ["protobuf"],
    "tokenizer_directory": ["json"], "tokenizer_pattern": ["regex"], "adapter_config": ["json", "regex"], "module_pattern":
    ["regex"], "chat_template": ["jinja"], "recipe": ["yaml", "regex"], "rows": ["json"], "csv": ["csv"], "token_file":
    ["json"], "manifest": ["json"], "training_state": ["json"], "completion_request":
    ["json"], "json_answer": ["json"], "gguf": [],
}


def literals(pattern):
    """The text literals of sources, of up to 40 bytes."""
    found = set()
    for path in ROOT.glob(pattern):
        for line in path.read_text().splitlines():
            if not line.lstrip().startswith(("#include", "//")):
                found.update(re.findall(r'"((?:[^"\\\n]|\\.){1,40})"', line))
    return found


def dictionary(target):
    patterns = SOURCES[target] + (RECIPE_NAMES if target == "recipe" else [])
    words = set(itertools.chain.from_iterable(literals(pattern) for pattern in patterns))
    words = {word.encode().decode("unicode_escape").encode("latin-1", "ignore") for word in words}
    words |= {mark.encode() for kind in KINDS[target] for mark in MARKS[kind]}
    if target == "gguf":
        words |= {struct.pack("<I", code) for code in range(13)} | {struct.pack("<Q", n) for n in (0, 1, 32, 2**63, 2**64 - 1)}
    quoted = lambda word: "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in word)
    return "".join(f'"{quoted(word)}"\n' for word in sorted(words) if 0 < len(word) <= 60)


def golden(pattern):
    return [path.read_bytes() for path in sorted(GOLDEN.glob(pattern))]


def as_json(value):
    return json.dumps(value, ensure_ascii=False).encode()


def safetensors(tensors, metadata=None):
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = as_json(header)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def safetensors_seeds():
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
              "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
    yield safetensors({"w": ("F32", [2, 3], bytes(24)), "b": ("BF16", [2], bytes(4))}, {"format": "pt"})
    yield safetensors({name: (name, [2], b"\1" * 2 * width) for name, width in widths.items()})
    yield safetensors({"e": ("I64", [0, 2], b""), "s": ("F32", [], bytes(4))})
    yield safetensors({"odd": ("U8", [3], bytes(3)), "w": ("F32", [1], bytes(4))})
    yield safetensors({})
    yield b"\x80\x02}q\x00."
    yield b"PK\x03\x04" + bytes(60)
    yield b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def gguf_seeds():
    text = lambda value: struct.pack("<Q", len(value.encode())) + value.encode()
    formats = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
    def value(code, content):
        return text(content) if code == 8 else struct.pack("<" + formats[code], content)
    def array(code, items):
        return struct.pack("<IQ", code, len(items)) + b"".join(value(code, item) for item in items)
    def file(metadata, tensors, data=b"", version=3, alignment=32):
        out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
        for key, code, content in metadata:
            out += text(key) + struct.pack("<I", code) + (content if code == 9 else value(code, content))
        for name, shape, kind, begin in tensors:
            out += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
            out += struct.pack("<IQ", kind, begin)
        return out + bytes(-len(out) % alignment) + data
    scalars = [(f"t.{code}", code, "größer" if code == 8 else code == 7 or 1) for code in [*formats, 8]]
    yield file([("general.architecture", 8, "llama"), *scalars], [("w", [4, 2], 0, 0)], bytes(32))
    yield file([(f"a.{code}", 9, array(code, ["a", ""] if code == 8 else [1, 0])) for code in [*formats, 8]], [])
    kinds = [("f32", [4], 0, 0), ("f16", [4, 1, 1, 2], 1, 32), ("q8", [32, 2], 8, 64), ("bf16", [3], 30, 160)]
    yield file([("general.alignment", 4, 32)], kinds, bytes(200))
    yield file([("general.alignment", 4, 64)], [("w", [4], 0, 0), ("k", [256], 12, 64)], bytes(300), alignment=64)
    yield file([], [], version=2)
    yield file([("n", 9, struct.pack("<IQ", 9, 1))], [])


TEXTS = ["Hello world 123", " a\n\n  b\t", "größer 日本 👍🏽 e\u0301", "<s>x</s>", "ab ab", "\x7f<0x41>\ufffd", "it's I'LL 1234567"]


def tokenizer_documents():
    letters = {chr(c): c - 97 for c in range(97, 123)} | {"Ġ": 26, "▁": 27, "ab": 28, "Ġa": 29, "▁a": 30, "<unk>": 31, "<s>": 32,
                                                           "</s>": 33, "a</w>": 34, "abc": 35, "1": 36, "Ċ": 37}
    letters |= {f"<0x{b:02X}>": 40 + b for b in range(256)}
    merges = ["a b", "Ġ a", "▁ a", "ab c"]
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
            "post_processor": None, "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": letters, "merges": merges}}
    def added(id, content, **flags):
        return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} | flags
    special = [added(31, "<unk>"), added(32, "<s>"), added(33, "</s>", lstrip=True), added(300, "<t>", special=False),
               added(301, "big", special=False, normalized=True, single_word=True, rstrip=True)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    split = lambda pattern, behavior, invert=False: {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    sequence = lambda kind, *parts: {"type": "Sequence", kind: list(parts)}
    yield base | {"added_tokens": special}
    yield base | {"normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "▁"},
                                         {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
                  "decoder": sequence("decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                      {"type": "ByteFallback"}, {"type": "Fuse"},
                                      {"type": "Strip", "content": " ", "start": 1, "stop": 0}), "added_tokens": special}
    plain = base | {"model": base["model"] | {"byte_fallback": False}}
    yield plain | {"pre_tokenizer": byte_level, "decoder": byte_level, "post_processor": byte_level, "normalizer": {"type": "NFC"},
                   "added_tokens": special}
    yield plain | {"pre_tokenizer": sequence("pretokenizers", split({"Regex": llama3}, "Isolated"),
                                            byte_level | {"use_regex": False, "add_prefix_space": False}), "decoder": byte_level}
    for behavior in ("Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield base | {"pre_tokenizer": split({"String": " "}, behavior, behavior == "Removed")}
    for kind in ("Whitespace", "WhitespaceSplit", "Digits", "Punctuation", "Metaspace", "BertPreTokenizer", "UnicodeScripts"):
        extra = {"individual_digits": True, "behavior": "Isolated", "replacement": "▁", "prepend_scheme": "first", "split": True}
        yield base | {"pre_tokenizer": {"type": kind} | extra, "decoder": {"type": "Metaspace"} | extra}
    for kind in ("NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "Strip", "BertNormalizer", "Precompiled"):
        yield base | {"normalizer": {"type": kind, "strip_left": True, "strip_right": True, "precompiled_charsmap": ""}}
    yield base | {"normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "  "}, "decoder": {"type": "BPEDecoder",
                  "suffix": "</w>"}, "model": base["model"] | {"end_of_word_suffix": "</w>", "byte_fallback": False}}
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence":
                {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [32], "tokens": ["<s>"]}}}
    yield base | {"post_processor": template, "added_tokens": special}
    yield plain | {"post_processor": sequence("processors", byte_level, template), "added_tokens": special,
                   "pre_tokenizer": byte_level, "decoder": byte_level}
    yield base | {"post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 33], "cls": ["<s>", 32], "trim_offsets": True,
                                     "add_prefix_space": True}, "added_tokens": special}
    yield base | {"model": base["model"] | {"ignore_merges": True, "merges": [["a", "b"], ["ab", "c"]], "fuse_unk": False}}
    yield base | {"model": {"type": "WordPiece", "vocab": letters}}
    yield base | {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.5]]}}


def tokenizer_model(kind, fallback=True, prefix=True, table=b"", text="ab  a1é"):
    def varint(n):
        out = b""
        while n >= 0x80:
            out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
        return out + bytes([n])
    number = lambda field, n: varint(field << 3) + varint(n)
    part = lambda field, content: varint(field << 3 | 2) + varint(len(content)) + content
    pieces = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("user", 0, 4), ("gone", 0, 5)]
    pieces += [(f"<0x{b:02X}>", 0, 6) for b in range(256)] if fallback else []
    pieces += [(p, -i, 1) for i, p in enumerate(["▁a", "ab", "▁", "a", "b", "1", "é"])]
    out = b"".join(part(1, part(1, p.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + number(3, type))
                   for p, score, type in pieces)
    out += part(2, number(3, kind) + number(35, int(fallback)) + number(40, 0) + number(41, 1) + number(42, 2))
    out += part(3, part(1, b"identity") + (part(2, table) if table else b"") + number(3, int(prefix)) + number(4, 1))
    return bytes([len(text.encode())]) + text.encode() + out


def tokenizer_model_seeds():
    unit = struct.pack("<I", 1 << 10) + bytes(4 * 255)
    yield tokenizer_model(1)
    yield tokenizer_model(2)
    yield tokenizer_model(1, fallback=False, prefix=False)
    yield tokenizer_model(2, fallback=False, table=struct.pack("<I", len(unit)) + unit + b"a\0")
    yield b"\x01aIQ== 0\nIg== 1\n"


def tokenizer_directory_seeds():
    token = {"content": "<s>", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
    one = {"bos_token": token, "eos_token": "</s>", "pad_token": None, "add_bos_token": True, "add_eos_token": False,
           "tokenizer_class": "LlamaTokenizerFast", "legacy": False, "chat_template": "{{ messages }}",
           "added_tokens_decoder": {"1": token, "2": token | {"content": "</s>"}}, "additional_special_tokens": ["<a>", token],
           "extra_special_tokens": {"image": "<i>"}}
    templates = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]
    special = {"bos_token": "<s>", "additional_special_tokens": ["<x>"], "cls_token": token}
    model = tokenizer_model(1, text="")[1:]
    small = next(tokenizer_documents()) | {"added_tokens": [token | {"id": 1}]}
    small["model"] = small["model"] | {"vocab": {"a": 0, "<s>": 1, "</s>": 2, "b": 3, "ab": 4}, "merges": ["a b"],
                                       "unk_token": None, "byte_fallback": False}
    pieces = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["user", 0.0], ["gone", 0.0]]
    pieces += [[f"<0x{b:02X}>", 0.0] for b in range(256)] + [["▁a", 0.0]]
    unigram = {"model": {"type": "Unigram", "vocab": pieces}, "added_tokens": [token | {"id": 1}],
               "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Metaspace", "prepend_scheme": "always"}]},
               "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                  {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
                                  "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}}
    vocabulary, merges = as_json({"a": 0, "b": 1, "ab": 2, "<s>": 3}), b"#version: 0.2\na b\n"
    def directory(config={}, special=None, added=None, model_config=None, tokenizer=None, vocab=b"", merges=b"", model=b""):
        parts = [as_json(part) if part is not None else b"" for part in (config, special, added, model_config, tokenizer)]
        return b"\0".join([*parts, vocab, merges, b"ab <s>", model])
    yield directory(one, model=model)
    yield directory({"chat_template": templates, "unk_token": "<unk>"}, special, {"<x>": 270, "<y>": 271}, model=model)
    yield directory(one, tokenizer=small, model_config={"model_type": "llama", "tokenizer_class": "X"})
    yield directory({"bos_token": "<s>"}, tokenizer=unigram, model=model)
    yield directory({"bos_token": "<s>", "add_bos_token": True}, tokenizer=unigram | {"pre_tokenizer": {"type": "Metaspace",
                    "add_prefix_space": False}}, model=model)
    for name in ("GPT2Tokenizer", "Qwen2TokenizerFast", "Other"):
        yield directory({"tokenizer_class": name, "bos_token": "<s>", "add_bos_token": True}, vocab=vocabulary, merges=merges)
    for name in ("GPTNeoXTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "PreTrainedTokenizerFast"):
        yield directory({"tokenizer_class": name, "eos_token": "</s>", "add_eos_token": True}, tokenizer=small,
                        model_config={"model_type": {"GPTNeoXTokenizer": "olmo2", "GemmaTokenizer": "gemma2"}.get(name, "qwen3")})


def chat_template_seeds():
    yield from (case["template"].encode() for case in json.loads((GOLDEN / "jinja.json").read_text())["cases"])
    builtin = (ROOT / "lora/data/templates/builtin.cpp").read_text()
    yield from (text.encode() for text in re.findall(r'R"\((.*?)\)"', builtin, re.S))


def recipe_seeds():
    yield from (path.read_bytes() for path in sorted((ROOT / "recipes").rglob("*.yaml")))
    yield from (block.encode() for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/recipe.md").read_text(), re.S))
    minimal = b"model: {path: m}\ndata: {train: [{path: a.jsonl, format: alpaca}]}\noutput_dir: o\ntraining: {max_steps: 3}\n"
    yield minimal
    yield minimal + b"\0training.learning_rate=1e-3"
    yield minimal + b"\0data.train.0.path=-"
    yield minimal + b"adapters:\n  - {name: a, adapter: {rank: 2}}\n  - name: b\n    data: {train: [{path: b}]}\n"
    yield minimal + b"adapter:\n  method: adalora\n  target_modules: '.*q_proj'\n  rank_pattern: {q_proj: 4}\n  bias: all\n"
    yield (minimal + b"evaluation: {generate: 2}\n" + b"# \xc3\xa9\n"
           + b"export: [peft, gguf]\n")


def row_seeds():
    call = {"type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "q"}]},
                {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "r"},
                {"role": "tool", "content": "1", "tool_call_id": "x"}, {"role": "assistant", "content": "a", "weight": 0}]
    rows = [
        {"instruction": "i", "input": "x", "output": "o", "system": "s", "history": [["q", "a"]], "label": True},
        {"prompt": "p", "completion": "c", "kto_tag": "false"}, {"text": "t", "label": 3}, {"text": "t", "label": "pos"},
        {"messages": messages, "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g", "train": False}], "system": "s"},
        {"conversations": [{"from": "human", "value": "h"}, {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"},
                           {"from": "observation", "value": "1"}, {"from": "gpt", "value": "g"}], "tools": "[]"},
        {"prompt": "p", "chosen": "c", "rejected": "r"},
        {"prompt": messages[:2], "chosen": [{"role": "assistant", "content": "c"}], "rejected": [{"role": "assistant", "content": "r"}]},
        {"prompt": messages[:2], "completion": [{"role": "assistant", "content": "c", "function_call": {"name": "f", "arguments": "{}"}}]},
        {"translation": {"en": "e", "fr": "f"}, "answers": {"text": ["a"]}, "n": 1.5e3, "z": None, "\u00e9": "😀"},
    ]
    lines = [as_json(row) for row in rows]
    yield from (line + b"\n" for line in lines)
    yield b"\xef\xbb\xbf" + b"\r\n".join(lines[:3]) + b"\r\n\r\n"
    yield b"[" + b",\n ".join(lines[:4]) + b"]"
    yield b'{"version": 1, "data": [' + b",".join(lines[2:4]) + b'], "more": {}}'
    yield gzip.compress(lines[1] + b"\n", mtime=0)
    # A frame of zstd with one raw block.
    content = b'{"text": "t"}\n'
    yield b"\x28\xb5\x2f\xfd\x20" + bytes([len(content)]) + (len(content) << 3 | 1).to_bytes(3, "little") + content
    yield b'{"a": 1, "a": 2}\n{"text": "\\ud800"}\n{"text": 1e999}\n[1]\n{"text": "'


def csv_seeds():
    yield b'text,label\nhello,1\n"a ""quoted"", b",2\r\n\r\n"two\nlines",3'
    yield "a\tb\nü\t\"x\ty\"\n".encode()
    yield b'\xef\xbb\xbfa,b\n,\n"",""\n"open\n'
    yield b'a"b,c\n"x"y,z\na\rb\n\0,1\n\xff,2\n'


def token_file_seeds():
    def file(rows, labels=True, version=4, **changes):
        packed = b""
        for ids, targets in rows:
            packed += struct.pack(f"<{len(ids)}i", *ids) + bytes(targets)
            packed += bytes(-len(packed) % 4)
        used = bytearray(2)
        for ids, _ in rows:
            for i in ids:
                used[i // 8] |= 1 << i % 8
        arrays = struct.pack(f"<{len(rows)}i", *[len(ids) for ids, _ in rows])
        arrays += struct.pack(f"<{len(rows)}i", *[0 if labels else -1] * len(rows))
        arrays += b"".join(struct.pack("<I", zlib.crc32(packed[i:i + 65536])) for i in range(0, len(packed), 65536))
        arrays += bytes(used)
        count = sum(len(ids) for ids, _ in rows)
        index = {"samples": len(rows), "ids": 16, "tokens": count, "supervised_tokens": count - 1, "longest": 3,
                 "sources": [{"path": "a.jsonl", "format": "text", "ground": "", "begin": 0, "end": len(rows), "counts": [1] * 19,
                              "unread": [["x", 1]], "spelled": []}],
                 "files": [{"path": "a.jsonl", "bytes": 9, "sha256": "00"}], "bad_rows": ["b"], "notes": ""} | changes
        text = as_json(index)
        trailer = struct.pack("<QQQII8s", len(packed), len(arrays), len(text), zlib.crc32(arrays + text), version, b"loratoks")
        return packed + arrays + text + trailer
    yield file([([1, 2, 3], [0, 1, 1]), ([4, 15], [0, 1])])
    yield file([([7], [0])], labels=False)
    yield file([], longest=0, tokens=0, supervised_tokens=0)
    yield file([([1, 2], [0, 1])], samples=2**62, ids=2**63)
    yield file([([1, 2], [0, 1])], version=3)


def manifest_seeds():
    entry = {"size": 2, "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}
    yield as_json({"format_version": 1, "step": 7, "files": {"state.json": entry}})
    yield as_json({"format_version": 1, "step": 7, "files": {"missing": entry, "../x": entry}})
    yield as_json({"format_version": 2, "step": 8, "files": {}})


def training_state_seeds():
    state = {"step": 1, "epoch": 0, "row": 5, "tokens": 40, "supervised_tokens": 20, "best_loss": None, "best_step": 0,
             "evaluations_without_gain": 0, "skipped_steps": 0, "skipped_in_row": 0}
    yield b"\0" + as_json(state)
    yield b"\0" + as_json(state | {"best_loss": 1.5, "row": 2**62, "step": -1, "epoch": 2**40})
    yield b"\1" + as_json({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}})
    yield b"\2" + safetensors({"exp_avg.x": ("F32", [2], bytes(8))})
    yield b"\3" + safetensors({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": ("F32", [8, 2], bytes(64))})


def pattern_seeds():
    for document in json.loads((GOLDEN / "tokenizers/llama3.json").read_text()), *({"tokenizer": d} for d in tokenizer_documents()):
        for regex in re.findall(r'"Regex": ("(?:[^"\\]|\\.)*")', json.dumps(document["tokenizer"])):
            yield from (json.loads(regex).encode() + b"\0" + text.encode() for text in TEXTS[:3])
    for regex in (r"'s|'t| ?\p{L}+| ?\p{N}+|\s+(?!\S)", r"(?<=a)b+?", r"[[:alpha:]&&[^x]]+", r"\h\H\R\X", r"(a+)+$", r"^\A.\z", r"\x41\u0041"):
        yield regex.encode() + b"\0" + b"aab 12 'sx"


def module_pattern_seeds():
    for regex in (r".*\.(q|v)_proj", r"model\.layers\.(\d|1[0-5])\..*", r"(?!.*mlp).*proj$", r"(a|aa)+b", r"(?P<n>l)\w+(?P=n)", r"(?i)MODEL.*"):
        yield regex.encode() + b"\0" + b"model.layers.3.mlp.down_proj"


def completion_request_seeds():
    """Each key of the API alone and all together, in both kinds of request."""
    keys = dict(model="m", max_tokens=5, max_completion_tokens=5, temperature=0.5, top_p=0.9, min_p=0.1, top_k=40,
                repetition_penalty=1.1, frequency_penalty=-1, presence_penalty=1, logit_bias={"12": -100, "3": 1.5}, seed=7,
                stop=["a", "é"], n=2, stream=True, stream_options={"include_usage": True}, user="u", best_of=1, echo=False,
                response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
                tool_choice="auto", parallel_tool_calls=True, store=False, metadata={"a": "b"})
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    chat = dict(messages=[{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                          {"role": "assistant", "content": None, "tool_calls": [call]},
                          {"role": "tool", "tool_call_id": "1", "content": "4"}], tools=tools, logprobs=True, top_logprobs=3)
    for begin in (chat, dict(prompt="text", logprobs=2), dict(prompt=["a", "b"]), dict(prompt=[1, 2, 3]), dict(prompt=[[1], [2, 3]])):
        yield as_json(begin)
        yield as_json(begin | keys)
        yield from (as_json(begin | {key: value}) for key, value in keys.items())


def json_answer_seeds():
    """Schemas with texts that keep to them."""
    kinds = {"k": {"const": "a"}, "l": {"enum": ["b", 1, 12, None]}}
    node = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["next"], "additionalProperties": False}
    for schema, text in ((True, '{"a": [1.5e3, null, "\\u00e9\\n"]}'), ({"type": "string", "minLength": 1, "maxLength": 3}, '"é€"'),
                         ({"type": ["integer", "boolean"]}, "-12"), ({"type": "array", "items": {"type": "number"}, "minItems": 1,
                         "maxItems": 3}, "[0.5, -1e9]"), ({"properties": kinds, "required": ["l"]}, '{"k": "a", "l": 12}'),
                         ({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "null"}}, '{"a":{},"é":null}'),
                         ({"$defs": {"node": node}, "$ref": "#/$defs/node"}, '{"next":{"next": null}}'),
                         ({"oneOf": [{"type": "object", "properties": {"k": {"const": i}}, "required": ["k"]} for i in (1, 2)]},
                          '{"k":2}'), ({"allOf": [{"type": "null", "title": "t"}]}, "null"),
                         ({"type": "array", "items": {"type": "number", "exclusiveMinimum": -2.5, "maximum": 1200}}, "[-2.25, 1199]"),
                         ({"anyOf": [{"type": "integer", "minimum": 7}, {"exclusiveMaximum": 0}]}, "12")):
        yield as_json(schema) + b"\0" + text.encode()


SEEDS = {
    "safetensors": safetensors_seeds,
    "gguf": gguf_seeds,
    "model_config": lambda: golden("families/*/config.json") + golden("models/*/config.json"),
    "tokenizer_json": lambda: (as_json(d) + b"\0" + text.encode() for d, text in
                               zip(tokenizer_documents(), itertools.cycle(TEXTS))),
    "tokenizer_model": tokenizer_model_seeds,
    "tokenizer_directory": tokenizer_directory_seeds,
    "tokenizer_pattern": pattern_seeds,
    "adapter_config": lambda: golden("peft*/*/adapter_config.json") + golden("*/*/adapter_config.json"),
    "module_pattern": module_pattern_seeds,
    "chat_template": chat_template_seeds,
    "recipe": recipe_seeds,
    "rows": row_seeds,
    "csv": csv_seeds,
    "token_file": token_file_seeds,
    "manifest": manifest_seeds,
    "training_state": training_state_seeds,
    "completion_request": completion_request_seeds,
    "json_answer": json_answer_seeds,
}


def write_seeds(directory):
    """directory/TARGET/seed-NUMBER and directory/TARGET.dict of every target."""
    for target, seeds in SEEDS.items():
        (directory / target).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(dict.fromkeys(seeds())):
            (directory / target / f"seed-{number:03}").write_bytes(seed)
        (directory / f"{target}.dict").write_text(dictionary(target))
