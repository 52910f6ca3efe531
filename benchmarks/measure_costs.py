"""Measure what a run of each shipped model and method takes, into `preflight/costs.json`, which estimates begin with.

    python benchmarks/measure_costs.py [CASE] [--model NAME ...] [--threads 1]

Each run is a process of its own on the CPU, over the sample where no case is given. Seconds are those of the process,
not of the clock, so that other programs on the machine change little; with one thread both are the same. Entries of
other models stay.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from napari_brain_tumor.catalogue import ModelInfo, find_model, list_models
from napari_brain_tumor.preflight import costs
from napari_brain_tumor.sample import sample_case_folder

PLACE = Path(costs.__file__).with_name("costs.json")


def processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def run_once(name: str, case: Path) -> dict[str, Any]:
    """In this process: seconds of the processor, voxels, and memory beyond that of the imports."""
    import torch

    from napari_brain_tumor import open_study, segment
    from results.cost import peak_mb

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    before = peak_mb()
    study = open_study(case)
    segment(study, "threshold" if name != "threshold" else "edges", "cpu")  # imports what only running imports
    clock, cpu = time.perf_counter(), time.process_time()
    made = segment(study, name, "cpu").provenance
    share = (time.process_time() - cpu) / (time.perf_counter() - clock) / torch.get_num_threads()
    seconds = {step: spent * min(1.0, share) for step, spent in made["seconds"].items() if step != "load"}
    z, y, x = made["working_shape"]
    return {"seconds": seconds, "voxels": z * y * x, "memory_mb": round(peak_mb() - before, 1)}


def measured(name: str, case: Path, threads: int) -> costs.MeasuredCost:
    command = [sys.executable, __file__, str(case), "--model", name, "--in-this-process"]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    method = find_model(name)
    key, family = costs.key_of(method)
    network = found["seconds"].pop("network", 0.0)
    return costs.MeasuredCost(
        method=key,
        family=family,
        parameters=method.card.parameters if isinstance(method, ModelInfo) else 0,
        device="cpu",
        machine=f"{threads} core{'s'[: threads > 1]} of {processor()}",
        voxels=found["voxels"],
        seconds=round(sum(found["seconds"].values()), 3),
        network_seconds=round(network, 3),
        memory_mb=found["memory_mb"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", type=Path, default=sample_case_folder())
    parser.add_argument("--model", action="append", help="repeatable; all that ship if not given")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.in_this_process:
        sys.stdout.write(json.dumps(run_once(asked.model[0], asked.case)) + "\n")
        return
    names = asked.model or [one.name for one in list_models() if not isinstance(one, ModelInfo) or one.bundled]
    for name in names:
        found = measured(name, asked.case, asked.threads)
        kept = [one for one in costs.read_costs(PLACE) if (one.method, one.device) != (found.method, found.device)]
        costs.save_costs(PLACE, sorted([*kept, found], key=lambda one: one.method))
        print(
            f"{name}: {found.seconds + found.network_seconds:.1f} s, {found.memory_mb:.0f} MiB, {found.voxels} voxels"
        )


if __name__ == "__main__":
    main()
