"""Is a data set fit to learn from? Findings in plain words: what was found, and what to do.

Thresholds were set on 37 gliomas (BraTS) and 88 patients of the Kaggle LGG set, which experts have labelled.
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
"""Share of a label outside the head from which it is told."""
_TINY_VOXELS: Final = 4
"""Voxels up to which an island is tiny."""
_MANY_ISLANDS: Final = 10
"""Tiny islands from which they are told; experts leave a few."""
_BARE_SHARE: Final = 0.5
"""Share of the enhancing tumour's surface without other tumour around it, from which that is told."""
_ENOUGH_VOXELS: Final = 100
"""Voxels of a label from which its place can be compared with the picture."""
_FLIP_GAIN: Final = 0.2
"""How much better a mirrored label must fit the picture (in standard deviations of the head) to be told.

Of the 125 labels none fits better mirrored; of the same labels mirrored 95 to 98 % are found, by axis.
"""
_TISSUE: Final = 0.08


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found in a case.

    Parameters
    ----------
    case : str
        Id.
    check : str
        Name of the check, such as `"flip"`.
    severity : {"ok", "warning", "error"}
        An error makes the case unfit; a warning is for a person to look at.
    problem, todo : str
        What was found, and what to do; `todo` is empty where all is well.
    """

    case: str
    check: str
    severity: Severity
    problem: str
    todo: str = ""


def check_dataset(dataset: CuratedDataset, cases: Collection[str] | None = None) -> Job[tuple[Finding, ...]]:
    """A job that checks cases; a case without a problem has one finding of severity `"ok"`.

    Parameters
    ----------
    dataset : CuratedDataset
        Is not changed.
    cases : collection of str, optional
        Ids; all if not given.

    Raises
    ------
    CaseNotFoundError
        If there is no case of such an id.
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
    """The findings in an opened case that are not `"ok"`.

    Parameters
    ----------
    record : CaseRecord
        What the index tells.
    study : Study
        Its sequences, `(X, Y, Z)` each.
    truth : Truth
        Its label, on the same grid.
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
        """Our classes where they are known, else 0."""
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
    """Classes are nested by their meaning; what can be seen is enhancing tumour that lies bare in healthy tissue."""
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
    """Where tumour is likely to be bright, in standard deviations of the head.

    FLAIR or T2, else what contrast adds to T1, else T1 after contrast, else T1 turned to dark.
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
    """Mean brightness in the label; what lies outside the head counts as dark."""
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
    """What differs from the background in any sequence, with its holes filled slice by slice."""
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
