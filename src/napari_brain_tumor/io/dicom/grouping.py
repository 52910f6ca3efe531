"""Split the frames of a series into separate stacks: by plane, echo, image type and repeated measurement."""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from napari_brain_tumor.io.dicom.frames import Frame
from napari_brain_tumor.io.dicom.stack import heights_along_normal, is_regular, same_place_mm

Key = Callable[[Frame], Hashable]

_SAME_DIRECTION: Final = 1e-3
"""Maximum difference of direction cosines within a stack (0.06 degrees), to allow for rounding in headers."""
_SAME_SPACING: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Part:
    """Frames of one stack, and further frames at the same positions that headers do not distinguish.

    Parameters
    ----------
    frames : tuple of Frame
        One for each position.
    twins : tuple of (Frame, Frame)
        A frame of the stack and another at the same position: either a copy or a different slice, which only the
        pixels reveal.
    """

    frames: tuple[Frame, ...]
    twins: tuple[tuple[Frame, Frame], ...] = ()


def split(frames: Sequence[Frame]) -> list[Part]:
    """Split the frames of a series into stacks, sorted by acquisition time.

    Frames of different size, orientation or pixel spacing are always separated. Different image types, echoes and
    frames of reference are separated unless all slices together form one regular stack. Repeated measurements (time,
    acquisition, diffusion, inversion) are separated if positions repeat.
    """
    parts = [part for plane in _planes(frames) for part in _by_kind(plane)]
    return sorted(parts, key=_order)


def _order(part: Part) -> tuple[int, str, int, str]:
    first = min(part.frames, key=lambda frame: (frame.instance or 0, frame.index, str(frame.facts.file)))
    return first.instance or 0, str(first.facts.file), first.index, first.facts.sop_uid


# Planes -------------------------------------------------------------------------------------------------------------


def _planes(frames: Sequence[Frame]) -> list[list[Frame]]:
    groups = _grouped(frames, _size)
    for alike in (_same_orientation, _same_spacing):
        groups = [cluster for group in groups for cluster in _clusters(group, alike)]
    return groups


def _size(frame: Frame) -> Hashable:
    store = frame.store
    placed = frame.position is not None
    return store.rows, store.columns, store.inverted, frame.stack, placed


def _same_orientation(first: Frame, second: Frame) -> bool:
    if first.orientation is None or second.orientation is None or first.orientation == second.orientation:
        return first.orientation == second.orientation
    return float(np.abs(np.subtract(first.orientation, second.orientation)).max()) <= _SAME_DIRECTION


def _same_spacing(first: Frame, second: Frame) -> bool:
    if first.pixel_spacing is None or second.pixel_spacing is None:
        return first.pixel_spacing == second.pixel_spacing
    return bool(np.allclose(first.pixel_spacing, second.pixel_spacing, rtol=_SAME_SPACING, atol=0))


def _clusters(frames: Sequence[Frame], alike: Callable[[Frame, Frame], bool]) -> list[list[Frame]]:
    clusters: list[list[Frame]] = []
    for frame in frames:
        home = next((cluster for cluster in clusters if alike(cluster[0], frame)), None)
        if home is None:
            clusters.append([frame])
        else:
            home.append(frame)
    return clusters


def _grouped(frames: Sequence[Frame], key: Key) -> list[list[Frame]]:
    groups: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return list(groups.values())


# Kinds and repeats --------------------------------------------------------------------------------------------------


def _echo(frame: Frame) -> Hashable:
    return frame.echo, None if frame.echo_time is None else round(frame.echo_time, 2)


def _image_type(frame: Frame) -> Hashable:
    return frame.image_type


def _frame_of_reference(frame: Frame) -> Hashable:
    return frame.facts.frame_of_reference


_KINDS: Final[tuple[Key, ...]] = (_image_type, _echo, _frame_of_reference)
_REPEATS: Final[tuple[Key, ...]] = (
    lambda frame: frame.inversion_time,
    lambda frame: frame.b_value,
    lambda frame: frame.gradient,
    lambda frame: frame.temporal,
    lambda frame: frame.trigger_time,
    lambda frame: frame.acquisition,
    lambda frame: frame.other_indices,
    lambda frame: frame.facts.contrast_agent,
    lambda frame: frame.repetition_time,
    lambda frame: frame.facts.description,
    lambda frame: frame.facts.series_number,
    lambda frame: frame.acquired,
)
_IN_TIME: Final[tuple[Callable[[Frame], float | None], ...]] = (
    lambda frame: frame.acquisition,
    lambda frame: _moment(frame.acquired),
)
"""Values that increase from one measurement of a whole stack to the next."""


def _by_kind(frames: list[Frame]) -> list[Part]:
    groups = [frames]
    for key in _KINDS:
        groups = [part for group in groups for part in _unless_one_stack(group, key)]
    return [part for group in groups for part in _by_repeat(group)]


def _unless_one_stack(frames: list[Frame], key: Key) -> list[list[Frame]]:
    parts = _grouped(frames, key)
    return [frames] if len(parts) > 1 and is_regular(frames) and _interleaved(parts) else parts


def _interleaved(parts: Sequence[list[Frame]]) -> bool:
    """Whether the parts overlap along the stack; slices that merely lie beside a stack do not belong to it."""
    heights = [heights_along_normal([parts[0][0], *part])[1:] for part in parts]
    spans = sorted((float(part.min()), float(part.max())) for part in heights)
    return all(before[1] > after[0] for before, after in pairwise(spans))


def _by_repeat(frames: list[Frame]) -> list[Part]:
    """Return parts without two frames at one position, as far as the headers distinguish them."""
    if any(frame.position is None or frame.orientation is None for frame in frames):
        return _without_positions(frames)
    places, twins = _without_twins(same_place_mm(frames))
    most = max(map(len, places))
    if most == 1 or len(places) == 1:
        return [_part([frame for place in places for frame in place], twins)]
    distinct = [frame for place in places for frame in place]
    groups = _split_by_values(distinct, most) or _in_rounds(places, most)
    if groups is None:
        finer = _first_split(distinct)
        return [_part(distinct, twins)] if finer is None else _finer(finer, twins)
    return [_part(group, twins) for group in groups]


def _part(frames: Sequence[Frame], twins: Sequence[tuple[Frame, Frame]]) -> Part:
    members = set(map(id, frames))
    return Part(tuple(frames), tuple(pair for pair in twins if id(pair[0]) in members))


def _finer(groups: Sequence[list[Frame]], twins: Sequence[tuple[Frame, Frame]]) -> list[Part]:
    parts = [part for group in groups for part in _by_repeat(group)]
    return [_part(part.frames, (*twins, *part.twins)) for part in parts]


def _without_twins(places: list[list[Frame]]) -> tuple[list[list[Frame]], list[tuple[Frame, Frame]]]:
    """Keep one of the frames at each position that the headers do not distinguish; also return the pairs."""
    distinct, twins = [], []
    for place in places:
        different: dict[Hashable, Frame] = {}
        objects: dict[Hashable, Frame] = {}
        for frame in sorted(place, key=lambda f: (f.instance or 0, str(f.facts.file), f.index)):
            same_object = objects.get(_object(frame))
            first = same_object or different.setdefault(_all_keys(frame), frame)
            objects[_object(frame)] = first
            if first is not frame:
                twins.append((first, frame))
        distinct.append(list(different.values()))
    return distinct, twins


def _object(frame: Frame) -> Hashable:
    return frame.facts.sop_uid or str(frame.facts.file), frame.index


def _all_keys(frame: Frame) -> Hashable:
    return tuple(key(frame) for key in (*_KINDS, *_REPEATS))


def _split_by_values(frames: Sequence[Frame], most: int) -> list[list[Frame]] | None:
    """Split by the first tag that leaves no two frames at one position, into as few parts as possible."""
    for key in _REPEATS:
        groups = _grouped(frames, key)
        if len(groups) == most and all(len(same_place_mm(group)) == len(group) for group in groups):
            return groups
    return None


def _in_rounds(places: list[list[Frame]], most: int) -> list[list[Frame]] | None:
    """Split into the first, second ... measurement of every position, if each round ended before the next began."""
    if any(len(place) != most for place in places):
        return None
    for time in _IN_TIME:
        times = {id(frame): time(frame) for place in places for frame in place}
        known = {key: value for key, value in times.items() if value is not None}
        if len(known) < len(times):
            continue
        ordered = [sorted(place, key=lambda frame: known[id(frame)]) for place in places]
        rounds = [[place[at] for place in ordered] for at in range(most)]
        spans = [[known[id(frame)] for frame in members] for members in rounds]
        if all(max(before) < min(after) for before, after in pairwise(spans)):
            return rounds
    return None


def _moment(acquired: str) -> float | None:
    match = re.match(r"\d+(\.\d+)?", acquired)
    return None if match is None else float(match[0])


def _first_split(frames: Sequence[Frame]) -> list[list[Frame]] | None:
    """Return a split that reduces the frames per position, into no more parts than there are frames per position."""
    places = len(same_place_mm(frames))
    for key in _REPEATS:
        groups = _grouped(frames, key)
        if len(groups) > 1 and all(len(same_place_mm(group)) == places for group in groups):
            return groups
    return None


def _without_positions(frames: list[Frame]) -> list[Part]:
    """Treat only identical objects as twins; repeats are split by their tags if the parts have equal size."""
    by_object: dict[Hashable, Frame] = {}
    twins = []
    for frame in frames:
        first = by_object.setdefault(_object(frame), frame)
        if first is not frame:
            twins.append((first, frame))
    members = list(by_object.values())
    for key in _REPEATS[:-1]:
        groups = _grouped(members, key)
        if len(groups) > 1 and len({len(group) for group in groups}) == 1 and len(groups[0]) > 1:
            return [_part(group, twins) for group in groups]
    return [_part(members, twins)]
