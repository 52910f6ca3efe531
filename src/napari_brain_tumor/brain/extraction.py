"""Brain extraction: find the brain in a whole head, and remove everything else from the study."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.brain.mask_file import open_mask
from napari_brain_tumor.brain.small_grid import small_grid
from napari_brain_tumor.errors import BrainMaskError
from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.io.source_files import file_sha256
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.preprocessing.intensity import largest_component
from napari_brain_tumor.preprocessing.traits import Traits, traits_of
from napari_brain_tumor.progress import Job, Progress, action, part_of
from napari_brain_tumor.requests.segment import BrainChoice
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Mask

__all__ = ["BrainChoice"]

HeadChoice = Literal["auto", "keep"]
"""Treatment of whole heads: extract the brain, or keep everything."""

PLAUSIBLE_ML: Final = (700.0, 2200.0)
"""Range of plausible volumes of a mask that contains a whole brain."""

_LEAST_FIELD_MM: Final = 80.0
_LEAST_FIELD_PIXELS: Final = 48
_EXTRACTED: Final = "The brain was extracted"
_NOT_FOUND: Final = "No brain was found in the head"
_SMOOTH_PIXELS: Final = (0.6, 0.6, 0.5)
_LEAST_SHARE: Final = 0.01
"""Smallest share of a scan's voxels; with less, no brain was found."""


@action
def brain_mask(study: Study, device: str = "auto") -> Job[Mask]:
    """Find the brain, including any tumours, in a whole head.

    Parameters
    ----------
    study : Study
        Study with any of T1, T1c, T2 and FLAIR, in slices of 1 to 7 mm or of unknown thickness.
    device : str
        As for `segment`.

    Returns
    -------
    (X, Y, Z) bool array
        Mask on the study's grid: one connected part without holes.

    Raises
    ------
    BrainMaskError
        If no brain was found.
    CheckpointError
        If the network is missing or damaged.
    DeviceError
        If the device is not available.

    Examples
    --------
    >>> from napari_brain_tumor import brain_mask, open_study
    >>> study = open_study("examination")  # doctest: +SKIP
    >>> brain_mask(study).sum() * study.grid.voxel_volume_mm3 / 1000  # doctest: +SKIP
    """
    from napari_brain_tumor.brain.network import brain_probabilities  # loads torch

    yield Progress(0, 1, "finding the brain")
    if _field_is_too_small(study.grid):
        raise BrainMaskError(_none_found(study))
    small = small_grid(study)
    job = brain_probabilities(study, small, device)
    extracted = _one_body((yield from part_of(job, 0.1, 0.9, "finding the brain")))
    mask = small.interpolated(extracted) >= 0.5
    if mask.mean() < _LEAST_SHARE:
        raise BrainMaskError(_none_found(study))
    yield Progress(1, 1, "")
    return mask


brain_mask_job = brain_mask.job
"""`brain_mask` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


@action
def extract_brain(study: Study, device: str = "auto", *, mask: npt.NDArray[Any] | None = None) -> Job[Study]:
    """Set everything outside the brain to the background, as in skull-stripped scans.

    Parameters
    ----------
    study : Study
        A whole head.
    device : str
        As for `segment`.
    mask : (X, Y, Z) array, optional
        Your own mask, non-zero in the brain; if not given, it is computed by `brain_mask`.

    Returns
    -------
    Study
        A new study with the mask as `brain` and a note on the extraction; the given study is not changed.

    Raises
    ------
    BrainMaskError
        If no brain was found, or the given mask is not on the study's grid, is empty or covers everything.
    """
    own = mask is not None
    brain = _checked(mask, study) if mask is not None else (yield from brain_mask_job(study, device))
    return _without_surroundings(study, brain, brain_note(study.grid, brain, own=own))


extract_brain_job = extract_brain.job
"""`extract_brain` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


@dataclass(frozen=True, slots=True, eq=False)
class ExtractedBrain:
    """The result of applying a brain choice.

    Parameters
    ----------
    study : Study
        The study limited to the brain, or unchanged if there was nothing to extract.
    setting : str or None
        The choice: `"auto"`, `"keep"` or `"mask"`; None if it made no difference.
    record : mapping
        For provenance: how the mask was made, its hash and volume; empty if nothing was extracted.
    notes : tuple of str
        Notes for the user in addition to the study's own.
    seconds : mapping of str to float
        Run times.
    """

    study: Study
    setting: str | None = None
    record: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def chosen_brain_job(study: Study, brain: BrainChoice = "auto", device: str = "auto") -> Job[ExtractedBrain]:
    """Apply the user's brain choice to a study, as a job.

    Parameters
    ----------
    brain : {"auto", "keep"}, path or array
        Extract the brain if the study is a whole head, keep everything, or apply the user's own mask.

    Raises
    ------
    BrainMaskError
        If the user's mask cannot be used. If `"auto"` finds no brain, the head is kept and a note says so.
    """
    if not isinstance(brain, str | PathLike):
        return _masked(study, np.asarray(brain), {"source": "mask"})
    if fspath(brain) not in ("auto", "keep"):
        path = Path(brain)
        mask = open_mask(path, study)
        return _masked(study, mask, {"source": "mask", "path": str(path), "sha256": file_sha256(path)})
    if study.brain is not None:
        return ExtractedBrain(study, "auto", {"source": "study"} | _facts(study.grid, study.brain))
    if not traits_of(study).whole_head:
        return ExtractedBrain(study)
    if brain == "keep":
        return ExtractedBrain(study, "keep")
    try:
        mask = yield from brain_mask_job(study, device)
    except BrainMaskError:
        note = f"{_NOT_FOUND}, so it is segmented as it is: check the result with care."
        return ExtractedBrain(study, "auto", None, (note,))
    from napari_brain_tumor.brain.network import brain_model

    extracted = _without_surroundings(study, mask, brain_note(study.grid, mask))
    weights = brain_model().card.weights_sha256
    return ExtractedBrain(
        extracted, "auto", {"source": "network", "weights_sha256": weights} | _facts(study.grid, mask)
    )


def traits_within(traits: Traits, brain: BrainChoice = "auto") -> Traits:
    """Return the traits that a study will have after the choice is applied."""
    unmasked = isinstance(brain, str) and brain == "keep"
    return traits if unmasked else replace(traits, whole_head=False)


def brain_note(grid: Grid, mask: Mask, *, own: bool = False) -> str:
    """Describe the extraction and the volume of the brain in a sentence or two."""
    how = "by the given mask" if own else "from the whole head"
    size = brain_volume_ml(grid, mask)
    summary = f"{_EXTRACTED} {how}" + (f": {size:.0f} mL." if size is not None else ".")
    return " ".join(filter(None, (summary, volume_doubt(size))))


def notes_on_brain(provenance: Mapping[str, Any]) -> list[str]:
    """Return the notes about the brain in the provenance of a segmentation."""
    return [note for note in provenance.get("notes", ()) if note.startswith((_EXTRACTED, _NOT_FOUND))]


def brain_volume_ml(grid: Grid, mask: Mask) -> float | None:
    """Return the volume of a mask in millilitres; None if the voxel size is unknown."""
    return float(mask.sum()) * grid.voxel_volume_mm3 / 1000 if grid.unit == "mm" else None


def volume_doubt(volume_ml: float | None) -> str:
    """Explain in a sentence why a volume is not that of a whole brain; empty if it is plausible or unknown."""
    low, high = PLAUSIBLE_ML
    if volume_ml is None or low <= volume_ml <= high:
        return ""
    return f"A brain measures {low:.0f} to {high:.0f} mL: check the mask, or provide your own."


def _masked(study: Study, mask: npt.NDArray[Any], record: dict[str, Any]) -> ExtractedBrain:
    checked = _checked(mask, study)
    extracted = _without_surroundings(study, checked, brain_note(study.grid, checked, own=True))
    return ExtractedBrain(extracted, "mask", record | _facts(study.grid, checked))


def _facts(grid: Grid, mask: Mask) -> dict[str, Any]:
    size = brain_volume_ml(grid, mask)
    facts = {"mask_sha256": labels_sha256(mask.astype(np.uint8))}
    return facts | ({"volume_ml": round(size, 1)} if size is not None else {})


def _checked(mask: npt.NDArray[Any], study: Study) -> Mask:
    """Return the mask as bool; raises `BrainMaskError` if it is not a valid mask of the study."""
    if mask.shape != study.grid.shape:
        raise BrainMaskError(
            f"The brain mask has shape {mask.shape}, {study.name} has {study.grid.shape}. Give a mask on the grid of "
            "the scans."
        )
    inside: Mask = np.asarray(mask) != 0
    if not inside.any() or inside.all():
        how = "is empty" if not inside.any() else "covers every voxel"
        raise BrainMaskError(f"The brain mask of {study.name} {how}. A mask is 0 outside the brain and 1 inside.")
    return inside


def _field_is_too_small(grid: Grid) -> bool:
    """Whether the slices are too small to show a head."""
    ras = to_ras(grid).target
    width, height, _ = ras.spacing if ras.unit == "mm" else (1.0, 1.0, 1.0)
    least = _LEAST_FIELD_MM if ras.unit == "mm" else _LEAST_FIELD_PIXELS
    return min(ras.shape[0] * width, ras.shape[1] * height) < least


def _none_found(study: Study) -> str:
    return (
        f"No brain was found in {study.name}. Is it an MRI scan of a head? Provide your own mask (brain=MASK), or "
        "segment the scans as they are (brain='keep')."
    )


def _without_surroundings(study: Study, mask: Mask, note: str) -> Study:
    sequences = {role: np.where(mask, volume, volume.min()) for role, volume in study.sequences.items()}
    return replace(study, sequences=sequences, brain=mask, notes=(*study.notes, note))


def _one_body(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Smooth probabilities so that the voxels at or above one half form one part without holes."""
    smooth = ndimage.gaussian_filter(probabilities, _SMOOTH_PIXELS)
    body = largest_component(smooth >= 0.5)
    for z in range(body.shape[2]):
        body[:, :, z] = ndimage.binary_fill_holes(body[:, :, z])
    body = np.asarray(ndimage.binary_fill_holes(body))
    return np.where(body, np.maximum(smooth, 0.5), np.minimum(smooth, 0.499)).astype(np.float32)
