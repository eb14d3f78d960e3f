"""From results to docs/measurements/methods.md and its plots. The sentences follow from the tables' numbers, so that a
new measurement cannot leave an old sentence."""

from __future__ import annotations

import math
import pathlib
import statistics
import textwrap
from dataclasses import dataclass

from method_study.experiments import (BASES, MEMORY, METHODS, RANK, RANKS, RATES, SEEDS, TARGETS, Run, Task, of_base,
                                      of_method, of_rank, of_targets, rates_of, runs_of)


def in_short(run: dict) -> str:
    """A run in a few words, for the terminal."""
    if "error" in run:
        return f"did not run: {run['error']}"
    exact = f", {run['exact_match']} of {run['exact_match_rows']} exact" if "exact_match" in run else ""
    loss = f"validation {run['eval_loss']:.4f}" if "eval_loss" in run else f"loss {run['train_loss']:.4f}"
    return f"{loss}{exact}, {run['peak_memory_bytes'] / 1e6:.0f} MB"


@dataclass
class Seeds:
    """The runs of one configuration over all seeds."""

    losses: list[float]
    exact: list[float]  # per cent; empty where the task has no answers
    trained: int

    @property
    def mean(self) -> float:
        return statistics.mean(self.losses)

    @property
    def spread(self) -> float:
        """Half of the range."""
        return (max(self.losses) - min(self.losses)) / 2

    def differs(self, other: Seeds) -> bool:
        """Whether the ranges over the seeds lie apart."""
        return max(self.losses) < min(other.losses) or max(other.losses) < min(self.losses)


def collect(runs: list[Run], found: dict) -> Seeds | str:
    """The error's text where a run failed; a run that was not done is one."""
    done = [found.get(run.key, {"error": "not run"}) for run in runs]
    errors = [run["error"] for run in done if "error" in run]
    if errors:
        return errors[0]
    losses = [run["eval_loss"] for run in done]
    if not all(math.isfinite(loss) for loss in losses):
        return "diverged"
    return Seeds(losses, [100 * run["exact_match"] / run["exact_match_rows"] for run in done if "exact_match" in run],
                 done[0]["trained"])


def by_rate(task: Task, method: str, found: dict, steps: int) -> dict[float, Seeds]:
    collected = {rate: collect(runs_of(task, of_method(method, rate, steps)), found) for rate in rates_of(method)}
    return {rate: seeds for rate, seeds in collected.items() if isinstance(seeds, Seeds)}


def best_rate(task: Task, method: str, found: dict, steps: int) -> float:
    measured = by_rate(task, method, found, steps)
    if not measured:
        raise SystemExit(f"{task.key}: no run of {method} went through")
    return min(measured, key=lambda rate: measured[rate].mean)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown whose columns line up; all but the first are numbers."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    cells = [[row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:]))]
             for row in [head, *rows]]
    return "\n".join("| " + " | ".join(row) + " |" for row in [cells[0], rule, *cells[1:]])


def paragraph(*sentences: str) -> str:
    return textwrap.fill(" ".join(s for s in sentences if s), 120, break_long_words=False, break_on_hyphens=False)


def loss_text(seeds: Seeds) -> str:
    return f"{seeds.mean:.4f} ± {seeds.spread:.4f}"


def rows_of(named: dict[str, Seeds | str]) -> tuple[list[str], list[list[str]]]:
    """Loss, exact answers where there are any, and trained parameters."""
    good = [seeds for seeds in named.values() if isinstance(seeds, Seeds)]
    answers = any(seeds.exact for seeds in good)
    head = ["validation loss", *(["exact"] if answers else []), "trained"]
    rows = []
    for name, seeds in named.items():
        if isinstance(seeds, str):
            rows.append([name, seeds, *([""] if answers else []), ""])
            continue
        exact = [f"{statistics.mean(seeds.exact):.0f} %"] if answers else []
        rows.append([name, loss_text(seeds), *exact, f"{seeds.trained:,}"])
    return head, rows


def times(factor: float) -> str:
    return f"{factor:.0f}" if factor >= 9.5 else f"{factor:.1f}"


def rates_section(task: Task, found: dict) -> list[str]:
    lora, full = (by_rate(task, method, found, task.steps) for method in ("LoRA", "full"))
    if not lora or not full:
        return []
    rows = [[f"{rate:g}", *(loss_text(m[rate]) if rate in m else "diverged" for m in (lora, full))] for rate in RATES]
    best, best_full = (min(m, key=lambda rate: m[rate].mean) for m in (lora, full))
    edge = [name for name, rate in (("LoRA", best), ("full fine-tuning", best_full)) if rate in (RATES[0], RATES[-1])]
    words = (f"LoRA's best rate here is {best:g}, full fine-tuning's {best_full:g}: "
             f"{times(best / best_full)} times as high. The rule says about ten"
             + (", as here." if 9 < best / best_full < 11 else
                "; this is one step of the list away." if 3 < best / best_full < 31 else "; it does not hold here."))
    return [f"### Learning rates: LoRA (rank {RANK}, all-linear) and full fine-tuning",
            table(["rate", "LoRA", "full"], rows),
            paragraph(words, f"At the edge of what was tried: {', '.join(edge)}." if edge else "")]


def rank_rates(best: float) -> tuple[float, ...]:
    """LoRA's best rate at rank 16, and the next lower one, which may be better for a higher rank."""
    return RATES[max(0, RATES.index(best) - 1)], best


def by_rank(task: Task, found: dict, best: float) -> dict[int, tuple[float, Seeds]]:
    """Each rank at the better of the two rates."""
    chosen = {}
    for rank in RANKS:
        measured = {rate: collect(runs_of(task, of_rank(rank, rate)), found) for rate in rank_rates(best)}
        good = {rate: seeds for rate, seeds in measured.items() if isinstance(seeds, Seeds)}
        if rank <= task.largest_rank and good:
            rate = min(good, key=lambda one: good[one].mean)
            chosen[rank] = rate, good[rate]
    return chosen


def ranks_section(task: Task, found: dict, rate: float) -> list[str]:
    chosen = by_rank(task, found, rate)
    named: dict[str, Seeds | str] = {str(rank): seeds for rank, (_, seeds) in chosen.items()}
    head, rows = rows_of(named)
    rows = [[row[0], f"{chosen[int(row[0])][0]:g}", *row[1:]] for row in rows]
    good = [(name, seeds) for name, seeds in named.items() if isinstance(seeds, Seeds)]
    words = []
    for (small, a), (large, b) in zip(good, good[1:]):
        gain = a.mean - b.mean
        certain = "" if a.differs(b) else ", within the spread"
        words.append(f"{small} → {large}: {gain:+.4f}{certain}")
    first, last = good[0][1].mean - good[1][1].mean, good[-2][1].mean - good[-1][1].mean
    verdict = ("The return diminishes." if first > 2 * last and first > 0 else
               "No diminishing return at this size: the last doubling gains as much as the first."
               if last > 0 else "More rank does not help here.")
    left_out = [str(rank) for rank in RANKS if rank > task.largest_rank]
    return ["### Rank (LoRA, all-linear, α = 2r), each at the better of two rates", table(["rank", "rate", *head], rows),
            paragraph("Lower loss with each doubling: " + "; ".join(words) + ".", verdict,
                      f"Rank {', '.join(left_out)} is above what the narrowest projection has." if left_out else "")]


def targets_section(task: Task, found: dict, rate: float) -> list[str]:
    named = {name: collect(runs_of(task, of_targets(name, rate)), found) for name in TARGETS}
    head, rows = rows_of(named)
    return [f"### Target modules (LoRA, rank {RANK})", table(["targets", *head], rows),
            paragraph(order_of(named))]


def bases_section(task: Task, found: dict, rate: float) -> list[str]:
    named = {"bfloat16" if base == "none" else base: collect(runs_of(task, of_base(base, rate)), found)
             for base in BASES}
    head, rows = rows_of(named)
    return [f"### Quantised bases (LoRA, rank {RANK}, all-linear)", table(["base", *head], rows),
            paragraph(order_of(named))]


def methods_section(task: Task, found: dict) -> list[str]:
    named, rates = {}, {}
    errors = []
    for name in METHODS:
        measured = by_rate(task, name, found, task.steps)
        if not measured:
            errors.append(f"{name}: {collect(runs_of(task, of_method(name, RATES[2], task.steps)), found)}")
            continue
        rates[name] = min(measured, key=lambda rate: measured[rate].mean)
        named[name] = measured[rates[name]]
    named = dict(sorted(named.items(), key=lambda item: item[1].mean))
    head, rows = rows_of(named)
    rows = [[row[0], f"{rates[row[0]]:g}", *row[1:]] for row in rows]
    lora = named.get("LoRA")
    better = [name for name, s in named.items() if lora and s.mean < lora.mean and s.differs(lora)]
    worse = [name for name, s in named.items() if lora and s.mean > lora.mean and s.differs(lora)]
    same = [name for name in named if name != "LoRA" and name not in better + worse]
    words = [f"{label}: {', '.join(names)}." for label, names in (
        ("Better than LoRA with all seeds apart", better), ("Within the spread of LoRA's", same),
        ("Worse than LoRA with all seeds apart", worse)) if names]
    return [f"### Methods at rank {RANK}, all-linear, each at its best rate",
            table(["method", "rate", *head], rows), paragraph(*words),
            *(["\n".join(f"- Did not run: {error}" for error in errors)] if errors else [])]


def order_of(named: dict[str, Seeds | str]) -> str:
    good = {name: seeds for name, seeds in named.items() if isinstance(seeds, Seeds)}
    order = sorted(good, key=lambda name: good[name].mean)
    words = order[0] if order else ""
    for better, name in zip(order, order[1:]):
        words += f" {'<' if good[better].differs(good[name]) else '≈'} {name}"
    return f"By loss, ≈ where the seeds' ranges overlap: {words}." if order else ""


def memory_section(found: dict) -> list[str]:
    done = {name: found.get(f"memory {name}", {"error": "not run"}) for name in MEMORY}
    full = done["full"]
    if "error" in full:
        return []
    rows = []
    for name, run in done.items():
        if "error" in run:
            rows.append([name, run["error"], "", "", ""])
            continue
        peak, most = run["peak_memory_bytes"], full["peak_memory_bytes"]
        rows.append([name, f"{run['trained']:,}", f"{run['trained'] / full['trained']:.2%}", f"{peak / 1e6:,.0f}",
                     f"{1 - peak / most:.0%}"])
    saved = 1 - done["LoRA"].get("peak_memory_bytes", 0) / full["peak_memory_bytes"]
    return ["## Memory", paragraph(
        "A llama of SmolLM2-135M's shape with random weights in bfloat16, three steps; peak resident memory of the "
        "whole process, libraries included. Full fine-tuning holds float32 weights, gradients and two moments."),
        table(["", "trained", "share", "peak MB", "saved"], rows),
        paragraph("A fused layer never keeps an input that only A's gradient needs. So LoRA-FA saves A's gradient and "
                  "moments there. It saves activations with plain autograd alone."),
        paragraph(f"LoRA saves {saved:.0%} here. Papers report up to 70 %. Frozen weights, activations and the program "
                  "itself remain, so the share grows with the model.")]


INTRODUCTION = """\
# Methods, measured

LoRA's settings and the other methods, measured with lora-train on small models with trained weights. `scripts/methods`
writes this page, the verdicts too:

```
scripts/methods --work DIR           # some 300 short runs, half an hour on two cores; you can measure in parts
scripts/methods --work DIR --report  # measures nothing, writes this file from the results in DIR
```

"""


def explanation() -> str:
    return paragraph(
        f"Each figure is the mean of {len(SEEDS)} seeds ± half of their range. A seed decides the fresh adapter and",
        "the order of the data, nothing else. The validation loss in the tables also chose the rates: for LoRA and full",
        f"fine-tuning from {', '.join(f'{rate:g}' for rate in RATES)}, for the others from",
        f"{', '.join(f'{rate:g}' for rate in rates_of('DoRA'))}. Models this small show how methods compare where",
        "you can train to the end many times. They do not show what happens at billions of parameters.")


def write(planned: list[Task], found: dict, docs: pathlib.Path) -> None:
    """Writes docs/measurements/methods.md and methods/*.svg beside it, from the results there are."""
    from method_study import plots

    parts = [INTRODUCTION.rstrip(), explanation()]
    for task in planned:
        rate = best_rate(task, "LoRA", found, task.steps)
        parts += [f"## {task.title}", paragraph(task.about), *methods_section(task, found), *rates_section(task, found),
                  *ranks_section(task, found, rate), *targets_section(task, found, rate),
                  *bases_section(task, found, rate),
                  f"![loss against rate and rank](methods/{plots.draw(task, found, rate, docs / 'methods')})"]
    parts += memory_section(found)
    dates = sorted({run["date"] for run in found.values()})
    programs = sorted({run["program"] for run in found.values() if run.get("program", "").startswith("lora-train")})
    parts.append(f"Measured {' to '.join(sorted({dates[0], dates[-1]}))}; {'; '.join(programs)}.")
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "methods.md").write_text("\n\n".join(part for part in parts if part) + "\n")
