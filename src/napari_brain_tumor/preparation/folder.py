"""A prepared study as a folder: sequences, transforms, brain mask, checkerboards and a record of all choices."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
from pydantic import ValidationError

from napari_brain_tumor.errors import SaveError, UnreadableFileError
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.io import open_image, open_study
from napari_brain_tumor.io.atomic import Part, write_together
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.sidecar import PROGRAM
from napari_brain_tumor.io.sidecar_paths import with_paths
from napari_brain_tumor.io.source_files import file_sha256
from napari_brain_tumor.io.volume import named_path
from napari_brain_tumor.io.write_nifti import nifti_part
from napari_brain_tumor.preparation.prepared import PreparedStudy
from napari_brain_tumor.preparation.records import TASK, PreparationRecord, document_of
from napari_brain_tumor.study import ROLES
from napari_brain_tumor.types import Labels

RECORD_FILE: Final = "preparation.json"
_MASK: Final = "brain/brain_mask.nii.gz"


def is_prepared(folder: Path) -> bool:
    """Whether a folder is a prepared study written by this package."""
    return _document(folder) is not None


def require_free(folder: Path, *, overwrite: bool) -> None:
    """Check before computing that a prepared study can be saved in a folder.

    Raises
    ------
    SaveError
        If the folder contains something other than a prepared study, or one that may not be replaced.
    """
    place = named_path(folder)
    if place.is_file():
        raise SaveError(f"{place} is a file; a prepared study is a folder. Choose another name.")
    if not place.is_dir() or not any(place.iterdir()):
        return
    if not is_prepared(place):
        msg = f"{place} is a folder with other files in it. They are left as they are: choose another folder."
        raise SaveError(msg)
    if not overwrite:
        raise SaveError(f"{place} already holds a prepared study. Use --overwrite (overwrite=True) to replace it.")


def save_prepared(prepared: PreparedStudy, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Save a prepared study as a folder, completely or not at all; each file is read back and compared.

    The folder contains `T1.nii.gz` and so on, `brain/brain_mask.nii.gz`, `transforms/FLAIR_to_T1c.tfm` (ITK's format,
    usable by other programs to bring FLAIR onto T1c), `transforms/transforms.json`, `pictures/FLAIR_on_T1c.png` and
    `preparation.json`. It can be opened as an ordinary study, or with `open_prepared`.

    Raises
    ------
    SaveError
        If it cannot be written, or the folder contains something else.
    """
    folder = named_path(path)
    require_free(folder, overwrite=overwrite)
    stale = [file for file in _own_files(folder) if file.exists()]
    sequences = _sequence_parts(prepared, folder)
    others = [*_transform_parts(prepared, folder), *_picture_parts(prepared, folder)]
    for part in (*sequences.values(), *others):
        part.path.parent.mkdir(parents=True, exist_ok=True)
    write_together([*sequences.values(), *others])
    hashes = {key: {"path": str(part.path), "sha256": file_sha256(part.path)} for key, part in sequences.items()}
    mask = hashes.pop("brain", None)
    record = document_of(prepared.record, files=hashes, **({"brain_mask": mask} if mask else {}))
    write_together([_json_part(folder / RECORD_FILE, with_paths(record, folder, "auto"))])
    written = {part.path for part in (*sequences.values(), *others)}
    for file in stale:
        if file not in written and file.name != RECORD_FILE:
            file.unlink(missing_ok=True)
    return folder


def open_prepared(path: str | PathLike[str]) -> PreparedStudy:
    """Open the folder of a prepared study, with the sequences read from its files.

    Raises
    ------
    UnreadableFileError
        If it is not a prepared study, or its record is damaged.
    """
    folder = named_path(path)
    document = _document(folder)
    if document is None:
        msg = f"{folder} is not a prepared study: it has no {RECORD_FILE} of this program. Prepare the examination."
        raise UnreadableFileError(msg)
    try:
        record = PreparationRecord.model_validate(document)
    except ValidationError as error:
        msg = f"{folder / RECORD_FILE} is damaged: {error.errors()[0]['msg']}. Prepare the examination again."
        raise UnreadableFileError(msg) from error
    study = open_study(folder, roles={role: f"{role}.nii.gz" for role in record.places})
    mask = folder / _MASK
    brain = open_image(mask)[0][1] != 0 if mask.is_file() else None
    notes = tuple(dict.fromkeys((*study.notes, *map(str, document.get("notes", ())))))
    kept = record.model_dump(mode="json", exclude_none=True) | {"from_files": True}
    kept |= {"brain_mask": {"path": str(mask), "sha256": file_sha256(mask)}} if brain is not None else {}
    study = replace(study, name=record.case, brain=brain, notes=notes, preparation=kept)
    places = {role: one.place(role) for role, one in record.places.items()}
    table = tuple(dict(row) for row in document.get("series", ()))
    inputs = {role: _with_full_path(scan, folder) for role, scan in dict(document.get("inputs", {})).items()}
    return PreparedStudy(study, record.reference, places, table, document | {"inputs": inputs})


def _with_full_path(scan: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {**scan, "path": os.path.normpath(folder / str(scan.get("path", "")))}


def itk_text(transform: RigidTransform) -> str:
    """Return a rigid transform in ITK's text format, in ITK's LPS world coordinates."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    matrix = flip @ transform.matrix @ flip
    numbers = " ".join(repr(float(value)) for value in (*matrix[:3, :3].ravel(), *matrix[:3, 3]))
    return (
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {numbers}\nFixedParameters: 0 0 0\n"
    )


def _document(folder: Path) -> dict[str, Any] | None:
    try:
        content = read_json(folder / RECORD_FILE)
    except (OSError, ValueError):
        return None
    is_ours = isinstance(content, dict) and content.get("program") == PROGRAM and content.get("task") == TASK
    return content if is_ours else None


def _own_files(folder: Path) -> list[Path]:
    """List the files that an earlier prepared study has in a folder, and no others."""
    pairs = [(a, b) for a in ROLES for b in ROLES if a != b]
    return [
        *(folder / f"{role}.nii.gz" for role in ROLES),
        folder / _MASK,
        *(folder / "transforms" / f"{a}_to_{b}.tfm" for a, b in pairs),
        *(folder / "pictures" / f"{a}_on_{b}.png" for a, b in pairs),
    ]


def _sequence_parts(prepared: PreparedStudy, folder: Path) -> dict[str, Part]:
    study = prepared.study
    parts: dict[str, Part] = {}
    for role, array in study.sequences.items():
        values = array if array.dtype.kind in "iu" else np.asarray(array, np.float32)
        target = folder / f"{role}.nii.gz"
        parts[role] = nifti_part(_storable(values), study.grid, study.layout, target, compresslevel=1)
    if study.brain is not None:
        parts["brain"] = nifti_part(study.brain.astype(np.uint8), study.grid, study.layout, folder / _MASK)
    return parts


def _storable(values: Any) -> Any:
    """Convert values to float32 if NIfTI does not support their type."""
    known = (np.uint8, np.int16, np.int32, np.float32, np.uint16, np.int8, np.uint32)
    return values if values.dtype.type in known else values.astype(np.float32)


def _transform_parts(prepared: PreparedStudy, folder: Path) -> list[Part]:
    parts, told = [], {}
    for role, place in prepared.places.items():
        told[role] = {
            "reference_to_series_world_mm": place.transform.matrix.tolist(),
            "degrees": round(place.angle_degrees, 4),
            "distance_mm": round(place.distance_mm, 4),
        }
        if role != prepared.reference:
            name = f"{role}_to_{prepared.reference}.tfm"
            parts.append(_text_part(folder / "transforms" / name, itk_text(place.transform)))
    document = {
        "reference": prepared.reference,
        "world": "RAS+ mm; the .tfm files are in LPS, as ITK has them",
        "series": told,
    }
    return [*parts, _json_part(folder / "transforms" / "transforms.json", document)]


def _picture_parts(prepared: PreparedStudy, folder: Path) -> list[Part]:
    return [
        _png_part(folder / "pictures" / f"{role}_on_{prepared.reference}.png", picture)
        for role, picture in prepared.pictures.items()
    ]


def _png_part(path: Path, picture: Labels) -> Part:
    def check(temporary: Path) -> None:
        if not np.array_equal(imagecodecs.png_decode(temporary.read_bytes()), picture):
            raise SaveError("it did not read back as it was written")

    content = imagecodecs.png_encode(np.ascontiguousarray(picture))
    return Part(path, lambda temporary: temporary.write_bytes(content), check)


def _json_part(path: Path, document: Mapping[str, Any]) -> Part:
    return _text_part(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def _text_part(path: Path, text: str) -> Part:
    content = text.encode("utf-8", errors="backslashreplace")

    def check(temporary: Path) -> None:
        if temporary.read_bytes() != content:
            raise SaveError("it did not read back as it was written")

    return Part(path, lambda temporary: temporary.write_bytes(content), check)
