"""Seeds of tokenizer.json: every kind of part that one may have, and each way in which one may be wrong."""

import base64
import struct

from fuzz_inputs.formats import as_json, variants

TEXTS = ["Hello world 123", " a\n\n  b\t", "größer 日本 👍🏽 e\u0301", "<s>x</s>", "ab ab", "\x7f<0x41>\ufffd", "it's I'LL 1234567",
         "Ａ①ﾊﾞ가각\u1100\u1161\u11a8 \u200d\U0001f170\u24b6\u2160\u0897", "\U00010d50\U00010d40İẞǅ\ua7cb\u1c89 \u0378\u3000\x85",
         "<s> <t> big<new>  bigger</s>", "abc" * 30, "\u0315\u0300a\u0315\u0300 ¨ ﬁ \u0890x\u2028\u203f!?"]


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




def small_trie(replacements):
    """A charsmap of SentencePiece: single bytes to texts, each of which is a leaf of the root."""
    units, texts = [0] * 512, b""
    units[0] = 1 << 10  # the root's children are at 1 ^ byte
    for number, (byte, text) in enumerate(replacements.items()):
        node, leaf = 1 ^ byte, 257 + 2 * number
        units[node] = byte | 1 << 8 | (node ^ leaf) << 10
        units[leaf] = 1 << 31 | len(texts)
        texts += text + b"\0"
    trie = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(trie)) + trie + texts


def in_base64(content):
    return base64.b64encode(content).decode()


NORMALIZERS = [{"type": "Precompiled", "precompiled_charsmap": in_base64(small_trie({97: b"xyz", 65: b""}))},
               {"type": "Precompiled", "precompiled_charsmap": "!"}, {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
               {"type": "BertNormalizer", "lowercase": False}, {"type": "BertNormalizer", "clean_text": False,
                "handle_chinese_chars": False, "strip_accents": True, "lowercase": False}, {"type": "Strip", "strip_left": False},
               {"type": "Strip", "strip_right": False}, {"type": "Replace", "pattern": {"Regex": "x*"}, "content": "-"},
               {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 40}, {"type": "Sequence", "normalizers":
               [{"type": "Sequence", "normalizers": []}]}, {"type": "Prepend", "prepend": ""}, {"type": "nfc"}, {"x": 1}, 3]
SPACES = {"type": "Metaspace", "replacement": "▁"}
PRE_TOKENIZERS = [SPACES | {"prepend_scheme": scheme} for scheme in ("always", "never", "x")]
PRE_TOKENIZERS += [SPACES | {"add_prefix_space": False, "split": False}, SPACES | {"replacement": "ab"}, SPACES | {"replacement": ""}]
PRE_TOKENIZERS += [{"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, behind]} for behind in (
    {"type": "Split", "pattern": {"Regex": "[0-9]"}, "behavior": "Isolated"}, {"type": "Digits"}, {"type": "Whitespace"})]
PRE_TOKENIZERS += [{"type": "Split", "pattern": {"Regex": "x*"}, "behavior": behavior} for behavior in ("Isolated", "Contiguous", "x")]
PRE_TOKENIZERS += [{"type": "CharDelimiterSplit", "delimiter": text} for text in ("a", "")]
PRE_TOKENIZERS += [{"type": "Digits", "individual_digits": False}, {"type": "Punctuation"}, {"type": "ByteLevel", "use_regex": False},
                   {"type": "Sequence", "pretokenizers": [{"type": "Sequence", "pretokenizers": []}]}]
DECODERS = [{"type": "Metaspace", "replacement": text} for text in ("▁", "")] + [{"type": "Metaspace", "prepend_scheme": "never"}]
DECODERS += [{"type": "Strip", "content": "a", "start": 2, "stop": 2}, {"type": "Strip", "content": "", "start": 1, "stop": -1},
             {"type": "BPEDecoder"}, {"type": "BPEDecoder", "suffix": ""}, {"type": "Replace", "pattern": {"Regex": "a*"},
             "content": "b"}, {"type": "WordPiece"}, {"type": "Sequence", "decoders": [{"type": "Sequence", "decoders": []}]},
             {"type": "CTC"}, {"type": "ByteLevel"}, {"type": "ByteFallback"}, {"type": "Fuse"}]
START = {"SpecialToken": {"id": "<s>", "type_id": 0}}
TEXT = {"Sequence": {"id": "A", "type_id": 0}}
END = {"SpecialToken": {"id": "</s>", "type_id": 0}}
KNOWN = {name: {"id": name, "ids": [1], "tokens": [name]} for name in ("<s>", "</s>")}
PROCESSORS = [{"type": "TemplateProcessing", "single": single, "special_tokens": KNOWN} for single in (
    [START, TEXT, END], [TEXT, END], [START], [TEXT, TEXT], [START, START, TEXT], [])]
PROCESSORS += [{"type": "TemplateProcessing", "single": [START, TEXT], "special_tokens": {"<s>": {"id": "<s>", "tokens": ["<s>", "a"]}}},
               {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "nowhere"}}, TEXT], "special_tokens":
                {"nowhere": {"tokens": ["nowhere"]}}}, {"type": "BertProcessing", "sep": ["</s>", 33], "cls": ["<s>", 32]},
               {"type": "BertProcessing", "sep": [], "cls": []}, {"type": "ByteLevel"}, {"type": "x"},
               {"type": "Sequence", "processors": [{"type": "Sequence", "processors": []}]}]
MODEL_CHANGES = {
    "type": ["WordPiece", "WordLevel", None], "dropout": [0.0, 0.1], "continuing_subword_prefix": ["", "##"], "unk_token":
    [None, "nowhere", "a"], "byte_fallback": [True, False], "fuse_unk": [True, False], "ignore_merges": [True],
    "end_of_word_suffix": ["</w>", ""], "vocab": [{}, [], {"a": -1}, {"a": 2**40}, {"a": 1.5}, {"a": 1, "b": 1}],
    "merges": [[], ["a"], ["a b c"], [["a"]], [["a", 1]], [1], ["a nowhere"], ["z z"], "x"],
}
PIECES = [["<unk>", 0.0], ["a", -1.5], ["b", -2], ["ab", -1], ["▁", -3], ["▁a", -1]]
UNIGRAM_CHANGES = {
    "unk_id": [None, 0, 9, -1], "byte_fallback": [True], "vocab": [[], {}, [["a"]], [["a", "b"]], [["a", 0.0], ["a", 1.0]],
    [["a", -1e308], ["b", 1e308]], PIECES + [[f"<0x{b:02X}>", -9.0] for b in range(256)]],
}


def changed_documents(base, special):
    """One part changed at a time, with and without bytes as the alphabet."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    plain = base | {"added_tokens": special}
    yield from variants(plain, {"normalizer": NORMALIZERS, "pre_tokenizer": PRE_TOKENIZERS, "decoder": DECODERS,
                                "post_processor": PROCESSORS})
    yield from (plain | {"model": model} for model in variants(base["model"], MODEL_CHANGES))
    no_fallback = base["model"] | {"byte_fallback": False, "merges": ["a b", "ab c"]}
    in_bytes = plain | {"pre_tokenizer": byte_level, "model": no_fallback}
    yield from variants(in_bytes, {"decoder": DECODERS, "normalizer": NORMALIZERS[:4], "post_processor": PROCESSORS[:3]})
    yield from (in_bytes | {"model": model} for model in variants(no_fallback, MODEL_CHANGES))
    unigram = {"type": "Unigram", "unk_id": 0, "vocab": PIECES}
    for model in variants(unigram, UNIGRAM_CHANGES):
        yield base | {"model": model, "pre_tokenizer": SPACES}
    yield in_bytes | {"model": unigram}
    own = base | {"model": unigram, "pre_tokenizer": SPACES | {"prepend_scheme": "first"}}
    added = {"id": 1, "content": "a", "special": True}
    bad = [[added | {"id": 2}], [added | {"content": "x" * 300}], [{"id": 1}], [added | {"id": -1}], [added, added], "x", [added]]
    yield from variants(own, {"added_tokens": bad})
    yield from variants(in_bytes, {"added_tokens": [[added | {"id": id, "content": "Ġ", "normalized": True}] for id in (26, 27, 500)]})
    yield {"model": None}
    yield []


def odd_documents(base, special):
    """Documents with a text that shows what is odd in each."""
    charsmap = lambda table: base | {"normalizer": {"type": "Precompiled", "precompiled_charsmap": in_base64(table)}}
    whole = small_trie({97: b"xyz", 65: b""})
    trie = whole[4:4 + 4 * 512]
    for table in (whole, whole[:-8], struct.pack("<I", 6) + bytes(9), struct.pack("<I", 99) + bytes(9), struct.pack("<I", 4) + bytes(4),
                  struct.pack("<I", len(trie) - 1024) + trie[:-1024] + b"x\0", b"", b"\1"):
        yield charsmap(table), "aAa big\u0301 Ab a\u0301 b"
    cjk = "㐀䶿 一 豈\ufaff 𠀀𪛟 𪜀𫠟 𫤠𬺯 丽\U0002fa1f \t\n\r \u00a0\u200b"
    for flags in ({}, {"handle_chinese_chars": True, "clean_text": True}, {"handle_chinese_chars": False}):
        yield base | {"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                                     "lowercase": True} | flags}, cjk
    spaces = "\x0b\x0c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000x\u180e"
    marks = "\u0890\u0891\u08e2\U000110cd\U00013430 \u200c\u24b6\U0001f130\U0001f150\U0001f170 \U00011de0\U00016ff4 {}~|!@[`"
    for kind in ("WhitespaceSplit", "Whitespace", "BertPreTokenizer", "Punctuation", "Digits"):
        for text in (spaces, marks, "\u1160\u3131\uffa0\u115f 각ᆨ"):
            yield base | {"pre_tokenizer": {"type": kind, "individual_digits": True, "behavior": "Isolated"}}, text
    for normalizer in ({"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Nmt"}, {"type": "StripAccents"}, {"type": "NFKD"}):
        for text in (spaces, marks, "", " ", "\u1160\u3131\uffa0\u115fa\u0300"):
            yield base | {"normalizer": normalizer}, text
    # Tokens in a text: at its ends, in words, beside spaces, and inside each other.
    for text in ("x  <s>", " <s>", "<s> ", "xbig", "big", "big9", " big", "<s><s>", "bigbig", "<t", "</s>  </s>", "\u00a0</s>"):
        yield base | {"added_tokens": [token | {"lstrip": True, "rstrip": True} for token in special]}, text
        yield base | {"added_tokens": special}, text
    flags = {"special": 1, "lstrip": "x", "content": 3, "id": 1.5, "normalized": None}
    yield from ((base | {"added_tokens": [special[0] | {key: value}]}, "a") for key, value in flags.items())
    yield from ((base | {"added_tokens": [special[0] | {"id": id}]}, "a") for id in (2**31, 2**63, 2**64 - 1, -2**63, "1"))
    pieces = [["<unk>", 0.0], ["a", -1.5], ["ab", -1], ["▁", -3]]
    with_bytes = pieces + [[f"<0x{b:02X}>", -9.0] for b in range(256)]
    for vocab in (pieces, with_bytes, [["<unk>", 0.0]], [*pieces, [1, 2]], [*pieces, 3], [*pieces, ["x", "y"]], [*pieces, ["x", 1e999]]):
        for fallback in (False, True):
            model = {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": fallback}
            yield base | {"model": model, "pre_tokenizer": SPACES}, "é ab zz日"
            yield base | {"model": model | {"unk_id": None}, "pre_tokenizer": SPACES}, "é ab zz日"
    plain = base["model"]
    for model in (plain | {"merges": [["a", 1]]}, plain | {"merges": [[1, "a"]]}, plain | {"merges": [["a", "b", "c"]]},
                  plain | {"unk_token": "<unk>", "fuse_unk": False, "byte_fallback": False}, plain | {"unk_token": None, "byte_fallback": False},
                  plain | {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": False},
                  plain | {"merges": ["a b", "b c", "ab c", "a bc"], "vocab": plain["vocab"] | {"bc": 500}}):
        for text in ("éé xx", "abcabc zé", "▁a▁▁b", "日", "abababc bcab"):
            yield base | {"model": model}, text
    for decoder in ({"type": "Strip", "content": "a", "start": 1, "stop": 1}, {"type": "ByteFallback"}, {"type": "ByteLevel"}):
        for text in ("aaa baab a", "é日\U0001f600 \xff", "Ġa Ċb Ńé"):
            yield base | {"decoder": decoder}, text
            yield base | {"decoder": {"type": "Sequence", "decoders": [decoder, {"type": "Fuse"}, decoder]}}, text


def tokenizer_json_seeds():
    documents = list(tokenizer_documents())
    special = documents[0]["added_tokens"]
    yield from (as_json(document) + b"\0" + text.encode() for document, text in odd_documents(documents[0] | {"added_tokens": []}, special))
    documents += changed_documents(documents[0] | {"added_tokens": []}, special)
    # Every document with two of the texts, and the first of each kind with all.
    for number, document in enumerate(documents):
        for text in TEXTS if number < 24 else (TEXTS[number % len(TEXTS)], TEXTS[-3]):
            yield as_json(document) + b"\0" + text.encode()
    yield as_json(documents[0]) + b"\0" + bytes(range(128, 256)) + b"a\xe2\x82 \xf0\x9f \xc3"
    yield b"x\0"
