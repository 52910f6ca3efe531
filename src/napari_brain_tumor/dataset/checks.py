"""Check whether a data set is fit for training; findings say in plain words what was found and what to do.

Thresholds were set on 37 gliomas (BraTS) and 88 patients of the Kaggle LGG set, all labelled by experts.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import ndimage

from napari_brain_tumor.dataset.duplicates import voxels_sha256
from napari_brain_tumor.dataset.index import CaseRecord
from napari_brain_tumor.dataset.plausibility import is_size_of_a_head, same_picture
from napari_brain_tumor.dataset.store import CuratedDataset
from napari_brain_tumor.dataset.truth import Truth
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.labels import ENHANCING, NON_ENHANCING, RESECTION_CAVITY
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor.types import Array, Mask

Severity = Literal["ok", "warning", "error"]

_OUTSIDE_SHARE: Final = 0.02
"""Fraction of a label outside the head above which it is reported."""
_TINY_VOXELS: Final = 4
"""Maximum size in voxels of a tiny island."""
_MANY_ISLANDS: Final = 10
"""Number of tiny islands from which they are reported; expert labels contain a few."""
_BARE_SHARE: Final = 0.5
"""Fraction of the enhancing tumour's surface not adjoining other tumour above which it is reported."""
_ENOUGH_VOXELS: Final = 100
"""Minimum number of label voxels for comparing the label's position with the image."""
_FLIP_GAIN: Final = 0.2
"""How much better a mirrored label must fit the image (in standard deviations of the head) to be reported.

None of the 125 labels fits better mirrored; if these labels are mirrored, 95 to 98 % are detected, depending on axis.
"""
_TISSUE: Final = 0.08


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding of a check in a case.

    Parameters
    ----------
    case : str
        Id of the case.
    check : str
        Name of the check, such as `"flip"`.
    severity : {"ok", "warning", "error"}
        An error makes the case unfit for training; a warning should be looked at by a person.
    problem, todo : str
        What was found, and what to do; `todo` is empty if there is no problem.
    """

    case: str
    check: str
    severity: Severity
    problem: str
    todo: str = ""


def check_dataset(dataset: CuratedDataset, cases: Collection[str] | None = None) -> Job[tuple[Finding, ...]]:
    """Check cases, as a job; a case without a problem gets one finding of severity `"ok"`.

    Parameters
    ----------
    dataset : CuratedDataset
        Data set to check; it is not changed.
    cases : collection of str, optional
        Ids of the cases to check; by default all.

    Raises
    ------
    CaseNotFoundError
        If there is no case with one of the ids.
    """
    records = dataset.index.cases if cases is None else tuple(dataset.case(case) for case in cases)
    findings: list[Finding] = []
    for number, record in enumerate(records):
        yield Progress(number, len(records), record.id)
        findings += _check_record(dataset, record) or [Finding(record.id, "all", "ok", "no problem")]
    yield Progress(len(records), len(records))
    return tuple(findings)


def _check_record(dataset: CuratedDataset, record: CaseRecord) -> list[Finding]:
    missing = [f for f in (record.image, record.label.file) if not (dataset.folder / f).is_file()]
    if missing:
        text = f"{' and '.join(missing)} missing"
        return [Finding(record.id, "files", "error", text, "restore the files, or remove the case")]
    try:
        study, truth = dataset.study(record.id), dataset.truth(record.id)
    except (BrainTumorError, OSError) as error:
        return [Finding(record.id, "files", "error", str(error), "restore the original, or remove the case")]
    return list(check_case(record, study, truth))


def check_case(record: CaseRecord, study: Study, truth: Truth) -> tuple[Finding, ...]:
    """Return the findings in an opened case, leaving out those that are `"ok"`.

    Parameters
    ----------
    record : CaseRecord
        Record of the case in the index.
    study : Study
        Sequences of the case, each `(X, Y, Z)`.
    truth : Truth
        Label of the case, on the same grid.
    """
    if not truth.segmentation.grid.same_place(study.grid):
        text = f"the label lies on {truth.segmentation.grid.describe()}, the scan on {study.grid.describe()}"
        return (Finding(record.id, "grid", "error", text, "relabel the case with a label on the scan's grid"),)
    case = _Case(record, study, truth, _head(study))
    return tuple(Finding(record.id, *text_and_fix) for check in _CHECKS for text_and_fix in check(case))


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    record: CaseRecord
    study: Study
    truth: Truth
    head: Mask

    @property
    def classes(self) -> Array:
        """The package's classes where they are known, otherwise 0."""
        return np.where(self.truth.known, self.truth.segmentation.data, np.uint8(0))

    @property
    def tumour(self) -> Mask:
        classes = self.classes
        marked: Mask = (classes > 0) & (classes != RESECTION_CAVITY)
        return marked


_Findings = Iterator[tuple[str, Severity, str, str]]


def _check_hashes(case: _Case) -> _Findings:
    for role, array in case.study.sequences.items():
        if voxels_sha256(array) != case.record.sequences[role].sha256:
            todo = "restore the original, or remove the case"
            yield "hash", "error", f"{role} in {case.record.image} is not the image that was added", todo


def _check_values(case: _Case) -> _Findings:
    counts = np.bincount(case.truth.segmentation.data.ravel())
    strange = [int(v) for v in np.flatnonzero(counts) if v > RESECTION_CAVITY]
    if strange:
        yield "values", "error", f"the label holds {strange}", "relabel with 1 edema, 2 non-enhancing, 3 enhancing"
    if case.record.label.known_regions == ("WT",) and counts[NON_ENHANCING:].any():
        text = "the label is declared to mark only the whole tumour, but it holds inner classes"
        yield "regions", "error", text, "relabel it with the right schema"
    if not case.record.label.known_regions:
        yield "regions", "error", "the label marks no region", "relabel it"


def _check_empty(case: _Case) -> _Findings:
    if not case.classes.any():
        yield "empty", "warning", "nothing is marked", "accept it only if there is no tumour, else mark it"


def _check_nesting(case: _Case) -> _Findings:
    """Check that enhancing tumour does not lie bare in healthy tissue; nesting itself follows from the classes."""
    enhancing = case.classes == ENHANCING
    count = int(enhancing.sum())
    if count < _ENOUGH_VOXELS or "WT" not in case.record.label.known_regions:
        return
    shell = ndimage.binary_dilation(enhancing) & ~enhancing & case.head
    bare = float((case.classes[shell] == 0).mean()) if shell.any() else 0.0
    if bare > _BARE_SHARE:
        text = f"{bare:.0%} of what surrounds the enhancing tumour is not tumour"
        yield "nesting", "warning", text, "check the schema: enhancing lies within core and edema"


def _check_outside(case: _Case) -> _Findings:
    tumour = case.tumour
    if tumour.any():
        share = float((tumour & ~case.head).sum() / tumour.sum())
        if share > _OUTSIDE_SHARE:
            text = f"{share:.0%} of the label lies outside the head"
            yield "outside", "warning", text, "check that label and scan belong together and are not shifted"


def _check_islands(case: _Case) -> _Findings:
    parts, count = ndimage.label(case.tumour, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    tiny = int((sizes <= _TINY_VOXELS).sum())
    if count > 1 and tiny >= _MANY_ISLANDS:
        text = f"{tiny} of {count} islands have {_TINY_VOXELS} voxels or less"
        yield "islands", "warning", text, "check them, and remove those that are not tumour"


def _check_flips(case: _Case) -> _Findings:
    tumour, box = case.tumour, bounding_box(case.head)
    if box is None or int(tumour.sum()) < _ENOUGH_VOXELS:
        return
    inside = tumour[box.slices]
    bright = _brightness(case)[box.slices]
    head = case.head[box.slices]
    score = _fit(bright, inside, head)
    gains = {axis: _fit(bright, np.flip(inside, axis), head) - score for axis in range(3)}
    axis = max(gains, key=lambda a: gains[a])
    if gains[axis] > _FLIP_GAIN:
        text = f"the label fits the image better when it is mirrored along axis {axis} ({_direction(case, axis)})"
        yield "flip", "warning", text, "compare label and scan; if it is mirrored, export the label again"


def _brightness(case: _Case) -> Array:
    """Return an image in which tumour is likely to be bright, in standard deviations of the head.

    This is FLAIR or T2, otherwise T1c minus T1, otherwise T1c, otherwise inverted T1.
    """
    sequences = case.study.sequences
    best: tuple[Role, ...] = ("FLAIR", "T2")
    for role in best:
        if role in sequences:
            return _standardised(sequences[role], case.head)
    if "T1c" in sequences:
        after = _standardised(sequences["T1c"], case.head)
        return after - _standardised(sequences["T1"], case.head) if "T1" in sequences else after
    return -_standardised(sequences["T1"], case.head)


def _standardised(array: Array, head: Mask) -> Array:
    inside = array[head].astype(np.float32)
    scaled: Array = (array.astype(np.float32) - inside.mean()) / (float(inside.std()) or 1.0)
    return scaled


def _fit(bright: Array, label: Mask, head: Mask) -> float:
    """Return the mean brightness in the label; voxels outside the head count as dark."""
    return float(np.where(head, bright, -1.0)[label].mean())


def _direction(case: _Case, axis: int) -> str:
    names = {"R": "left-right", "L": "left-right", "A": "front-back", "P": "front-back"}
    return names.get(case.study.grid.axis_codes[axis], "up-down")


def _check_repeats(case: _Case) -> _Findings:
    roles = case.record.roles
    for number, role in enumerate(roles):
        for other in roles[:number]:
            first, second = case.study.sequences[role], case.study.sequences[other]
            if same_picture(first, second, case.head):
                todo = "add the case again with the right files, or without the one that is repeated"
                yield "repeats", "error", f"{role} and {other} are the same image", todo


def _check_spacing(case: _Case) -> _Findings:
    box, grid = bounding_box(case.head), case.study.grid
    if grid.unit != "mm" or box is None:
        return
    sides = [voxels * mm for voxels, mm in zip(box.shape, grid.spacing_mm, strict=True)]
    if not is_size_of_a_head(sides):
        text = f"with its spacing the head measures {' x '.join(f'{side:.0f}' for side in sides)} mm"
        yield "spacing", "warning", text, "check the spacing, or whether only part of the head was scanned"


def _head(study: Study) -> Mask:
    """Return voxels that differ from the background in any sequence, with holes filled slice by slice."""
    head = np.zeros(study.grid.shape, dtype=bool)
    for array in study.sequences.values():
        bright = float(np.percentile(array[::3, ::3, ::3], 99))
        low = float(array.min())
        head |= array > low + _TISSUE * (bright - low)
    head = ndimage.binary_opening(head) if min(head.shape) > 2 else head
    return np.stack([ndimage.binary_fill_holes(head[..., k]) for k in range(head.shape[2])], axis=2)


_CHECKS: Final[tuple[Callable[[_Case], _Findings], ...]] = (
    _check_hashes,
    _check_values,
    _check_empty,
    _check_nesting,
    _check_outside,
    _check_islands,
    _check_flips,
    _check_repeats,
    _check_spacing,
)
