"""Bring registered sequences onto one grid, extract the brain and correct the bias field."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_brain_tumor.brain.extraction import BrainChoice, ExtractedBrain, chosen_brain_job
from napari_brain_tumor.brain.mask_file import open_mask
from napari_brain_tumor.errors import BrainMaskError, RegistrationError
from napari_brain_tumor.geometry import Grid, orthogonal_grid, resample
from napari_brain_tumor.io import Volume
from napari_brain_tumor.io.one_grid import resample_within, scanned_part
from napari_brain_tumor.io.source_files import describe_sources, file_sha256
from napari_brain_tumor.preparation.bias_field import without_bias_field
from napari_brain_tumor.preparation.prepared import PreparedStudy, SequencePlace
from napari_brain_tumor.preparation.records import PlaceRecord
from napari_brain_tumor.preparation.settings import PreparationSettings
from napari_brain_tumor.preprocessing.intensity import foreground_mask
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.study import ROLES, Role, Source, Study
from napari_brain_tumor.types import Array, Mask

_MM: Final = 1.0


_COVERED: Final = 0.95
"""Share of the reference's field of view below which a note states how much of it a sequence covers."""


_WHOLE_NUMBERS_FROM: Final = 400.0
"""Range of grey levels from which scans with integer values are rounded to integers again."""


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
    """Bring sequences with known registrations onto one grid, and extract the brain, as a job.

    The same volumes, places and settings give the same study, bit for bit on the same machine.
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
    own_mask, mask_record = given_mask(brain, home, target)
    extracted = yield from part_of(chosen_brain_job(study, own_mask, device), 0.3, 0.7)
    study = replace(extracted.study, notes=(*extracted.study.notes, *extracted.notes))
    if settings.bias_correction:
        study = yield from part_of(_corrected_job(study), 0.7, 1)
    record = _record(study, places, reference, settings, extracted, mask_record)
    more: dict[str, Any] = {"inputs": describe_sources(study.sources), "notes": list(study.notes)}
    return PreparedStudy(replace(study, preparation=record), reference, dict(places), record=record | more)


def _on(array: Array, own: Grid, target: Grid, scanned: Mask) -> tuple[Array, float]:
    """Resample onto the target, rounding if the scan has enough integer levels; returns the scanned share as well.

    Corners of the target outside the reference's field of view are left empty: a network would otherwise see the other
    sequences without the reference there, and labels could not be mapped back.
    """
    if own.same_place(target) and scanned.all():
        return array, 1.0
    values, covered = resample_within(array, own, target, scanned)
    if covered == 0:
        raise RegistrationError(
            "A sequence lies nowhere near the reference after registration. Leave it out, or choose another reference."
        )
    high = float(np.abs(array).max())
    if array.dtype.kind in "iu" and _WHOLE_NUMBERS_FROM <= high <= np.iinfo(np.int16).max:
        return np.rint(values).astype(np.int16), covered
    return values, covered


def _grid_of_1_mm(grid: Grid) -> Grid:
    """Return a grid of 1 mm voxels along the patient's axes that covers the reference."""
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


def given_mask(brain: BrainChoice, home: Volume, target: Grid) -> tuple[BrainChoice, dict[str, Any]]:
    """Resample a user's mask from the reference's grid onto the target; other choices are returned unchanged."""
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
        raise BrainMaskError(
            f"The brain mask has shape {mask.shape}, the reference {home.name} has {home.grid.shape}. Give a mask on "
            "the reference's own grid."
        )
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
