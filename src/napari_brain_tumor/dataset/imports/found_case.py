"""A case found in an external folder and not yet opened."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from napari_brain_tumor.dataset.index import KnownSlices
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.io.reading import folders_within, is_image, visible
from napari_brain_tumor.study import Segmentation

Roles = Mapping[str, str | Path | int] | Sequence[str | None] | None
CASE: Final = "{case}"
"""Placeholder for the case's name in file names."""
_MOST_MARKED = 5
"""Maximum number of labelled slices for a label of single slices; LGG-1p19q has three."""


@dataclass(frozen=True, slots=True)
class FoundCase:
    """Location of a case's sequences and label.

    Parameters
    ----------
    name : str
        Name of the case in its data set; ids and patients are derived from it unless a table specifies them.
    scan, label : Path
        Paths for `open_study` and `open_segmentation`.
    roles : mapping, sequence or None
        Roles for `open_study`, if file names do not identify the sequences.
    schema : str, optional
        Label schema, if the format determines it.
    grade : str, optional
        Tumour grade, if folder names contain it.
    known : {"all", "marked"}
        Whether the labels of all slices are known, or only of those in which something is labelled.
    problem : str
        Why the case cannot be opened, if that is already clear; other cases are not affected.
    """

    name: str
    scan: Path
    label: Path
    roles: Roles = None
    schema: str | None = None
    grade: str | None = None
    known: Literal["all", "marked"] = "all"
    problem: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.roles, Mapping):
            # `open_study` takes relative paths as relative to the case's folder, not to the current one.
            whole = {r: Path(os.path.abspath(f)) if isinstance(f, Path) else f for r, f in self.roles.items()}
            object.__setattr__(self, "roles", whole)


def case_folder(case: FoundCase) -> Path:
    """Return the folder that contains the scans of a case."""
    return case.scan if case.scan.is_dir() else case.scan.parent


def with_roles(case: FoundCase, roles: Roles) -> FoundCase:
    """Return the case with roles that apply to all cases of its folder.

    Parameters
    ----------
    roles : mapping, sequence or None
        A mapping of role to file in the case's folder, where `{case}` stands for the case's name, or to volume number;
        or a sequence with the order of the volumes. A case with none of these files is returned unchanged.
    """
    if not roles:
        return case
    if not isinstance(roles, Mapping):
        return replace(case, roles=roles)
    places = {role: _place(case, value) for role, value in roles.items()}
    present = {role: place for role, place in places.items() if place is not None}
    if not present:
        return case
    return replace(case, roles=present, problem="" if case.scan.is_dir() else case.problem)


def _place(case: FoundCase, value: str | Path | int) -> str | Path | int | None:
    if isinstance(value, int):
        return value
    names = (str(value).replace(CASE, name) for name in dict.fromkeys((case_folder(case).name, case.name)))
    return next((path for name in names if (path := case_folder(case) / name).exists()), None)


def folders_with_images(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the folder and its subfolders that directly contain images, sorted by name."""
    for folder in sorted({root, *folders_within(root)}):
        images = [path for path in visible(folder) if path.is_file() and is_image(path)]
        if images:
            yield folder, images


def grade_in_path(path: Path, root: Path) -> str | None:
    """Return `HGG` or `LGG` if a folder between root and path has such a name, as in BraTS until 2020."""
    for part in path.relative_to(root.parent).parts:
        if (match := re.fullmatch(r"(HG|LG)G?", part)) is not None:
            return f"{match[1]}G"
    return None


def marked_slices(segmentation: Segmentation) -> KnownSlices:
    """Return the few slices in which something is labelled, along the axis with the fewest of them.

    Raises
    ------
    DatasetError
        If nothing is labelled, or so many slices that the whole volume must have been labelled.
    """
    mask = segmentation.data > 0
    by_axis = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    # The third axis takes precedence: a small lesion may occupy as few columns as slices.
    axis = min((2, 1, 0), key=lambda a: len(by_axis[a]))
    count = len(by_axis[axis])
    if not 0 < count <= _MOST_MARKED:
        raise DatasetError(
            f"The label of {segmentation.name} has {count} marked slices; expected one to {_MOST_MARKED}, as in "
            "LGG-1p19q (three). If it is known everywhere, import it as image and label pairs."
        )
    return KnownSlices(axis=axis, numbers=tuple(int(k) for k in by_axis[axis]))
