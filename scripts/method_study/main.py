"""Runs the experiments that are not in --work yet, side by side, and writes the page."""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from method_study import report, tasks
from method_study.experiments import (BASES, MEMORY, METHODS, RANKS, TARGETS, Run, Task, of_base, of_method,
                                      of_rank, of_targets, overrides_of, rates_of, runs_of)


def train(program: pathlib.Path, recipe: pathlib.Path, overrides: dict[str, str], work: pathlib.Path) -> dict:
    """One run of lora-train: its last metrics, or what it said instead."""
    output = pathlib.Path(tempfile.mkdtemp(dir=work, prefix="run-"))
    command = [str(program), str(recipe), *(f"{key}={value}" for key, value in overrides.items()),
               f"output_dir={output / 'out'}"]
    child = subprocess.run(command, cwd=tasks.ROOT, capture_output=True, text=True, check=False,
                           env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    try:
        if child.returncode != 0:
            lines = child.stderr.strip().splitlines()
            return {"error": lines[-1] if lines else f"ended with {child.returncode}"}
        rows = [json.loads(line) for line in (output / "out" / "metrics.jsonl").read_text().splitlines()]
    finally:
        shutil.rmtree(output)
    steps = [row for row in rows if "loss" in row]
    found = {"train_loss": steps[-1]["loss"], "peak_memory_bytes": max(row["peak_memory_bytes"] for row in steps),
             "trained": trained_parameters(child.stdout), "program": next(line for line in child.stdout.splitlines() if line.startswith("lora-train "))}
    for row in rows:  # the last of each counts
        found |= {key: row[key] for key in ("eval_loss", "exact_match", "exact_match_rows") if key in row}
    return found


def trained_parameters(text: str) -> int:
    line = next(line for line in text.splitlines() if "parameters are trained" in line)
    return int(line.split()[0].replace(",", ""))


class Results:
    """What --work holds, by Run.key; written after each run, so that a study may be done in parts."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.found = json.loads(path.read_text()) if path.exists() else {}

    def add(self, key: str, value: dict) -> None:
        self.found[key] = {**value, "date": datetime.date.today().isoformat()}
        unfinished = self.path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self.found, indent=1))
        os.replace(unfinished, self.path)

    def lacks(self, key: str) -> bool:
        return key not in self.found or "error" in self.found[key]


def do(runs: list[Run], task: Task, results: Results, options: argparse.Namespace) -> None:
    missing = [run for run in dict.fromkeys(runs) if results.lacks(run.key)]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        common = dict(overrides_of(task.overrides))
        started = {pool.submit(train, options.lora_train, task.recipe,
                               {**common, "training.seed": str(run.seed), **dict(run.overrides)}, options.work): run
                   for run in missing}
        for done in concurrent.futures.as_completed(started):
            results.add(started[done].key, done.result())
            print(f"{started[done].key}: {report.in_short(done.result())}", flush=True)


def measure(planned: list[Task], results: Results, options: argparse.Namespace) -> None:
    for task in planned:
        runs = []
        for name in METHODS:
            for rate in rates_of(name):
                runs += runs_of(task, of_method(name, rate, task.steps))
        do(runs, task, results, options)
        rate = report.best_rate(task, "LoRA", results.found, task.steps)
        runs = []
        for rank in RANKS:
            if rank <= task.largest_rank:
                for one in report.rank_rates(rate):
                    runs += runs_of(task, of_rank(rank, one))
        for name in TARGETS:
            runs += runs_of(task, of_targets(name, rate))
        for base in BASES:
            runs += runs_of(task, of_base(base, rate))
        do(runs, task, results, options)
    recipe = tasks.memory_recipe(options.work)
    for name, values in MEMORY.items():  # one at a time: each is given the machine
        if results.lacks(f"memory {name}"):
            results.add(f"memory {name}", train(options.lora_train, recipe, dict(overrides_of(values)), options.work))
            print(f"memory {name}: {report.in_short(results.found[f'memory {name}'])}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/methods", description="Measures LoRA's settings and methods with lora-train (ranks, rates, "
        "targets, methods, quantised bases, memory) and writes docs/measurements/methods.md. About 300 short runs, half an "
        "hour on two cores. Does not repeat a run whose result is in --work. Needs matplotlib for the plots.")
    parser.add_argument("--lora-train", default="build/lora-train", type=pathlib.Path, help="the program")
    parser.add_argument("--data", default="../shared/data", type=pathlib.Path,
                        help="holds stories260k and text; without them only the quickstart's task is run")
    parser.add_argument("--work", type=pathlib.Path, help="where data and results are kept (a fresh directory)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time, one thread each")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the page from --work's results")
    parser.add_argument("--docs", type=pathlib.Path, default=tasks.ROOT / "docs" / "measurements",
                        help="the folder of methods.md")
    options = parser.parse_args()
    options.work = (options.work or pathlib.Path(tempfile.mkdtemp(prefix="lora-methods-"))).resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    options.lora_train, options.data = options.lora_train.resolve(), options.data.resolve()
    if not options.report and not options.lora_train.exists():
        parser.error(f"{options.lora_train}: no such program; build it, or name it with --lora-train")
    return options


def main() -> None:
    options = parse()
    planned = [task for task in (tasks.questions(), tasks.shakespeare(options.data, options.work)) if task]
    results = Results(options.work / "results.json")
    if not options.report:
        measure(planned, results, options)
    report.write(planned, results.found, options.docs)
    print(f"results {results.path}\nreport  {options.docs / 'methods.md'}")
