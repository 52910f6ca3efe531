"""Find the cases in a folder from file names and headers alone."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from napari_brain_tumor.io.bids import examinations, is_bids
from napari_brain_tumor.io.case_names import folder_name
from napari_brain_tumor.io.reading import is_image, visible
from napari_brain_tumor.io.recognition import recognise
from napari_brain_tumor.io.volume import short_name

_DEPTH: Final = 3
"""How many folder levels are searched for cases."""


@dataclass(frozen=True, slots=True)
class CaseFolder:
    """A case found in a folder.

    Parameters
    ----------
    path : Path
        Path to pass to `open_study`.
    name : str
        Name of the file or folder.
    dataset : str
        Name of the data set folder that contains the case; empty for a single case.
    """

    path: Path
    name: str
    dataset: str = ""


def case_folders(folder: Path) -> Iterator[CaseFolder]:
    """Yield the cases in a case folder, a folder of case folders, a Medical Decathlon folder or a BIDS data set."""
    yield from _cases_in(folder, _DEPTH)


def _cases_in(folder: Path, depth: int) -> Iterator[CaseFolder]:
    if is_bids(folder):
        yield from (CaseFolder(anat, folder_name(anat)) for anat in examinations(folder))
        return
    images = folder if folder.name == "imagesTr" else folder / "imagesTr"
    if images.is_dir():
        files = [path for path in visible(images) if path.is_file() and is_image(path)]
        yield from (CaseFolder(path, short_name(path), images.resolve().parent.name) for path in files)
        return
    inner = [path for path in visible(folder) if path.is_dir()]
    if recognise(folder) == "study" and not _holds_one_case(folder, inner):
        yield CaseFolder(folder, _typed_name(folder))
    elif depth:
        for path in inner:
            for case in _cases_in(path, depth - 1):
                yield case if case.dataset else replace(case, dataset=_typed_name(folder))


def _typed_name(folder: Path) -> str:
    """Return the name of a folder as typed, without resolving symbolic links."""
    return Path(os.path.abspath(folder)).name


def _holds_one_case(folder: Path, inner: Sequence[Path]) -> bool:
    """Whether a folder is recognised as a case only because its single subfolder is one."""
    alone = len(inner) == 1 and not any(path.is_file() and is_image(path) for path in visible(folder))
    return alone and recognise(inner[0]) == "study"
