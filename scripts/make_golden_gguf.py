#!/usr/bin/env python3
"""Writes tests/golden/gguf/: what PyPI's gguf package makes of numbers and of a small file.

    scripts/make_golden_gguf.py        # needs gguf and safetensors

  numbers.safetensors   `values`, and the bytes of their rows in each type
  every_type.gguf       metadata of every type and a tensor of each; tests/io/test_gguf.cpp writes the same file
"""

import pathlib

import gguf
import numpy
import safetensors.numpy

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/gguf"
TYPES = ["F32", "F16", "BF16", "Q8_0"]


def numbers():
    random = numpy.random.default_rng(1)
    rows = [random.normal(0, 10.0**power, (4, 64)) for power in (-9, -6, -4, -2, 0, 2)]
    # Ties of the rounding: with a largest of 127 the scale is 1 and every value stands for itself.
    ties = numpy.arange(-32, 32) + 0.5
    ties[::32] = 127
    below = numpy.nextafter(ties.astype(numpy.float32), numpy.float32(0))
    below[::32] = 127
    rows += [ties[None], below[None], numpy.zeros((1, 64)), numpy.full((1, 64), -3.0), numpy.eye(1, 64) * -1e-7]
    values = numpy.concatenate(rows).astype(numpy.float32)
    tensors = {"values": values}
    for name in TYPES:
        encoded = gguf.quants.quantize(values, gguf.GGMLQuantizationType[name])
        tensors[name] = numpy.frombuffer(encoded.tobytes(), numpy.uint8)
    safetensors.numpy.save_file(tensors, OUT / "numbers.safetensors")


def every_type():
    writer = gguf.GGUFWriter(OUT / "every_type.gguf", "llama")
    kind = gguf.GGUFValueType
    for name, value, type in [
        ("uint8", 200, kind.UINT8), ("int8", -100, kind.INT8), ("uint16", 60000, kind.UINT16),
        ("int16", -30000, kind.INT16), ("uint32", 4000000000, kind.UINT32), ("int32", -2000000000, kind.INT32),
        ("float32", 0.1, kind.FLOAT32), ("bool", True, kind.BOOL), ("string", "größer", kind.STRING),
        ("uint64", 2**63, kind.UINT64), ("int64", -(2**62), kind.INT64), ("float64", 0.1, kind.FLOAT64),
    ]:
        writer.add_key_value("test." + name, value, type)
    writer.add_array("test.strings", ["a", "", "▁b"])
    writer.add_array("test.floats", [0.5, -1.0])
    writer.add_array("test.ints", [1, -2, 3])
    values = numpy.arange(-64, 64, dtype=numpy.float32).reshape(2, 64) / 8
    for name in TYPES:
        type = gguf.GGMLQuantizationType[name]
        writer.add_tensor("in." + name.lower(), gguf.quants.quantize(values, type), raw_dtype=type)
    writer.add_tensor("odd", numpy.arange(3, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


OUT.mkdir(parents=True, exist_ok=True)
numbers()
every_type()
