"""From results to docs/measurements/benchmarks.md and its plots."""

from __future__ import annotations

import pathlib
import statistics
import textwrap
from dataclasses import dataclass

from benchmarks.workloads import LENGTHS, RANKS, Configuration, Workload

# Largest relative difference from lora-train over all steps, of losses and of gradient norms, up to which a run counts
# as the same work. In float32 the sides differ by the order of additions alone; in bfloat16 by where each rounds.
BOUNDS = {"float32": (1e-5, 1e-4), "bfloat16": (2e-4, 5e-3)}


def key_of(configuration: Configuration) -> str:
    return f"{configuration.name}, {configuration.dtype}"


def timed(configuration: Configuration, run: dict) -> list[dict]:
    """The steps that count: all but the first; of compiled configurations all but two."""
    return run["steps"][2 if configuration.compiled else 1:]


def speed_of(configuration: Configuration, run: dict) -> float:
    """Tokens a second, without padding."""
    steps = timed(configuration, run)
    return sum(step["tokens"] for step in steps) / sum(step["seconds"] for step in steps)


def line_of(configuration: Configuration, run: dict) -> str:
    """A run in a few words, for the terminal."""
    if "error" in run:
        return f"did not run: {run['error']}"
    losses = " ".join(f"{step['loss']:.6f}" for step in run["steps"])
    return f"{speed_of(configuration, run):,.0f} tok/s, {run['peak_memory_bytes'] / 1e6:,.0f} MB, losses {losses}"


def largest_difference(key: str, run: dict, reference: dict) -> float:
    return max(abs(a[key] - b[key]) / abs(b[key]) for a, b in zip(run["steps"], reference["steps"]))


@dataclass
class Measured:
    """All runs of one configuration, summed up."""

    configuration: Configuration
    speeds: list[float]
    memory: float  # bytes, the median
    loss_difference: float
    norm_difference: float

    @property
    def speed(self) -> float:
        return statistics.median(self.speeds)

    @property
    def counts(self) -> bool:
        loss, norm = BOUNDS[self.configuration.dtype]
        return self.loss_difference <= loss and self.norm_difference <= norm

    @property
    def is_peer(self) -> bool:
        return self.configuration.engine != "lora-train"


def summed_up(workload: Workload, stored: dict, dtype: str) -> list[Measured]:
    """Configurations that ran, the fastest first."""
    runs = {c: [run for run in stored["runs"].get(key_of(c), []) if "error" not in run]
            for c in workload.configurations if c.dtype == dtype}
    runs = {c: r for c, r in runs.items() if r}
    if not runs:
        return []
    reference = next(iter(runs.values()))[0]  # lora-train comes first
    measured = [
        Measured(c, [speed_of(c, run) for run in r], statistics.median(run["peak_memory_bytes"] for run in r),
                 max(largest_difference("loss", run, reference) for run in r),
                 max(largest_difference("grad_norm", run, reference) for run in r))
        for c, r in runs.items()]
    return sorted(measured, key=lambda m: -m.speed)


def flop_a_token(workload: Workload, counts: dict) -> float:
    """What training a token cannot do without; docs/measurements/benchmarks.md states the formula."""
    shape = workload.shape
    tokens = sum(counts["tokens"])
    trained = sum(counts["supervised_tokens"]) / tokens
    attention = 6 * sum(counts["pairs"]) / tokens * shape.layers * shape.heads * shape.head_dim
    if workload.method == "full":
        return 6 * shape.linear_parameters + 6 * shape.head_parameters * trained + attention
    adapters = 6 * shape.adapter_parameters(workload.rank)
    return 4 * shape.linear_parameters + 4 * shape.head_parameters * trained + adapters + attention


def bound(workload: Workload, stored: dict, dtype: str) -> float:
    """Tokens a second if every product ran at the machine's measured peak and all else took no time."""
    return stored["machine"]["peak_gflops"][dtype] * 1e9 / flop_a_token(workload, stored["counts"])


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown whose columns line up; all but the first are numbers."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    cells = [[row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:]))]
             for row in [head, *rows]]
    return "\n".join("| " + " | ".join(row) + " |" for row in [cells[0], rule, *cells[1:]])


def median_and_range(values: list[float]) -> str:
    text = f"{statistics.median(values):,.0f}"
    return f"{text} ({min(values):,.0f}–{max(values):,.0f})" if len(values) > 1 else text


def paragraph(*sentences: str) -> str:
    return textwrap.fill(" ".join(sentences), 120, break_long_words=False, break_on_hyphens=False)


def comparison(workload: Workload, stored: dict, dtype: str) -> str:
    """One table, and what it does not show."""
    measured = summed_up(workload, stored, dtype)
    if not measured:
        return ""
    peers = [m for m in measured if m.is_peer and m.configuration.engine != "torchtune" and m.counts]
    fastest = max((m.speed for m in peers), default=None)
    leanest = min((m.memory for m in peers), default=None)
    whose = "transformers'" if workload.method == "full" else "PEFT's"
    rows = []
    for m in measured:
        first = m.configuration.is_default
        rows.append([m.configuration.name, median_and_range(m.speeds),
                     f"{m.speed / fastest:.2f}" if fastest and m.counts else "–",
                     f"{m.memory / 1e6:,.0f}", f"{m.memory / leanest:.2f}" if leanest and m.counts else "–",
                     *("–" if first else f"{d:.0e}" for d in (m.loss_difference, m.norm_difference))])
    head = [dtype, "tokens/s", f"× {whose} fastest", "peak MB", f"× {whose} leanest", "Δ loss", "Δ gradient"]
    parts = [table(head, rows)]
    limit = bound(workload, stored, dtype)
    parts.append(paragraph(f"Bound: {limit:,.0f} tokens/s, from {flop_a_token(workload, stored['counts']) / 1e6:,.0f} "
                           f"MFLOP a token at {stored['machine']['peak_gflops'][dtype]:,.0f} GFLOP/s."))
    differ = [m for m in measured if not m.counts]
    if differ:
        loss, norm = BOUNDS[dtype]
        names = "; ".join(m.configuration.name for m in differ)
        parts.append(paragraph(f"Does not count, as losses differ by more than {loss:.0e} or gradient norms by more "
                               f"than {norm:.0e}: {names}."))
    return "\n\n".join(parts)


def failures(workload: Workload, stored: dict) -> str:
    lines = []
    for configuration in workload.configurations:
        errors = [run["error"] for run in stored["runs"].get(key_of(configuration), []) if "error" in run]
        if errors:
            lines.append(f"- Did not run: {key_of(configuration)}: `{errors[-1]}`")
    return "\n".join(lines)


def unmeasured(workload: Workload, stored: dict) -> str:
    """What "the fastest" and "the leanest" do not cover."""
    sentences = []
    for dtype in ("bfloat16", "float32"):
        planned = [c for c in workload.configurations if c.dtype == dtype]
        missing = [c for c in planned if not stored["runs"].get(key_of(c))]
        if missing:
            names = "all" if missing == planned else "; ".join(c.name for c in missing)
            sentences.append(f"Not measured yet in {dtype}: {names}.")
    return paragraph(*sentences) if sentences else ""


def ahead(workload: Workload, stored: dict) -> str:
    """Where a peer is faster or leaner than lora-train, in words."""
    sentences = []
    for dtype in ("bfloat16", "float32"):
        measured = summed_up(workload, stored, dtype)
        own = next((m for m in measured if m.configuration.is_default), None)
        if own is None:
            continue
        others = [m for m in measured if m.is_peer and m.counts]
        for words, better in (("Faster", [m for m in others if m.speed > own.speed]),
                              ("Leaner", [m for m in others if m.memory < own.memory])):
            if better:
                names = "; ".join(m.configuration.name for m in better)
                sentences.append(f"{words} than lora-train in {dtype}: {names}.")
    return paragraph(*sentences) if sentences else ""


def dates(stored: dict) -> str:
    found = sorted({run["date"] for runs in stored["runs"].values() for run in runs if "date" in run})
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def provenance(stored: dict) -> str:
    """When, on what and with which versions a workload was measured."""
    machine = stored["machine"]
    programs = {run["program"] for runs in stored["runs"].values() for run in runs if "program" in run}
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    counted = [len([r for r in runs if "error" not in r]) for runs in stored["runs"].values()]
    counted = [count for count in counted if count]
    number = f"{min(counted)}" if min(counted) == max(counted) else f"{min(counted)} to {max(counted)}"
    steps = {len(run["steps"]) for runs in stored["runs"].values() for run in runs if "steps" in run}
    return paragraph(
        f"Measured {dates(stored)} on {machine['cpu']}, {machine['threads']} threads; {number} "
        f"run{'' if number == '1' else 's'} of {' or '.join(map(str, sorted(steps)))} steps each.",
        f"{'; '.join(sorted(programs))}; {versions}.")


def growth(planned: list[Workload], results: dict, kind: str) -> str:
    """lora-train alone against row length or rank."""
    rows = []
    for workload in planned:
        stored = results.get(workload.key)
        if not workload.key.startswith(f"growth-{kind}") or not stored:
            continue
        for m in summed_up(workload, stored, "bfloat16"):
            limit = bound(workload, stored, "bfloat16")
            rows.append([f"{workload.row_length if kind == 'length' else workload.rank}",
                         median_and_range(m.speeds), f"{limit:,.0f}",
                         f"{m.speed / limit:.0%}", f"{m.memory / 1e6:,.0f}"])
    return table(["row length" if kind == "length" else "rank", "tokens/s", "bound", "of bound", "peak MB"],
                 rows) if rows else ""


INTRODUCTION = """\
# Benchmarks

lora-train beside PEFT, torchtune and plain LibTorch. Each gets the same work on the same CPU. `scripts/bench` writes
all tables and plots:

```
scripts/bench --work DIR                      # everything; hours on two cores
scripts/bench --work DIR --only w1 --quick    # minutes: one run each of the likely fastest and leanest
scripts/bench --work DIR --report             # measures nothing, writes this file from the results in DIR
```

`--data` names the directory that holds `gsm8k/train.jsonl`. `--lora-train` names the program. The script does not
repeat a run whose result is in DIR, so you can measure in parts.

## What is the same on all sides

- The model: a llama's shape with random weights ~ N(0, 0.02), read from one directory in the dtype named.
- The adapters: rank 16, alpha 32, no dropout, on all seven projections. All sides read them from one PEFT adapter whose
  B is not zero.
- The rows: gsm8k, each sample tokenised as one text, the question masked. Rows are packed by best-fit decreasing, in
  one order, with attention inside each sample only. The script computes ids, masks and packing itself. It compares each
  step's number of tokens and of trained tokens with lora-train's.
- The step: mean loss over the step's trained tokens, gradients clipped to a norm of 1, AdamW at a constant 2e-4.
- **Only runs with equal losses count.** Δ loss is the largest relative difference of a step's loss from lora-train's
  first run. Δ gradient is the same for the gradient norm before clipping. Bounds of the two:
  {bounds}.
  For scale, at the first step: bfloat16 itself moves PEFT's loss against float32 by 1e-05 on W1. On W2 it moves it by
  9e-05 with one of its two attentions and by 2e-05 with the other (lora-train's by 3e-05). It moves the gradient norm
  on W1 by 1e-03. An error such as attention across the samples of a row moves W1's loss by 4e-04 and its gradient norm
  by 1e-02. The bound on bfloat16 losses was 1e-04 until a PEFT run on W2 exceeded it with 1.3e-04. We raised it
  afterwards. The reason is W2's float32 loss at the first step, 10.840864: lora-train in bfloat16 is 3e-05 from it,
  PEFT 9e-05.

"PEFT's fastest" and "PEFT's leanest" are those of the configurations that were measured. Each section names the others.

lora-train runs with its defaults. `plain LibTorch` is the same program with `training.fused: false`. `within …` is the
same program with that `training.memory_limit`. It then releases frozen weights after each layer and reads them again
from the system's page cache of the model's file. The page cache belongs to no process and is not counted. PEFT and
torchtune get rows padded to full length, an additive mask, and positions that restart at each sample. `compiled` is
`torch.compile` with static shapes; compilation happens before the measurement. `checkpointed` recomputes activations.
`bf16 adapters` is PEFT's `autocast_adapter_dtype=False`; the default of PEFT and of lora-train is float32 adapters.
`trained tokens' logits` computes the head for these tokens alone (`logits_to_keep`). torchtune's adapters are bfloat16
and its loss is chunked.

Each run is a process of its own. Padding does not count as tokens. Speed is tokens over seconds without the first step,
for compiled configurations without the first two. Tables give the median and the range of the runs. Memory is the
process's peak resident set, with loading and libraries. The outer loop is over repeats, the inner over configurations.

## The bound

A step cannot be faster than its matrix products at the machine's peak. One token costs, forward and backward,

    4·P + 4·H·s + 6·A + 6·L·h·(Σ n²)/N   FLOP     frozen weights
    6·P + 6·H·s       + 6·L·h·(Σ n²)/N   FLOP     full fine-tuning

P is the number of parameters of the seven projections of all layers, H that of the head, A that of the adapters. s is
the share of trained tokens, L the number of layers, h heads times head size. Σ n² is over the samples of length n among
the N tokens: half of a square, because attention is causal, times two products forward and four backward. The peak is
that of the fastest product found, by `torch.mm` or by oneDNN with a packed weight, at shapes like the workloads'.
"""


def write(planned: list[Workload], results: dict, docs: pathlib.Path) -> None:
    """Writes docs/measurements/benchmarks.md and docs/measurements/benchmarks/*.svg from whatever was measured."""
    from benchmarks import plots

    bounds = "; ".join(f"{loss:.0e} and {norm:.0e} in {dtype}" for dtype, (loss, norm) in BOUNDS.items())
    parts = [INTRODUCTION.format(bounds=bounds).rstrip()]
    drawn = plots.draw(planned, results, docs / "benchmarks")
    for workload in planned:
        stored = results.get(workload.key)
        if workload.group == "growth" or not stored or not any(stored["runs"].values()):
            continue
        parts.append(f"## {workload.key.upper()}: {workload.title}")
        shape = workload.shape
        held = "packed samples" if workload.data == "packed" else "one sample each"
        parts.append(paragraph(
            f"Hidden {shape.hidden}, FFN {shape.ffn}, {shape.layers} layers, {shape.heads} heads, {shape.kv_heads} "
            f"key-value heads, vocabulary {shape.vocab:,}{', tied' if shape.tied else ''}; {workload.rows_a_step} rows "
            f"of {workload.row_length} tokens a step, {held}."))
        if workload.method == "full":
            parts.append(paragraph(
                "lora-train holds float32 weights and computes in bfloat16; transformers does so under",
                "`torch.autocast`. `all bf16` holds weights, gradients and AdamW's moments in bfloat16. It takes less",
                "work and memory, and it loses small updates."))
        for dtype in ("bfloat16", "float32"):
            parts.append(comparison(workload, stored, dtype))
        parts += [ahead(workload, stored), failures(workload, stored), unmeasured(workload, stored)]
        if workload.key in drawn:
            parts.append(f"![{workload.key.upper()}: speed against memory](benchmarks/{drawn[workload.key]})")
        if any("error" not in run for runs in stored["runs"].values() for run in runs):
            parts.append(provenance(stored))
    for kind, words, points in (("length", "row length", LENGTHS), ("rank", "rank", RANKS)):
        grown = growth(planned, results, kind)
        if grown:
            parts.append(f"## lora-train against {words}")
            fixed = "One sample a row, rank 16, about as many tokens a step." if kind == "length" else "W1's rows."
            parts += [f"W1's model in bfloat16. {fixed}", grown]
            parts.append(f"![speed and memory against {words}](benchmarks/{drawn[kind]})")
            parts.append(provenance(next(results[w.key] for w in planned
                                         if w.key.startswith(f"growth-{kind}") and w.key in results)))
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "benchmarks.md").write_text("\n\n".join(part for part in parts if part) + "\n")
