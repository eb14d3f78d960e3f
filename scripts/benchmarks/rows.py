"""Tokens, masks and packing, made here from their definition and not taken from lora-train: equal counts and losses
then mean that both sides were given the same work."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass

import sentencepiece


@dataclass(frozen=True)
class Sample:
    """One sample's tokens; a token is trained where `supervised` is 1."""

    ids: list[int]
    supervised: list[int]


def encode(tokenizer: sentencepiece.SentencePieceProcessor, prompt: str, answer: str, limit: int) -> Sample:
    """Prompt and answer as one text; one BOS in front; tokens that begin inside the prompt masked; EOS trained."""
    pieces = tokenizer.encode(prompt + answer, out_type="offset_mapping")  # in characters; since sentencepiece 0.2.2
    ids, supervised = [tokenizer.bos_id()], [0]
    for piece, (begin, _) in zip(pieces["ids"], pieces["offsets"], strict=True):
        ids.append(piece)
        supervised.append(int(begin >= len(prompt)))
    ids.append(tokenizer.eos_id())
    supervised.append(1)
    return Sample(ids[:limit], supervised[:limit])


def pack(lengths: list[int], capacity: int) -> list[list[int]]:
    """Best-fit decreasing: the longest sample first, into the row with the least room that still holds it; of rows
    with equal room the one that got there last. Samples and rows come back in the data's order."""
    rows: list[list[int]] = []
    rows_with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    for sample in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        room = next((r for r in range(lengths[sample], capacity + 1) if rows_with_room[r]), None)
        if room is None:
            row, room = len(rows), capacity
            rows.append([])
        else:
            row = rows_with_room[room].pop()
        rows[row].append(sample)
        rows_with_room[room - lengths[sample]].append(row)
    return sorted((sorted(row) for row in rows), key=lambda row: row[0])


def steps_of(tokenizer_file: pathlib.Path, data: pathlib.Path, row_length: int, rows_a_step: int,
             steps: int) -> list[list[list[Sample]]]:
    """The first steps of an epoch that is not shuffled: steps of rows of samples."""
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file))
    samples = []
    for line in data.read_text().splitlines():
        row = json.loads(line)
        sample = encode(tokenizer, row["question"], row["answer"], row_length)
        if any(sample.supervised):
            samples.append(sample)
    rows = pack([len(sample.ids) for sample in samples], row_length)
    if len(rows) < rows_a_step * steps:
        raise ValueError(f"{data}: {len(rows)} rows, wanted {rows_a_step * steps}")
    return [[[samples[i] for i in row] for row in rows[step * rows_a_step:(step + 1) * rows_a_step]]
            for step in range(steps)]


def write_steps(path: pathlib.Path, steps: list[list[list[Sample]]]) -> None:
    plain = [[[[sample.ids, sample.supervised] for sample in row] for row in step] for step in steps]
    path.write_text(json.dumps(plain, separators=(",", ":")))


def read_steps(path: pathlib.Path) -> list[list[list[Sample]]]:
    return [[[Sample(*sample) for sample in row] for row in step] for step in json.loads(path.read_text())]


def counts(steps: list[list[list[Sample]]]) -> dict[str, list[int]]:
    """What each step holds: tokens, trained tokens, and pairs, the sum of the squared lengths of its samples."""
    flat = [[sample for row in step for sample in row] for step in steps]
    return {
        "tokens": [sum(len(sample.ids) for sample in step) for step in flat],
        "supervised_tokens": [sum(sum(sample.supervised) for sample in step) for step in flat],
        "pairs": [sum(len(sample.ids) ** 2 for sample in step) for step in flat],
    }
