"""A prepared examination: a study on one grid, and the mapping of labels back to the grid of each series."""

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
"""Motion of a sequence relative to the reference: role, degrees, millimetres, head overlap, edge agreement."""
_MOTION_COLUMNS: Final = ("turned_degrees", "moved_mm", "overlap", "edge_agreement")

_FINEST_PARTS: Final = 8
"""Largest number of parts into which a voxel is divided along one axis."""
_HALF: Final = 0.5 - 1e-4
"""Share of a voxel from which it is assigned to a region; slightly below one half to allow for rounding."""
_MARGIN_VOXELS: Final = 3


def series_table(series: Sequence[Mapping[str, str]], motions: Sequence[Motion]) -> Table:
    """Return a table of all series of the examination as text, with numbers for those that were registered.

    Parameters
    ----------
    series : sequence of mapping
        Rows as returned by `Selection.rows`.
    """
    moved: dict[str, dict[str, float]] = {
        role: dict(zip(_MOTION_COLUMNS, numbers, strict=True)) for role, *numbers in motions
    }
    columns = (*dict.fromkeys(column for row in series for column in row), *_MOTION_COLUMNS)
    rows = tuple({**row, **moved.get(row["role"], {})} for row in series)
    return Table(columns, rows, units=units_of(columns))


@dataclass(frozen=True, slots=True, eq=False)
class SequencePlace:
    """Grid of a sequence, and its registration to the reference.

    Parameters
    ----------
    name : str
        Name of the series or file.
    grid : Grid
        The sequence's own grid.
    layout : NiftiForms, TifSlices or None
        Format details needed to save labels like the source.
    transform : RigidTransform
        Maps the reference's world to that of the series.
    registration : mapping
        Details as returned by `Registration.as_dict`; empty for the reference.
    """

    role: Role
    name: str
    grid: Grid
    layout: FileLayout
    transform: RigidTransform
    registration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_reference(self) -> Grid:
        """The sequence's grid in the reference's world coordinates."""
        return Grid(self.grid.shape, self.transform.inverse.matrix @ self.grid.affine, self.grid.unit)

    @property
    def angle_degrees(self) -> float:
        """Rotation of the head between the reference and the sequence."""
        return self.transform.angle_degrees

    @property
    def distance_mm(self) -> float:
        """Distance by which the centre of the scan is moved by registration."""
        middle = self.in_reference.world((np.asarray(self.grid.shape) - 1) / 2)
        return self.transform.shift_mm(middle)


@dataclass(frozen=True, slots=True)
class RestoredCheck:
    """Results of checking labels that were mapped onto another grid.

    Parameters
    ----------
    volume_ml : float
        Whole-tumour volume on that grid.
    prepared_ml : float
        Whole-tumour volume as segmented, within that grid's field of view.
    outside_ml : float
        Volume of the tumour outside the field of view of that series.
    round_trip_dice : float
        Dice between the original labels and those mapped back from that grid; 1 if there is no tumour.
    centre_mm : float
        Distance between the centres of the tumour as mapped and as segmented, in the same world.
    """

    onto: Role
    volume_ml: float
    prepared_ml: float
    outside_ml: float
    round_trip_dice: float
    centre_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class PreparedStudy:
    """A study prepared from raw series.

    Parameters
    ----------
    study : Study
        All sequences on one grid in the reference's world, limited to the brain if it was extracted.
    reference : Role
    places : mapping of role to SequencePlace
        Grid and registration of each sequence.
    table : tuple of mapping
        All series of the examination as text, with what each was used as and why.
    record : mapping
        Everything that is needed to prepare it again, as JSON-serialisable values.
    pictures : mapping of role to (H, W) uint8 array
        A checkerboard of each sequence with the reference: as scanned above, registered below.
    """

    study: Study
    reference: Role
    places: Mapping[Role, SequencePlace]
    table: Sequence[Mapping[str, str]] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[Role, Labels] = field(default_factory=dict)

    @property
    def transforms(self) -> dict[Role, RigidTransform]:
        """Transforms from the reference's world to that of each series, RAS+ mm."""
        return {role: place.transform for role, place in self.places.items()}

    @property
    def motions(self) -> tuple[Motion, ...]:
        """Motions of the registered sequences relative to the reference."""
        registered = [(role, place, place.registration.get("after")) for role, place in self.places.items()]
        return tuple(
            (role, place.angle_degrees, place.distance_mm, after["overlap"], after["detail"])
            for role, place, after in registered
            if after is not None
        )

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return all series as a `pandas.DataFrame`: what each was used as, why, and how it was moved."""
        return series_table(self.table, self.motions).to_dataframe()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user on what was done."""
        return self.study.notes

    def restore(self, segmentation: Segmentation, onto: str | None = None) -> Segmentation:
        """Map labels of the prepared study to the grid on which a series was scanned.

        Parameters
        ----------
        segmentation : Segmentation
            Segmentation of `study`.
        onto : str, optional
            Role of the series; the reference if not given.

        Returns
        -------
        Segmentation
            A voxel is assigned to a region if at least half of it is covered. `provenance["restored"]` contains the
            results of a round-trip check.

        Raises
        ------
        RoleError
            If there is no such series.
        RegistrationError
            If the labels are not on the grid of the prepared study, or the check fails.
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
        """Return the source and key of a series, needed to find the images that a DICOM result refers to."""
        scan = self.record.get("inputs", {}).get(role, {})
        return {key: str(scan[key]) for key in ("path", "series")} if {"path", "series"} <= set(scan) else None


def restore_labels(segmentation: Segmentation, place: SequencePlace) -> Segmentation:
    """Map labels to the grid of a series; see `PreparedStudy.restore`."""
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
    """Return the block of the target that covers a block of the source; None if that lies outside."""
    ends = np.array(np.meshgrid(*zip(np.subtract(inner.start, 0.5), np.subtract(inner.stop, 0.5), strict=True)))
    voxels = target.voxels(source.world(ends.reshape(3, -1).T))
    start = np.clip(np.floor(voxels.min(axis=0)) - 1, 0, target.shape).astype(int)
    stop = np.clip(np.ceil(voxels.max(axis=0)) + 2, 0, target.shape).astype(int)
    if (stop <= start).any():
        return None
    return Box(tuple(start.tolist()), tuple(stop.tolist()))


def _coverage(mask: Mask, source: Grid, target: Grid) -> Array:
    """Return the fraction of each target voxel covered by a region, averaged over parts as small as source voxels."""
    finest = min(source.spacing)
    parts = [min(_FINEST_PARTS, max(1, round(side / finest))) for side in target.spacing]
    x, y, z = target.shape
    shape = x * parts[0], y * parts[1], z * parts[2]
    step = np.diag([*(1 / np.asarray(parts)), 1.0])
    step[:3, 3] = (1 / np.asarray(parts) - 1) / 2
    fine = resample(mask.astype(np.float32), source, Grid(shape, target.affine @ step, target.unit))
    return np.asarray(fine.reshape(x, parts[0], y, parts[1], z, parts[2]).mean(axis=(1, 3, 5)))


def _checked(segmentation: Segmentation, data: Labels, target: Grid, role: Role) -> RestoredCheck:
    """Map labels back and compare them with the original; raises if their positions differ."""
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
