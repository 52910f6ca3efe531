"""The sequences of an examination as opened, and conversion to studies on a common grid."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from napari_brain_tumor.errors import GridMismatchError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.given_roles import HOW_TO_NAME_FILES
from napari_brain_tumor.io.one_grid import FINEST, OneGrid, bring_onto_one_grid, distinct_grids
from napari_brain_tumor.io.volume import Volume, short_name
from napari_brain_tumor.study import Role, Source, Study


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """The opened sequences of an examination, each on its own grid.

    Parameters
    ----------
    name : str
        Name of the case.
    notes : tuple of str
        Notes for the user made while reading.
    """

    volumes: Mapping[Role, Volume]
    name: str
    notes: tuple[str, ...] = ()

    def together(self) -> Study:
        """Return all of them as one study; raises `GridMismatchError` if they do not share a grid."""
        return as_study(self)

    def alone(self) -> tuple[Study, ...]:
        """Return each sequence as a study on its own grid, named after its file, or after the case for DICOM."""
        return tuple(
            as_study(
                Sequences({role: volume}, short_name(volume.path) if volume.series is None else self.name, volume.notes)
            )
            for role, volume in self.volumes.items()
        )


def named_sequences(volumes: Mapping[Role, Volume], name: str, notes: Iterable[str]) -> Sequences:
    """Return the volumes as `Sequences` with these notes and those from reading, without duplicates."""
    all_notes = dict.fromkeys((*notes, *(note for volume in volumes.values() for note in volume.notes)))
    return Sequences(volumes, name, tuple(all_notes))


def as_study(opened: Sequences, onto: str | Grid | None = None) -> Study:
    """Combine them into one study, resampled onto a grid if given; raises `GridMismatchError` if they share none."""
    volumes = opened.volumes
    if onto is None:
        _check_one_grid(volumes)
        first = next(iter(volumes.values()))
        aligned = OneGrid(None, first.grid, {role: volume.array for role, volume in volumes.items()}, (), ())
    else:
        aligned = bring_onto_one_grid({role: (volume.array, volume.grid) for role, volume in volumes.items()}, onto)
        first = volumes[aligned.reference] if aligned.reference is not None else _on(aligned.grid, volumes)
    return Study(
        sequences=aligned.arrays,
        grid=aligned.grid,
        name=opened.name,
        sources={role: Source(v.path, v.channel, v.series, v.stamp) for role, v in volumes.items()},
        layout=first.layout,
        notes=(*opened.notes, *aligned.notes),
        resampled=aligned.resampled,
    )


def _on(grid: Grid, volumes: Mapping[Role, Volume]) -> Volume:
    """Return a volume that lies on the grid, or any one if none does."""
    return next((volume for volume in volumes.values() if volume.grid.same_place(grid)), next(iter(volumes.values())))


def _check_one_grid(volumes: Mapping[Role, Volume]) -> None:
    distinct = distinct_grids({role: volume.grid for role, volume in volumes.items()})
    if len(distinct) < 2:
        return
    lines = "; ".join(f"{', '.join(members)}: {grid.describe()}" for members, grid in distinct)
    raise GridMismatchError(
        f"The sequences lie on {len(distinct)} different grids. {lines}. A study needs one grid: prepare(PATH) "
        f'registers them and brings them onto one, resample="{FINEST}" does the latter alone; or open the '
        f"sequences of one grid by naming them, {HOW_TO_NAME_FILES}."
    )
