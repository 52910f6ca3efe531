"""From raw series to a study: chosen, registered, brought onto one grid, brain extracted."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from napari_brain_tumor.brain.extraction import BrainChoice, ExtractedBrain, chosen_brain_job
from napari_brain_tumor.brain.mask_file import open_mask
from napari_brain_tumor.errors import BrainMaskError, RegistrationError
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.geometry import Grid, bounding_box, orthogonal_grid, resample
from napari_brain_tumor.io import Volume
from napari_brain_tumor.io.case_names import study_name
from napari_brain_tumor.io.given_roles import Roles
from napari_brain_tumor.io.one_grid import resample_within, scanned_part
from napari_brain_tumor.io.reading import AnyPath, Spacing, existing
from napari_brain_tumor.io.source_files import describe_sources, file_sha256
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.preparation.alignment import align_job, choose_reference
from napari_brain_tumor.preparation.bias_field import without_bias_field
from napari_brain_tumor.preparation.candidates import candidates_of
from napari_brain_tumor.preparation.choice import Picks, select
from napari_brain_tumor.preparation.folder import require_free, save_prepared
from napari_brain_tumor.preparation.pictures import checkerboard_picture
from napari_brain_tumor.preparation.prepared import Motion, PreparedStudy, SequencePlace, series_table
from napari_brain_tumor.preparation.records import PlaceRecord
from napari_brain_tumor.preparation.settings import OutputGrid, PreparationSettings
from napari_brain_tumor.preprocessing.intensity import foreground_mask
from napari_brain_tumor.progress import Job, Progress, action, part_of
from napari_brain_tumor.study import ROLES, Role, Source, Study
from napari_brain_tumor.types import Array, Mask

if TYPE_CHECKING:
    import pandas

_MM: Final = 1.0
_COVERED: Final = 0.95
"""Share of the reference's field of view below which a note says how much a sequence covers."""
_WHOLE_NUMBERS_FROM: Final = 400.0
"""Grey levels from which the values of a scan in whole numbers stay whole numbers."""


@action
def prepare(
    path: AnyPath,
    *,
    series: Picks = None,
    roles: Roles = None,
    spacing_mm: Spacing | None = None,
    reference: Role | None = None,
    grid: OutputGrid = "1mm",
    bias_correction: bool = False,
    brain: BrainChoice = "auto",
    device: str = "auto",
    seed: int = 0,
    output: AnyPath | None = None,
    overwrite: bool = False,
) -> Job[PreparedStudy]:
    """Make a study of the raw series of an examination.

    The best series of each role is chosen, each is registered to the reference, all are brought onto one grid, and
    the brain is extracted.

    Parameters
    ----------
    path : path-like
        A DICOM study, a BIDS subject or session with one examination, or a folder of files.
    series : mapping of role to number or name, optional
        Taken for these roles instead of the best by the rules (`preparation.choice.RULES`); `"-"` leaves a role out.
    roles, spacing_mm : optional
        As for `open_study`, where files do not tell.
    reference : {"T1", "T1c", "T2", "FLAIR"}, optional
        The sequence that the others are registered to; T1c, else the one with the smallest voxels.
    grid : {"1mm", "reference"}
        Voxels of 1 mm along the patient's axes, or the reference's own grid.
    bias_correction : bool
        Take away the shading of the coils with N4.
    brain : {"auto", "keep"}, path or (X, Y, Z) array
        Extract the brain of whole heads; keep them; or take a mask of yours, on the reference's own grid.
    device : str
        As for `segment`.
    seed : int
        Of the samples that registration looks at.
    output : path-like, optional
        Folder in which everything is kept (`PreparedStudy`, pictures, transforms).
    overwrite : bool
        Whether an earlier prepared study there is replaced.

    Returns
    -------
    PreparedStudy
        `study` to segment, `transforms`, and `restore` for the way back to each series' own grid.

    Raises
    ------
    UnreadableFileError, RoleError, DuplicateRoleError
        If there is nothing to prepare, or it is not settled which series are meant.
    RegistrationError
        If a sequence cannot be brought onto the reference in a way that can be trusted: perhaps of another patient.
    SpacingUnknownError
        If the files do not tell the voxel size.
    BrainMaskError
        If the mask that was given cannot be used.
    SaveError
        If the folder cannot be written, or holds something else.

    Examples
    --------
    >>> from napari_brain_tumor import prepare, save_segmentation, segment
    >>> prepared = prepare("examination", output="study")  # doctest: +SKIP
    >>> result = segment(prepared.study)  # doctest: +SKIP
    >>> save_segmentation(prepared.restore(result, onto="FLAIR"), "on_flair.nii.gz")  # doctest: +SKIP
    """
    place = existing(path)
    if output is not None:
        require_free(Path(output), overwrite=overwrite)
    yield Progress(0, 1, "Reading the headers")
    selection = select(candidates_of(place, roles, spacing_mm=spacing_mm), series)
    volumes: dict[Role, Volume] = {}
    for role, candidate in selection.by_role.items():
        yield Progress(0.02, 1, f"Reading {role}")
        volumes[role] = candidate.read()
    settings = PreparationSettings(
        reference=reference, grid=grid, bias_correction=bias_correction, brain=brain_word(brain), seed=seed
    )
    name = short_name(place) if place.is_file() else study_name([v.path for v in volumes.values()], place)
    job = prepare_volumes_job(volumes, name, settings, brain, device, table=selection.rows())
    prepared = yield from part_of(job, 0.05, 1 if output is None else 0.95)
    if output is not None:
        yield Progress(0.95, 1, "Saving the prepared study")
        save_prepared(prepared, output, overwrite=overwrite)
    return prepared


prepare_job = prepare.job
"""`prepare` as a job: yields `Progress`, returns what it returns. Takes the same parameters."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparationReport:
    """What was done, without the study itself, which lies in a folder.

    Parameters
    ----------
    motions : tuple of (role, degrees, millimetres, overlap, agreement of edges)
        Of the sequences that were registered.
    pictures : mapping of role to (H, W) uint8 array
        The checkerboards.
    name : str
        Of the case.
    table : tuple of mapping
        Every series of the examination in words.
    """

    folder: Path
    reference: Role
    motions: tuple[Motion, ...]
    notes: tuple[str, ...]
    pictures: Mapping[Role, Array]
    name: str = ""
    table: Sequence[Mapping[str, str]] = ()

    def to_dataframe(self) -> "pandas.DataFrame":
        """Every series of the examination, as a `pandas.DataFrame`: what it was used as, why, and how it was moved."""
        return series_table(self.table, self.motions).to_dataframe()


def prepare_folder_job(path: AnyPath, output: AnyPath, options: Mapping[str, Any]) -> Job[PreparationReport]:
    """`prepare_job` for a window or a batch: the study is left in the folder, and what was done is returned.

    Parameters
    ----------
    path, output : path-like
    options : mapping
        The other parameters of `prepare`.
    """
    prepared = yield from prepare_job(path, output=output, **options)
    return PreparationReport(
        Path(output),
        prepared.reference,
        prepared.motions,
        prepared.notes,
        prepared.pictures,
        prepared.study.name,
        prepared.table,
    )


def brain_word(brain: Any) -> Literal["auto", "keep", "mask"]:
    """What a choice of the brain is called in settings."""
    if isinstance(brain, str) and brain in ("auto", "keep"):
        return "keep" if brain == "keep" else "auto"
    return "mask"


def prepare_volumes_job(
    volumes: Mapping[Role, Volume],
    name: str,
    settings: PreparationSettings,
    brain: BrainChoice = "auto",
    device: str = "auto",
    table: tuple[dict[str, str], ...] = (),
) -> Job[PreparedStudy]:
    """Prepare what was read already; a job.

    Parameters
    ----------
    name : str
        Of the case.
    brain : {"auto", "keep"}, path or array
        As for `prepare`.
    table : tuple of mapping
        Every series in words, for the record.
    """
    began = time.monotonic()
    alone = {role: _alone(role, volume, name) for role, volume in volumes.items()}
    for study in alone.values():
        _ = study.grid.spacing_mm  # registration is in millimetres
    reference, why = choose_reference(alone, settings.reference)
    _given_mask(brain, volumes[reference], volumes[reference].grid)  # refused before anything is registered
    registrations = yield from part_of(align_job(alone, reference, settings.seed, device), 0, 0.7)
    places = {
        role: SequencePlace(
            role,
            volume.name,
            volume.grid,
            volume.layout,
            registrations[role].transform if role in registrations else RigidTransform(np.eye(4)),
            registrations[role].as_dict() if role in registrations else {},
        )
        for role, volume in volumes.items()
    }
    reason = f"The reference is {reference}: {why}."
    seconds = {"registration": round(time.monotonic() - began, 2)}
    job = assembled_job(volumes, places, reference, name, settings, brain, device, notes=(reason,))
    prepared = yield from part_of(job, 0.7, 0.93)
    yield Progress(0.93, 1, "Drawing the checkerboards")
    pictures = _pictures(volumes, prepared)
    seconds["total"] = round(time.monotonic() - began, 2)
    record = {**prepared.record, "series": list(table), "seconds": seconds}
    return replace(prepared, table=table, pictures=pictures, record=record)


def _alone(role: Role, volume: Volume, name: str) -> Study:
    return Study({role: volume.array}, volume.grid, name=volume.name or name)


def assembled_job(
    volumes: Mapping[Role, Volume],
    places: Mapping[Role, SequencePlace],
    reference: Role,
    name: str,
    settings: PreparationSettings,
    brain: BrainChoice = "auto",
    device: str = "auto",
    notes: tuple[str, ...] = (),
) -> Job[PreparedStudy]:
    """Bring sequences onto one grid whose place is known, and extract the brain: a job.

    The same volumes, places and settings give the same study, bit by bit on one machine.
    """
    home = volumes[reference]
    target = home.grid if settings.grid == "reference" else _grid_of_1_mm(home.grid)
    scanned = scanned_part(home.grid, target)
    arrays: dict[Role, Array] = {}
    moved, partly = [], []
    for number, role in enumerate(role for role in ROLES if role in volumes):
        yield Progress(0.3 * number / len(volumes), 1, f"Bringing {role} onto one grid")
        own = places[role].in_reference
        arrays[role], covered = _on(volumes[role].array, own, target, scanned)
        moved += [role] if not own.same_place(target) else []
        partly += [f"{role} covers {covered:.0%}"] if covered < _COVERED else []
    remarks = [*notes, *_motion_notes(places, reference), _grid_note(target, settings, reference)]
    remarks += [f"{', '.join(partly)} of what {reference} covers; the rest is background."] if partly else []
    sources = {role: Source(v.path, v.channel, v.series, v.stamp) for role, v in volumes.items()}
    reading = tuple(dict.fromkeys(note for volume in volumes.values() for note in volume.notes))
    study = Study(
        arrays,
        target,
        name,
        sources,
        home.layout if settings.grid == "reference" else None,
        (*reading, *remarks),
        tuple(moved),
    )
    own_mask, mask_record = _given_mask(brain, home, target)
    extracted = yield from part_of(chosen_brain_job(study, own_mask, device), 0.3, 0.7)
    study = replace(extracted.study, notes=(*extracted.study.notes, *extracted.notes))
    if settings.bias_correction:
        study = yield from part_of(_corrected_job(study), 0.7, 1)
    record = _record(study, places, reference, settings, extracted, mask_record)
    more: dict[str, Any] = {"inputs": describe_sources(study.sources), "notes": list(study.notes)}
    return PreparedStudy(replace(study, preparation=record), reference, dict(places), record=record | more)


def _on(array: Array, own: Grid, target: Grid, scanned: Mask) -> tuple[Array, float]:
    """Values on the target, whole numbers where the scan has enough of them, and the share that was scanned.

    Corners of the target where the reference was not scanned stay empty: there a network would see the other sequences
    without it, and labels could not be brought back.
    """
    if own.same_place(target) and scanned.all():
        return array, 1.0
    values, covered = resample_within(array, own, target, scanned)
    if covered == 0:
        msg = (
            "A sequence lies nowhere near the reference after registration. Leave it out, or choose another reference."
        )
        raise RegistrationError(msg)
    high = float(np.abs(array).max())
    if array.dtype.kind in "iu" and _WHOLE_NUMBERS_FROM <= high <= np.iinfo(np.int16).max:
        return np.rint(values).astype(np.int16), covered
    return values, covered


def _grid_of_1_mm(grid: Grid) -> Grid:
    """Voxels of 1 mm along the patient's axes over all that the reference covers."""
    box = orthogonal_grid(grid)
    x, y, z = (max(1, round(n * side / _MM)) for n, side in zip(box.shape, box.spacing, strict=True))
    affine = np.diag([_MM, _MM, _MM, 1.0])
    affine[:3, 3] = box.world((0, 0, 0)) + (_MM - np.asarray(box.spacing)) / 2
    return Grid((x, y, z), affine, "mm", grid.viewer)


def _motion_notes(places: Mapping[Role, SequencePlace], reference: Role) -> list[str]:
    moved = [
        f"{role} by {place.angle_degrees:.1f}° and {place.distance_mm:.1f} mm"
        for role, place in places.items()
        if role != reference and place.registration.get("kind") == "registered"
    ]
    still = [role for role, place in places.items() if place.registration.get("kind") == "same space"]
    notes = [f"Registered to {reference}: {', '.join(moved)}."] if moved else []
    for role, place in places.items():
        link = place.registration.get("link")
        if link is not None:
            notes.append(
                f"{role} did not fit {reference} well enough by itself; it was registered to "
                f"{link['sequences']['fixed']} and moved with that."
            )
    return notes + ([f"{', '.join(still)} lay on {reference} already and stayed as scanned."] if still else [])


def _grid_note(target: Grid, settings: PreparationSettings, reference: Role) -> str:
    size = "x".join(map(str, target.shape))
    if settings.grid == "reference":
        return f"All sequences are on the grid of {reference} ({size} voxels)."
    return f"All sequences are on a grid of 1 mm over the field of view of {reference} ({size} voxels)."


def _given_mask(brain: BrainChoice, home: Volume, target: Grid) -> tuple[BrainChoice, dict[str, Any]]:
    """A mask of the user's own, brought from the reference's grid onto the target; other choices as they are."""
    if isinstance(brain, str) and brain in ("auto", "keep"):
        return brain, {}
    study = Study({"T1": home.array}, home.grid, name=home.name)
    record: dict[str, Any] = {}
    if isinstance(brain, str | PathLike):
        path = Path(brain)
        mask, record = open_mask(path, study), {"path": str(path), "sha256": file_sha256(path)}
    else:
        mask = np.asarray(brain)
    if mask.shape != home.grid.shape:
        msg = (
            f"The brain mask has shape {mask.shape}, the reference {home.name} has {home.grid.shape}. Give a mask on "
            "the reference's own grid."
        )
        raise BrainMaskError(msg)
    if home.grid.same_place(target):
        return mask, record
    return resample((mask != 0).astype(np.float32), home.grid, target) >= 0.5, record


def _corrected_job(study: Study) -> Job[Study]:
    mask = _where_to_fit(study)
    sequences: dict[Role, Array] = {}
    for number, (role, array) in enumerate(study.sequences.items()):
        yield Progress(number, len(study.sequences), f"Correcting the shading of {role}")
        corrected = without_bias_field(array, mask, study.grid.spacing_mm)
        sequences[role] = corrected if study.brain is None else np.where(study.brain, corrected, corrected.min())
    note = "Coil shading (the bias field) was corrected with N4."
    return replace(study, sequences=sequences, notes=(*study.notes, note))


def _where_to_fit(study: Study) -> Mask:
    if study.brain is not None:
        return study.brain
    return np.asarray(foreground_mask([volume.transpose(2, 1, 0) for volume in study.sequences.values()])).T


def _record(
    study: Study,
    places: Mapping[Role, SequencePlace],
    reference: Role,
    settings: PreparationSettings,
    extracted: ExtractedBrain,
    mask_record: Mapping[str, Any],
) -> dict[str, Any]:
    grid = study.grid
    return {
        "case": study.name,
        "reference": reference,
        "settings": settings.model_dump(mode="json"),
        "grid": {"shape": list(grid.shape), "affine": grid.affine.tolist(), "unit": grid.unit},
        "places": {role: PlaceRecord.of(place).model_dump(mode="json") for role, place in places.items()},
        **({"brain": {**dict(extracted.record), **mask_record}} if extracted.record else {}),
        "arrays_sha256": {role: _sha256(array) for role, array in study.sequences.items()},
    }


def _sha256(array: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _pictures(volumes: Mapping[Role, Volume], prepared: PreparedStudy) -> dict[Role, Array]:
    fixed = volumes[prepared.reference]
    inside = prepared.study.brain
    box = None if inside is None else bounding_box(inside)
    middle = (np.asarray(prepared.study.grid.shape) - 1) / 2
    if box is not None:
        middle = (np.asarray(box.start) + box.stop) / 2
    centre = tuple(prepared.study.grid.world(middle).tolist())
    return {
        role: checkerboard_picture(
            (volume.array, volume.grid), (fixed.array, fixed.grid), prepared.places[role].transform, centre
        )
        for role, volume in volumes.items()
        if role != prepared.reference
    }
