"""Import cases from other data sets on disk.

>>> from napari_brain_tumor.dataset.imports import find_cases, import_cases
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Final

from napari_brain_tumor.dataset.imports.brats import find_brats
from napari_brain_tumor.dataset.imports.decathlon import find_decathlon
from napari_brain_tumor.dataset.imports.found_case import FoundCase, with_roles
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
from napari_brain_tumor.dataset.imports.preview import CasePreview, preview_cases
from napari_brain_tumor.dataset.store import CuratedDataset
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.io.case_names import distinct_names
from napari_brain_tumor.io.reading import existing
from napari_brain_tumor.progress import Job
from napari_brain_tumor.requests.dataset import ImportFormat, ImportRequest

__all__ = [
    "CaseOutcome",
    "CasePreview",
    "FoundCase",
    "ImportFormat",
    "ImportOptions",
    "ImportReport",
    "ImportRequest",
    "find_brats",
    "find_decathlon",
    "find_lgg_1p19q",
    "find_lgg_tif",
    "find_pairs",
    "import_cases",
    "preview_cases",
]

FORMATS: Final[dict[ImportFormat, Callable[[Path], tuple[FoundCase, ...]]]] = {
    "decathlon": find_decathlon,
    "lgg-tif": find_lgg_tif,
    "lgg-1p19q": find_lgg_1p19q,
    "brats": find_brats,
}
"""Formats by name, starting with those that can be recognised most reliably."""


def find_cases(folder: str | PathLike[str], kind: ImportFormat | None = None) -> tuple[FoundCase, ...]:
    """Return the labelled cases in a folder of a supported format.

    Parameters
    ----------
    folder : path-like
        Folder of a data set, or of a part of it.
    kind : {"decathlon", "lgg-tif", "lgg-1p19q", "brats"}, optional
        Format of the folder; by default it is detected.

    Raises
    ------
    UnreadableFileError
        If the folder does not exist.
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


def requested_cases(request: ImportRequest) -> tuple[FoundCase, ...]:
    """Return the cases that a request selects from a folder, with the roles it assigns.

    Raises
    ------
    UnreadableFileError, DatasetError
        If the folder does not exist or contains no case, or if only one of the two patterns is given.
    """
    if (request.images is None) != (request.labels is None):
        raise DatasetError("Patterns of images and of labels belong together: give both, or neither.")
    if request.images is not None and request.labels is not None:
        cases = find_pairs(existing(request.folder), request.images, request.labels)
    else:
        cases = find_cases(request.folder, request.kind)
    return tuple(with_roles(case, request.roles) for case in cases)


def preview_folder(request: ImportRequest) -> Job[tuple[CasePreview, ...]]:
    """Preview, as a job, what `import_folder` would import and how; raises the same errors as `requested_cases`."""
    return (yield from preview_cases(requested_cases(request), _options(request)))


def import_folder(dataset: CuratedDataset, request: ImportRequest) -> Job[ImportReport]:
    """Import all cases of a labelled folder, as a job; raises the errors of `requested_cases` and `import_cases`.

    Examples
    --------
    >>> from napari_brain_tumor.progress import run_job
    >>> report = run_job(import_folder(dataset, ImportRequest(folder="scans")))  # doctest: +SKIP
    """
    return (yield from import_cases(dataset, requested_cases(request), _options(request)))


def _options(request: ImportRequest) -> ImportOptions:
    return ImportOptions(
        source=request.folder.resolve().name if request.source is None else request.source,
        schema=request.schema_name,
        spacing_mm=request.spacing_mm,
        state=request.state,
        table=request.table,
    )


def _with_distinct_names(cases: tuple[FoundCase, ...]) -> tuple[FoundCase, ...]:
    """Prefix cases with equal names, such as `anat`, with the name of a parent folder that differs."""
    counts = Counter(case.name.lower() for case in cases)
    several = [case for case in cases if counts[case.name.lower()] > 1]
    names = dict(zip(map(id, several), distinct_names([case.scan for case in several]), strict=True))
    return tuple(replace(case, name=names.get(id(case), case.name)) for case in cases)
