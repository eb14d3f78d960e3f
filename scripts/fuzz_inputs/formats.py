"""What the seeds of several targets are written with."""

import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests/golden"


def golden(pattern):
    return [path.read_bytes() for path in sorted(GOLDEN.glob(pattern))]


def as_json(value):
    return json.dumps(value, ensure_ascii=False).encode()


def variants(base, changes):
    """`base` with one key of `changes` at a time: {key: values}."""
    yield base
    yield from (base | {key: value} for key, values in changes.items() for value in values)


def safetensors(tensors, metadata=None):
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return with_header(as_json(header), data)


def with_header(text, data=b""):
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def varint(n):
    out = b""
    while n >= 0x80:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def protobuf_number(field, n):
    return varint(field << 3) + varint(n)


def protobuf_bytes(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content
