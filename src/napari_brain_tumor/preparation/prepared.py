"""An examination that was prepared: a study on one grid, and how labels get back to where each series was scanned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_brain_tumor.errors import RegistrationError, RoleError
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.geometry import Box, Grid, bounding_box, resample
from napari_brain_tumor.io.sequence_words import role_named
from napari_brain_tumor.io.table import Table, units_of
from napari_brain_tumor.labels import REGIONS, Region, classes_from_known, labels_sha256, region_mask
from napari_brain_tumor.study import FileLayout, Role, Segmentation, Study
from napari_brain_tumor.types import Array, Labels, Mask

if TYPE_CHECKING:
    import pandas

Motion = tuple[Role, float, float, float, float]
"""How a sequence lies to the reference: role, degrees, millimetres, overlap of the heads, agreement of edges."""
_MOTION_COLUMNS: Final = ("turned_degrees", "moved_mm", "overlap", "edge_agreement")

_FINEST_PARTS: Final = 8
"""Parts of a voxel along one axis that are looked at, at most."""
_HALF: Final = 0.5 - 1e-4
"""From which share of a voxel a region takes it; half is taken in spite of rounding."""
_MARGIN_VOXELS: Final = 3


def series_table(series: Sequence[Mapping[str, str]], motions: Sequence[Motion]) -> Table:
    """Every series of an examination in words, with numbers where it was registered.

    Parameters
    ----------
    series : sequence of mapping
        As `Selection.rows` gives them.
    """
    moved: dict[str, dict[str, float]] = {
        role: dict(zip(_MOTION_COLUMNS, numbers, strict=True)) for role, *numbers in motions
    }
    columns = (*dict.fromkeys(column for row in series for column in row), *_MOTION_COLUMNS)
    rows = tuple({**row, **moved.get(row["role"], {})} for row in series)
    return Table(columns, rows, units=units_of(columns))


@dataclass(frozen=True, slots=True, eq=False)
class SequencePlace:
    """Where a sequence was scanned, and how that lies to the reference.

    Parameters
    ----------
    name : str
        Of the series or file.
    grid : Grid
        Its own.
    layout : NiftiForms, TifSlices or None
        What is needed to save labels as the source was.
    transform : RigidTransform
        From the reference's world to that of the series.
    registration : mapping
        How it was found, as `Registration.as_dict` tells it; empty for the reference.
    """

    role: Role
    name: str
    grid: Grid
    layout: FileLayout
    transform: RigidTransform
    registration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_reference(self) -> Grid:
        """Its grid, as it lies in the reference's world."""
        return Grid(self.grid.shape, self.transform.inverse.matrix @ self.grid.affine, self.grid.unit)

    @property
    def angle_degrees(self) -> float:
        """By how much the head was turned between the reference and it."""
        return self.transform.angle_degrees

    @property
    def distance_mm(self) -> float:
        """By how much the middle of the scan moves to lie on the reference."""
        middle = self.in_reference.world((np.asarray(self.grid.shape) - 1) / 2)
        return self.transform.shift_mm(middle)


@dataclass(frozen=True, slots=True)
class RestoredCheck:
    """What came of bringing labels onto another grid.

    Parameters
    ----------
    volume_ml : float
        Of the whole tumour on that grid.
    prepared_ml : float
        As it was segmented, in what that grid covers.
    outside_ml : float
        Of the tumour where that series was not scanned.
    round_trip_dice : float
        Between the labels as segmented and those that come back from that grid; 1 for no tumour.
    centre_mm : float
        Between the tumour's centres there and as segmented, both in one world.
    """

    onto: Role
    volume_ml: float
    prepared_ml: float
    outside_ml: float
    round_trip_dice: float
    centre_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class PreparedStudy:
    """A study made of raw series.

    Parameters
    ----------
    study : Study
        All sequences on one grid, in the reference's world, brain alone where it was extracted.
    reference : Role
    places : mapping of role to SequencePlace
        Where each sequence was scanned.
    table : tuple of mapping
        Every series of the examination in words, what it was used as, and why.
    record : mapping
        Everything that is needed to prepare it again, as JSON can express it.
    pictures : mapping of role to (H, W) uint8 array
        A checkerboard of each sequence and the reference: above as scanned, below registered.
    """

    study: Study
    reference: Role
    places: Mapping[Role, SequencePlace]
    table: Sequence[Mapping[str, str]] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[Role, Labels] = field(default_factory=dict)

    @property
    def transforms(self) -> dict[Role, RigidTransform]:
        """From the reference's world to that of each series, RAS+ mm."""
        return {role: place.transform for role, place in self.places.items()}

    @property
    def motions(self) -> tuple[Motion, ...]:
        """How the sequences that were registered lie to the reference."""
        registered = [(role, place, place.registration.get("after")) for role, place in self.places.items()]
        return tuple(
            (role, place.angle_degrees, place.distance_mm, after["overlap"], after["detail"])
            for role, place, after in registered
            if after is not None
        )

    def to_dataframe(self) -> "pandas.DataFrame":
        """Every series of the examination, as a `pandas.DataFrame`: what it was used as, why, and how it was moved."""
        return series_table(self.table, self.motions).to_dataframe()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done and what the user should know."""
        return self.study.notes

    def restore(self, segmentation: Segmentation, onto: str | None = None) -> Segmentation:
        """Labels of the prepared study, on the grid on which a series was scanned.

        Parameters
        ----------
        segmentation : Segmentation
            Of `study`.
        onto : str, optional
            The role of the series; the reference where none is given.

        Returns
        -------
        Segmentation
            A voxel belongs to a region if at least half of it does. `provenance["restored"]` tells what a check of
            the way there and back gave.

        Raises
        ------
        RoleError
            If there is no such series.
        RegistrationError
            If the labels do not lie on the prepared study, or the check fails.
        """
        role = self.reference if onto is None else role_named(onto)
        if role not in self.places:
            msg = f"There is no {role} to put the labels onto; the series are {', '.join(self.places)}. Name one."
            raise RoleError(msg)
        if not segmentation.grid.same_place(self.study.grid):
            raise RegistrationError(
                f"The labels lie on {segmentation.grid.describe()}, the prepared study on "
                f"{self.study.grid.describe()}. Segment the prepared study."
            )
        restored = restore_labels(segmentation, self.places[role])
        source = self._dicom_source(role)
        if source is None:
            return restored
        check = {**restored.provenance["restored"], "source": source}
        return replace(restored, provenance={**restored.provenance, "restored": check})

    def _dicom_source(self, role: Role) -> dict[str, str] | None:
        """Where the series was read from and its key, by which a DICOM result finds the images that it refers to."""
        scan = self.record.get("inputs", {}).get(role, {})
        return {key: str(scan[key]) for key in ("path", "series")} if {"path", "series"} <= set(scan) else None


def restore_labels(segmentation: Segmentation, place: SequencePlace) -> Segmentation:
    """Labels on the grid of a series; see `PreparedStudy.restore`."""
    source, target = segmentation.grid, place.in_reference
    regions = [region for region in REGIONS if region in segmentation.known_regions]
    data = _labels_on(segmentation.data, regions, source, target)
    check = _checked(segmentation, data, target, place.role)
    own = place.grid
    grid = {"shape": list(own.shape), "affine": own.affine.tolist(), "unit": own.unit}
    checked = {name: getattr(check, name) for name in check.__slots__}
    provenance = {**segmentation.provenance, "grid": grid, "restored": checked, "labels_sha256": labels_sha256(data)}
    notes = [*segmentation.provenance.get("notes", ()), *_notes(check)]
    return replace(
        segmentation,
        data=data,
        grid=own,
        layout=place.layout,
        provenance=provenance | ({"notes": notes} if notes else {}),
        notes=(*segmentation.notes, *_notes(check)),
    )


def _notes(check: RestoredCheck) -> list[str]:
    if check.outside_ml < 0.05:
        return []
    return [f"{check.outside_ml:.1f} mL of the tumour lie where {check.onto} was not scanned: its labels lack them."]


def _labels_on(data: Labels, regions: Sequence[Region], source: Grid, target: Grid) -> Labels:
    if source.same_place(target):
        return data.copy()
    labels = np.zeros(target.shape, np.uint8)
    inner = bounding_box(data > 0)
    if inner is None:
        return labels
    box = _box_on(inner, source, target)
    if box is None:
        return labels
    part = target.cropped(box)
    inner = inner.grown((_MARGIN_VOXELS,) * 3, source.shape)
    small, small_grid = data[inner.slices], source.cropped(inner)
    masks = {region: _coverage(region_mask(small, region), small_grid, part) >= _HALF for region in regions}
    labels[box.slices] = classes_from_known(masks)
    return labels


def _box_on(inner: Box, source: Grid, target: Grid) -> Box | None:
    """The block of the target that holds a block of the source; None where that lies outside."""
    ends = np.array(np.meshgrid(*zip(np.subtract(inner.start, 0.5), np.subtract(inner.stop, 0.5), strict=True)))
    voxels = target.voxels(source.world(ends.reshape(3, -1).T))
    start = np.clip(np.floor(voxels.min(axis=0)) - 1, 0, target.shape).astype(int)
    stop = np.clip(np.ceil(voxels.max(axis=0)) + 2, 0, target.shape).astype(int)
    if (stop <= start).any():
        return None
    return Box(tuple(start.tolist()), tuple(stop.tolist()))


def _coverage(mask: Mask, source: Grid, target: Grid) -> Array:
    """Which share of each target voxel a region covers: the mean over parts that are as small as source voxels."""
    finest = min(source.spacing)
    parts = [min(_FINEST_PARTS, max(1, round(side / finest))) for side in target.spacing]
    x, y, z = target.shape
    shape = x * parts[0], y * parts[1], z * parts[2]
    step = np.diag([*(1 / np.asarray(parts)), 1.0])
    step[:3, 3] = (1 / np.asarray(parts) - 1) / 2
    fine = resample(mask.astype(np.float32), source, Grid(shape, target.affine @ step, target.unit))
    return np.asarray(fine.reshape(x, parts[0], y, parts[1], z, parts[2]).mean(axis=(1, 3, 5)))


def _checked(segmentation: Segmentation, data: Labels, target: Grid, role: Role) -> RestoredCheck:
    """The way back, compared with where the labels came from; raises where they lie elsewhere."""
    source, tumour = segmentation.grid, segmentation.data > 0
    if not tumour.any():
        return RestoredCheck(role, 0.0, 0.0, 0.0, 1.0, 0.0)
    whole = bounding_box(tumour)
    assert whole is not None
    near = whole.grown((_MARGIN_VOXELS,) * 3, source.shape)
    grid, tumour = source.cropped(near), tumour[near.slices]
    scanned = resample(np.ones(target.shape, np.uint8), target, grid, nearest=True) > 0
    back = resample((data > 0).astype(np.uint8), target, grid, nearest=True) > 0
    tumour_scanned = tumour & scanned
    cell = source.voxel_volume_mm3 / 1000
    dice = 2 * float((back & tumour_scanned).sum()) / max(1.0, float(back.sum() + tumour_scanned.sum()))
    check = RestoredCheck(
        onto=role,
        volume_ml=round(float((data > 0).sum()) * target.voxel_volume_mm3 / 1000, 3),
        prepared_ml=round(float(tumour_scanned.sum()) * cell, 3),
        outside_ml=round(float((tumour & ~scanned).sum()) * cell, 3),
        round_trip_dice=round(dice, 4),
        centre_mm=round(_apart(data > 0, target, tumour_scanned, grid), 3),
    )
    if check.centre_mm > np.linalg.norm(target.spacing) + np.linalg.norm(source.spacing):
        raise RegistrationError(
            f"The labels on the grid of {role} lie {check.centre_mm:.0f} mm from where they were segmented, so they "
            "are withheld. This is a bug: please report it, with the transforms."
        )
    return check


def _apart(there: Mask, target: Grid, here: Mask, source: Grid) -> float:
    if not there.any() or not here.any():
        return 0.0
    first, second = (grid.world(np.argwhere(mask).mean(axis=0)) for mask, grid in ((there, target), (here, source)))
    return float(np.linalg.norm(first - second))
