"""Prepare a study from raw series: select, register, bring onto one grid and extract the brain."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_brain_tumor.brain.extraction import BrainChoice
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.io import Volume
from napari_brain_tumor.io.case_names import study_name
from napari_brain_tumor.io.given_roles import Roles
from napari_brain_tumor.io.reading import AnyPath, Spacing, existing
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.preparation.alignment import align_job, choose_reference
from napari_brain_tumor.preparation.assembly import assembled_job, given_mask
from napari_brain_tumor.preparation.candidates import candidates_of
from napari_brain_tumor.preparation.choice import Picks, select
from napari_brain_tumor.preparation.folder import require_free, save_prepared
from napari_brain_tumor.preparation.pictures import checkerboard_picture
from napari_brain_tumor.preparation.prepared import Motion, PreparedStudy, SequencePlace, series_table
from napari_brain_tumor.preparation.settings import OutputGrid, PreparationSettings
from napari_brain_tumor.progress import Job, Progress, action, part_of
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor.types import Array

if TYPE_CHECKING:
    import pandas


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
    """Prepare a study from the raw series of an examination.

    The best series for each role is selected and registered to the reference. All are then brought onto one grid, and
    the brain is extracted.

    Parameters
    ----------
    path : path-like
        A DICOM study, a BIDS subject or session with one examination, or a folder of files.
    series : mapping of role to number or name, optional
        Series to use for these roles instead of those chosen by `preparation.choice.RULES`; `"-"` leaves out a role.
    roles, spacing_mm : optional
        As for `open_study`, if the files do not state them.
    reference : {"T1", "T1c", "T2", "FLAIR"}, optional
        Sequence to which the others are registered; by default T1c, else the one with the smallest voxels.
    grid : {"1mm", "reference"}
        1 mm voxels along the patient's axes, or the reference's own grid.
    bias_correction : bool
        Whether to correct coil shading with N4.
    brain : {"auto", "keep"}, path or (X, Y, Z) array
        Extract the brain of whole heads, keep everything, or use your own mask on the reference's grid.
    device : str
        As for `segment`.
    seed : int
        Random seed of the sampling in registration.
    output : path-like, optional
        Folder in which to save everything (`PreparedStudy`, pictures, transforms).
    overwrite : bool
        Whether to replace an existing prepared study there.

    Returns
    -------
    PreparedStudy
        `study` to segment, `transforms`, and `restore` to map labels back to each series' own grid.

    Raises
    ------
    UnreadableFileError, RoleError, DuplicateRoleError
        If there is nothing to prepare, or the choice of series is ambiguous.
    RegistrationError
        If a sequence cannot be registered reliably to the reference; it may be from another patient.
    SpacingUnknownError
        If the files do not state the voxel size.
    BrainMaskError
        If the given mask cannot be used.
    SaveError
        If the folder cannot be written, or contains something else.

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
"""`prepare` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparationReport:
    """Summary of a preparation, without the study itself, which is saved in a folder.

    Parameters
    ----------
    motions : tuple of (role, degrees, millimetres, overlap, agreement of edges)
        For each registered sequence.
    pictures : mapping of role to (H, W) uint8 array
        Checkerboards.
    name : str
        Name of the case.
    table : tuple of mapping
        All series of the examination, as text.
    """

    folder: Path
    reference: Role
    motions: tuple[Motion, ...]
    notes: tuple[str, ...]
    pictures: Mapping[Role, Array]
    name: str = ""
    table: Sequence[Mapping[str, str]] = ()

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return all series as a `pandas.DataFrame`: what each was used as, why, and how it was moved."""
        return series_table(self.table, self.motions).to_dataframe()


def prepare_folder_job(path: AnyPath, output: AnyPath, options: Mapping[str, Any]) -> Job[PreparationReport]:
    """Run `prepare_job` for a window or batch: the study is saved in a folder, and a report is returned.

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
    """Return the name of a brain choice in the settings."""
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
    """Prepare volumes that have already been read, as a job.

    Parameters
    ----------
    name : str
        Name of the case.
    brain : {"auto", "keep"}, path or array
        As for `prepare`.
    table : tuple of mapping
        All series as text, for the record.
    """
    began = time.monotonic()
    alone = {role: _alone(role, volume, name) for role, volume in volumes.items()}
    for study in alone.values():
        _ = study.grid.spacing_mm  # raises if unknown: registration needs millimetres
    reference, why = choose_reference(alone, settings.reference)
    given_mask(brain, volumes[reference], volumes[reference].grid)  # rejects an unusable mask before registration
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
