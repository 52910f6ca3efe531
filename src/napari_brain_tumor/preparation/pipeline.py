"""From raw series to a study: chosen, registered, brought onto one grid, brain extracted."""

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
    given_mask(brain, volumes[reference], volumes[reference].grid)  # refused before anything is registered
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
