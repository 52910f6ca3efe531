"""A case as it lies in somebody else's folder, not opened yet."""

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
"""Stands for the name of the case in the name of a file."""
_MOST_MARKED = 5
"""Marked slices up to which a label counts as one of single slices; LGG-1p19q has three."""


@dataclass(frozen=True, slots=True)
class FoundCase:
    """Where a case's sequences and label are.

    Parameters
    ----------
    name : str
        Of the case in its data set; ids and patients come from it where no table tells otherwise.
    scan, label : Path
        For `open_study` and `open_segmentation`.
    roles : mapping, sequence or None
        For `open_study`, where the names of the files do not state.
    schema : str, optional
        Meaning of the label's integers, where the format settles it.
    grade : str, optional
        Of the tumour, where the folders tell it.
    known : {"all", "marked"}
        Whether all slices are known, or those alone in which something is marked.
    problem : str
        Why it cannot be opened, where that is clear before; the other cases go on.
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
            # `open_study` takes a relative file as one of the case's folder, not of the current one.
            whole = {r: Path(os.path.abspath(f)) if isinstance(f, Path) else f for r, f in self.roles.items()}
            object.__setattr__(self, "roles", whole)


def case_folder(case: FoundCase) -> Path:
    """The folder in which the scans of a case lie."""
    return case.scan if case.scan.is_dir() else case.scan.parent


def with_roles(case: FoundCase, roles: Roles) -> FoundCase:
    """The case with roles that hold for all cases of its folder.

    Parameters
    ----------
    roles : mapping, sequence or None
        A mapping names files of the case's folder, where `{case}` stands for the case's name, or volumes by number;
        a sequence is the order of the volumes. A case that has none of these files stays as it was.
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
    """The folder and those within it that hold images themselves, in the order of their names."""
    for folder in sorted({root, *folders_within(root)}):
        images = [path for path in visible(folder) if path.is_file() and is_image(path)]
        if images:
            yield folder, images


def grade_in_path(path: Path, root: Path) -> str | None:
    """`HGG` or `LGG` where a folder between root and path is called so, as BraTS did until 2020."""
    for part in path.relative_to(root.parent).parts:
        if (match := re.fullmatch(r"(HG|LG)G?", part)) is not None:
            return f"{match[1]}G"
    return None


def marked_slices(segmentation: Segmentation) -> KnownSlices:
    """The few slices in which something is marked, along the axis that has fewest of them.

    Raises
    ------
    DatasetError
        If nothing is marked, or so many slices that the label is one of the whole volume.
    """
    mask = segmentation.data > 0
    by_axis = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    # The third axis first: a lesion of few voxels may have as few columns as slices.
    axis = min((2, 1, 0), key=lambda a: len(by_axis[a]))
    count = len(by_axis[axis])
    if not 0 < count <= _MOST_MARKED:
        raise DatasetError(
            f"The label of {segmentation.name} has {count} marked slices; expected one to {_MOST_MARKED}, as in "
            "LGG-1p19q (three). If it is known everywhere, import it as image and label pairs."
        )
    return KnownSlices(axis=axis, numbers=tuple(int(k) for k in by_axis[axis]))
