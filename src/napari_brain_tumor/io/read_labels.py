"""Open labels in any schema as the package's classes, and find the reference segmentation of a case."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import DimensionError, LabelSchemaError, UnreadableFileError
from napari_brain_tumor.io import dicom, tiff
from napari_brain_tumor.io.bids import anatomy_of
from napari_brain_tumor.io.dicom.read_seg import meaning_of_segments, read_seg
from napari_brain_tumor.io.formats import TIFF
from napari_brain_tumor.io.meaning import Meaning, meaning_inside
from napari_brain_tumor.io.reading import AnyPath, Spacing, existing, images_in, read_volumes, slices_in
from napari_brain_tumor.io.sidecar import notes_in, read_sidecar
from napari_brain_tumor.io.study_folder import dataset_json, dataset_labels, names_segmentation
from napari_brain_tumor.io.volume import Volume, integral_labels, short_name
from napari_brain_tumor.label_schemas import SCHEMAS, LabelSchema, guess_schema, names_maker, schema_named
from napari_brain_tumor.labels import RESECTION_CAVITY, Region, class_names_of, label_values
from napari_brain_tumor.leftovers import finish_interrupted
from napari_brain_tumor.study import Segmentation


def open_segmentation(path: AnyPath, schema: str | None = None, *, spacing_mm: Spacing | None = None) -> Segmentation:
    """Open labels and convert them to the package's classes.

    Parameters
    ----------
    path : path-like
        A label file (NIfTI, NRRD, MHA, `.tif`, DICOM SEG), or a folder with `<patient>_<k>_mask.tif` files.
    schema : str, optional
        Label schema of the file (`label_schemas.SCHEMAS`). If not given, it is taken from the file itself, then from
        the package's sidecar (both only if their hash matches the labels), then from `dataset.json`, then from the
        file name, then from the values if only one schema fits.
    spacing_mm : (x, y, z), optional
        Voxel size for files that do not state it, such as TIFF.

    Raises
    ------
    UnreadableFileError, DimensionError
        If the file cannot be opened or is not a single 3-D image.
    LabelSchemaError
        If the values are not labels, or more than one schema fits.
    """
    finish_interrupted()
    place = _with_labels(existing(path))
    volume, inside = _label_volume(place, spacing_mm, has_schema=schema is not None)
    values = integral_labels(volume.array, volume.name)
    statement = _recorded_meaning(place, values, inside)
    guess: tuple[str, ...] = ()
    if schema is not None:
        label_schema = schema_named(schema)
    elif statement.meaning is not None:
        label_schema = statement.meaning.schema
    else:
        label_schema, guess = _guessed_schema(place, values, statement.doubt)
    regions = _known_regions(label_schema, statement.meaning)
    doubt = {"record_disagrees": statement.doubt} if statement.doubt else {}
    return Segmentation(
        data=label_schema.decode(values),
        grid=volume.grid,
        name=short_name(place),
        class_names=_class_names(label_schema, regions),
        known_regions=regions,
        layout=volume.layout,
        provenance={"schema": label_schema.name, "path": str(place), **doubt},
        notes=tuple(dict.fromkeys((*volume.notes, *_notes(place), *statement.notes, *guess))),
    )


def open_truth(path: AnyPath, schema: str | None = None, *, spacing_mm: Spacing | None = None) -> Segmentation | None:
    """Return the reference segmentation of a case, or None if there is none.

    Looks for a segmentation in the case folder, for `labelsTr/<case>` if the path is a Decathlon image, or for the
    masks of Kaggle slices. `path`, `schema` and `spacing_mm` are as for `open_study` and `open_segmentation`.
    """
    place = existing(path)
    truth_path = _truth_path(anatomy_of(place) if place.is_dir() else place)
    return None if truth_path is None else open_segmentation(truth_path, schema, spacing_mm=spacing_mm)


def preferred_labels(files: Sequence[Path]) -> tuple[Path, ...]:
    """Return the label files without brain masks and without those that have a manually corrected version (BraTS-TCGA).

    Parameters
    ----------
    files : sequence of Path
        Label files of one case.
    """
    corrected = {p.name.lower().replace("_manuallycorrected", "") for p in files if _is_corrected(p)}
    return tuple(p for p in files if (_is_corrected(p) or p.name.lower() not in corrected) and not _is_brain_mask(p))


def _with_labels(place: Path) -> Path:
    """Return the path itself, or the DICOM segmentation in it if it is a folder without masks."""
    if not place.is_dir() or any(patient.masks for patient in slices_in(place)):
        return place
    return dicom.seg_in(place) or place


def _label_volume(place: Path, spacing_mm: Spacing | None, *, has_schema: bool) -> tuple[Volume, Meaning | None]:
    """Return the labels and their meaning as stored in the file; for a DICOM SEG, None if a schema is given."""
    if dicom.is_seg(place):
        volume, words = read_seg(place)
        return volume, None if has_schema else meaning_of_segments(words, place.name)
    if place.is_dir():
        return _masks_in(place, spacing_mm), meaning_inside(place)
    volumes = read_volumes(place, spacing_mm)
    if len(volumes) > 1:
        msg = f"{place.name} holds {len(volumes)} images; a segmentation is one. Open it as a study instead."
        raise DimensionError(msg)
    return volumes[0], meaning_inside(place)


def _masks_in(folder: Path, spacing_mm: Spacing | None) -> Volume:
    patients = [p for p in slices_in(folder) if p.masks]
    if len(patients) != 1:
        listed = ", ".join(p.patient for p in patients[:4]) or "none"
        raise UnreadableFileError(
            f"{folder.name} should hold <patient>_<k>_mask.tif files of one patient; patients found: {listed}. "
            "Open a label file, or the folder of one patient."
        )
    return tiff.read_mask_slices(patients[0], spacing_mm)


@dataclass(frozen=True, slots=True)
class _RecordedMeaning:
    """What is recorded about labels, if it was recorded for these labels; a description of any mismatch; and notes."""

    meaning: Meaning | None
    doubt: str
    notes: tuple[str, ...]


def _recorded_meaning(place: Path, values: npt.NDArray[np.uint8], inside: Meaning | None) -> _RecordedMeaning:
    record = read_sidecar(place)
    beside = Meaning.read(record)
    # Assumptions about the scan persist even if the labels were edited since; a record of other labels is ignored.
    notes = inside.notes if inside is not None else ()
    if inside is not None and not inside.is_of(values):
        doubt = _doubt(place, inside, beside=False)
        return _RecordedMeaning(None, doubt, (*notes, doubt))
    if beside is not None and not beside.is_of(values):
        doubt = _doubt(place, beside, beside=True)
        return _RecordedMeaning(inside, doubt, (*notes, doubt))
    return _RecordedMeaning(inside or beside, "", notes or notes_in(record))


def _doubt(place: Path, meaning: Meaning, *, beside: bool) -> str:
    where = f"The JSON beside {place.name}" if beside else f"The record inside {place.name}"
    return (
        f"{where} belongs to other labels (schema {meaning.schema.name}): they were edited elsewhere, exchanged, or "
        "their saving was interrupted."
    )


def _guessed_schema(place: Path, values: npt.NDArray[np.uint8], doubt: str) -> tuple[LabelSchema, tuple[str, ...]]:
    """Return the schema implied by the names or the values, and a note if it was inferred from the values alone."""
    present = label_values(values)
    stem, case = (place.name, place.name) if place.is_dir() else (short_name(place), place.parent.name)
    if place.is_dir():
        stem = f"{case}_mask"
    dataset = None if place.is_dir() else dataset_labels(dataset_json(place))
    name = stem if dataset or names_maker(stem) or not names_maker(case) else case
    try:
        schema = guess_schema(present, name, dataset)
    except LabelSchemaError as error:
        if not present - {0} and dataset is None:
            return SCHEMAS["MSD"], ()  # no voxel is labelled, so all schemas are equivalent
        if not doubt:
            raise
        raise LabelSchemaError(f"{doubt} {error}") from error
    if dataset is not None or names_maker(name):
        return schema, ()
    what = ", ".join(map(str, sorted(present - {0})))
    return schema, (
        "What the labels mean is a guess: neither a record nor the name states it, and of all schemas only "
        f"{schema.name} fits the values {what}.",
    )


def _known_regions(schema: LabelSchema, meaning: Meaning | None) -> tuple[Region, ...]:
    """Return the regions that labels define: those of the schema that were also defined when the labels were saved."""
    if meaning is None:
        return schema.known_regions
    return tuple(region for region in schema.known_regions if region in meaning.known_regions)


def _class_names(schema: LabelSchema, regions: tuple[Region, ...]) -> dict[int, str]:
    if regions == schema.known_regions:
        return schema.class_names
    names = class_names_of(regions)
    cavity = {value: name for value, name in schema.class_names.items() if value == RESECTION_CAVITY}
    return {**names, **cavity}


def _truth_path(place: Path) -> Path | None:
    if place.is_dir():
        if any(p.masks for p in slices_in(place)):
            return place
        candidates = list(preferred_labels([p for p in images_in(place) if names_segmentation(p)]))
    elif place.parent.name.lower() in ("imagestr", "images"):
        candidates = [p for p in _twins(place) if p.is_file()]
    else:
        return _truth_beside(place)
    if len(candidates) > 1:
        names = ", ".join(p.name for p in candidates)
        raise LabelSchemaError(f"{place.name} has several segmentations: {names}. Open the right one by its path.")
    return candidates[0] if candidates else None


def _twins(place: Path) -> list[Path]:
    names = dict.fromkeys((place.name, place.name.replace("_0000.", ".")))
    folders = ("labelsTr", "labels")
    return [place.parent.parent / folder / name for folder in folders for name in names]


def _truth_beside(place: Path) -> Path | None:
    twin = place.with_name(f"{short_name(place)}_mask{place.suffix}")
    if TIFF.fits(place):
        return twin if twin.is_file() else None
    prefix = re.split(r"[_-](?=[^_-]*$)", short_name(place))[0]
    beside = [p for p in images_in(place.parent) if names_segmentation(p) and p.name.startswith(prefix)]
    candidates = preferred_labels(beside)
    return candidates[0] if len(candidates) == 1 else None


def _is_brain_mask(path: Path) -> bool:
    return bool(re.search(r"(brain|head|skull|deface|face)[a-z]*[_-]?mask", path.name.lower()))


def _is_corrected(path: Path) -> bool:
    return "_manuallycorrected" in path.name.lower()


def _notes(path: Path) -> tuple[str, ...]:
    if not _is_corrected(path):
        return ()
    automatic = path.with_name(re.sub("_manuallycorrected", "", path.name, flags=re.IGNORECASE))
    if not automatic.is_file():
        return ()
    return (f"{path.name} was taken as the labels: it is {automatic.name} after correction by hand.",)
