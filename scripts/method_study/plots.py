"""The plots of docs/measurements/methods.md, as SVG."""

from __future__ import annotations

import pathlib

from method_study import report
from method_study.experiments import RANKS, Task

COLOURS = {"LoRA": "#c0392b", "full": "#2c5f8a"}


def draw(task: Task, found: dict, rate: float, directory: pathlib.Path) -> str:
    """Loss against the learning rate, LoRA beside full fine-tuning, and against LoRA's rank; bars are the seeds' range."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "lora-train", "svg.fonttype": "none", "font.size": 9,
                                "axes.spines.top": False, "axes.spines.right": False})
    import matplotlib.pyplot

    directory.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = matplotlib.pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for method, colour in COLOURS.items():
        curve(left, report.by_rate(task, method, found, task.steps), colour, method)
    left.legend(frameon=False)
    left.set(xlabel="learning rate", ylabel="validation loss", xscale="log")
    curve(right, {rank: seeds for rank, (_, seeds) in report.by_rank(task, found, rate).items()}, COLOURS["LoRA"], "")
    right.set_xscale("log", base=2)
    right.set_xticks(RANKS, [str(rank) for rank in RANKS])
    right.set(xlabel="rank")
    for axis in (left, right):
        axis.set_yscale("log")
    path = directory / f"{task.key}.svg"
    figure.savefig(path, metadata={"Date": None})
    matplotlib.pyplot.close(figure)
    return path.name


def curve(axis, points: dict, colour: str, label: str) -> None:
    at = list(points)
    means = [points[x].mean for x in at]
    below = [points[x].mean - min(points[x].losses) for x in at]
    above = [max(points[x].losses) - points[x].mean for x in at]
    axis.errorbar(at, means, yerr=[below, above], fmt="o-", color=colour, markersize=4, linewidth=1, capsize=2,
                  label=label or None)
