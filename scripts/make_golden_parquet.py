#!/usr/bin/env python3
"""Writes tests/golden/parquet/: small Parquet files, with pyarrow, and what their rows are as JSON lines beside them.

    scripts/make_golden_parquet.py          # needs: pip install pyarrow
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/parquet"


def chats(count):
    for i in range(count):
        messages = [{"role": "user", "content": f"What is {i} + {i}?"}, {"role": "assistant", "content": f"{2 * i} ü"}]
        if i % 3 == 0:
            messages.insert(0, {"role": "system", "content": "Short.", "name": "s"})
        yield messages


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    count = 10
    prompts = [f"Frage {i}: wie viel?" for i in range(count)]
    answers = [None if i == 7 else f"„{i}“" for i in range(count)]
    kinds = [("a", "b")[i % 2] for i in range(count)]
    message = pa.struct([("role", pa.string()), ("content", pa.string()), ("name", pa.string())])
    table = pa.table({
        "prompt": pa.array(prompts),
        "completion": pa.array(answers, pa.large_string()),
        "kind": pa.array(kinds).dictionary_encode(),
        "number": pa.array(range(count), pa.int32()),
        "score": pa.array([i / 4 for i in range(count)], pa.float64()),
        "good": pa.array([i % 2 == 0 for i in range(count)]),
        "messages": pa.array(list(chats(count)), pa.list_(message)),
    })
    # Three row groups, so that rows are counted over them.
    pq.write_table(table, OUT / "rows.parquet", row_group_size=4, compression="zstd")
    with open(OUT / "rows.jsonl", "w", encoding="utf-8") as lines:
        for prompt, answer, kind, i, messages in zip(prompts, answers, kinds, range(count), chats(count)):
            row = {"prompt": prompt, "completion": answer, "kind": kind, "number": i, "score": i / 4,
                   "good": i % 2 == 0, "messages": messages}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    broken = pa.table({"prompt": pa.array([b"good", b"\xff\xfe", b"good"]), "completion": ["a", "b", "c"]})
    pq.write_table(broken, OUT / "not-utf8.parquet")


if __name__ == "__main__":
    main()
