"""Runs what was asked for, one configuration after the other, and keeps each run as soon as it is there."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from benchmarks import machine, report
from benchmarks.workloads import CLIP, GROUPS, RATE, Configuration, Workload, workloads

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent

RECIPE = """\
model: {{path: {model}, dtype: {dtype}}}
adapter: {adapter}
data:
  train: [{{path: {data}, format: completion, fields: {{prompt: question, completion: answer}}}}]
  shuffle: false
training:
  max_steps: {steps}
  batch_size: {rows}
  micro_batch_size: {micro_batch}
  max_length: {length}
  learning_rate: {rate}
  lr_schedule: constant
  max_grad_norm: {clip}
  threads: {threads}
{fused}output_dir: {output}
export: []
"""


def run_child(module: str, job: dict, options: argparse.Namespace) -> dict:
    """A module of this package in a process of its own: a job goes in as JSON, an answer comes out."""
    question, answer = options.work / "job.json", options.work / "answer.json"
    question.write_text(json.dumps(job))
    answer.unlink(missing_ok=True)
    threads = str(options.threads)
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
                   "TORCHINDUCTOR_CACHE_DIR": str(options.work / "compiled"), "TOKENIZERS_PARALLELISM": "false"}
    log = options.work / "log.txt"
    with log.open("w") as out:
        child = subprocess.run([sys.executable, "-m", f"benchmarks.{module}", str(question), str(answer)], stdout=out,
                               stderr=subprocess.STDOUT, env=environment, check=False)
    if child.returncode == 0 and answer.exists():
        return json.loads(answer.read_text())
    return {"error": last_line(log.read_text()) or f"ended with {child.returncode}"}


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def run_ours(workload: Workload, configuration: Configuration, inputs: dict, options: argparse.Namespace) -> dict:
    """lora-train itself; its metrics.jsonl says what the tables need."""
    output = options.work / "run"
    shutil.rmtree(output, ignore_errors=True)
    adapter = "{method: full}"
    if workload.method == "lora":
        start = f", init_from: {inputs['adapter']}" if inputs["adapter"] else ""
        adapter = (f"{{method: lora, rank: {workload.rank}, alpha: {workload.alpha}, dropout: 0.0, "
                   f"target_modules: all-linear{start}}}")
    recipe = options.work / "recipe.yaml"
    recipe.write_text(RECIPE.format(
        model=inputs["models"][configuration.dtype], dtype=configuration.dtype, adapter=adapter, data=inputs["data"],
        steps=options.steps, rows=workload.rows_a_step, micro_batch=configuration.micro_batch or "auto",
        length=workload.row_length, rate=RATE, clip=CLIP, threads=options.threads, output=output,
        fused=("" if configuration.fused else "  fused: false\n")
        + (f"  memory_limit: {configuration.memory_limit}\n" if configuration.memory_limit else "")))
    child = subprocess.run([str(options.lora_train), str(recipe)], capture_output=True, text=True, check=False)
    if child.returncode != 0:
        return {"error": last_line(child.stderr) or f"ended with {child.returncode}"}
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "loss" in line]
    trained = re.search(r"([\d,]+) of [\d,]+ parameters are trained", child.stdout)
    shutil.rmtree(output)
    return {
        "steps": [{"seconds": line["tokens"] / line["tokens_per_second"], "loss": line["loss"],
                   "grad_norm": line["grad_norm"], "tokens": line["tokens"],
                   "supervised_tokens": line["supervised_tokens"]} for line in lines],
        "trained_parameters": int(trained.group(1).replace(",", "")) if trained else None,
        "peak_memory_bytes": max(line["peak_memory_bytes"] for line in lines),
        "program": child.stdout.splitlines()[0],
    }


def run_once(workload: Workload, configuration: Configuration, inputs: dict, options: argparse.Namespace) -> dict:
    """One run of one configuration, in a process of its own."""
    if configuration.engine == "lora-train":
        run = run_ours(workload, configuration, inputs, options)
        for key in ("tokens", "supervised_tokens"):
            found = [step[key] for step in run.get("steps", [])]
            if "error" not in run and found != inputs["counts"][key][:len(found)]:
                run = {"error": f"{key} differ: {found}, wanted {inputs['counts'][key]}"}
        return run
    job = {"configuration": dataclasses.asdict(configuration), "shape": dataclasses.asdict(workload.shape),
           "model": inputs["models"][configuration.dtype], "adapter": inputs["adapter"], "rows": inputs["rows"],
           "row_length": workload.row_length, "rank": workload.rank, "alpha": workload.alpha,
           "threads": options.threads, "steps": options.steps}
    if configuration.compiled:
        # Compiled code is cached, so that compiling is in nobody's time or memory.
        name = re.sub("[^a-z0-9]+", "-", report.key_of(configuration).lower())
        mark = options.work / f"compiled-{workload.key}-{name}"
        if not mark.exists():
            answer = run_child("peers", {**job, "steps": 1}, options)
            if "error" in answer:
                return answer
            mark.touch()
    run = run_child("peers", job, options)
    for step, tokens in zip(run.get("steps", []), inputs["counts"]["tokens"]):
        step["tokens"] = tokens
    return run


def measure(workload: Workload, results: dict, options: argparse.Namespace) -> bool:
    """Adds runs to results until each configuration has as many as were asked for; whether all of them ran. Repeats are
    the outer loop, so that a machine that slows down does so for all."""
    chosen = [c for c in workload.configurations
              if (c.quick or not options.quick) and re.search(options.match, f"{c.name}, {c.dtype}")]
    stored = results.setdefault(workload.key, {"runs": {}})
    runs: dict[str, list[dict]] = stored["runs"]
    for configuration in chosen:
        key = report.key_of(configuration)
        runs[key] = [] if options.afresh else [run for run in runs.get(key, []) if "error" not in run]
    if all(len(runs[report.key_of(c)]) >= options.repeats for c in chosen):
        return True
    print(f"{workload.key}: {workload.title}", flush=True)
    inputs = run_child("inputs", {"workload": workload.key, "toy": options.toy, "data": str(options.data),
                                  "directory": str(options.work / "inputs"), "steps": options.steps,
                                  "dtypes": sorted({c.dtype for c in chosen})}, options)
    if "error" in inputs:
        raise SystemExit(f"inputs of {workload.key}: {inputs['error']}")
    described = run_child("machine", {"threads": options.threads}, options)
    if "error" in described:
        raise SystemExit(f"the machine's peak: {described['error']}")
    for dtype, before in stored.get("machine", {}).get("peak_gflops", {}).items():
        described["peak_gflops"][dtype] = max(before, described["peak_gflops"][dtype])
    stored.update(machine=described, counts=inputs["counts"])
    for repeat in range(options.repeats):
        for configuration in chosen:
            kept = runs[report.key_of(configuration)]
            if len(kept) > repeat:
                continue
            run = run_once(workload, configuration, inputs, options)
            run["date"] = datetime.date.today().isoformat()
            kept.append(run)
            print(f"  {configuration.name}, {configuration.dtype}: {report.line_of(configuration, run)}", flush=True)
            save(results, options)
    return not any("error" in run for c in chosen for run in runs[report.key_of(c)])


def save(results: dict, options: argparse.Namespace) -> None:
    unfinished = options.results.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(results, indent=1))
    os.replace(unfinished, options.results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measures lora-train beside PEFT, torchtune and plain LibTorch, and writes "
        "docs/measurements/benchmarks.md. Needs torch, transformers, peft, sentencepiece, matplotlib; uses torchtune and "
        "torchao where they are. Does not repeat a run whose result is in --work, so you can measure in parts.")
    parser.add_argument("--lora-train", default="build/lora-train", type=pathlib.Path, help="the program")
    parser.add_argument("--data", default="../shared/data", type=pathlib.Path, help="holds gsm8k/train.jsonl")
    parser.add_argument("--only", default=",".join(GROUPS), help="of %(default)s")
    parser.add_argument("--match", default="", help="only configurations whose 'name, dtype' this pattern is found in")
    parser.add_argument("--quick", action="store_true",
                        help="one run each of lora-train and of PEFT's likely fastest and leanest")
    parser.add_argument("--repeats", type=int, help="runs of each configuration (3)")
    parser.add_argument("--steps", type=int, default=5, help="a run; the first is not timed, of compiled ones two")
    parser.add_argument("--threads", type=int, default=machine.physical_cores())
    parser.add_argument("--work", type=pathlib.Path, help="where inputs and results are kept (a fresh directory)")
    parser.add_argument("--afresh", action="store_true", help="measure again what --work already holds")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the docs from --work's results")
    parser.add_argument("--docs", type=pathlib.Path,
                        help="the folder of benchmarks.md (docs/measurements; --work with --toy)")
    parser.add_argument("--toy", action="store_true", help="toy models and rows, to try this script")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(GROUPS):
        parser.error(f"--only: unknown {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    if options.steps < 3:
        parser.error("--steps: at least 3, as compiled runs are timed from the third on")
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.work = (options.work or pathlib.Path(tempfile.mkdtemp(prefix="lora-bench-"))).resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    options.docs = options.docs or (options.work if options.toy else SCRIPTS.parent / "docs" / "measurements")
    options.data, options.lora_train = options.data.resolve(), options.lora_train.resolve()
    options.results = options.work / ("results-toy.json" if options.toy else "results.json")
    if not options.report and not options.lora_train.exists():
        parser.error(f"{options.lora_train}: no such program; build it, or name it with --lora-train")
    return options


def main() -> int:
    options = parse()
    results = json.loads(options.results.read_text()) if options.results.exists() else {}
    planned = workloads(options.toy)
    failed = False
    if not options.report:
        for workload in planned:
            if workload.group in options.only:
                failed |= not measure(workload, results, options)
    report.write(planned, results, options.docs)
    print(f"results {options.results}\nreport  {options.docs / 'benchmarks.md'}")
    return 1 if failed else 0
