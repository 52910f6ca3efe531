"""Arrange slices into a stack, after checking their number, orientation and positions, and make their grid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import BrainTumorError, UnreadableFileError
from napari_brain_tumor.geometry import Grid, LengthUnit
from napari_brain_tumor.io.dicom.frames import Frame, file_names

Vector = npt.NDArray[np.float64]

_SAME_PLACE_MM: Final = 0.01
_UNEVEN: Final = 0.1
"""Maximum relative deviation of a step from the usual step, to allow for rounding; a missing slice gives 1."""
_ROUNDING_MM: Final = 0.11
"""Differences between steps that are due to positions rounded to a tenth of a millimetre."""
_WORTH_TELLING: Final = 0.02
_STRAIGHT_MM: Final = 0.1
"""Maximum sideways drift over a whole stack for it to count as straight."""
_TILT_WORTH_TELLING_MM: Final = 0.5
_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices in order along their grid.

    Parameters
    ----------
    frames : tuple of Frame
        From the first to the last slice.
    grid : Grid
        Grid in world RAS; unit `"voxel"` if the headers do not state the positions of the slices.
    step : float or None
        Distance between adjacent slices in mm, perpendicular to them.
    """

    frames: tuple[Frame, ...]
    grid: Grid
    step: float | None
    notes: tuple[str, ...] = ()


def arrange(frames: Sequence[Frame], name: str) -> Stack:
    """Sort the slices of one stack by position, and make their grid.

    Parameters
    ----------
    frames : sequence of Frame
        Frames of one stack: with the same size, orientation and pixel spacing, no two at the same position.
    name : str
        Name of the series, for messages.

    Raises
    ------
    UnreadableFileError
        If slices are missing, unevenly spaced or cannot be ordered; the message says where.
    """
    try:
        if any(not _is_placed(frame) for frame in frames):
            return _in_voxels(frames, name)
        return _one_slice(frames[0]) if len(frames) == 1 else _by_position(frames, name)
    except BrainTumorError as error:
        if isinstance(error, UnreadableFileError):
            raise
        raise UnreadableFileError(f"{name} has a damaged header: {error}") from error


def is_regular(frames: Sequence[Frame]) -> bool:
    """Whether the slices form one regular stack, with no two at the same position."""
    try:
        return all(map(_is_placed, frames)) and arrange(frames, "").step is not None
    except UnreadableFileError:
        return False


def normal_of(frame: Frame) -> Vector | None:
    """Return the direction perpendicular to a slice, in LPS; None if the header states no orientation."""
    if frame.orientation is None:
        return None
    row, column = np.asarray(frame.orientation[0]), np.asarray(frame.orientation[1])
    normal: Vector = np.cross(row, column)
    return normal / float(np.linalg.norm(normal))


def same_place_mm(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group the slices by position along their normal; returns one list per position, in order.

    All slices need a position and must share one orientation.
    """
    heights = heights_along_normal(frames)
    groups: list[list[Frame]] = []
    last = -np.inf
    for at in np.argsort(heights, kind="stable"):
        if heights[at] - last > _SAME_PLACE_MM:
            groups.append([])
        groups[-1].append(frames[at])
        last = heights[at]
    return groups


def _is_placed(frame: Frame) -> bool:
    return frame.position is not None and frame.orientation is not None and frame.pixel_spacing is not None


def heights_along_normal(frames: Sequence[Frame]) -> Vector:
    """Return each slice's position along the normal of the first; all need a position and orientation."""
    normal = normal_of(frames[0])
    assert normal is not None
    heights: Vector = np.array([frame.position for frame in frames], dtype=np.float64) @ normal
    return heights


def _grid(frames: Sequence[Frame], step: Vector, origin: Any, unit: LengthUnit = "mm") -> Grid:
    """Return the grid of slices; `step` is the vector from one to the next, in LPS."""
    first = frames[0]
    rows, columns = first.pixel_spacing if first.pixel_spacing is not None and unit == "mm" else (1.0, 1.0)
    along_row, along_column = first.orientation or ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(along_row) * columns
    affine[:3, 1] = np.asarray(along_column) * rows
    affine[:3, 2] = step
    affine[:3, 3] = origin
    return Grid((first.store.columns, first.store.rows, len(frames)), _LPS_TO_RAS @ affine, unit)


# With positions -----------------------------------------------------------------------------------------------------


def _by_position(frames: Sequence[Frame], name: str) -> Stack:
    heights = heights_along_normal(frames)
    order = np.argsort(heights, kind="stable")
    ordered = tuple(frames[at] for at in order)
    heights = heights[order]
    positions = np.array([frame.position for frame in ordered], dtype=np.float64)
    _check_distinct(ordered, heights, name)
    _check_steps(ordered, heights, name)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    _check_on_a_line(ordered, positions, heights, step, name)
    normal = normal_of(ordered[0])
    assert normal is not None
    straight = normal * float(step @ normal)
    drift = float(np.linalg.norm(step - straight)) * (len(ordered) - 1)
    distance = float(step @ normal)
    notes = [*_step_notes(ordered, heights, distance), *_tilt_notes(name, step, straight, drift)]
    notes += _count_notes(ordered, name)
    grid = _grid(ordered, straight if drift <= _STRAIGHT_MM else step, positions[0])
    return Stack(ordered, grid, distance, tuple(notes))


def _check_distinct(frames: Sequence[Frame], heights: Vector, name: str) -> None:
    same = np.flatnonzero(np.diff(heights) <= _SAME_PLACE_MM)
    if same.size == 0:
        return
    at = int(same[0])
    raise UnreadableFileError(
        f"{name} has different slices at one position: {frames[at].name} and {frames[at + 1].name} both lie at "
        f"{heights[at]:.4g} mm along the stack, and so do the slices of {same.size} position"
        f"{'s'[: same.size != 1]} in all. Nothing in their headers (echo, time, acquisition) tells them apart. Export "
        "the series again, or keep one slice of each position."
    )


def _check_steps(frames: Sequence[Frame], heights: Vector, name: str) -> None:
    steps = np.diff(heights)
    usual = float(np.median(steps))
    odd = np.flatnonzero(np.abs(steps - usual) > max(_UNEVEN * usual, min(_ROUNDING_MM, usual / 2)))
    if odd.size == 0:
        return
    wide = [int(at) for at in odd if steps[at] > 1.5 * usual]
    missing = sum(round(steps[at] / usual) - 1 for at in wide)
    places = "; ".join(_gap(frames, heights, int(at)) for at in odd[:4])
    more = f"; and {odd.size - 4} more" if odd.size > 4 else ""
    what = f"about {missing} slice{'s'[: missing != 1]} missing" if missing else "an uneven step"
    raise UnreadableFileError(
        f"{name} has {what}: its {len(frames)} slices lie {usual:.4g} mm apart, but {places}{more}. A volume measured "
        "on it would be wrong. Export the whole series again."
    )


def _gap(frames: Sequence[Frame], heights: Vector, at: int) -> str:
    return (
        f"{heights[at + 1] - heights[at]:.4g} mm between {heights[at]:.4g} mm ({frames[at].name}) and "
        f"{heights[at + 1]:.4g} mm ({frames[at + 1].name})"
    )


def _check_on_a_line(frames: Sequence[Frame], positions: Vector, heights: Vector, step: Vector, name: str) -> None:
    """Check that every slice lies where a regular grid requires, including sideways."""
    expected = positions[0] + np.arange(len(frames))[:, np.newaxis] * step
    away = np.linalg.norm(positions - expected, axis=1)
    usual = float(np.median(np.diff(heights)))
    worst = int(away.argmax())
    if away[worst] <= max(_UNEVEN * usual, _ROUNDING_MM):
        return
    raise UnreadableFileError(
        f"{name} is not a regular stack: the slice {frames[worst].name} at {heights[worst]:.4g} mm lies "
        f"{away[worst]:.3g} mm from where even steps from {heights[0]:.4g} mm to {heights[-1]:.4g} mm would "
        "have it. Export the series again."
    )


def _step_notes(frames: Sequence[Frame], heights: Vector, distance: float) -> list[str]:
    notes = []
    spread = float(np.abs(np.diff(heights) - distance).max())
    if spread > _WORTH_TELLING * distance:
        notes.append(f"The steps between slices differ by up to {spread:.2g} mm; the mean, {distance:.4g} mm, is used.")
    stated = frames[0].slice_spacing
    if stated is not None and abs(stated - distance) > max(0.05 * distance, _ROUNDING_MM):
        notes.append(
            f"The header states {stated:.4g} mm between slices, their positions {distance:.4g} mm: positions are used."
        )
    return notes


def _tilt_notes(name: str, step: Vector, straight: Vector, drift: float) -> list[str]:
    if drift <= _TILT_WORTH_TELLING_MM:
        return []
    angle = np.degrees(np.arccos(np.clip(np.linalg.norm(straight) / np.linalg.norm(step), -1, 1)))
    return [
        f"{name} is a tilted stack: each slice is shifted sideways against the one before, {angle:.1f} degrees in all. "
        "Its grid keeps that shear, so every voxel lies where it was scanned."
    ]


def _count_notes(frames: Sequence[Frame], name: str) -> list[str]:
    counts = {frame.facts.images_in_acquisition for frame in frames}
    promised = counts.pop() if len(counts) == 1 else None
    one_acquisition = len({frame.acquisition for frame in frames}) == 1
    if promised is None or not one_acquisition or promised <= len(frames):
        return []
    return [f"{name}: the header states {promised} images in this acquisition, this stack has {len(frames)}."]


def _one_slice(frame: Frame) -> Stack:
    thick = frame.thickness or frame.slice_spacing
    if thick is None:
        note = "A single slice whose header does not state its thickness: sizes are in voxels."
        return Stack((frame,), _grid((frame,), _unit_step(frame), (0, 0, 0), "voxel"), None, (note,))
    normal = normal_of(frame)
    assert normal is not None
    note = f"A single slice: its thickness of {thick:.4g} mm is taken as the size of its voxels."
    return Stack((frame,), _grid((frame,), normal * thick, frame.position), thick, (note,))


def _unit_step(frame: Frame) -> Vector:
    normal = normal_of(frame)
    return np.array([0.0, 0.0, 1.0]) if normal is None else normal


# Without positions --------------------------------------------------------------------------------------------------


def _in_voxels(frames: Sequence[Frame], name: str) -> Stack:
    ordered, how = _by_number(frames, name)
    lacking = [
        what
        for what, values in (
            ("position", [frame.position for frame in frames]),
            ("orientation", [frame.orientation for frame in frames]),
            ("pixel spacing", [frame.pixel_spacing for frame in frames]),
        )
        if any(value is None for value in values)
    ]
    notes = [
        f"The headers of {name} do not state the {' and '.join(lacking)} of the slices: sizes are in voxels until "
        f"spacing_mm=(x, y, z) is given, and the slices are in the order of their {how}."
    ]
    if "orientation" in lacking:
        notes.append(f"The orientation of {name} is assumed (axial, the patient on the back): check left and right.")
    grid = _grid(ordered, _unit_step(ordered[0]), (0, 0, 0), "voxel")
    return Stack(tuple(ordered), grid, None, tuple(notes))


def _by_number(frames: Sequence[Frame], name: str) -> tuple[list[Frame], str]:
    if len(frames) == 1:
        return list(frames), "number"
    if len({frame.facts.file for frame in frames}) == 1:
        return sorted(frames, key=lambda frame: frame.index), "place in the file"
    locations = [frame.location for frame in frames if frame.location is not None]
    if _all_differ(locations, frames):
        order = np.argsort(locations, kind="stable")
        ordered = [frames[at] for at in order]
        _check_steps(ordered, np.asarray(locations)[order], name)
        return ordered, "slice locations"
    numbers = [frame.instance for frame in frames if frame.instance is not None]
    if _all_differ(numbers, frames):
        ordered = [frames[at] for at in np.argsort(numbers, kind="stable")]
        _check_numbers(ordered, name)
        return ordered, "instance numbers"
    raise UnreadableFileError(
        f"{name} has {len(frames)} slices ({file_names(list(frames))}) and neither positions nor numbers to order them "
        "by. Export the series again."
    )


def _all_differ(values: Iterable[float], frames: Sequence[Frame]) -> bool:
    return len(set(values)) == len(frames)


def _check_numbers(frames: Sequence[Frame], name: str) -> None:
    """Check that numbers of slices without positions are evenly spaced; otherwise slices are missing."""
    numbers = [frame.instance or 0 for frame in frames]
    steps = np.diff(numbers)
    usual = int(np.median(steps))
    odd = np.flatnonzero(steps != usual)
    if odd.size == 0:
        return
    at = int(odd[0])
    raise UnreadableFileError(
        f"{name} seems to lack slices: its instance numbers run in steps of {usual}, but jump from {numbers[at]} "
        f"({frames[at].name}) to {numbers[at + 1]} ({frames[at + 1].name}), and there are no positions to check. "
        "Export the whole series again."
    )
