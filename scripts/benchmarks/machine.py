"""The machine: its name, its cores, and how fast it multiplies matrices.

    python -m benchmarks.machine JOB.json ANSWER.json
"""

from __future__ import annotations

import json
import os
import pathlib
import platform
import sys
import time

# (rows, inner, outer): projections and the head as the workloads have them.
PRODUCTS = ((1024, 576, 3072), (1024, 1536, 576), (512, 576, 16384), (1024, 2048, 5632), (2048, 2048, 2048))


def cpu_name() -> str:
    """As /proc/cpuinfo has it, with family and model, since virtual machines hide the rest of the name."""
    fields: dict[str, str] = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name", platform.machine())
    return f"{name} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"


def physical_cores() -> int:
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(siblings.read_text() if siblings.exists() else str(cpu))
    return max(1, len(cores))


def peak_gflops(threads: int) -> dict[str, float]:
    """The fastest product found for each dtype, by torch.mm or by oneDNN with a weight packed beforehand."""
    import torch

    torch.set_num_threads(threads)
    peaks = {}
    for dtype in ("bfloat16", "float32"):
        best = 0.0
        for n, inner, outer in PRODUCTS:
            a, w = (torch.randn(size, dtype=getattr(torch, dtype)) for size in ((n, inner), (outer, inner)))
            out = torch.empty(n, outer, dtype=a.dtype)
            ways = [lambda: torch.mm(a, w.t(), out=out)]
            try:
                packed = torch.ops.mkldnn._reorder_linear_weight(w, n)
                ways.append(lambda: torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], ""))
                ways[-1]()
            except (AttributeError, RuntimeError):  # this build of torch or this machine has it not
                del ways[1:]
            for way in ways:
                begin = time.perf_counter()
                way()
                # Without vectors, as torch multiplies bfloat16 on AVX2, one call takes long enough to be measured.
                rounds, calls = (5, 4) if time.perf_counter() - begin < 0.1 else (1, 1)
                for _ in range(rounds):
                    begin = time.perf_counter()
                    for _ in range(calls):
                        way()
                    best = max(best, calls * 2 * n * inner * outer / (time.perf_counter() - begin) / 1e9)
        peaks[dtype] = best
    return peaks


def describe(job: dict) -> dict:
    import importlib.metadata

    versions = {"python": platform.python_version()}
    for package in ("torch", "transformers", "peft", "torchtune"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return {"cpu": cpu_name(), "threads": job["threads"], "versions": versions,
            "peak_gflops": peak_gflops(job["threads"])}


if __name__ == "__main__":
    pathlib.Path(sys.argv[2]).write_text(json.dumps(describe(json.loads(pathlib.Path(sys.argv[1]).read_text()))))
