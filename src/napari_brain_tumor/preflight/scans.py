"""Sequences as found, whether or not they form a valid study, and the facts on which the checks are based."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.brain.extraction import brain_mask, brain_volume_ml
from napari_brain_tumor.errors import BrainMaskError, IntensityError
from napari_brain_tumor.geometry import Grid, bounding_box, to_ras
from napari_brain_tumor.io import Sequences, distinct_grids, reference_role
from napari_brain_tumor.preflight.coverage import Gap, gaps_in
from napari_brain_tumor.preparation.together import Togetherness, judge_together
from napari_brain_tumor.preprocessing.intensity import foreground_mask, is_skull_stripped
from napari_brain_tumor.preprocessing.traits import Traits, thickness_of, traits_of_volumes
from napari_brain_tumor.study import ROLES, FileLayout, Role, Study, check_intensities
from napari_brain_tumor.types import Array

BrainPlan = Literal["auto", "keep", "mask"]


_ENOUGH: Final = 80
"""Voxels along an axis that are enough to find the head and compare images."""


@dataclass(frozen=True, slots=True, eq=False)
class Scans:
    """Sequences by role, each with its own grid; the grids may be the same.

    Parameters
    ----------
    name : str
        Name of the case.
    sequences : mapping of role to (X, Y, Z) array
        Unchecked values, which may be unusable.
    notes : tuple of str
        Notes of the reader.
    resampled : tuple of Role
        Sequences that were resampled onto the grid from another one.
    elsewhere : mapping of role to Grid
        Other available sequences, on different grids.
    """

    name: str
    sequences: Mapping[Role, Array]
    grids: Mapping[Role, Grid]
    layouts: Mapping[Role, FileLayout] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    resampled: tuple[Role, ...] = ()
    elsewhere: Mapping[Role, Grid] = field(default_factory=dict)

    @classmethod
    def of_study(cls, study: Study) -> "Scans":
        grids = dict.fromkeys(study.roles, study.grid)
        layouts = dict.fromkeys(study.roles, study.layout)
        return cls(study.name, study.sequences, grids, layouts, study.notes, study.resampled)

    @classmethod
    def of_opened(cls, opened: Sequences) -> "Scans":
        """Create from opened sequences that may lie on different grids."""
        volumes = {role: opened.volumes[role] for role in ROLES if role in opened.volumes}
        return cls(
            opened.name,
            {role: volume.array for role, volume in volumes.items()},
            {role: volume.grid for role, volume in volumes.items()},
            {role: volume.layout for role, volume in volumes.items()},
            opened.notes,
        )

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles, in the order T1, T1c, T2, FLAIR."""
        return tuple(role for role in ROLES if role in self.sequences)


@dataclass(frozen=True, slots=True, eq=False)
class BrainOutline:
    """The brain extracted from a whole head.

    Parameters
    ----------
    mask : (X, Y, Z) bool array or None
        On the grid of the scans; None if no brain was found.
    volume_ml : float or None
        None if the voxel size is unknown.
    """

    mask: npt.NDArray[np.bool_] | None
    volume_ml: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Facts about the sequences, determined once for all checks.

    Parameters
    ----------
    groups : list of (roles, Grid)
        The distinct grids, each with the sequences on it.
    reference : Role or None
        The sequence with the finest grid; None if there are no sequences.
    broken : mapping of role to str
        Why a sequence cannot be used.
    whole_head : mapping of role to bool
        Whether a sequence still contains the skull, for usable sequences.
    samples : mapping of role to (Z, Y, X) array
        Subsampled sequences on the reference's grid, from foot to head.
    head : (Z, Y, X) bool array or None
        Brain or head in the samples.
    head_mm : (x, y, z) or None
        Size of its bounding box, along the axes of the reference closest to right, anterior and superior; in voxels if
        the files do not state the spacing.
    extent_mm : float or None
        As in `Traits`.
    brain : {"auto", "keep", "mask"}
        What will be done with a whole head: brain extraction by the network, nothing, or applying a mask.
    outline : BrainOutline or None
        The brain in a whole head, if it was extracted.
    alignment : Togetherness
        Alignment of the sequences.
    gaps : mapping of role to Gap
        Sequences whose field of view ends within the brain.
    """

    scans: Scans
    groups: list[tuple[tuple[Role, ...], Grid]]
    reference: Role | None
    broken: Mapping[Role, str]
    whole_head: Mapping[Role, bool]
    samples: Mapping[Role, Array]
    head: npt.NDArray[np.bool_] | None
    head_mm: tuple[float, float, float] | None
    extent_mm: float | None = None
    brain: BrainPlan = "auto"
    outline: BrainOutline | None = None
    alignment: Togetherness = field(default_factory=Togetherness)
    gaps: Mapping[Role, Gap] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """The finest grid."""
        if self.reference is None:
            raise ValueError("There is no sequence, so there is no grid.")
        return self.scans.grids[self.reference]

    @property
    def traits(self) -> Traits:
        """The traits of a study on the finest grid, after brain extraction; see `preprocessing.traits`."""
        return Traits(thickness_of(self.grid), self.brain == "keep" and any(self.whole_head.values()), self.extent_mm)


def facts_of(scans: Scans) -> Facts:
    """Examine the sequences; takes two or three seconds for a full-size case, mostly to check their alignment."""
    broken = {role: text for role in scans.roles if (text := _problem(scans, role))}
    sound = [role for role in scans.roles if role not in broken]
    reference = reference_role(scans.grids) if scans.grids else None
    whole_head = {role: not is_skull_stripped(scans.sequences[role]) for role in sound}
    samples = {role: _sample(scans, role) for role in sound if _on_reference(scans, role, reference)}
    head = foreground_mask(list(samples.values())) if samples else None
    sides = _sides(head, scans.grids[reference]) if head is not None and reference is not None else None
    extent = _extent(scans, reference, samples) if samples and reference is not None else None
    alignment = judge_together({role: scans.sequences[role] for role in sound}, scans.grids)
    gaps = _gaps(samples, head, scans.grids[reference]) if head is not None and reference is not None else {}
    groups = distinct_grids(scans.grids)
    return Facts(
        scans, groups, reference, broken, whole_head, samples, head, sides, extent, alignment=alignment, gaps=gaps
    )


def _gaps(samples: Mapping[Role, Array], head: npt.NDArray[np.bool_], grid: Grid) -> dict[Role, Gap]:
    ras = to_ras(grid).target
    x, y, z = (step * spacing for step, spacing in zip(_steps(ras.shape), ras.spacing, strict=True))
    return gaps_in(samples, head, (z, y, x))


def _extent(scans: Scans, reference: Role, roles: Iterable[Role]) -> float | None:
    return traits_of_volumes(scans.grids[reference], [scans.sequences[role] for role in roles]).extent_mm


def with_outline(facts: Facts, device: str = "auto") -> Facts:
    """Add the brain of a whole head to the facts, if its sequences form a study; takes some seconds."""
    scans = facts.scans
    if facts.broken or len(facts.groups) != 1 or not any(facts.whole_head.values()):
        return facts
    study = Study(scans.sequences, facts.grid, scans.name)
    try:
        mask = brain_mask(study, device)
    except BrainMaskError:
        return replace(facts, outline=BrainOutline(None))
    return replace(facts, outline=BrainOutline(mask, brain_volume_ml(facts.grid, mask)))


def _problem(scans: Scans, role: Role) -> str:
    try:
        check_intensities(scans.sequences[role], role)
    except IntensityError as error:
        return str(error)
    return ""


def _on_reference(scans: Scans, role: Role, reference: Role | None) -> bool:
    return reference is not None and scans.grids[role].same_place(scans.grids[reference])


def _sample(scans: Scans, role: Role) -> Array:
    """Subsample a sequence as (Z, Y, X), from foot to head."""
    turned = to_ras(scans.grids[role]).apply(scans.sequences[role])
    x, y, z = (slice(None, None, step) for step in _steps(turned.shape))
    return turned[x, y, z].transpose(2, 1, 0)


def _steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(1, n // _ENOUGH) for n in shape)


def _sides(head: npt.NDArray[np.bool_], grid: Grid) -> tuple[float, float, float] | None:
    box = bounding_box(head.transpose(2, 1, 0))
    if box is None:
        return None
    ras = to_ras(grid).target
    counts = [min(n * step, side) for n, step, side in zip(box.shape, _steps(ras.shape), ras.shape, strict=True)]
    x, y, z = (count * spacing for count, spacing in zip(counts, ras.spacing, strict=True))
    return x, y, z
