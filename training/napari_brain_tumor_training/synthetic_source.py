"""Make the synthetic cases of a recipe, once, before a run starts."""

from pathlib import Path

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.scratch import scratch_beside, swap_in
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor_training.config import DataSource
from napari_brain_tumor_training.synthetic import SyntheticSpec, make_case, write_case


def make_synthetic_cases(source: DataSource, data_root: Path) -> Job[None]:
    """Write the cases that a synthetic source's folder still lacks, each atomically, as a job.

    Raises
    ------
    TrainingError
        If nilearn is not installed, whose tissue maps are used.
    SaveError
        If the folder cannot be written to.
    """
    folder = data_root / source.path
    seeds = range(source.first_seed, source.first_seed + source.cases)
    missing = [seed for seed in seeds if not (folder / f"synthetic_{seed:05d}").is_dir()]
    for number, seed in enumerate(missing):
        yield Progress(number, len(missing), f"making synthetic case {number + 1} of {len(missing)}")
        _make(seed, SyntheticSpec(resolution_mm=source.resolution_mm), folder)


def _make(seed: int, spec: SyntheticSpec, folder: Path) -> None:
    study, truth = make_case(seed, spec=spec)
    try:
        with scratch_beside(folder / study.name) as scratch:
            write_case(study, truth, scratch / study.name)
            swap_in(scratch / study.name, folder / study.name, scratch)
    except OSError as error:
        msg = f"The synthetic case {study.name} could not be kept in {folder}: {error}. Free some space there."
        raise SaveError(msg) from error
