"""Find the DICOM series that labels belong to, from their record or as given by the user, and compare the grids."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_brain_tumor.errors import BrainTumorError, SourceSeriesError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.dicom.contents import contents_of, series_of_source
from napari_brain_tumor.io.dicom.series import Series
from napari_brain_tumor.io.dicom.stack import Stack, arrange
from napari_brain_tumor.study import Role, Segmentation
from napari_brain_tumor.types import Labels

_TOLERANCE: Final = 0.1
"""Tolerance for the corners of the labels' grid relative to the series, as a fraction of the smallest voxel side."""
_PREFERRED: Final[tuple[Role | None, ...]] = ("T1c", "FLAIR", "T2", "T1", None)
"""Order of preference among series on the same grid: sequences that show most of the tumour come first."""
_HOW: Final = (
    "Name the folder of the series that the labels lie on: --source FOLDER in the shell, source=FOLDER in Python."
)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A series, and labels on its grid.

    Parameters
    ----------
    stack : Stack
        The series' slices in order.
    labels : (X, Y, Z) uint8 array
        Labels in the order of the stack's columns, rows and slices.
    """

    series: Series
    stack: Stack
    labels: Labels


def reference_at(segmentation: Segmentation, place: Path) -> Reference:
    """Return the series on the labels' grid among those below a folder, or that a file is part of.

    Raises
    ------
    SourceSeriesError
        If there is none; the message lists the grids.
    """
    try:
        series = contents_of(place).series
    except (BrainTumorError, OSError) as error:
        raise SourceSeriesError(f"{place} holds no DICOM series that labels could refer to: {error}") from error
    if not series:
        raise SourceSeriesError(f"{place} holds no DICOM series. {_HOW}")
    return _fitting(segmentation, series, str(place))


def reference_in(segmentation: Segmentation, provenance: Mapping[str, Any], folder: Path) -> Reference:
    """Return the series named in the labels' record.

    Parameters
    ----------
    provenance : mapping
        Provenance of the labels; `inputs` says where the scans were read from.
    folder : Path
        Folder to which relative paths refer.

    Raises
    ------
    SourceSeriesError
        If the labels do not come from DICOM, their scans no longer exist, or have another grid.
    """
    series_keys = list(_named_series(provenance))
    if not series_keys:
        raise SourceSeriesError(
            f"The labels of {segmentation.name} do not come from a DICOM series, according to their record, and a "
            f"DICOM object has to refer to the images that it lies on. {_HOW}"
        )
    candidates: list[Series] = []
    for path, key in series_keys:
        place = path if path.is_absolute() else folder / path
        candidates += _series_at(place, key)
    if not candidates:
        places = ", ".join(dict.fromkeys(str(path) for path, _ in series_keys))
        msg = f"The DICOM series that {segmentation.name} comes from is no longer at {places}. {_HOW}"
        raise SourceSeriesError(msg)
    return _fitting(
        segmentation, candidates, ", ".join(dict.fromkeys(str(candidate.folder) for candidate in candidates))
    )


def _named_series(provenance: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the series that labels were resampled back to, if any, else the series segmented without resampling."""
    restored, inputs, resampled = (provenance.get(key) or {} for key in ("restored", "inputs", "resampled"))
    if isinstance(restored, Mapping) and isinstance(restored.get("source"), Mapping):
        entries = [restored["source"]]
    elif isinstance(inputs, Mapping):
        ordered = sorted(inputs, key=lambda role: _PREFERRED.index(role) if role in _PREFERRED else len(_PREFERRED))
        entries = [inputs[role] for role in ordered if role not in resampled]
    else:
        entries = []
    for entry in entries:
        if isinstance(entry, Mapping) and entry.get("path") and entry.get("series"):
            yield Path(str(entry["path"])), str(entry["series"])


def _series_at(place: Path, key: str) -> tuple[Series, ...]:
    try:
        return series_of_source(place, key) if place.exists() else ()
    except (BrainTumorError, OSError):
        return ()


def _fitting(segmentation: Segmentation, series: Sequence[Series], where: str) -> Reference:
    reasons = []
    ordered = sorted(series, key=lambda candidate: _PREFERRED.index(candidate.role))
    for candidate in ordered:
        if candidate.problem:
            reasons.append(f"{candidate.title}: {candidate.problem}")
            continue
        stack = arrange(candidate.content.frames, candidate.title)
        if not candidate.content.frames[0].facts.frame_of_reference:
            reasons.append(f"{candidate.title} has no frame of reference, so nothing can be placed relative to it")
            continue
        labels, reason = _labels_on(stack.grid, segmentation)
        if labels is not None:
            return Reference(candidate, stack, labels)
        reasons.append(f"{candidate.title} {reason}")
    raise SourceSeriesError(
        f"The labels of {segmentation.name} ({segmentation.grid.describe()}) lie on none of the DICOM series at {where}"
        f": {'; '.join(reasons)}. A DICOM object needs the grid of a series: segment that series itself, or name the "
        "right one with --source FOLDER (source=FOLDER)."
    )


def _labels_on(grid: Grid, segmentation: Segmentation) -> tuple[Labels | None, str]:
    """Return the labels with their axes reordered to match the grid if the voxels coincide, otherwise the reason."""
    own = segmentation.grid
    if "voxel" in (grid.unit, own.unit):
        return None, "or the labels have no known voxel size"
    step = np.linalg.inv(own.affine) @ grid.affine
    turn = np.rint(step[:3, :3]).astype(int)
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None, f"has other voxels ({grid.describe()})"
    axes = tuple(int(np.flatnonzero(column)[0]) for column in turn.T)
    if tuple(own.shape[axis] for axis in axes) != grid.shape:
        return None, f"has another size ({grid.describe()})"
    flips = tuple(turn[axis, at] < 0 for at, axis in enumerate(axes))
    labels = segmentation.data.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    away = _farthest_corner(grid, own, axes, flips)
    if away > _TOLERANCE * min(own.spacing):
        return None, f"lies up to {away:.3g} mm beside them ({grid.describe()})"
    return np.ascontiguousarray(labels), ""


def _farthest_corner(grid: Grid, own: Grid, axes: Sequence[int], flips: Sequence[bool]) -> float:
    """Return the distance in mm between corner voxels of the grid and of the labels after reordering the axes."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T
    turned = np.empty_like(corners)
    for at, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        turned[:, axis] = grid.shape[at] - 1 - corners[:, at] if flip else corners[:, at]
    return float(np.linalg.norm(grid.world(corners) - own.world(turned), axis=1).max())
