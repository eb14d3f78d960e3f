"""The plots of docs/measurements/benchmarks.md, as SVG."""

from __future__ import annotations

import pathlib

from benchmarks import report
from benchmarks.workloads import Workload

COLOURS = {"lora-train": "#c0392b", "peft": "#2c5f8a", "transformers": "#2c5f8a", "torchtune": "#5a8f3c"}
MARKERS = {"float32": "s", "bfloat16": "o"}


def draw(planned: list[Workload], results: dict, directory: pathlib.Path) -> dict[str, str]:
    """Draws what was measured and returns file names by workload or kind of growth."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "lora-train", "svg.fonttype": "none", "font.size": 9,
                                "axes.spines.top": False, "axes.spines.right": False})
    directory.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for workload in planned:
        stored = results.get(workload.key)
        if workload.group == "growth" or not stored:
            continue
        if any(m.counts for dtype in ("bfloat16", "float32") for m in report.summed_up(workload, stored, dtype)):
            drawn[workload.key] = scatter(workload, stored, directory)
    for kind in ("length", "rank"):
        points = [w for w in planned if w.key.startswith(f"growth-{kind}") and w.key in results]
        if points:
            drawn[kind] = curves(points, results, kind, directory)
    return drawn


def save(figure, path: pathlib.Path) -> str:
    import matplotlib.pyplot

    figure.savefig(path, metadata={"Date": None})
    matplotlib.pyplot.close(figure)
    return path.name


def scatter(workload: Workload, stored: dict, directory: pathlib.Path) -> str:
    """Speed against peak memory, a point a configuration that counts, the bound drawn in; a panel a dtype."""
    import matplotlib.pyplot

    panels = [(dtype, [m for m in report.summed_up(workload, stored, dtype) if m.counts])
              for dtype in ("bfloat16", "float32")]
    panels = [(dtype, measured) for dtype, measured in panels if measured]
    figure, axes = matplotlib.pyplot.subplots(len(panels), 1, figsize=(9, 1 + 4.5 * len(panels)), squeeze=False,
                                              layout="constrained")
    for axis, (dtype, measured) in zip(axes[:, 0], panels):
        limit = report.bound(workload, stored, dtype)
        top = 1.08 * max(limit, *(m.speed for m in measured))
        right = max(m.memory for m in measured) / 1e9
        axis.set(xlim=(0, 1.75 * right), ylim=(0, top), xlabel="peak memory, GB", ylabel="tokens/s",
                 title=f"{workload.title}, {dtype}")
        axis.axhline(limit, color="#777777", linestyle="--", linewidth=1)
        axis.text(axis.get_xlim()[1], limit, "bound ", ha="right", va="bottom", color="#777777")
        heights = spread_out([m.speed for m in measured], 0.032 * top)
        for m, height in zip(measured, heights):
            colour = COLOURS[m.configuration.engine]
            x = m.memory / 1e9
            axis.plot(x, m.speed, MARKERS[dtype], color=colour, markersize=6,
                      markerfacecolor=colour if m.configuration.fused else "white")
            axis.annotate(m.configuration.name, (x, m.speed), (1.08 * right, height),
                          va="center", color=colour, fontsize=7.5,
                          arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.3, "shrinkA": 0, "shrinkB": 4,
                                      "relpos": (0, 0.5)})
    return save(figure, directory / f"{workload.key}.svg")


def spread_out(heights: list[float], gap: float) -> list[float]:
    """Moves labels, given from the top down, so that neighbours are a gap apart; the lowest stays above zero."""
    placed: list[float] = []
    for height in heights:
        placed.append(min(height, placed[-1] - gap) if placed else height)
    floor = gap / 2
    for i in reversed(range(len(placed))):
        placed[i] = max(placed[i], floor)
        floor = placed[i] + gap
    return placed


def curves(points: list[Workload], results: dict, kind: str, directory: pathlib.Path) -> str:
    """Speed with its bound, and peak memory, against row length or rank."""
    import matplotlib.pyplot

    at, speed, memory, limit = [], [], [], []
    for workload in points:
        for m in report.summed_up(workload, results[workload.key], "bfloat16"):
            at.append(workload.row_length if kind == "length" else workload.rank)
            speed.append(m.speed)
            memory.append(m.memory / 1e9)
            limit.append(report.bound(workload, results[workload.key], "bfloat16"))
    figure, (left, right) = matplotlib.pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    colour = COLOURS["lora-train"]
    left.plot(at, limit, "--", color="#777777", label="bound")
    left.plot(at, speed, "o-", color=colour, label="lora-train")
    left.legend(frameon=False)
    right.plot(at, memory, "o-", color=colour)
    left.set(ylabel="tokens/s")
    right.set(ylabel="peak memory, GB")
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_xticks(at, [str(value) for value in at])
        axis.set(xlabel="row length, tokens" if kind == "length" else "rank", ylim=(0, None))
    return save(figure, directory / f"growth-{kind}.svg")
