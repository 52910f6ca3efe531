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


def segment_phantom(study, request):
    """Stands in for `workflow.requested_segmentation_job`: the brightest voxels of the first sequence are edema."""
    from napari_brain_tumor.study import Segmentation

    for step in range(3):
        yield Progress(step, 3, "segmenting")
    image = next(iter(study.sequences.values()))
    data = (image > np.percentile(image, 90)).astype(np.uint8)
    settings = request.recorded() | {"model": request.model, "device": request.device}
    return Segmentation(data, study.grid, study.name, layout=study.layout, provenance=settings)


def segment_slowly(study, request):
    yield from sleep_steps(30)
    return (yield from segment_phantom(study, request))


def segment_fatally(study, request):
    yield Progress(0, 1, "about to die")
    kill_self()


def devices():
    return [("cpu", "Processor (cpu)", "because it is there")]


def segment_with_maps(study, request):
    """Stands in for a trained model: every region's probability grows evenly from the lowest slice to the highest."""
    from napari_brain_tumor.geometry import Box
    from napari_brain_tumor.labels import REGIONS, labels_sha256
    from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
    from napari_brain_tumor.preprocessing.grid import working_grid
    from napari_brain_tumor.preprocessing.world_box import inside_box
    from napari_brain_tumor.study import Segmentation

    yield Progress(1, 2, "segmenting")
    box, thresholds = request.box, request.thresholds
    work = working_grid(study.grid, 1.0)
    shape = work.grid.shape[::-1]
    values = np.stack([np.broadcast_to(np.linspace(0, 1, shape[0])[:, None, None], shape)] * 3).astype(np.float16)
    values[1:] *= np.float16(0.6)
    if box is not None:
        values *= inside_box(work.grid, box).T
    limits = {"WT": 0.5, "TC": 0.7, "ET": 0.5} | dict(thresholds or {})
    maps = RegionProbabilities(tuple(REGIONS), values, Box.whole(shape), work, limits, box=box)
    data = maps.labels()
    settings = {"thresholds": limits} | ({} if box is None else {"box": list(box)})
    provenance = {"task": "segment", "settings": settings, "labels_sha256": labels_sha256(data)}
    return Segmentation(data, study.grid, study.name, provenance=provenance), maps


def segment_or_refuse(study, request):
    if study.name == "refused":
        fail_ours()
    return (yield from segment_with_maps(study, request))


def segment_within(study, request):
    """Stands in for a model that labels the whole brain that it is told."""
    from napari_brain_tumor.labels import labels_sha256
    from napari_brain_tumor.study import Segmentation

    yield Progress(1, 2, "segmenting")
    whole, brain = np.ones(study.grid.shape, bool), request.brain
    data = (whole if isinstance(brain, str) else np.asarray(brain)).astype(np.uint8)
    told = {"brain": brain if isinstance(brain, str) else "mask"}
    provenance = {"task": "segment", "settings": told, "labels_sha256": labels_sha256(data)}
    return Segmentation(data, study.grid, study.name, provenance=provenance)


def middle_of(study, device="auto"):
    """Stands in for the brain network: finds the middle third along each axis."""
    yield Progress(1, 2, "finding the brain")
    mask = np.zeros(study.grid.shape, bool)
    mask[tuple(slice(n // 3, 2 * n // 3) for n in mask.shape)] = True
    return mask


def no_brain(study, device="auto"):
    from napari_brain_tumor.errors import BrainMaskError

    yield Progress(1, 2, "finding the brain")
    raise BrainMaskError("No brain was found in these scans.")
