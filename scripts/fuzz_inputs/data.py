"""Seeds of training data: files of rows, and the token cache."""

import gzip
import re
import struct
import zlib

from fuzz_inputs.formats import ROOT, as_json, variants


CALL = {"type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}
MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "q"}]},
            {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "r"},
            {"role": "tool", "content": "1", "tool_call_id": "x"}, {"role": "assistant", "content": "a", "weight": 0}]
ROWS = [
    {"instruction": "i", "input": "x", "output": "o", "system": "s", "history": [["q", "a"]], "label": True},
    {"prompt": "p", "completion": "c", "kto_tag": "false"}, {"text": "t", "label": 3}, {"text": "t", "label": "pos"},
    {"messages": MESSAGES, "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    {"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g", "train": False}], "system": "s"},
    {"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "w"}, {"from": "function_call", "value":
                        "{\"name\": \"f\", \"arguments\": {}}"}, {"from": "function_call", "value":
                        "[{\"name\": \"f\", \"arguments\": \"{}\"}]"}, {"from": "observation", "value": "1"},
                       {"from": "gpt", "value": "g"}], "tools": "[]"},
    {"prompt": "p", "chosen": "c", "rejected": "r", "margin": 0.5}, {"chosen": "a b c é", "rejected": "a b d è"},
    {"prompt": MESSAGES[:2], "chosen": [{"role": "assistant", "content": "c"}], "rejected": [{"role": "assistant", "content": "r"}]},
    {"prompt": MESSAGES[:2], "completion": [{"role": "assistant", "content": "c", "function_call": {"name": "f", "arguments": "{}"}}]},
    {"translation": {"en": "e", "fr": "f"}, "answers": {"text": ["a"]}, "n": 1.5e3, "z": None, "\u00e9": "😀"},
]
# A value for each of a message's keys that readers ask about, right and wrong.
MESSAGE_CHANGES = {
    "role": ["Human", "gpt", "developer", "asistant", "tool_calls", 3, None], "content": [None, 3, [], [3], [{"type": "image"}],
    [{"type": "text", "text": 1}], "<think>r</think>a", "[{\"name\": \"f\"}]", "{\"function\": {\"name\": \"f\", \"arguments\": {}}}",
    "{\"a\": 1}", "[]", "x"], "weight": [0, 1.0, True, 2, "x", None], "train": [False], "mask": [1, None], "from": ["human"], "value":
    ["v"], "tool_calls": ["x", [1], [CALL, {"name": "g", "arguments": {}}], [{"function": {"name": "f", "arguments": "{"}}],
    [{"function": {"name": "f", "arguments": "[1]"}}], []], "function_call": [{"name": "f"}, "x"], "n": [2**63, 2**64, 1e19, 2**62],
}
TOOLS = [[], "[{\"name\": \"f\"}]", "x", [1], {"a": 1}, [{"function": {"name": 3}}], [{"function": 3}], None]
ROW_CHANGES = {
    "history": [None, "", [], "x", [["a"]], [["a", 1]], [["q", "a"], ["b", "c"]], "[[\"a\", \"b\"]]"], "system": ["s", "", 3, None, "t"],
    "system_prompt": ["s", "other"], "label": [True, "FALSE", 3, "", None, "x"], "kto_tag": [False, "true"], "tools": TOOLS, "margin":
    [1, None, "x", 1e308], "input": ["i", "", None], "prompt": [None, 3, True, "", [], 1e19, 2**70], "chosen": ["a", "", [], MESSAGES[-1],
    MESSAGES[:1], "p c"], "rejected": ["b", MESSAGES[-1:], MESSAGES[1:2]], "messages": [None, [], "x", MESSAGES[:1], "[1"], "conversations":
    [None, MESSAGES], "completion": [None, "", MESSAGES[:1], MESSAGES[-1:]], "question": ["q"], "text": [None, 1.5],
}


def rows_file(content, fields="", choice=0):
    """`choice` as tests/fuzz/rows.cpp has it: the file's name, 32 for another, 64 for a pattern, 128 for marks."""
    return bytes([choice]) + fields.encode() + b"\0" + content


def in_zstd(content):
    """A frame of one raw block."""
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(content)]) + (len(content) << 3 | 1).to_bytes(3, "little") + content


def row_seeds():
    lines = [as_json(row) for row in ROWS]
    yield from (rows_file(line + b"\n") for line in lines)
    for row in ROWS:
        changed = [as_json(one) for one in variants(row, ROW_CHANGES)]
        yield from (rows_file(b"\n".join(changed[i:i + 4])) for i in range(0, len(changed), 4))
    for message in MESSAGES:
        for changed in variants(message, MESSAGE_CHANGES):
            yield rows_file(as_json({"messages": [MESSAGES[1], changed, MESSAGES[2]]}))
            yield rows_file(as_json({"conversations": [{"from": "gpt", "value": "w"}, changed]}))
    # Calls that a message's role tells of, and what stands before them.
    call = {"name": "f", "arguments": "{}"}
    for content in ("3", "[]", "[1]", "{}", '[{"function": 3}]', '[{"function": {"name": "f"}}]', '[{"name": "f"}]', '[{"x": 1}]',
                    as_json([call, {"name": "g", "arguments": {}}]).decode(), as_json({"name": "g", "arguments": {}}).decode()):
        told = {"role": "function_call", "content": content}
        for before in ([], MESSAGES[1:2], MESSAGES[4:], [MESSAGES[4] | {"weight": 1}], [told]):
            yield rows_file(as_json({"messages": [*before, told]}))
        yield rows_file(as_json({"messages": [MESSAGES[1], told | {"tool_calls": [CALL]}, told]}))
    for more in ({"content": None, "function_call": call}, {"content": None, "function_call": 3}, {"tool_calls": [{"function": 3}, {"name": "f"}]},
                 {"content": "a", "weight": 0, "train": True}, {"content": "<think>r</think>"}, {"content": "</think><think>"}):
        yield rows_file(as_json({"messages": [MESSAGES[1], {"role": "assistant"} | more]}))
    for row in ({"instruction": "i", "output": "o", "history": [3]}, {"instruction": "i", "output": "o", "history": [[1, "a"]]},
                {"chosen": "aé", "rejected": "aè"}, {"chosen": "é", "rejected": "è"},
                {"prompt": MESSAGES[:2], "chosen": MESSAGES[2:], "rejected": MESSAGES[2:]},
                {"prompt": "p", "chosen": MESSAGES[1:3] + MESSAGES[4:], "rejected": MESSAGES[1:2] + MESSAGES[4:]},
                {"prompt": 3, "chosen": MESSAGES[4:], "rejected": MESSAGES[4:]}):
        yield rows_file(as_json(row))
    for column in ({"weight": 0}, {"weight": 1}):
        yield rows_file(as_json({"messages": [MESSAGES[0] | {"weight": 0}, MESSAGES[1] | column, MESSAGES[4]]}))
    deep = b"[" * 150 + b"]" * 150
    yield rows_file(b'{"messages": [{"role": "user", "content": "a", "x": ' + deep + b'}]}\n{"text": ' + deep + b"}")
    yield rows_file(b'{"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "' + deep + b'"}}]}]}')
    yield rows_file(as_json({f"column {i}": i for i in range(25)}) + b"\n{}\n")
    # How files are put together.
    yield rows_file(b"\xef\xbb\xbf" + b"\r\n".join(lines[:3]) + b"\r\n\r\n")
    yield rows_file(b"[" + b",\n ".join(lines[:4]) + b"]")
    for text in (b"[]", b"[ ]x", b"[1, [2], \"a]\\\"\"]", b"[{}", b"[{\"a", b"[{\"a\\", b"[", b"[]\n[]", b"[{}]}", b"[}{]"):
        yield rows_file(text)
    inside = b'{"version": 1, "s\\"x": "\\"y", "data": [' + b",".join(lines[2:4]) + b"]"
    for end in (b', "more": {}, "n": []}', b"}", b', "more": [1]}', b"", b", 3}", b"} x", b', "data": 1}'):
        yield rows_file(inside + end)
    for text in (b'{"rows": []}', b'{"rows": [1]}', b'{"rows": [{"a": 1}]}\n{"rows": [{"a": 1}]}\n', b'{"a', b'{"a": "b', b'{"a": 1,', b"{}"):
        yield rows_file(text)
    yield rows_file(inside + b"}", "text=data.0.text")
    # Columns under other names.
    nested = as_json({"a": {"b": "p", "c": [{"d": "c"}, "e"], "f": "unread"}, "x.y": "whole", "z": None, "e": [], "s": ""})
    for fields in ("prompt=a.b;completion=a.c.0.d", "prompt=x.y;completion=a.c.1", "text=a.c.9", "text=a.c.x", "text=a..b", "text=z.a",
                   "text=nowhere", "prompt", "text=a.c.12345678901", "label=a.b;text=e", "messages=a;instruction=a.b;output=s"):
        yield rows_file(nested + b"\n", fields)
    # What cannot be read.
    for text in (b'{"a": 1, "a": 2}', b'{"text": "\\ud800"}', b'{"text": 1e999}', b"[1]x", b'{"text": "', b"x", b"3", b'{"text": "\xff"}'):
        yield rows_file(b'{"text": "a"}\n' + text + b"\n" + lines[1])
    for text in (b"", b"\n", b"\xff\xfea\0", b"\xfe\xff\0a", b"PAR1", b"PK\x03\x04", b"%PDF-1.4", bytes(80), b"<html>", b"version "
                 b"https://git-lfs.github.com/spec/v1\n", b"\x80\4\x95\0"):
        yield rows_file(text)
    # Names, patterns, and packed files.
    yield rows_file(lines[1], choice=32)
    yield rows_file(lines[1], choice=64)
    yield rows_file(lines[1] + b"\n" + lines[3] + b"\n" + lines[7], choice=128)
    table = b'prompt,completion,,label\r\np,"c,1",x,true\na\n\n"open\nb,"[1]",\n"{""a"": 1}",c,,false\n'
    for separator, choices in ((b",", (1, 3)), (b"\t", (2, 4))):
        content = table.replace(b",", separator)
        packed = {1: content, 2: content, 3: gzip.compress(content, mtime=0), 4: in_zstd(content)}
        yield from (rows_file(packed[choice], choice=choice | more) for choice in choices for more in (0, 64))
    for text in (b"", b"a,a\n1,2\n", b"a,b\n\"", b",\n1,2", b'a\n"x"y\nz\n'):
        yield rows_file(text, choice=1)
    whole = gzip.compress(lines[1] + b"\n", mtime=0)
    for packed in (whole, whole * 2, whole[:-9], whole[:12] + b"\xff\xff" + whole[14:], whole + b"x"):
        yield rows_file(packed)
    frame = in_zstd(b'{"text": "t"}\n')
    for packed in (frame, frame * 2, frame[:-3], frame[:5] + b"\xff" * 9, b"\x28\xb5\x2f\xfd"):
        yield rows_file(packed)


def csv_seeds():
    yield b'text,label\nhello,1\n"a ""quoted"", b",2\r\n\r\n"two\nlines",3'
    yield "a\tb\nü\t\"x\ty\"\n".encode()
    yield b'\xef\xbb\xbfa,b\n,\n"",""\n"open\n'
    yield b'a"b,c\n"x"y,z\na\rb\n\0,1\n\xff,2\n'


def token_constant(pattern):
    return re.findall(pattern, (ROOT / "lora/data/token_file.cpp").read_text() + (ROOT / "lora/data/token_file.h").read_text())


def token_file_seeds():
    version = int(token_constant(r"kTokenFileVersion = (\d+)")[0])
    counts = [1] * len(token_constant(r"&SourceCounts::\w+"))

    def file(rows, changes={}, labels=True, version=version, forks=(), values=(), damaged=0):
        packed = b""
        for ids, targets in rows:
            packed += struct.pack(f"<{len(ids)}i", *ids) + bytes(targets)
            packed += bytes(-len(packed) % 4)
        used = bytearray(2)
        for ids, _ in rows:
            for i in ids:
                used[i // 8 % 2] |= 1 << i % 8
        arrays = struct.pack(f"<{len(rows)}i", *[len(ids) for ids, _ in rows])
        arrays += struct.pack(f"<{len(rows)}i", *[0 if labels else -1] * len(rows))
        arrays += b"".join(struct.pack("<qq", *fork) for fork in forks) + struct.pack(f"<{len(values)}f", *values)
        arrays += b"".join(struct.pack("<I", zlib.crc32(packed[i:i + 65536]) ^ damaged) for i in range(0, len(packed), 65536))
        arrays += bytes(used)
        count = sum(len(ids) for ids, _ in rows)
        index = {"samples": len(rows), "ids": 16, "tokens": count, "supervised_tokens": count - 1, "longest": 3,
                 "forks": len(forks), "values": len(values), "bad_rows": ["b"], "notes": "",
                 "sources": [{"path": "a.jsonl", "format": "text", "ground": "", "begin": 0, "end": len(rows), "counts": counts,
                              "unread": [["x", 1]], "spelled": []}],
                 "files": [{"path": "a.jsonl", "bytes": 9, "sha256": "00"}]} | changes
        text = as_json(index)
        trailer = struct.pack("<QQQII8s", len(packed), len(arrays), len(text), zlib.crc32(arrays + text), version, b"loratoks")
        return packed + arrays + text + trailer

    two = [([1, 2, 3], [0, 1, 1]), ([4, 15], [0, 1])]
    source = {"path": "a", "format": "text", "ground": "", "begin": 0, "end": 1, "counts": counts, "unread": [], "spelled": []}
    yield file(two)
    yield file([([7], [0])], labels=False)
    yield file([], {"longest": 0, "tokens": 0, "supervised_tokens": 0})
    yield file([], {"ids": 0, "sources": [], "files": []})
    yield file([([1, 2], [0, 1])], version=3)
    yield file(two, forks=[(1, 2), (0, 0)], values=[0.5, 0.0])
    for forks in ([(1, 2)], [(-1, 2), (0, 0)], [(2, 1), (0, 0)], [(0, 3), (0, 0)], [(0, -1), (0, 0)]):
        yield file(two, forks=forks)
    yield file(two, values=[1.0])
    yield file(two, damaged=1)
    yield file([([1, 70_000], [0, 1])])
    for begin, end in ((-1, 1), (1, 0), (0, 9)):
        yield file(two, {"sources": [source | {"begin": begin, "end": end}]})
    for key in ("tokens", "samples", "ids", "forks", "values", "sources", "files", "notes", "bad_rows"):
        yield from (file(two, {key: value}) for value in ("x", 2**62, 1.5, [1], None))
    for key, value in (("samples", 3), ("samples", 1), ("forks", 1), ("values", 1), ("ids", 64), ("ids", 8), ("longest", 2), ("tokens", 9)):
        yield file(two, {key: value})
        yield file(two, {key: value}, forks=[(1, 2), (0, 0)], values=[0.5, 0.0])
    for forks in ([(1, 3), (0, 0)], [(0, 2), (0, 1)], [(0, 1), (1, 1)], [(2, 2), (0, 0)]):
        yield file(two, forks=forks, values=[0.5, 0.0])
    yield file([(list(range(1, 15)) * 1200, [0] + [1] * 16799), ([4, 15], [0, 1])], {"longest": 16800})
    yield file(two, {"sources": [source | {"counts": counts[1:]}]})
    yield file(two, {"sources": [source | {"unread": [["x"]]}]})
    whole = file(two)
    yield whole[:-1] + b"x"
    yield whole[:39]
    yield struct.pack("<QQQII8s", 2**63, 0, 0, 0, version, b"loratoks")
    yield struct.pack("<QQQII8s", 0, 2**63, 0, 0, version, b"loratoks")
    yield struct.pack("<QQQII8s", 0, 0, 1, 0, version, b"loratoks")
    yield struct.pack("<QQQII8s", 0, 0, 0, 0, version, b"loratoks")
