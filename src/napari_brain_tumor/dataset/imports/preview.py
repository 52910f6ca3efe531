"""Preview how the cases of a folder would be imported, by opening one case of each file layout."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from napari_brain_tumor.dataset.imports.found_case import CASE, FoundCase, case_folder
from napari_brain_tumor.dataset.imports.job import ImportOptions, open_case, problem_of
from napari_brain_tumor.errors import LabelSchemaError, RoleError, SpacingUnknownError, attempted
from napari_brain_tumor.io.reading import images_in
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import ROLES, Role, Source, Study

Doubt = Literal["", "roles", "labels", "spacing", "other"]

_MOST_OPENED: Final = 12
"""Maximum number of layouts for which a case is opened; each takes about a second, and there may be thousands."""
_DOUBTS: Final[Mapping[type[Exception], Doubt]] = {
    RoleError: "roles",
    LabelSchemaError: "labels",
    SpacingUnknownError: "spacing",
}


@dataclass(frozen=True, slots=True)
class CasePreview:
    """How a case would be imported.

    Parameters
    ----------
    sequences : mapping of role to str
        File, or volume in a file, of each sequence.
    schema : str
        Name of the label schema; empty if unknown.
    notes : tuple of str
        Notes made while reading.
    problem : str
        Why the case would be refused; empty if it would not.
    doubt : {"", "roles", "labels", "spacing", "other"}
        What the user has to specify to solve the problem.
    is_opened : bool
        Whether this very case was opened; otherwise it is assumed to be like the opened one with the same layout.
    """

    case: FoundCase
    sequences: Mapping[Role, str] = field(default_factory=dict)
    schema: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""
    doubt: Doubt = ""
    is_opened: bool = False


def preview_cases(cases: Sequence[FoundCase], options: ImportOptions | None = None) -> Job[tuple[CasePreview, ...]]:
    """Open one case of each file layout, as a job, and return how all cases would be imported.

    Parameters
    ----------
    cases : sequence of FoundCase
        Cases from `find_cases`.
    options : ImportOptions, optional
        As for `import_cases`.
    """
    settings = options or ImportOptions()
    layouts = [layout_of(case) for case in cases]
    first = {layout: at for at, layout in reversed(list(enumerate(layouts)))}
    opened: dict[str, CasePreview] = {}
    chosen = sorted(first.values())[:_MOST_OPENED]
    for done, at in enumerate(chosen):
        yield Progress(done, len(chosen), f"looking at {cases[at].name}")
        opened[layouts[at]] = _looked_at(cases[at], settings)
    return tuple(
        _like(case, opened.get(layout), is_opened=first[layout] == at)
        for at, (case, layout) in enumerate(zip(cases, layouts, strict=True))
    )


def layout_of(case: FoundCase) -> str:
    """Return what the file names of a case have in common with those of other cases of the same layout."""
    files = [path.name for path in files_of(case)] if case.scan.is_dir() else [case.scan.name]
    names = sorted(_anonymous(name, case) for name in {*files, case.label.name})
    return "/".join((*names, case.schema or "", case.known, case.problem))


def files_of(case: FoundCase) -> list[Path]:
    """Return the images of a case in its folder, which may be shared with other cases, without its label."""
    images = [path for path in images_in(case_folder(case)) if path != case.label]
    if case_folder(case).name == case.name:
        return images
    return [path for path in images if case.name in path.name] or images


def with_placeholder(name: str, case: FoundCase) -> str:
    """Return a file name with the case's own name replaced by `{case}`."""
    for own in sorted({case.name, case_folder(case).name}, key=len, reverse=True):
        if own and own in name:
            return name.replace(own, CASE)
    return name


def _anonymous(name: str, case: FoundCase) -> str:
    # Dates and ids contain several digits in a row; the 1 of T1 stands alone.
    return re.sub(r"\d{2,}(?:[.\-]\d+)*", "#", with_placeholder(name, case))


def _looked_at(case: FoundCase, options: ImportOptions) -> CasePreview:
    if case.problem:
        return CasePreview(case, problem=case.problem, doubt="roles")
    with attempted() as opening:
        study, label = open_case(case, options)
        schema = str(label.provenance.get("schema", ""))
        return CasePreview(case, _sequences(study), schema, (*study.notes, *label.notes))
    return CasePreview(case, problem=problem_of(opening.error), doubt=_doubt_of(opening.error))


def _doubt_of(error: Exception | None) -> Doubt:
    return next((doubt for kind, doubt in _DOUBTS.items() if isinstance(error, kind)), "other")


def _sequences(study: Study) -> dict[Role, str]:
    return {role: _text(study.sources.get(role)) for role in ROLES if role in study.sequences}


def _text(source: Source | None) -> str:
    if source is None:
        return ""
    return source.path.name if source.channel is None else f"volume {source.channel} of {source.path.name}"


def _like(case: FoundCase, other: CasePreview | None, *, is_opened: bool) -> CasePreview:
    if other is None:
        return CasePreview(case, problem=case.problem, doubt="other" if case.problem else "")
    names = {role: _renamed(text, other.case, case) for role, text in other.sequences.items()}
    return CasePreview(case, names, other.schema, other.notes, other.problem, other.doubt, is_opened)


def _renamed(text: str, other: FoundCase, case: FoundCase) -> str:
    return with_placeholder(text, other).replace(CASE, case_folder(case).name if case.scan.is_dir() else case.name)
