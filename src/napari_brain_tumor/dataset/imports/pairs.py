"""Any folder of images and labels, described by two file name patterns."""

import re
from pathlib import Path

from napari_brain_tumor.dataset.imports.found_case import FoundCase, Roles
from napari_brain_tumor.errors import DatasetError, RoleError
from napari_brain_tumor.io.study_folder import role_named

_SPECIAL = re.compile(r"\{case\}|\{role\}|\*\*/|\*|\?")
_WILD = {"**/": r"(?:.*/)?", "*": r"[^/]*", "?": r"[^/]"}


def find_pairs(root: Path, images: str, labels: str, roles: Roles = None) -> tuple[FoundCase, ...]:
    """Return the cases whose image and label match two patterns.

    Parameters
    ----------
    root : Path
        Folder to which the patterns are relative.
    images, labels : str
        For example `"{case}/img.nii.gz"` and `"{case}/seg.nii.gz"`; without `{case}`, the first `*` is the case name.
        `{role}` in `images` stands for the sequence: `"{case}/{case}_{role}.nii.gz"`.
    roles : mapping or sequence, optional
        Roles for `open_study`, if neither `{role}` nor the file names identify the sequences.

    Raises
    ------
    DatasetError
        If a pattern does not identify cases, or nothing matches. An image that has no label or several, or where
        `{role}` matches something that is not a sequence, is returned as a case with a problem.
    """
    image_pattern, label_pattern = _with_case(images), _with_case(labels)
    by_case = _matches(root, image_pattern)
    labels_by_case = _matches(root, label_pattern)
    if not by_case:
        msg = f"No file in {root} fits {images!r}. Patterns are relative to that folder, with / between the parts."
        raise DatasetError(msg)
    has_role = "{role}" in image_pattern
    return tuple(
        _case(case, images_of_case, labels_by_case.get(case, []), roles, has_role)
        for case, images_of_case in sorted(by_case.items())
    )


def _case(
    case: str, images: list[tuple[str, Path]], labels: list[tuple[str, Path]], roles: Roles, by_role: bool
) -> FoundCase:
    if len(labels) != 1 or (len(images) != 1 and not by_role):
        names = ", ".join(path.name for _, path in (*images, *labels))
        msg = (
            f"{case} has {len(images)} images and {len(labels)} labels that fit the patterns ({names}); expected one "
            "label and one image, or one image for every {role}. Make the patterns narrower or wider."
        )
        return FoundCase(case, images[0][1], images[0][1], problem=msg)
    label = labels[0][1]
    scans = [(role, path) for role, path in images if path != label]
    if by_role:
        try:
            images_by_role: dict[str, str | Path | int] = {role_named(role): path for role, path in scans}
        except RoleError as error:
            return FoundCase(case, label, label, problem=str(error))
        return FoundCase(case, scans[0][1].parent, label, images_by_role)
    return FoundCase(case, images[0][1], label, roles)


def _with_case(pattern: str) -> str:
    if "{case}" in pattern:
        return pattern
    # `**` matches folders, not a case name.
    completed = re.sub(r"(?<!\*)\*(?!\*)", "{case}", pattern, count=1)
    if completed == pattern:
        raise DatasetError(f"{pattern!r} does not say where the case's name is: write {{case}} or * there.")
    return completed


def _matches(root: Path, pattern: str) -> dict[str, list[tuple[str, Path]]]:
    """Return, for each case, the text matched by `{role}` and the file."""
    expression = _expression(pattern)
    matches: dict[str, list[tuple[str, Path]]] = {}
    for path in sorted(root.rglob("*")):
        match = expression.fullmatch(path.relative_to(root).as_posix())
        if match is not None and not path.name.startswith("."):
            groups = match.groupdict()
            matches.setdefault(groups["case"], []).append((groups.get("role") or "", path))
    return matches


def _expression(pattern: str) -> re.Pattern[str]:
    """Convert the pattern to a regular expression; a repeated placeholder must match the same text."""
    parts, at, group_names = [], 0, set()
    for match in _SPECIAL.finditer(pattern):
        parts.append(re.escape(pattern[at : match.start()]))
        token = match[0]
        if token in _WILD:
            parts.append(_WILD[token])
        else:
            name = token.strip("{}")
            parts.append(f"(?P={name})" if name in group_names else f"(?P<{name}>[^/]+?)")
            group_names.add(name)
        at = match.end()
    return re.compile("".join(parts) + re.escape(pattern[at:]))
