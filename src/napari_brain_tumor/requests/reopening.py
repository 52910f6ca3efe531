"""How the very sequences that a study was read from are opened again."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from napari_brain_tumor.errors import BrainTumorError, RecordError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import dicom, find_sequences
from napari_brain_tumor.io.formats import TIFF
from napari_brain_tumor.io.reading import grid_of, images_in, is_image, slices_in
from napari_brain_tumor.io.study_folder import names_segmentation, role_of_file
from napari_brain_tumor.requests.opening import OpenRequest
from napari_brain_tumor.study import ROLES, Role, Source


def is_tif(path: Path) -> bool:
    """Whether it is a TIFF, or a folder of them."""
    files = [path] if path.is_file() else images_in(path)
    return any(map(TIFF.fits, files))


def opening_of(
    sources: Mapping[Role, Source], roles: Iterable[Role], grid: Grid, resampled: Iterable[Role] = ()
) -> OpenRequest:
    """How `open_study` is told to open those sequences again, with as few words as are certain.

    Parameters
    ----------
    sources : mapping of role to Source
        Where they were read from.
    roles : iterable of Role
        All sequences that are meant.
    grid : Grid
        Their own.
    resampled : iterable of Role
        Those that were brought onto the grid of the others.

    Raises
    ------
    RecordError
        If a sequence is not from a file, or no one call opens them together.
    """
    wanted_roles = tuple(roles)
    in_memory = [role for role in wanted_roles if role not in sources]
    sources = {role: sources[role] for role in ROLES if role in sources and role in wanted_roles}
    missing = [str(source.path) for source in sources.values() if not source.path.exists()]
    if in_memory or missing:
        what = f"{', '.join(in_memory)} is not from a file" if in_memory else f"{missing[0]} is no longer there"
        msg = f"{what}: save the layer first (File > Save Selected Layers), open the saved file and choose it here."
        raise RecordError(msg)
    picked = _picked_series(sources)
    place, roles_by_file = (next(iter(sources.values())).path, {}) if picked else _place_and_roles(sources)
    spacing = grid.spacing if grid.unit == "mm" and not _tells_spacing(next(iter(sources.values())).path) else None
    moved = set(resampled)
    return OpenRequest(
        path=place,
        roles=roles_by_file or None,
        series=picked or None,
        spacing_mm=spacing,
        resample=_reference(sources, moved) if moved else None,
    )


def _reference(sources: Mapping[Role, Source], moved: set[Role]) -> Role:
    """A sequence that lies on the common grid by itself."""
    still = next((role for role in sources if role not in moved), None)
    if still is None:
        raise RecordError(
            "The sequence onto whose grid the others were resampled is not chosen, so a script cannot open them this "
            "way. "
            "Choose it too, or save the layers and open the saved files."
        )
    return still


def _place_and_roles(sources: Mapping[Role, Source]) -> tuple[Path, dict[str, int | str]]:
    paths = {(source.path, source.series) for source in sources.values()}
    numbered: dict[str, int | str] = {
        role: source.channel for role, source in sources.items() if source.channel is not None
    }
    if len(paths) == 1 and len(numbered) == len(sources):
        return next(iter(sources.values())).path, numbered
    if numbered:
        names = ", ".join(dict.fromkeys(source.path.name for source in sources.values()))
        raise RecordError(
            f"The sequences come from {names}, some of them as volumes of one file; no one call opens them together. "
            "Save them as files of their own first."
        )
    files = {role: _one_file(source) for role, source in sources.items()}
    return _short_place(files) or _explicit_place(files)


def _picked_series(sources: Mapping[Role, Source]) -> dict[str, str]:
    """The numbers of the DICOM series of one folder, where a file of them would not do: it holds several stacks."""
    folders = {source.path for source in sources.values()}
    if len(folders) != 1 or not all(source.series is not None and "#" in source.series for source in sources.values()):
        return {}
    numbers = {
        role: [entry.number for entry in dicom.series_of_source(s.path, s.series)] for role, s in sources.items()
    }
    if any(len(numbers_of_role) != 1 for numbers_of_role in numbers.values()):
        return {}
    return {role: numbers_of_role[0] for role, numbers_of_role in numbers.items()}


def _one_file(source: Source) -> Path:
    """A file that stands for the sequence: itself, or any one of its DICOM series."""
    if source.path.is_file():
        return source.path
    series = dicom.series_of_source(source.path, source.series)
    if len(series) != 1:
        raise RecordError(f"{source.path} holds {len(series)} series that fit; one was opened. Restore it as it was.")
    file = series[0].files[0]
    if len(dicom.contents_of(file).series) != 1:
        raise RecordError(f"{file.name} holds several stacks, so no file stands for this one: pick it with series=.")
    return file


def _short_place(files: Mapping[Role, Path]) -> tuple[Path, dict[str, int | str]] | None:
    """A folder or file whose names alone tell exactly these sequences; None where there is none."""
    first = next(iter(files.values()))
    if len(files) == 1 and is_image(first) and not names_segmentation(first):
        role = next(iter(files))
        return (first, {}) if role_of_file(first, images_in(first.parent)) == role else None
    if {path.parent for path in files.values()} != {first.parent} or any(p.images for p in slices_in(first.parent)):
        return None
    try:
        recognised = find_sequences(images_in(first.parent))
    except BrainTumorError:
        return None
    return (first.parent, {}) if recognised.sequences == dict(files) else None


def _explicit_place(files: Mapping[Role, Path]) -> tuple[Path, dict[str, int | str]]:
    try:
        folder = Path(os.path.commonpath([path.parent for path in files.values()]))
    except ValueError:  # on several drives
        folder = next(iter(files.values())).parent
    return folder, {role: _named_in(path, folder) for role, path in files.items()}


def _named_in(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return f"./{name}" if name.isdecimal() else name  # a number would be that of a volume


def _tells_spacing(path: Path) -> bool:
    """Whether the files state their voxel size themselves."""
    if path.is_dir():
        return not slices_in(path)
    grid = grid_of(path)
    return not TIFF.fits(path) if grid is None else grid.unit == "mm"
