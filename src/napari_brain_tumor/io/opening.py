"""Open a study, a segmentation or any image from a path, whatever its format."""

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from napari_brain_tumor.errors import (
    BrainTumorError,
    DimensionError,
    DuplicateRoleError,
    GridMismatchError,
    LabelSchemaError,
    RoleError,
    UnreadableFileError,
)
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import itk, nifti, tiff
from napari_brain_tumor.io.sidecar import read_sidecar
from napari_brain_tumor.io.study_folder import (
    FoundSequences,
    dataset_json,
    dataset_labels,
    dataset_roles,
    find_sequences,
    names_segmentation,
    role_in_name,
    role_named,
)
from napari_brain_tumor.io.volume import Array, Volume, integral_labels, short_name
from napari_brain_tumor.labels import SCHEMAS, LabelSchema, guess_schema, label_values, schema_named
from napari_brain_tumor.study import Role, Segmentation, Source, Study

__all__ = ["open_image", "open_segmentation", "open_study", "open_truth", "recognise"]

AnyPath = str | PathLike[str]
Roles = Mapping[str, AnyPath | int] | Sequence[str | None] | None
Spacing = tuple[float, float, float]


def open_study(path: AnyPath, roles: Roles = None, *, spacing_mm: Spacing | None = None) -> Study:
    """Open the sequences of one examination.

    Parameters
    ----------
    path : path-like
        A case folder (NIfTI, NRRD or MHA files named after their sequences, Kaggle LGG slices, DICOM series), a 4-D
        file, a `.tif`, or one 3-D file.
    roles : mapping or sequence, optional
        Where names do not tell: role to file (relative to the folder), role to volume or channel number, or the
        roles of the volumes in their order, with None for a volume to skip. Spelling is lenient (`role_named`).
    spacing_mm : (x, y, z), optional
        Voxel size of files that do not tell it, such as TIFF.

    Returns
    -------
    Study
        Arrays in file order on one grid.

    Raises
    ------
    UnreadableFileError, DimensionError, IntensityError
        If a file cannot be opened or holds nothing usable.
    RoleError, DuplicateRoleError
        If the roles are not told, or told twice.
    GridMismatchError
        If the sequences do not share a grid, or `spacing_mm` contradicts the files.

    Examples
    --------
    >>> study = open_study("BraTS2021_01477")  # doctest: +SKIP
    >>> study.roles, study.grid.shape  # doctest: +SKIP
    (('T1', 'T1c', 'T2', 'FLAIR'), (240, 240, 155))
    """
    place = _existing(path)
    named = _files_by_role(roles, place)
    if named is not None:
        volumes = _read_files(named, spacing_mm)
        return _study(volumes, _common_name(list(named.values()), place), ())
    if place.is_dir():
        return _open_folder(place, roles, spacing_mm)
    return _open_file(place, roles, spacing_mm)


def open_image(path: AnyPath, *, spacing_mm: Spacing | None = None) -> list[tuple[str, Array, Grid]]:
    """Every 3-D image of a file as (name, `(X, Y, Z)` array, grid), whatever it shows; no role is needed."""
    place = _existing(path)
    if place.is_dir():
        volumes = [itk.read_series(series) for series in itk.find_series(place)]
        if not volumes:
            msg = f"{place.name} is a folder without a DICOM series. Open a file, or the folder as a study."
            raise UnreadableFileError(msg)
    else:
        volumes = _read_volumes(place, spacing_mm)
    return [(volume.name, volume.array, volume.grid) for volume in volumes]


def open_segmentation(path: AnyPath, schema: str | None = None, *, spacing_mm: Spacing | None = None) -> Segmentation:
    """Open labels and translate them to our classes.

    Parameters
    ----------
    path : path-like
        A label file (NIfTI, NRRD, MHA, `.tif`), or a folder with `<patient>_<k>_mask.tif` files.
    schema : str, optional
        What the integers mean (`labels.SCHEMAS`). Without it: what our own sidecar says, then `dataset.json`, then
        the file's name, then the values, if only one schema fits.
    spacing_mm : (x, y, z), optional
        Voxel size of files that do not tell it, such as TIFF.

    Raises
    ------
    UnreadableFileError, DimensionError
        If the file cannot be opened or is not one 3-D image.
    LabelSchemaError
        If the values are not labels, or more than one schema fits.
    """
    place = _existing(path)
    volume = _label_volume(place, spacing_mm)
    values = integral_labels(volume.array, volume.name)
    chosen = schema_named(schema) if schema is not None else _told_schema(place, values)
    return Segmentation(
        data=chosen.decode(values),
        grid=volume.grid,
        name=short_name(place),
        class_names=chosen.class_names,
        known_regions=chosen.known_regions,
        layout=volume.layout,
        provenance={"schema": chosen.name, "path": str(place)},
    )


def open_truth(path: AnyPath, schema: str | None = None, *, spacing_mm: Spacing | None = None) -> Segmentation | None:
    """The segmentation that belongs to a case, or None where there is none.

    Looks for a segmentation in the case folder, `labelsTr/<case>` for a Decathlon image, or the masks of Kaggle
    slices. `path`, `schema` and `spacing_mm` are as for `open_study` and `open_segmentation`.
    """
    place = _existing(path)
    found = _truth_path(place)
    return None if found is None else open_segmentation(found, schema, spacing_mm=spacing_mm)


def recognise(path: AnyPath) -> Literal["study", "segmentation"] | None:
    """What a path holds for us, told from names and headers alone; None where it is not ours. Never raises."""
    place = Path(path)
    try:
        if place.is_dir():
            return _recognise_folder(place)
        return _recognise_file(place) if place.is_file() else None
    except OSError:
        return None


# Paths ----------------------------------------------------------------------------------------------------------


def _existing(path: AnyPath) -> Path:
    place = Path(path).expanduser()
    if not place.exists():
        msg = f"{place} does not exist. Check the spelling of the path."
        raise UnreadableFileError(msg)
    return place


def _is_image(path: Path) -> bool:
    return nifti.is_nifti(path) or itk.is_itk(path) or tiff.is_tif(path)


def _visible(folder: Path) -> list[Path]:
    try:
        # Names that begin with a dot are hidden; macOS leaves `._scan.nii.gz` beside every copied file.
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        msg = f"{folder} cannot be listed: {error.strerror or error}. Check the permissions."
        raise UnreadableFileError(msg) from error


def _images_in(folder: Path) -> list[Path]:
    """Image files of a folder; where it has none, those of its subfolders (one folder per sequence)."""
    entries = _visible(folder)
    images = [p for p in entries if p.is_file() and _is_image(p)]
    if images:
        return images
    return [p for sub in entries if sub.is_dir() for p in _visible(sub) if p.is_file() and _is_image(p)]


def _slices_in(folder: Path) -> tuple[tiff.SliceFiles, ...]:
    return tiff.find_slices([p for p in _visible(folder) if p.is_file()])


# Reading --------------------------------------------------------------------------------------------------------


def _read_volumes(path: Path, spacing_mm: Spacing | None) -> list[Volume]:
    if tiff.is_tif(path):
        return tiff.read_tif(path, spacing_mm)
    if nifti.is_nifti(path):
        volumes = nifti.read_nifti(path)
    elif itk.is_itk(path):
        volumes = itk.read_itk(path)
    elif itk.is_dicom(path):
        volumes = [itk.read_series(_series_with(path))]
    else:
        msg = (
            f"{path.name} is of a kind that is not read. Readable are .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, "
            ".tif, .tiff and DICOM series."
        )
        raise UnreadableFileError(msg)
    return [_with_spacing(volume, spacing_mm) for volume in volumes]


def _series_with(path: Path) -> itk.DicomSeries:
    for series in itk.find_series(path.parent):
        if path.name in {f.name for f in series.files}:
            return series
    msg = f"{path.name} is not part of a DICOM series that can be read. Open the folder that holds the whole series."
    raise UnreadableFileError(msg)


def _with_spacing(volume: Volume, spacing_mm: Spacing | None) -> Volume:
    if spacing_mm is None:
        return volume
    if volume.grid.unit == "mm":
        msg = (
            f"{volume.name} tells its own geometry ({volume.grid.describe()}), so spacing_mm={spacing_mm} is not "
            "used. Leave it out; if the header is wrong, correct the header first."
        )
        raise GridMismatchError(msg)
    affine = volume.grid.affine @ np.diag([*tiff.checked_spacing(spacing_mm), 1.0])
    return replace(volume, grid=Grid(volume.grid.shape, affine, "mm"), layout=None)


def _read_files(files: Mapping[Role, Path], spacing_mm: Spacing | None) -> dict[Role, Volume]:
    # gzip releases the interpreter, so four files are unpacked at the same time.
    with ThreadPoolExecutor(max_workers=len(files) or 1) as pool:
        volumes = pool.map(lambda path: _single(path, spacing_mm), files.values())
        return dict(zip(files, volumes, strict=True))


def _single(path: Path, spacing_mm: Spacing | None) -> Volume:
    if path.is_dir():
        return _only_series(path)
    volumes = _read_volumes(path, spacing_mm)
    if len(volumes) > 1:
        msg = (
            f"{path.name} holds {len(volumes)} images, where one sequence was expected. Open it alone, with the roles "
            "of its volumes in order."
        )
        raise DimensionError(msg)
    return volumes[0]


def _only_series(folder: Path) -> Volume:
    series = itk.find_series(folder)
    if len(series) != 1:
        msg = f"{folder.name} holds {len(series)} DICOM series, where one was expected: name a folder with one series."
        raise DuplicateRoleError(msg) if series else UnreadableFileError(msg)
    return itk.read_series(series[0])


# Studies --------------------------------------------------------------------------------------------------------


def _open_folder(folder: Path, roles: Roles, spacing_mm: Spacing | None) -> Study:
    patients = [p for p in _slices_in(folder) if p.images]
    if len(patients) > 1:
        names = ", ".join(p.patient for p in patients[:4])
        msg = f"{folder.name} holds slices of {len(patients)} patients ({names}). Give each patient a folder."
        raise DuplicateRoleError(msg)
    if patients and _are_slices(patients[0]):
        channels = tiff.read_slices(patients[0], spacing_mm)
        return _study_of_channels(channels, roles, patients[0].patient)
    images = _images_in(folder)
    if not images:
        return _open_dicom(folder, roles, spacing_mm)
    if roles is not None:
        msg = f"{folder.name} is a folder of files, so roles must name a file each: {_HOW_TO_NAME_FILES}."
        raise RoleError(msg)
    if len(images) == 1 and not names_segmentation(images[0]):
        return _open_file(images[0], None, spacing_mm)
    return _open_named_files(folder, find_sequences(images), spacing_mm)


_HOW_TO_NAME_FILES: Final = 'roles={"T1c": "file.nii.gz", "FLAIR": "other.nii.gz"}'
_HOW_TO_ORDER: Final = 'roles=("FLAIR", "T1", "T1c", "T2"), with None for a volume to leave out'


def _are_slices(slices: tiff.SliceFiles) -> bool:
    """`case_1.tif` is a slice, whereas a file with role words in its patient part is a stack of its own."""
    return bool(slices.masks) or len(slices.images) > 1 or role_in_name(slices.patient) is None


def _open_named_files(folder: Path, found: FoundSequences, spacing_mm: Spacing | None) -> Study:
    if not found.sequences:
        files = ", ".join(p.name for p in (*found.unrecognised, *found.segmentations)[:8])
        msg = (
            f"No file in {folder.name} tells its sequence by name: {files}. Names need a word such as t1, t1c, t2 or "
            f"flair; or say it: {_HOW_TO_NAME_FILES}."
        )
        raise RoleError(msg)
    notes = tuple(f"{p.name} was not opened: its name tells no sequence." for p in found.unrecognised)
    return _study(_read_files(found.sequences, spacing_mm), folder.name, notes)


def _open_dicom(folder: Path, roles: Roles, spacing_mm: Spacing | None) -> Study:
    if spacing_mm is not None:
        msg = "DICOM tells its own geometry, so spacing_mm is not used. Leave it out."
        raise GridMismatchError(msg)
    folders = [folder, *(p for p in _visible(folder) if p.is_dir())]
    series = [s for f in folders for s in itk.find_series(f)]
    if not series:
        msg = (
            f"{folder.name} holds no image that is read here (.nii, .nii.gz, .nrrd, .mha, .mhd, .tif, DICOM series). "
            "Open the folder of one case."
        )
        raise UnreadableFileError(msg)
    chosen, notes = _series_by_role(series, roles, folder)
    return _study({role: itk.read_series(s) for role, s in chosen.items()}, folder.name, notes)


def _series_by_role(
    series: Sequence[itk.DicomSeries], roles: Roles, folder: Path
) -> tuple[dict[Role, itk.DicomSeries], tuple[str, ...]]:
    told = [role_in_name(s.description) or role_in_name(s.files[0].parent.name) for s in series]
    if roles is not None:
        told = _ordered_roles(roles, len(series), folder.name)
    chosen: dict[Role, itk.DicomSeries] = {}
    for role, one in zip(told, series, strict=True):
        if role in chosen:
            msg = (
                f"Two DICOM series claim to be {role}: {chosen[role].description!r} and {one.description!r}. Name the "
                f"folder of the one that is meant, or give the roles of the {len(series)} series in order."
            )
            raise DuplicateRoleError(msg)
        if role is not None:
            chosen[role] = one
    names = ", ".join(repr(s.description or s.files[0].parent.name) for s in series)
    if not chosen:
        msg = f"The DICOM series in {folder.name} do not tell their sequence: {names}. Give it in this order: {_HOW_TO_ORDER}."
        raise RoleError(msg)
    left = (s.description or s.uid for role, s in zip(told, series, strict=True) if role is None)
    return chosen, tuple(f"The DICOM series {name!r} was not opened: it tells no sequence." for name in left)


def _open_file(path: Path, roles: Roles, spacing_mm: Spacing | None) -> Study:
    volumes = _read_volumes(path, spacing_mm)
    if tiff.is_tif(path):
        return _study_of_channels(volumes, roles, short_name(path))
    if len(volumes) > 1:
        return _study_of_volumes(volumes, roles, path)
    role = role_in_name(short_name(path)) if roles is None else _the_one_role(roles, path)
    if role is None or (roles is None and names_segmentation(path)):
        what = "names a segmentation" if names_segmentation(path) else "does not tell which sequence it is"
        msg = f'The name {path.name} {what}. Say it, for example roles={{"T1c": "{path.name}"}}.'
        raise RoleError(msg)
    return _study({role: volumes[0]}, short_name(path), ())


def _the_one_role(roles: Mapping[str, AnyPath | int] | Sequence[str | None], path: Path) -> Role | None:
    return next(role for role in _ordered_roles(roles, 1, path.name))


def _study_of_volumes(volumes: Sequence[Volume], roles: Roles, path: Path) -> Study:
    told = dataset_roles(dataset_json(path)) if roles is None else _ordered_roles(roles, len(volumes), path.name)
    if told is None:
        msg = (
            f"{path.name} holds {len(volumes)} volumes and no dataset.json tells their order. Give it: {_HOW_TO_ORDER}."
        )
        raise RoleError(msg)
    if len(told) != len(volumes):
        msg = f"{path.name} holds {len(volumes)} volumes, its dataset.json names {len(told)}. Give the order: {_HOW_TO_ORDER}."
        raise RoleError(msg)
    chosen = {role: volume for role, volume in zip(told, volumes, strict=True) if role is not None}
    if len(chosen) != sum(role is not None for role in told):
        msg = f"{path.name}: a role is given to two volumes in {told}. A study has one of each."
        raise DuplicateRoleError(msg)
    left = (
        f"Volume {i} of {path.name} was not opened: no role is given for it." for i, r in enumerate(told) if r is None
    )
    return _study(chosen, short_name(path), tuple(left))


def _study_of_channels(channels: Sequence[Volume], roles: Roles, name: str) -> Study:
    notes: tuple[str, ...] = ()
    if roles is not None:
        told = _ordered_roles(roles, len(channels), name)
    elif len(channels) == 3:
        told = tiff.LGG_CHANNELS
        notes = ("Red, green and blue are taken as T1, FLAIR and T1c, as in the Kaggle LGG set.",)
    else:
        told = (role_in_name(name),) if len(channels) == 1 else ()
    chosen = {role: channel for role, channel in zip(told, channels, strict=False) if role is not None}
    if not chosen:
        msg = (
            f"{name} is a TIFF with {len(channels)} channel{'s'[: len(channels) != 1]} and does not tell its sequence. "
            'Say it: roles=("FLAIR",) for one channel, roles=("T1", "FLAIR", "T1c") for three.'
        )
        raise RoleError(msg)
    kept, dropped = _without_repeats(chosen)
    return _study(kept, name, (*notes, *dropped))


def _without_repeats(chosen: Mapping[Role, Volume]) -> tuple[dict[Role, Volume], tuple[str, ...]]:
    """Channels that repeat FLAIR or are blank stand for a sequence that was not made."""
    flair = chosen.get("FLAIR")
    kept: dict[Role, Volume] = {}
    notes = []
    for role, volume in chosen.items():
        if flair is not None and volume is not flair and tiff.repeats(volume.array, flair.array):
            notes.append(f"The channel of {role} only repeats FLAIR: {role} counts as absent.")
        elif len(chosen) > 1 and volume.array.min() == volume.array.max():
            notes.append(f"The channel of {role} is blank: {role} counts as absent.")
        else:
            kept[role] = volume
    return (kept, tuple(notes)) if kept else (dict(chosen), ())


def _study(volumes: Mapping[Role, Volume], name: str, notes: Iterable[str]) -> Study:
    _check_one_grid(volumes)
    first = next(iter(volumes.values()))
    return Study(
        sequences={role: volume.array for role, volume in volumes.items()},
        grid=first.grid,
        name=name,
        sources={role: Source(volume.path, volume.channel) for role, volume in volumes.items()},
        layout=first.layout,
        notes=tuple(dict.fromkeys((*notes, *(note for volume in volumes.values() for note in volume.notes)))),
    )


def _check_one_grid(volumes: Mapping[Role, Volume]) -> None:
    distinct: list[tuple[list[Role], Grid]] = []
    for role, volume in volumes.items():
        for members, grid in distinct:
            if grid.same_place(volume.grid):
                members.append(role)
                break
        else:
            distinct.append(([role], volume.grid))
    if len(distinct) < 2:
        return
    lines = "; ".join(f"{', '.join(members)}: {grid.describe()}" for members, grid in distinct)
    msg = (
        f"The sequences lie on {len(distinct)} different grids. {lines}. A study needs one grid: resample the others "
        "onto one of them (co-register them first if the patient moved), or open the sequences of one grid alone by "
        f"naming them, {_HOW_TO_NAME_FILES}. Registration comes in a later version."
    )
    raise GridMismatchError(msg)


# Roles given by the caller ----------------------------------------------------------------------------------------


def _files_by_role(roles: Roles, place: Path) -> dict[Role, Path] | None:
    """Role to file, where the caller named files; None where they named numbers, an order or nothing."""
    if not isinstance(roles, Mapping) or not roles or any(isinstance(v, int) for v in roles.values()):
        return None
    folder = place if place.is_dir() else place.parent
    files: dict[Role, Path] = {}
    for text, value in roles.items():
        role = role_named(text)
        if role in files:
            msg = f"The role {role} is given twice: {files[role].name} and {value}. A study has one of each."
            raise DuplicateRoleError(msg)
        files[role] = _existing(folder / Path(value).expanduser())  # type: ignore[arg-type]
    return files


def _ordered_roles(
    roles: Mapping[str, AnyPath | int] | Sequence[str | None], count: int, what: str
) -> tuple[Role | None, ...]:
    """The role of each of `count` volumes, from an order or from role-to-number."""
    ordered = _from_numbers(roles, count, what) if isinstance(roles, Mapping) else _from_order(roles, count, what)
    given = [role for role in ordered if role is not None]
    if not given:
        msg = f"No role is given for any volume of {what}. Give the order: {_HOW_TO_ORDER}."
        raise RoleError(msg)
    if len(set(given)) != len(given):
        msg = f"{what}: a role is given twice in {', '.join(given)}. A study has one of each."
        raise DuplicateRoleError(msg)
    return ordered


def _from_order(roles: Sequence[str | None], count: int, what: str) -> tuple[Role | None, ...]:
    texts = [roles] if isinstance(roles, str) else list(roles)
    if len(texts) != count:
        msg = (
            f"{what} holds {count} volumes, but {len(texts)} roles are given. Give one for each, None to leave it out."
        )
        raise RoleError(msg)
    return tuple(None if text is None else role_named(text) for text in texts)


def _from_numbers(roles: Mapping[str, AnyPath | int], count: int, what: str) -> tuple[Role | None, ...]:
    ordered: list[Role | None] = [None] * count
    for text, number in roles.items():
        if not isinstance(number, int) or not 0 <= number < count:
            msg = f"{what} holds volumes 0 to {count - 1}; roles names {number!r} for {text}."
            raise RoleError(msg)
        if ordered[number] is not None:
            msg = f"{what}: volume {number} is given to {ordered[number]} and to {text}."
            raise DuplicateRoleError(msg)
        ordered[number] = role_named(text)
    return tuple(ordered)


def _common_name(files: Sequence[Path], place: Path) -> str:
    if place.is_dir():
        return place.name
    return short_name(files[0]) if len(files) == 1 else place.parent.name


# Segmentations ----------------------------------------------------------------------------------------------------


def _label_volume(place: Path, spacing_mm: Spacing | None) -> Volume:
    if place.is_dir():
        return _masks_in(place, spacing_mm)
    volumes = _read_volumes(place, spacing_mm)
    if len(volumes) > 1:
        msg = f"{place.name} holds {len(volumes)} images; a segmentation is one. Open it as a study instead."
        raise DimensionError(msg)
    return volumes[0]


def _masks_in(folder: Path, spacing_mm: Spacing | None) -> Volume:
    patients = [p for p in _slices_in(folder) if p.masks]
    if len(patients) != 1:
        found = ", ".join(p.patient for p in patients[:4]) or "none"
        msg = (
            f"{folder.name} should hold <patient>_<k>_mask.tif files of one patient; patients found: {found}. "
            "Open a label file, or the folder of one patient."
        )
        raise UnreadableFileError(msg)
    return tiff.read_mask_slices(patients[0], spacing_mm)


def _told_schema(place: Path, values: np.ndarray[Any, np.dtype[np.uint8]]) -> LabelSchema:
    found = label_values(values)
    stem, case = (place.name, place.name) if place.is_dir() else (short_name(place), place.parent.name)
    if place.is_dir():
        stem = f"{case}_mask"
    own = read_sidecar(place).get("schema")
    if isinstance(own, str):
        return schema_named(own)
    dataset = None if place.is_dir() else dataset_labels(dataset_json(place))
    if not found - {0} and dataset is None and not _name_tells(stem) and not _name_tells(case):
        # Nothing is marked, so every schema says the same.
        return SCHEMAS["MSD"]
    return guess_schema(found, stem if dataset or _name_tells(stem) or not _name_tells(case) else case, dataset)


def _name_tells(name: str) -> bool:
    """Whether a name alone settles the schema: it does if no value is needed to guess it."""
    try:
        guess_schema((), name)
    except LabelSchemaError:
        return False
    return True


def _truth_path(place: Path) -> Path | None:
    if place.is_dir():
        if any(p.masks for p in _slices_in(place)):
            return place
        found = [p for p in _images_in(place) if names_segmentation(p) and not _is_brain_mask(p)]
    elif place.parent.name.lower() in ("imagestr", "images"):
        found = [p for p in _twins(place) if p.is_file()]
    else:
        return _truth_beside(place)
    if len(found) > 1:
        msg = f"{place.name} has several segmentations: {', '.join(p.name for p in found)}. Open the right one by its path."
        raise LabelSchemaError(msg)
    return found[0] if found else None


def _twins(place: Path) -> list[Path]:
    names = dict.fromkeys((place.name, place.name.replace("_0000.", ".")))
    folders = ("labelsTr", "labels")
    return [place.parent.parent / folder / name for folder in folders for name in names]


def _truth_beside(place: Path) -> Path | None:
    twin = place.with_name(f"{short_name(place)}_mask{place.suffix}")
    if tiff.is_tif(place):
        return twin if twin.is_file() else None
    prefix = re.split(r"[_-](?=[^_-]*$)", short_name(place))[0]
    found = [
        p
        for p in _images_in(place.parent)
        if names_segmentation(p) and not _is_brain_mask(p) and p.name.startswith(prefix)
    ]
    return found[0] if len(found) == 1 else None


def _is_brain_mask(path: Path) -> bool:
    return bool(re.search(r"(brain|head|skull)[a-z]*[_-]?mask", path.name.lower()))


# What is this? ----------------------------------------------------------------------------------------------------


def _recognise_folder(folder: Path) -> Literal["study", "segmentation"] | None:
    patients = _slices_in(folder)
    if any(p.images for p in patients):
        return "study"
    if patients:
        return "segmentation"
    try:
        found = find_sequences(_images_in(folder))
    except DuplicateRoleError:
        # Two files for one role in the folder itself are a case to complain about; subfolders are several cases.
        return "study" if any(p.is_file() and _is_image(p) for p in _visible(folder)) else None
    if found.sequences:
        return "study"
    return "study" if any(itk.is_dicom(p) for p in _first_files(folder)) else None


def _first_files(folder: Path) -> list[Path]:
    folders = [folder, *(p for p in _visible(folder) if p.is_dir())]
    return [next((p for p in _visible(f) if p.is_file()), f) for f in folders]


def _recognise_file(path: Path) -> Literal["study", "segmentation"] | None:
    if tiff.is_tif(path):
        match = tiff.find_slices([path])
        return None if not match else "segmentation" if match[0].masks else "study"
    if not _is_image(path):
        return "study" if itk.is_dicom(path) else None
    if names_segmentation(path) or path.parent.name.lower().startswith("labels"):
        return "segmentation"
    if role_in_name(short_name(path)) is not None:
        return "study"
    return "study" if nifti.is_nifti(path) and _is_four_d_with_order(path) else None


def _is_four_d_with_order(path: Path) -> bool:
    if dataset_roles(dataset_json(path)) is None:
        return False
    try:
        return len(nifti.read_nifti_header(path).shape) == 4
    except BrainTumorError:
        return False
