"""Measure time and memory of one case in a separate process, which runs this file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.interpreter import safe_environment

__all__ = ["measure_cost", "peak_mb"]

_STATUS: Final = Path("/proc/self/status")


def measure_cost(model: str, case: Path, device: str) -> dict[str, Any]:
    """Segment a case in a new process, without and with flips; returns `document.Cost` entries except the machine.

    Raises
    ------
    TrainingError
        If the process fails; the message contains the end of its error output.
    """
    # With -P, because modules of this folder would otherwise shadow modules of Python with the same names.
    command = [sys.executable, "-P", __file__, model, str(case), device]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=safe_environment())
    if process.returncode:
        msg = f"Measuring {model} in a process of its own failed: {process.stderr.strip()[-1000:]}"
        raise TrainingError(msg)
    cost: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return cost


def _measured(model: str, case: Path, device: str) -> dict[str, Any]:
    from napari_brain_tumor.catalogue import find_model
    from napari_brain_tumor.io import open_study
    from napari_brain_tumor.workflow import segment

    trained = not find_model(model).is_baseline
    imported = peak_mb()
    study = open_study(case)

    def once(*, flips: bool) -> tuple[dict[str, float], float]:
        seconds = dict(segment(study, model, device, flips=flips).provenance["seconds"])
        load = seconds.pop("load", 0.0)
        return {"seconds": round(sum(seconds.values()), 3), "peak_mb": peak_mb()}, load

    plain, load = once(flips=False)
    return {
        "case": study.name,
        "shape": list(study.grid.shape),
        "load_seconds": load,
        "imported_mb": imported,
        "memory_from": _memory_source(),
        "plain": plain,
        "flipped": once(flips=True)[0] if trained else None,
    }


def _memory_source() -> str:
    return "VmHWM" if _STATUS.is_file() else "ru_maxrss"


def peak_mb() -> float:
    """Return the peak memory of this process, in MiB.

    On Linux, `ru_maxrss` includes the memory that the parent had when it started this process; VmHWM does not.
    """
    if _STATUS.is_file():
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


if __name__ == "__main__":
    place, path, where = sys.argv[1:]
    sys.stdout.write(json.dumps(_measured(place, Path(path), where)) + "\n")
