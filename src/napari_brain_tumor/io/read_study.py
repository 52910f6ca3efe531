"""Open the sequences of an examination from a folder or file of any format."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_brain_tumor.errors import DimensionError, DuplicateRoleError, RoleError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import dicom, tiff
from napari_brain_tumor.io.bids import anatomy_of
from napari_brain_tumor.io.case_names import folder_name, study_name
from napari_brain_tumor.io.formats import TIFF
from napari_brain_tumor.io.given_roles import HOW_TO_NAME_FILES, Roles, files_by_role
from napari_brain_tumor.io.reading import (
    AnyPath,
    Spacing,
    existing,
    images_in,
    is_image,
    read_files,
    read_volumes,
    slices_in,
    with_spacing,
)
from napari_brain_tumor.io.sequence_words import roles_in
from napari_brain_tumor.io.sequences import Sequences, as_study, named_sequences
from napari_brain_tumor.io.study_folder import (
    FoundSequences,
    find_sequences,
    names_segmentation,
    role_in_name,
    role_of_file,
    why_unrecognised,
)
from napari_brain_tumor.io.volume import Volume, short_name
from napari_brain_tumor.io.volume_roles import sequences_of_channels, sequences_of_volumes, the_one_role
from napari_brain_tumor.study import Role, Source, Study

SeriesPicks = Mapping[str, str | int] | None
"""Mapping of role to the number or description of a DICOM series."""


def open_study(
    path: AnyPath,
    roles: Roles = None,
    *,
    series: SeriesPicks = None,
    spacing_mm: Spacing | None = None,
    resample: str | None = None,
) -> Study:
    """Open the sequences of one examination.

    Parameters
    ----------
    path : path-like
        A case folder (NIfTI, NRRD or MHA files named after their sequences, Kaggle LGG slices, DICOM series), a 4-D
        file, a `.tif`, or one 3-D file.
    roles : mapping or sequence, optional
        Needed if names do not identify the sequences: role to file (relative to the folder), role to volume or channel
        number, or a list of roles in volume order, with None for volumes to skip. Spelling is lenient (`role_named`).
    series : mapping of role to str or int, optional
        For DICOM: the series of each role, by number or description as shown by `list_series`. Only these series are
        opened.
    spacing_mm : (x, y, z), optional
        Voxel size for files that do not state it, such as TIFF.
    resample : str, optional
        For sequences on different grids: `"finest"` resamples them onto the grid with the smallest voxels, a role onto
        that sequence's grid, linearly and without registration. If not given, different grids raise an error.

    Returns
    -------
    Study
        Arrays in file order on one grid.

    Raises
    ------
    UnreadableFileError, DimensionError, IntensityError
        If a file cannot be opened or contains nothing usable.
    RoleError, DuplicateRoleError
        If roles are undetermined or given twice; for DICOM the message lists all series to choose from.
    GridMismatchError
        If the sequences do not share a grid, or `spacing_mm` contradicts the files.

    Examples
    --------
    >>> study = open_study("BraTS2021_01477")  # doctest: +SKIP
    >>> study.roles, study.grid.shape  # doctest: +SKIP
    (('T1', 'T1c', 'T2', 'FLAIR'), (240, 240, 155))
    """
    return as_study(open_sequences(path, roles, series=series, spacing_mm=spacing_mm), onto=resample)


def open_sequences(
    path: AnyPath, roles: Roles = None, *, series: SeriesPicks = None, spacing_mm: Spacing | None = None
) -> Sequences:
    """Open the sequences of an examination, each on its own grid.

    Takes the parameters of `open_study` except `resample`, and raises the same errors except those about different
    grids.
    """
    place = existing(path)
    roles = roles or None
    if series:
        if roles is not None:
            msg = "Give either series, which picks among DICOM series, or roles, which names files or volumes."
            raise RoleError(msg)
        return _open_dicom(place, series, spacing_mm)
    files = files_by_role(roles, place)
    if files is not None:
        volumes = read_files(files, spacing_mm)
        name = folder_name(place) if place.is_dir() else study_name(list(files.values()), place)
        return named_sequences(volumes, name, ())
    if place.is_dir():
        return _open_folder(anatomy_of(place), roles, spacing_mm)
    return _open_file(place, roles, spacing_mm)


def list_series(path: AnyPath) -> list[dicom.Series]:
    """List the DICOM series below a folder, or that of a file, from their headers; no pixel data are read.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of Series
        Sorted by examination and number. Use `open_study(path, series={"T1c": number})` to open chosen series.

    Raises
    ------
    UnreadableFileError
        If the path does not exist, or its DICOM files cannot be read.

    Examples
    --------
    >>> for series in list_series("study"):  # doctest: +SKIP
    ...     print(series.number, series.description, series.plane, series.slices, series.role)
    """
    return list(dicom.contents_of(existing(path)).series)


def open_sources(
    sources: Mapping[Role, Source], name: str, *, spacing_mm: Spacing | None = None, onto: Grid | None = None
) -> Study:
    """Re-open what a study was read from, whatever the files are called.

    Parameters
    ----------
    sources : mapping of role to Source
        As in the study's `sources`, or updated to where the files are now.
    name : str
        Name of the case.
    spacing_mm : (x, y, z), optional
        Voxel size for files that do not state it.
    onto : Grid, optional
        The grid onto which the sequences were resampled.

    Raises
    ------
    UnreadableFileError, DimensionError
        If a file is missing, cannot be opened or does not contain that volume or series.
    GridMismatchError
        If the sequences do not share a grid.
    """
    return as_study(named_sequences(open_source_volumes(sources, spacing_mm=spacing_mm), name, ()), onto=onto)


def open_source_volumes(sources: Mapping[Role, Source], *, spacing_mm: Spacing | None = None) -> dict[Role, Volume]:
    """Re-read what a study was read from, each sequence on its own grid; raises the same errors as `open_sequences`."""
    read: dict[tuple[Path, str | None], list[Volume]] = {}
    for source in sources.values():
        key = source.path, source.series
        if key not in read:
            read[key] = _volumes_of(existing(source.path), source.series, spacing_mm)
    return {role: _picked(read[one.path, one.series], one) for role, one in sources.items()}


def _volumes_of(place: Path, series: str | None, spacing_mm: Spacing | None) -> list[Volume]:
    if place.is_file():
        return read_volumes(place, spacing_mm)
    patients = [p for p in slices_in(place) if p.images]
    if len(patients) == 1:
        return tiff.read_slices(patients[0], spacing_mm)
    matching = dicom.series_of_source(place, series)
    if len(matching) != 1:
        msg = f"{place} holds {len(matching)} DICOM series that fit {series or 'it'}; one was read before. Restore it."
        raise UnreadableFileError(msg)
    return [with_spacing(dicom.read_series(matching[0]), spacing_mm)]


def _picked(volumes: Sequence[Volume], source: Source) -> Volume:
    channel = source.channel or 0
    if channel >= len(volumes) or (source.channel is None and len(volumes) > 1):
        what = "one image" if source.channel is None else f"a volume {source.channel}"
        msg = f"{source.path} holds {len(volumes)} images; {what} was read from it before. Restore the original."
        raise DimensionError(msg)
    return volumes[channel]


def _open_folder(folder: Path, roles: Roles, spacing_mm: Spacing | None) -> Sequences:
    patients = [p for p in slices_in(folder) if p.images]
    if len(patients) > 1:
        names = ", ".join(p.patient for p in patients[:4])
        msg = f"{folder.name} holds slices of {len(patients)} patients ({names}). Give each patient a folder."
        raise DuplicateRoleError(msg)
    if patients and _are_slices(patients[0]):
        channels = tiff.read_slices(patients[0], spacing_mm)
        return sequences_of_channels(channels, roles, patients[0].patient, patients[0].patient)
    images = images_in(folder)
    scans = [p for p in images if not names_segmentation(p)]
    # A picture or a converted file beside a DICOM export must not hide it.
    telling = roles is not None or any(role_of_file(p, images) is not None for p in scans)
    if not images or (not (scans and telling) and dicom.holds_dicom(folder)):
        return _open_all_dicom(folder, roles, spacing_mm)
    if len(scans) == 1:
        return _open_file(scans[0], roles, spacing_mm)
    if roles is not None:
        raise RoleError(f"{folder.name} is a folder of files, so roles must name a file each: {HOW_TO_NAME_FILES}.")
    return _open_named_files(folder, find_sequences(images), spacing_mm)


def _are_slices(slices: tiff.SliceFiles) -> bool:
    """Whether files are slices: `case_1.tif` is one, but a file whose patient part contains role words is a stack."""
    return bool(slices.masks) or len(slices.images) > 1 or role_in_name(slices.patient) is None


def _open_named_files(folder: Path, recognised: FoundSequences, spacing_mm: Spacing | None) -> Sequences:
    if not recognised.sequences:
        names = ", ".join(p.name for p in (*recognised.unrecognised, *recognised.segmentations)[:8])
        raise RoleError(
            f"No file in {folder.name} names its sequence: {names}. Names need a word such as t1, t1c, t2 or "
            f"flair; or state it: {HOW_TO_NAME_FILES}."
        )
    notes = map(why_unrecognised, recognised.unrecognised)
    by_folder = (note for role, path in recognised.sequences.items() for note in _folder_notes(role, path))
    files = list(recognised.sequences.values())
    return named_sequences(
        read_files(recognised.sequences, spacing_mm), study_name(files, folder), (*notes, *by_folder)
    )


def _folder_notes(role: Role, path: Path) -> tuple[str, ...]:
    if role_in_name(short_name(path)) is not None:
        return ()
    return (f"{path.name} is taken as {role} by the name of its folder, {path.parent.name}.",)


def _open_dicom(place: Path, picks: Mapping[str, str | int] | None, spacing_mm: Spacing | None) -> Sequences:
    """Open the chosen series, or those whose headers indicate a role that no other series claims."""
    contents = dicom.contents_of(place)
    if not contents.series:
        msg = (
            f"{place.name} holds no image of a supported format (.nii, .nii.gz, .nrrd, .mha, .mhd, .tif, DICOM "
            "series). "
            f"Open the folder of one case. {' '.join(contents.notes)}"
        )
        raise UnreadableFileError(msg.rstrip())
    series_by_role, notes = dicom.pick(contents, picks, place) if picks else dicom.candidates(contents, place)
    volumes = {role: with_spacing(dicom.read_series(series), spacing_mm) for role, series in series_by_role.items()}
    return named_sequences(volumes, folder_name(place) if place.is_dir() else short_name(place), notes)


def _open_all_dicom(folder: Path, roles: Roles, spacing_mm: Spacing | None) -> Sequences:
    """Open all series of a folder; a list of roles in order is accepted only if there is a single series."""
    if roles is None:
        return _open_dicom(folder, None, spacing_mm)
    contents = dicom.contents_of(folder)
    if len(contents.series) > 1:
        msg = (
            f"{folder.name} holds {len(contents.series)} DICOM series, in no order of their own: pick each with "
            f'series={{"T1c": "{contents.series[0].number}"}} (--series), by number or description.'
        )
        raise RoleError(f"{msg}\n{dicom.listing(contents)}")
    picks = {str(the_one_role(roles, folder)): series.number for series in contents.series}
    return _open_dicom(folder, picks, spacing_mm)


def _open_file(path: Path, roles: Roles, spacing_mm: Spacing | None) -> Sequences:
    if roles is None and not is_image(path) and dicom.is_dicom(path):
        return _open_dicom(path, None, spacing_mm)
    volumes = read_volumes(path, spacing_mm)
    if TIFF.fits(path):
        return sequences_of_channels(volumes, roles, short_name(path), study_name([path], path))
    if len(volumes) > 1:
        return sequences_of_volumes(volumes, roles, path)
    role = role_of_file(path, images_in(path.parent)) if roles is None else the_one_role(roles, path)
    if role is None or (roles is None and names_segmentation(path)):
        doubt = roles_in(short_name(path)).doubt
        unclear = f"does not determine its sequence: {doubt}" if doubt else "does not say which sequence it is"
        what = "names a segmentation" if names_segmentation(path) else unclear
        raise RoleError(f'The name {path.name} {what}. State it, for example roles={{"T1c": "{path.name}"}}.')
    notes = _folder_notes(role, path) if roles is None else ()
    return named_sequences({role: volumes[0]}, study_name([path], path), notes)
