"""Detect opened scans that form an examination whose series still have to be registered. No Qt, no napari."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preparation import why_prepare_grids
from napari_brain_tumor.study import Role, Source


@dataclass(frozen=True, slots=True)
class OpenScan:
    """A scan among the layers: name of its study, sequence, grid and source path."""

    case: str
    role: Role
    grid: Grid
    source: Source


@dataclass(frozen=True, slots=True)
class RawExamination:
    """An examination whose series do not share a grid.

    Parameters
    ----------
    folder : Path
        Input of `prepare`.
    reason : str
        Why registration is needed, as a sentence.
    scans : tuple of int
        Positions of its scans among those that were examined.
    """

    folder: Path
    reason: str
    scans: tuple[int, ...]

    @property
    def question(self) -> str:
        """The question that the user is asked."""
        return f"{self.folder.name}: {self.reason} Register them to one another, to segment them together?"


def raw_examination(scans: Sequence[OpenScan], without: Iterable[Path] = ()) -> RawExamination | None:
    """Return the most recently opened examination that has to be prepared, or None.

    Scans belong to one examination if their files are in one folder or, for DICOM, share a name. If two scans have the
    same sequence, they come from several examinations, and nothing is offered.

    Parameters
    ----------
    scans : sequence of OpenScan
        In layer order.
    without : iterable of Path
        Folders that are not offered.
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
