"""Tasks that the tests run in the worker process."""

import os
import signal
import time

import numpy as np

from napari_brain_tumor.errors import MissingRolesError
from napari_brain_tumor.progress import Progress


class StrangeError(Exception):
    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


def count(steps):
    for step in range(steps):
        yield Progress(step, steps, f"step {step}")
    return steps * 10


def doubled(array, *, offset=0):
    return array * 2 + offset


def noisy():
    print("a library prints")  # noqa: T201
    os.write(1, b"and so does C code\n")
    return "clean"


def sleep_steps(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield Progress(0, 1, "sleeping")
        time.sleep(0.02)


def deaf(seconds):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield Progress(0, 1, "deaf")
    time.sleep(seconds)


def die(code):
    os._exit(code)


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def fail_ours():
    msg = "FLAIR is missing"
    raise MissingRolesError(msg)


def fail_strange():
    raise StrangeError("odd", "things")


def fail_memory():
    raise MemoryError


def big(megabytes):
    return np.ones(megabytes << 20, dtype=np.uint8)


def segment_phantom(study, model=None, device="auto", *, flips=False, min_lesion_mm3=None, seeds=()):
    """Stands in for `workflow.segment_job`: the brightest voxels of the first sequence are edema."""
    from napari_brain_tumor.study import Segmentation

    for step in range(3):
        yield Progress(step, 3, "segmenting")
    image = next(iter(study.sequences.values()))
    data = (image > np.percentile(image, 90)).astype(np.uint8)
    settings = {"model": model, "device": device, "flips": flips, "min_lesion_mm3": min_lesion_mm3, "seeds": seeds}
    return Segmentation(data, study.grid, study.name, layout=study.layout, provenance=settings)


def segment_slowly(study, model=None, device="auto", *, flips=False, min_lesion_mm3=None, seeds=()):
    yield from sleep_steps(30)
    return (yield from segment_phantom(study))


def segment_fatally(study, model=None, device="auto", *, flips=False, min_lesion_mm3=None, seeds=()):
    yield Progress(0, 1, "about to die")
    kill_self()


def devices():
    return [("cpu", "Processor (cpu)", "because it is there")]
