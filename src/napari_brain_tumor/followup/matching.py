"""Match lesions between visits, and describe how they changed.

Voxels are compared in the baseline's world coordinates. Lesions that overlap are the same. A lesion that overlaps none
is the same as one within the tolerance, so that a slight displacement of a small lesion is not mistaken for a new one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_brain_tumor.errors import VisitError
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import Region, region_mask
from napari_brain_tumor.measure.lesions import Lesion

State = Literal[
    "first seen", "unchanged", "grown", "shrunk", "new", "gone", "back", "merged", "split", "not compared", ""
]
Points = npt.NDArray[np.float64]

_TOUCHING: Final = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class MatchSettings:
    """When two lesions are considered the same, and when one is considered changed.

    Parameters
    ----------
    tolerance_mm : float
        Largest distance to the matching lesion for a lesion that overlaps none.
    least_overlap : float
        Smallest fraction of the smaller lesion that must overlap with the other for them to be the same.
    changed : float
        Relative change in volume at or above which a lesion counts as grown or shrunk.
    """

    tolerance_mm: float = 3.0
    least_overlap: float = 0.1
    changed: float = 0.25

    def __post_init__(self) -> None:
        if self.tolerance_mm < 0 or not 0 < self.least_overlap <= 1 or not self.changed > 0:
            raise VisitError(
                f"A tolerance of {self.tolerance_mm} mm, an overlap of {self.least_overlap} and a change of "
                f"{self.changed} are not valid: give a tolerance of at least 0, an overlap above 0 and up to 1, and a "
                "change above 0."
            )


@dataclass(frozen=True, slots=True, eq=False)
class LesionVoxels:
    """A lesion, its voxel positions `(N, 3)` in the baseline's world in mm, and half a voxel diagonal as `reach`."""

    lesion: Lesion
    points: Points
    reach_mm: float


@dataclass(frozen=True, slots=True)
class Track:
    """One lesion, or several that merge or split, over all visits.

    Parameters
    ----------
    number : int
        Number of the track, by the size of the lesion at its first visit.
    region : {"WT", "TC", "ET"}
    lesions : tuple of tuple of Lesion, or None
        Lesions at each visit, largest first; empty if there are none, None if the visit could not be compared.
    states : tuple of str
        Change since the last visit that could be compared.
    """

    number: int
    region: Region
    lesions: tuple[tuple[Lesion, ...] | None, ...]
    states: tuple[State, ...]

    def volume_ml(self, visit: int) -> float | None:
        """Return the total volume at a visit; None if it could not be compared or the voxel size is unknown."""
        there = self.lesions[visit]
        return None if there is None else sum(lesion.volume_ml or 0.0 for lesion in there)

    def product_mm2(self, visit: int) -> float | None:
        """Return the sum of products of diameters at a visit; None if it could not be compared."""
        there = self.lesions[visit]
        if there is None:
            return None
        return sum(lesion.diameters.product_mm2 for lesion in there if lesion.diameters is not None)

    def as_dict(self) -> dict[str, Any]:
        """Return the content for the JSON file."""
        visits = range(len(self.lesions))
        return {
            "number": self.number,
            "region": self.region,
            "lesions": [None if there is None else [lesion.title for lesion in there] for there in self.lesions],
            "states": list(self.states),
            "volume_ml": [self.volume_ml(i) for i in visits],
            "product_mm2": [self.product_mm2(i) for i in visits],
        }


def lesion_voxels(
    lesions: Iterable[Lesion], classes: npt.NDArray[np.uint8], grid: Grid, transform: RigidTransform
) -> tuple[LesionVoxels, ...]:
    """Compute the positions of the voxels of a visit's lesions in the baseline's world coordinates.

    Parameters
    ----------
    lesions : iterable of Lesion
        Lesions measured in these classes.
    classes : (X, Y, Z) uint8 array
        Label array of the visit on its own grid.
    grid : Grid
        Grid of the label array.
    transform : RigidTransform
        Transform from the baseline's world to the visit's.
    """
    back = transform.inverse
    reach = float(np.linalg.norm(grid.spacing)) / 2
    return tuple(LesionVoxels(lesion, back.apply(grid.world(_voxels_of(lesion, classes))), reach) for lesion in lesions)


def _voxels_of(lesion: Lesion, classes: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the indices `(N, 3)` of the connected part that fills the lesion's box; other parts may reach into it."""
    inside = region_mask(classes[lesion.box.slices], lesion.region)
    parts, count = ndimage.label(inside, structure=_TOUCHING)
    whole = tuple(slice(0, n) for n in inside.shape)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(parts)
    fitting = [i for i in range(1, count + 1) if boxes[i - 1] == whole and sizes[i] == lesion.voxels]
    if not fitting:
        msg = f"{lesion.title} is not in these labels: they were changed after it was measured. Measure them again."
        raise VisitError(msg)
    voxels: npt.NDArray[np.intp] = np.argwhere(parts == fitting[0]) + np.array(lesion.box.start)
    return voxels


def match_lesions(
    visits: Sequence[Sequence[LesionVoxels] | None], settings: MatchSettings | None = None
) -> tuple[Track, ...]:
    """Follow the lesions of one region through the visits.

    Parameters
    ----------
    visits : sequence of sequence of LesionVoxels, or None
        Lesions of each visit in chronological order; None for a visit that could not be registered.

    Returns
    -------
    tuple of Track
        Tracks, beginning with those present at the first visit.
    """
    settings = settings or MatchSettings()
    nodes = [(visit, at) for visit, there in enumerate(visits) for at in range(len(there or ()))]
    group = {node: node for node in nodes}

    def root(node: tuple[int, int]) -> tuple[int, int]:
        while group[node] != node:
            node = group[node]
        return node

    for first, second in _links(visits, settings):
        older, newer = sorted((root(first), root(second)))
        group[newer] = older
    families: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for node in nodes:
        families.setdefault(root(node), []).append(node)
    ordered = sorted(families.items())  # lesions of a visit are sorted by size
    return tuple(_track(number, family, visits, settings) for number, (_, family) in enumerate(ordered, 1))


def _links(
    visits: Sequence[Sequence[LesionVoxels] | None], settings: MatchSettings
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield pairs of matching lesions: at consecutive visits or, for lesions without a match there, at earlier ones."""
    compared = [i for i, there in enumerate(visits) if there is not None]
    for place, now in enumerate(compared):
        unmatched = set(range(len(visits[now] or ())))
        for before in reversed(compared[:place]):
            pairs = list(_pairs(visits[before] or (), visits[now] or (), settings, unmatched))
            unmatched -= {new for _, new in pairs}
            for old, new in pairs:
                yield (before, old), (now, new)


def _pairs(
    old: Sequence[LesionVoxels], new: Sequence[LesionVoxels], settings: MatchSettings, candidates: set[int]
) -> Iterator[tuple[int, int]]:
    trees = [cKDTree(lesion.points) for lesion in old]
    overlapping: set[tuple[int, int]] = set()
    near: set[tuple[int, int]] = set()
    for j in sorted(candidates):
        for i, tree in enumerate(trees):
            share, distance = _closeness(old[i], tree, new[j])
            if share >= settings.least_overlap:
                overlapping.add((i, j))
            elif distance <= settings.tolerance_mm:
                near.add((i, j))
    yield from sorted(overlapping)
    old_done, new_done = {i for i, _ in overlapping}, {j for _, j in overlapping}
    yield from sorted((i, j) for i, j in near if i not in old_done and j not in new_done)


def _closeness(old: LesionVoxels, tree: "cKDTree[Any]", new: LesionVoxels) -> tuple[float, float]:
    """Return the overlap as a fraction of the smaller lesion, and the gap between the two lesions in mm."""
    reach = max(old.reach_mm, new.reach_mm)
    apart = np.asarray(tree.query(new.points)[0])
    smaller = apart
    if len(new.points) > len(old.points):
        smaller = np.asarray(cKDTree(new.points).query(old.points)[0])
    return float(np.mean(smaller <= reach)), max(0.0, float(apart.min()) - reach)


def _track(
    number: int,
    family: Sequence[tuple[int, int]],
    visits: Sequence[Sequence[LesionVoxels] | None],
    settings: MatchSettings,
) -> Track:
    lesions = tuple(
        None if there is None else tuple(there[at].lesion for visit, at in sorted(family) if visit == i)
        for i, there in enumerate(visits)
    )
    region = next(lesion.region for there in lesions for lesion in there or ())
    return Track(number, region, lesions, tuple(_states(lesions, settings)))


def _states(lesions: Sequence[tuple[Lesion, ...] | None], settings: MatchSettings) -> Iterator[State]:
    earlier: tuple[Lesion, ...] | None = None
    was_there = False
    for there in lesions:
        if there is None:
            yield "not compared"
            continue
        yield _state(earlier, there, settings, was_there=was_there)
        was_there = was_there or bool(there)
        earlier = there


def _state(
    earlier: tuple[Lesion, ...] | None, now: tuple[Lesion, ...], settings: MatchSettings, *, was_there: bool
) -> State:
    if earlier is None:
        return "first seen" if now else ""
    if not earlier or not now:
        return _appearance(bool(earlier), bool(now), was_there=was_there)
    if len(now) != len(earlier):
        return "merged" if len(now) < len(earlier) else "split"
    before, after = (sum(lesion.volume_ml or 0.0 for lesion in some) for some in (earlier, now))
    change = (after - before) / before
    return "grown" if change >= settings.changed else "shrunk" if change <= -settings.changed else "unchanged"


def _appearance(was: bool, is_now: bool, *, was_there: bool) -> State:
    if was:
        return "gone"
    if not is_now:
        return "gone" if was_there else ""
    return "back" if was_there else "new"
