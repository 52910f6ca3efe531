"""`refine`: the correction of the panel and the command line, for scripts."""

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.interactive.prompts import RULE, PromptFile, Step
from napari_brain_tumor.interactive.refiner import Refiner
from napari_brain_tumor.interactive.verdict import shipped_sha256
from napari_brain_tumor.io.source_files import changes_since_read, describe_sources
from napari_brain_tumor.labels import RESECTION_CAVITY, class_names_of, labels_sha256
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.progress import Job, Progress, action
from napari_brain_tumor.study import Segmentation, Study


@action
def refine(
    study: Study,
    segmentation: Segmentation | None = None,
    prompts: PromptFile | Sequence[Step] = (),
    *,
    probabilities: RegionProbabilities | None = None,
    anyway: bool = False,
) -> Job[Segmentation]:
    """Correct a segmentation with prompts, applied in order.

    Parameters
    ----------
    study : Study
    segmentation : Segmentation, optional
        The segmentation to correct, on the study's grid; if not given, the correction starts without labels.
    prompts : PromptFile or sequence of Step
        Strokes, points, lassos and boxes, and actions such as interpolation and propagation.
    probabilities : RegionProbabilities, optional
        Probabilities of the network that made the segmentation, from `segment_with_probabilities`.
    anyway : bool
        Apply the prompts even if they were recorded on other labels.

    Returns
    -------
    Segmentation
        The corrected labels on the study's grid. If the segmentation contained only the whole tumour, prompts about the
        core add that region. The provenance includes that of the segmentation, and what `rerun` needs to repeat the
        correction.

    Raises
    ------
    GridMismatchError
        If the segmentation is not on the study's grid.
    PromptError
        If a prompt touches no voxel of the scan, or the prompts are in another unit or were recorded on other labels.

    Examples
    --------
    >>> from napari_brain_tumor import open_study, refine
    >>> from napari_brain_tumor.interactive import Stroke
    >>> from napari_brain_tumor.sample import sample_case_folder
    >>> study = open_study(sample_case_folder())
    >>> middle = tuple(study.grid.world([n // 2 for n in study.grid.shape]))
    >>> refined = refine(study, None, [Stroke(label="edema", points=[middle], radius=3)])
    >>> refined.data[tuple(n // 2 for n in study.grid.shape)]
    np.uint8(1)
    """
    steps = prompts.steps if isinstance(prompts, PromptFile) else tuple(prompts)
    refiner = Refiner(study, segmentation, probabilities)
    notes: tuple[str, ...] = ()
    if isinstance(prompts, PromptFile):
        notes = check_prompts(prompts, study, labels_sha256(refiner.labels), anyway=anyway)
    seconds, voxels = [], []
    for count, step in enumerate(steps):
        yield Progress(count, len(steps), f"{step.kind} {count + 1} of {len(steps)}")
        began = time.perf_counter()
        voxels.append(refiner.apply(step).voxels)
        seconds.append(round(time.perf_counter() - began, 3))
    record = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_labels_sha256": refiner.prompts.labels_sha256,
        "probabilities": probabilities is not None,
        "seconds": seconds,
        "voxels": voxels,
        "rule": RULE,
        "verdict_sha256": shipped_sha256(),
        "versions": _versions(),
        "notes": list(notes),
    }
    return _result(refiner, segmentation, record)


refine_job = refine.job
"""`refine` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


def check_prompts(prompts: PromptFile, study: Study, start_sha256: str, *, anyway: bool = False) -> tuple[str, ...]:
    """Check whether prompts fit a study, and return notes on any differences.

    Parameters
    ----------
    prompts : PromptFile
    study : Study
    start_sha256 : str
        Hash of the labels that they are applied to (`labels_sha256`); all background if the correction starts without
        labels.
    anyway : bool
        Whether prompts that were recorded on other labels are accepted.

    Raises
    ------
    PromptError
        If the prompts are in another unit, or were recorded on other labels and `anyway` is False.
    """
    if prompts.unit != study.grid.unit:
        msg = (
            f"The prompts are given in {_unit_name(prompts.unit)}, the study {study.name} in "
            f"{_unit_name(study.grid.unit)}, so their coordinates do not match the scan. Open the study as it was "
            "opened when they were recorded, with or without spacing_mm=(x, y, z)."
        )
        raise PromptError(msg)
    return tuple(_differing(prompts, study, start_sha256, anyway))


def _differing(prompts: PromptFile, study: Study, start_sha256: str, anyway: bool) -> Iterator[str]:
    if prompts.case and prompts.case != study.name:
        yield f"The prompts were recorded on case {prompts.case}; this is {study.name}."
    if prompts.labels_sha256 not in (None, start_sha256):
        source = f" (of {prompts.model})" if prompts.model else ""
        other = (
            f"The prompts were recorded on other labels{source} than these: SHA-256 "
            f"{(prompts.labels_sha256 or '')[:12]} then, {start_sha256[:12]} now."
        )
        if not anyway:
            msg = f"{other} Provide the segmentation corrected then, or apply them anyway: --anyway (anyway=True)."
            raise PromptError(msg)
        yield other
    if prompts.version != RULE:
        yield (
            f"The prompts were recorded with rule {prompts.version}; rule {RULE} of this version gives other voxels. "
            "An older version of this package gives those that were seen then."
        )
    if prompts.edited_by_hand:
        count = prompts.edited_by_hand
        times = "once" if count == 1 else f"{count} times"
        yield f"The labels were also edited by hand {times} when the prompts were recorded; these edits are missing."


def _versions() -> dict[str, str]:
    """Return the versions of everything that affects the labels."""
    installed = {"python": platform.python_version()}
    for name in ("napari-brain-tumor", "numpy", "scipy", "scikit-image", "scikit-learn"):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def _unit_name(unit: str) -> str:
    return "millimetres" if unit == "mm" else "voxels of unknown size"


def _result(refiner: Refiner, segmentation: Segmentation | None, record: Mapping[str, Any]) -> Segmentation:
    study, data = refiner.study, refiner.labels.copy()
    earlier = begun_provenance(study, segmentation)
    steps = [step.model_dump(mode="json") for step in refiner.steps]
    provenance = {
        **earlier,
        "refined": [*earlier.get("refined", ()), *steps],
        "refinement": {**record, **_continued(earlier.get("refinement"))},
        "labels_sha256": labels_sha256(data),
    }
    initial = segmentation or Segmentation(data, study.grid, study.name, layout=study.layout)
    known = refiner.known_regions
    names = initial.class_names if known == initial.known_regions else class_names_of(known)
    names = {**names, **{value: name for value, name in initial.class_names.items() if value == RESECTION_CAVITY}}
    notes = tuple(dict.fromkeys((*study.notes, *initial.notes)))
    return Segmentation(data, study.grid, initial.name, names, known, initial.layout, provenance, notes)


def _continued(earlier: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a continued correction keeps from the earlier one: what it started with."""
    keys = ("from_labels_sha256", "probabilities")
    return {} if earlier is None else {key: earlier[key] for key in keys if key in earlier}


def begun_provenance(study: Study, segmentation: Segmentation | None) -> dict[str, Any]:
    """Return the provenance that a correction starts from.

    This is the provenance of a model's result or of an earlier correction; otherwise it describes the scans, and the
    corrected file if there is one. Files are read to compute their hashes.
    """
    earlier = dict(segmentation.provenance) if segmentation is not None else {}
    return earlier if earlier.get("task") in ("segment", "refine") else _origin(study, earlier)


def _origin(study: Study, earlier: Mapping[str, Any]) -> dict[str, Any]:
    file = {key: earlier[key] for key in ("path", "schema") if key in earlier}
    return {
        "task": "refine",
        "case": study.name,
        "inputs": describe_sources(study.sources),
        "roles": list(study.roles),
        **({"resampled": list(study.resampled)} if study.resampled else {}),
        "grid": {"shape": list(study.grid.shape), "affine": study.grid.affine.tolist(), "unit": study.grid.unit},
        **({"start": file} if file else {}),
        "versions": _versions(),
        "notes": [*study.notes, *changes_since_read(study.sources)],
    }
