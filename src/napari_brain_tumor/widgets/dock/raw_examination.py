"""Which of the scans that were opened are an examination whose series still have to be registered. No Qt, no napari."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preparation import why_prepare_grids
from napari_brain_tumor.study import Role, Source


@dataclass(frozen=True, slots=True)
class OpenScan:
    """A scan among the layers: the name of its study, its sequence, its grid, and where it was opened from."""

    case: str
    role: Role
    grid: Grid
    source: Source


@dataclass(frozen=True, slots=True)
class RawExamination:
    """Series that do not share a grid.

    Parameters
    ----------
    folder : Path
        What `prepare` takes.
    reason : str
        Why it is needed, in a sentence.
    scans : tuple of int
        Positions of its scans among those that were looked at.
    """

    folder: Path
    reason: str
    scans: tuple[int, ...]

    @property
    def question(self) -> str:
        """What the user is told."""
        return f"{self.folder.name}: {self.reason} Register them to one another, to segment them together?"


def raw_examination(scans: Sequence[OpenScan], without: Iterable[Path] = ()) -> RawExamination | None:
    """The examination that was opened last among those that have to be prepared; None where there is none.

    Scans belong to one examination if their files lie in one folder, or, of DICOM, if they have one name. Where two
    have the same sequence they are of several, and nothing is offered.

    Parameters
    ----------
    scans : sequence of OpenScan
        In the order of the layers.
    without : iterable of Path
        Folders that are not to be offered.
    """
    groups: dict[object, list[int]] = {}
    for at, scan in enumerate(scans):
        groups.setdefault(_group_of(scan), []).append(at)
    declined = set(without)
    for positions in reversed(groups.values()):
        members = [scans[at] for at in positions]
        grids = {scan.role: scan.grid for scan in members}
        reason = why_prepare_grids(grids) if len(grids) == len(members) else ""
        folder = _folder_of(members)
        if reason and folder not in declined:
            return RawExamination(folder, reason, tuple(positions))
    return None


def _group_of(scan: OpenScan) -> object:
    return scan.case if scan.source.series is not None else scan.source.path.parent


def _folder_of(scans: Sequence[OpenScan]) -> Path:
    common = Path(os.path.commonpath([scan.source.path for scan in scans]))
    return common.parent if common.is_file() else common
