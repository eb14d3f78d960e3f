#!/usr/bin/env python3
"""Gives the same damaged files to Python's safetensors and to this project's reader, and compares what they accept.

A file is a header of a few tensors, changed as text, and data. Both must accept it with the same tensors, or both refuse
it. docs/file-formats.md lists the rules in which this project is stricter: a file that only Python accepts must break one
of them, and the reader's message must say so.

    scripts/peer/compare_safetensors.py --lora-train build/lora-train [--count 1000000] [--seed 1]
"""

import collections
import json
import random
import re
import struct
import subprocess
import sys

import common
import safetensors

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
          "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
# Numbers at the edges of what a header may have, as text.
NUMBERS = ["0", "1", "2", "3", "4", "8", "7", "-1", "-0", "00", "1.0", "1e1", "1e999", "0.5", "100000000", "2147483648", "4294967296",
           "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "true", "null", '"1"', "[]"]
PIECES = ['"', ",", ":", "{", "}", "[", "]", " ", "\n", "\t", "\\", "\\u0000", "\\ud800", "\\ud83d\\ude00", "\\x", "é", "\x00", "\x7f", "null", "{}",
          "[]", '"x": 1,', '"x": [[1]],', '"__metadata__": {"a": "b"},', '"__metadata__": {"a": 1},', '"__metadata__": null,',
          '"__metadata__": [],', '"dtype": "F32",', '"shape": [0],', '"data_offsets": [0, 0],', '"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]},',
          "/**/", "NaN", "Infinity"]
# How the reader's message says which of the stricter rules a file breaks.
STRICTER = {
    "a name twice": r"key '.*' is there twice",
    "nested deeper than a tensor's entry": r"nested deeper than 3",
    "a dtype that weights do not have": r"found dtype '(F4|F6_E2M3|F6_E3M2|F8_E8M0|F8_E4M3FNUZ|F8_E5M2FNUZ|C64)'",
    "a dimension or a size of more than 63 bits": r"shape that is not a list of dimensions|expected more than a file can hold",
    "a header that does not begin with '{'": r"the header does not begin with '\{'",
    "an entry that is a list": r"found array, expected an object",
}


def entries(draw):
    """A valid header's tensors, and their bytes."""
    header, begin = {}, 0
    names = draw.sample(["a", "b", "w.weight", "é", "", "x" * 300, "lm_head", "__metadata", "0"], draw.randint(0, 5))
    for name in names:
        dtype = draw.choice(list(WIDTHS))
        shape = [draw.choice([0, 1, 1, 2, 3, 4, 8]) for _ in range(draw.randint(0, 3))]
        size = WIDTHS[dtype]
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]}
        begin += size
    return header, begin


def damaged_header(draw, header):
    """The header as text, after changes of its structure or its text."""
    if draw.random() < 0.3:
        header["__metadata__"] = {"format": "pt", "k" * draw.randint(0, 3): "v"}
    items = list(header.items())
    draw.shuffle(items)
    kind = draw.randrange(10)
    if kind == 0 and items:  # a member of an entry is another
        name, entry = draw.choice(items)
        if name != "__metadata__":
            key = draw.choice(list(entry))
            entry[key] = draw.choice(["F4", "C64", "F8_E8M0", "F99", [], [2**63], [0, 2**64 - 1], [2**32, 2**32], 1, None, {}, [0], [0, 0], [8, 0]])
    elif kind == 1 and items:
        name, entry = draw.choice(items)
        entry.pop(draw.choice(list(entry)), None)
    elif kind == 2 and items:  # offsets or a dimension move by a little
        name, entry = draw.choice(items)
        numbers = entry.get(draw.choice(["shape", "data_offsets"])) if name != "__metadata__" else None
        if numbers:
            numbers[draw.randrange(len(numbers))] += draw.choice([-1, 1, 2, 4, 8])
    parts = [f"{json.dumps(name, ensure_ascii=draw.random() < 0.5)}: {json.dumps(value)}" for name, value in items]
    if kind == 3 and parts:
        parts.insert(draw.randrange(len(parts) + 1), draw.choice(parts))
    text = "{" + draw.choice([", ", ",", " ,\n"]).join(parts) + "}"
    if kind >= 5:
        for _ in range(draw.choice([1, 1, 1, 2, 3])):
            text = damaged_text(draw, text)
    return text + " " * draw.choice([0, 0, 0, 1, -len(text.encode()) % 8])


def damaged_text(draw, text):
    at = draw.randrange(len(text) + 1)
    kind = draw.randrange(6)
    if kind == 0:
        return text[:at] + text[at + draw.randint(1, 8):]
    if kind == 1:
        return text[:at] + draw.choice(PIECES) + text[at:]
    if kind == 2:
        end = at + draw.randint(1, 30)
        return text[:end] + text[at:]
    numbers = list(re.finditer(r"\d+", text))
    if kind in (3, 4) and numbers:
        number = draw.choice(numbers)
        return text[:number.start()] + draw.choice(NUMBERS) + text[number.end():]
    return text[:at] + chr(draw.choice([draw.randrange(32, 127), draw.randrange(256)])) + text[at + 1:]


def damaged_file(draw):
    header, data = entries(draw)
    text = damaged_header(draw, header).encode()
    if draw.random() < 0.02:
        at = draw.randrange(len(text) + 1)
        text = text[:at] + bytes([draw.randrange(128, 256)]) + text[at:]
    length = len(text)
    if draw.random() < 0.03:
        length = draw.choice([0, 1, max(0, length - 1), length + 1, length + 8, 2**32, 2**63, 2**64 - 1, 100_000_001])
    if draw.random() < 0.05:
        data = max(0, data + draw.choice([-8, -1, 1, 8]))
    file = struct.pack("<Q", length) + text + bytes(data)
    return file[:draw.randrange(12)] if draw.random() < 0.005 else file


def of_python(file):
    """{name: (dtype, shape, bytes)}, or None where the library refuses the file."""
    try:
        return {name: (entry["dtype"], entry["shape"], len(entry["data"])) for name, entry in safetensors.deserialize(file)}
    except safetensors.SafetensorError:
        return None


def of_project(program, files):
    sent = b"".join(struct.pack("<I", len(file)) + file for file in files)
    done = subprocess.run([str(program)], input=sent, capture_output=True)
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(files):
        raise RuntimeError(f"read_safetensors: exit code {done.returncode} after {len(lines)} of {len(files)} files: "
                           f"{done.stderr.decode(errors='replace')}")
    return [json.loads(line) for line in lines]


def difference(file, theirs, ours):
    """(the stricter rule that the file breaks, or None; what is wrong, or None)."""
    if "error" in ours:
        if theirs is None:
            return None, None
        rules = [rule for rule, pattern in STRICTER.items() if re.search(pattern, ours["error"], re.S)]
        return (rules[0], None) if rules else (None, f"refused here alone: {ours['error']}")
    if theirs is None:
        return None, "accepted here alone"
    found = {name: (dtype, shape, end - begin) for name, (dtype, shape, begin, end) in ours["tensors"].items()}
    return None, None if found == theirs else f"other tensors: {found}, expected {theirs}"


def main():
    options = common.parse(__doc__, needs_data=False, count={"type": int, "default": 20_000}, seed={"type": int, "default": 1})
    verdicts = common.Verdicts()
    program = options.lora_train.parent / "tests/read_safetensors"
    draw = random.Random(options.seed)
    outcomes, problems = collections.Counter(), []
    for start in range(0, options.count, 20_000):
        files = [damaged_file(draw) for _ in range(min(20_000, options.count - start))]
        for file, ours in zip(files, of_project(program, files)):
            theirs = of_python(file)
            rule, problem = difference(file, theirs, ours)
            if problem:
                problems.append((problem, file))
            outcomes[rule or ("refused by both" if theirs is None else "accepted by both")] += 1
    for outcome, count in outcomes.most_common():
        print(f"{count:>9} {outcome}")
    for problem, file in problems[:20]:
        print(f"{problem}\n  {file[:600]!r}")
    verdicts.check(f"{options.count} files are accepted or refused as by Python's safetensors", not problems, f"{len(problems)} are not")
    verdicts.check("both outcomes are frequent", min(outcomes["accepted by both"], outcomes["refused by both"]) > options.count // 10)
    return verdicts.end(safetensors)


if __name__ == "__main__":
    sys.exit(main())
