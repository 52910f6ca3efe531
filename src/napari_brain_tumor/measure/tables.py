"""Measurements as tidy tables, with one row for each class, region and lesion."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from napari_brain_tumor.io.table import Table, units_of
from napari_brain_tumor.labels import Region
from napari_brain_tumor.measure.examination import Examination
from napari_brain_tumor.measure.lesion_numbers import LESION_NUMBERS
from napari_brain_tumor.measure.lesions import Lesion
from napari_brain_tumor.measure.volumes import REGION_NAMES, VolumeRow

NOT_FOR_CLINICAL_USE: Final = "Research use only, not for clinical use."

COLUMNS: Final = (
    "case",
    "kind",
    "key",
    "number",
    "name",
    "voxels",
    "volume_ml",
    "lesions",
    "left_out",
    "least_size",
    "side",
    "crosses_midline",
    "midline_mm",
    "centre_x_mm",
    "centre_y_mm",
    "centre_z_mm",
    "slice_axis",
    "slice_index",
    "slices",
    "long_mm",
    "short_mm",
    "product_mm2",
    "angle_degrees",
    "by_hand",
    "measurable",
    "reason",
    "rim_mean_mm",
    "rim_median_mm",
    "rim_max_mm",
    *LESION_NUMBERS,
    "notes",
)
"""Columns of the tidy table; cells that do not apply or cannot be assessed are empty. `notes` are per examination."""

Row = Mapping[str, Any]


def examination_rows(examination: Examination) -> Iterator[Row]:
    """Yield the rows of an examination (classes, regions, then lesions), with only the cells that have a value."""
    for volume in examination.volumes.rows:
        yield _volume_row(examination, volume)
    for region in examination.volumes.undetermined:
        row = {"case": examination.name, "kind": "region", "key": region, "name": REGION_NAMES[region]}
        yield row | {"reason": "not determined: the labels do not mark it"}
    for lesion in examination.lesions:
        yield _lesion_row(examination, lesion)


def examinations_table(examinations: Iterable[Examination]) -> Table:
    """Return one tidy table of any number of examinations."""
    rows = (
        {**row, "notes": " ".join(examination.notes)}
        for examination in examinations
        for row in examination_rows(examination)
    )
    return Table(COLUMNS, tuple(rows), units=units_of(COLUMNS))


def examinations_csv(examinations: Iterable[Examination], separator: str = ",") -> str:
    """Return the table of examinations as CSV; separated by tabs, it can be pasted into a spreadsheet."""
    return examinations_table(examinations).to_csv(separator=separator)


def examinations_json(examinations: Sequence[Examination]) -> str:
    """Return all measurements of the examinations as JSON, with a notice against clinical use."""
    document = {"notice": NOT_FOR_CLINICAL_USE, "examinations": [examination.as_dict() for examination in examinations]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _volume_row(examination: Examination, volume: VolumeRow) -> Row:
    row: dict[str, Any] = {
        "case": examination.name,
        "kind": volume.kind,
        "key": volume.key,
        "name": volume.name,
        "voxels": volume.voxels,
    }
    if volume.ml is not None:
        row["volume_ml"] = volume.ml
    if volume.kind == "region":
        row |= _counted(examination, volume.key)  # type: ignore[arg-type]
    if volume.key == "ET" and examination.rim is not None:
        rim = examination.rim
        row |= {"rim_mean_mm": rim.mean_mm, "rim_median_mm": rim.median_mm, "rim_max_mm": rim.max_mm}
    return row


def _counted(examination: Examination, region: Region) -> Row:
    return {
        "lesions": len(examination.of_region(region)),
        "left_out": examination.left_out[region].parts,
        "least_size": examination.settings.smallest(examination.grid),
    }


def _lesion_row(examination: Examination, lesion: Lesion) -> Row:
    row: dict[str, Any] = {
        "case": examination.name,
        "kind": "lesion",
        "key": lesion.region,
        "number": lesion.number,
        "name": lesion.title,
        "voxels": lesion.voxels,
        "slices": lesion.slices,
        "reason": lesion.reason,
        **lesion.numbers,
    }
    if lesion.volume_ml is not None:
        x, y, z = lesion.centre
        row |= {"volume_ml": lesion.volume_ml, "centre_x_mm": x, "centre_y_mm": y, "centre_z_mm": z}
    if lesion.midline is not None:
        crosses = lesion.midline.crosses
        row |= {"side": lesion.side, "crosses_midline": crosses, "midline_mm": lesion.midline_mm}
    if lesion.diameters is not None:
        diameters = lesion.diameters
        row |= {"slice_axis": diameters.axis, "slice_index": diameters.index, "measurable": lesion.measurable}
        row |= {"long_mm": diameters.long_mm, "short_mm": diameters.short_mm, "product_mm2": diameters.product_mm2}
        row |= {"angle_degrees": diameters.angle_degrees, "by_hand": diameters.by_hand}
    return row
