"""Take cases from other data sets, as these lie on disk.

>>> from napari_brain_tumor.dataset.imports import find_cases, import_cases
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Final, Literal

from napari_brain_tumor.dataset.imports.brats import find_brats
from napari_brain_tumor.dataset.imports.decathlon import find_decathlon
from napari_brain_tumor.dataset.imports.found_case import FoundCase
from napari_brain_tumor.dataset.imports.job import (
    CaseOutcome,
    ImportOptions,
    ImportReport,
    import_cases,
    require_found,
)
from napari_brain_tumor.dataset.imports.lgg_1p19q import find_lgg_1p19q
from napari_brain_tumor.dataset.imports.lgg_tif import find_lgg_tif
from napari_brain_tumor.dataset.imports.pairs import find_pairs
from napari_brain_tumor.io.case_names import distinct_names
from napari_brain_tumor.io.reading import existing

__all__ = [
    "FORMATS",
    "CaseOutcome",
    "FoundCase",
    "ImportFormat",
    "ImportOptions",
    "ImportReport",
    "find_brats",
    "find_cases",
    "find_decathlon",
    "find_lgg_1p19q",
    "find_lgg_tif",
    "find_pairs",
    "import_cases",
]

ImportFormat = Literal["decathlon", "lgg-tif", "lgg-1p19q", "brats"]

FORMATS: Final[dict[ImportFormat, Callable[[Path], tuple[FoundCase, ...]]]] = {
    "decathlon": find_decathlon,
    "lgg-tif": find_lgg_tif,
    "lgg-1p19q": find_lgg_1p19q,
    "brats": find_brats,
}
"""Formats by name, those first that can be told apart without doubt."""


def find_cases(folder: str | PathLike[str], kind: ImportFormat | None = None) -> tuple[FoundCase, ...]:
    """The cases with a label in a folder of a known format.

    Parameters
    ----------
    folder : path-like
        Of a data set, or of a part of it.
    kind : {"decathlon", "lgg-tif", "lgg-1p19q", "brats"}, optional
        Its format; recognised if not given.

    Raises
    ------
    UnreadableFileError
        If there is no such folder.
    DatasetError
        If no case is found.
    """
    root = existing(folder)
    if kind is not None:
        cases = FORMATS[kind](root)
    elif (root / "dataset.json").is_file():
        cases = find_decathlon(root)
    else:
        cases = find_lgg_tif(root) or find_lgg_1p19q(root) or find_brats(root)
    require_found(cases, root, kind or "any known format")
    return _with_distinct_names(cases)


def _with_distinct_names(cases: tuple[FoundCase, ...]) -> tuple[FoundCase, ...]:
    """Cases whose folders have one name, such as `anat`, get the folder above that differs in front."""
    counts = Counter(case.name.lower() for case in cases)
    several = [case for case in cases if counts[case.name.lower()] > 1]
    names = dict(zip(map(id, several), distinct_names([case.scan for case in several]), strict=True))
    return tuple(replace(case, name=names.get(id(case), case.name)) for case in cases)
