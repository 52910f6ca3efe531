"""Which file is which sequence, told by names: BraTS of every year, and role words as real archives have them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.errors import DuplicateRoleError, RoleError
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.study import ROLES, Role

__all__ = [
    "FoundSequences",
    "dataset_json",
    "dataset_labels",
    "dataset_roles",
    "find_sequences",
    "names_segmentation",
    "role_in_name",
    "role_named",
    "role_of_file",
]

_SPELLINGS: Final[dict[str, Role]] = {
    **dict.fromkeys(("t1", "t1w", "t1n", "t1pre", "pret1", "precontrast", "t1precontrast", "t1native", "mrt1"), "T1"),
    **dict.fromkeys(
        (
            "t1c", "t1ce", "t1gd", "t1gad", "t1post", "postt1", "t1cw", "t1wce", "t1wgd", "t1wpost", "ct1", "t1k",
            "t1km", "postcontrast", "t1postcontrast", "t1contrast", "t1contrastenhanced", "cet1", "cet1w", "gdt1",
            "mrt1c", "t1wc", "t1postgad", "t1postgd", "t1withcontrast",
        ),
        "T1c",
    ),
    **dict.fromkeys(("t2", "t2w", "mrt2"), "T2"),
    **dict.fromkeys(("flair", "fla", "t2f", "t2flair", "flairt2", "mrflair", "t2wflair", "flairw"), "FLAIR"),
}  # fmt: skip
"""Spellings of roles, lower case without separators."""


def role_named(text: str) -> Role:
    """The role that a person means by `t1ce`, `T1Gd`, `t1w`, `flair`, `T2-FLAIR` and the like.

    Raises
    ------
    RoleError
        If it is none of the known spellings.

    Examples
    --------
    >>> role_named("t1ce"), role_named("T2-FLAIR"), role_named("t1w")
    ('T1c', 'FLAIR', 'T1')
    """
    plain = re.sub(r"[^a-z0-9+]", "", str(text).lower()).replace("+c", "c").replace("+", "")
    if plain in _SPELLINGS:
        return _SPELLINGS[plain]
    msg = (
        f"{text!r} is not the name of a sequence. Known are T1 (also t1w, t1n), T1c (t1ce, t1gd, t1post), "
        "T2 (t2w) and FLAIR (t2f, t2-flair)."
    )
    raise RoleError(msg)


@dataclass(frozen=True, slots=True)
class FoundSequences:
    """What file names tell: the sequences by role, the segmentations, and files whose names tell neither."""

    sequences: dict[Role, Path]
    segmentations: tuple[Path, ...]
    unrecognised: tuple[Path, ...]


def find_sequences(files: Iterable[Path]) -> FoundSequences:
    """Roles of image files by their names; where a name tells none, its folder's name is asked.

    Parameters
    ----------
    files : iterable of Path
        Image files of one case; nothing is opened.

    Raises
    ------
    DuplicateRoleError
        If two files claim the same role; the message names both.
    """
    claims: dict[Role, list[Path]] = {}
    segmentations, unrecognised = [], []
    everything = sorted(files)
    beside: dict[Path, list[Path]] = {}  # a folder of thousands of slices would not bear looking at all pairs
    for path in everything:
        beside.setdefault(path.parent, []).append(path)
    for path in everything:
        role = role_of_file(path, beside[path.parent])
        if names_segmentation(path):
            segmentations.append(path)
        elif role is None:
            unrecognised.append(path)
        else:
            claims.setdefault(role, []).append(path)
    for role, paths in claims.items():
        if len(paths) > 1:
            raise DuplicateRoleError(_duplicate_message(role, paths))
    sequences = {role: claims[role][0] for role in ROLES if role in claims}
    return FoundSequences(sequences, tuple(segmentations), tuple(unrecognised))


def names_segmentation(path: Path) -> bool:
    """Whether a file's name says that it holds labels: seg, mask, label, roi, truth, gold standard, `XX.O.OT` ..."""
    name = short_name(path).lower()
    tokens = set(re.findall(r"[a-z]+", name))
    joined = re.search(r"(seg|segm|segmentation|mask|masks|label|labels)$", name)
    return bool(tokens & _LABEL_WORDS or joined or re.search(r"\bxx\.o\.ot\b", name))


def role_in_name(name: str) -> Role | None:
    """The role that a file name tells, or None.

    The last word decides if it is a role itself (`..._t1c`); otherwise the first mention does, with the words for
    contrast agent after it. `post` counts as contrast only beside T1 or a word for the agent: `Post_Scan_T1` is a
    T1 after treatment. Names of other images, such as T2* and subtractions, and of two roles at once tell none.
    """
    lower = _plain_name(name.lower())
    without_target = _REGISTERED_TO.sub(" ", lower)
    return _role_of_words(_words(without_target)) or _role_of_words(_words(lower))


def role_of_file(path: Path, siblings: Iterable[Path]) -> Role | None:
    """The role that a file's name tells, or else its folder's name, if no other scan lies in that folder."""
    if (role := role_in_name(short_name(path))) is not None:
        return role
    scans = [p for p in siblings if p.parent == path.parent and not names_segmentation(p)]
    return role_in_name(path.parent.name) if scans == [path] else None


def dataset_json(path: Path) -> Mapping[str, Any] | None:
    """The `dataset.json` beside a file or in the folder above, or None."""
    for folder in (path.parent, path.parent.parent):
        candidate = folder / "dataset.json"
        if not candidate.is_file():
            continue
        try:
            content = read_json(candidate)
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            return content
    return None


def dataset_roles(dataset: Mapping[str, Any] | None) -> tuple[Role | None, ...] | None:
    """Roles of the volumes of a 4-D file, by `modality` (Decathlon) or `channel_names` (nnU-Net), or None."""
    entry = (dataset or {}).get("modality") or (dataset or {}).get("channel_names")
    if not isinstance(entry, Mapping):
        return None
    try:
        ordered = [entry[key] for key in sorted(entry, key=int)]
    except ValueError:
        return None
    roles = tuple(_role_or_none(str(text)) for text in ordered)
    return roles if any(roles) else None


def dataset_labels(dataset: Mapping[str, Any] | None) -> dict[str, str] | None:
    """The `labels` entry of a `dataset.json` as integer text to meaning; nnU-Net writes it the other way round."""
    entry = (dataset or {}).get("labels")
    if not isinstance(entry, Mapping):
        return None
    pairs = [(k, v) if str(k).isdigit() else (v, k) for k, v in entry.items()]
    return {str(k): str(v) for k, v in pairs if str(k).isdigit()} or None


_LABEL_WORDS: Final = frozenset(
    {"seg", "segm", "segs", "segmentation", "segmentations", "mask", "masks", "label", "labels", "roi", "rois"}
    | {"truth", "groundtruth", "gt", "gold", "annotation", "annotations", "tumormask", "tumorseg"}
)
_OTHER_WORDS: Final = frozenset(
    {"swi", "dwi", "adc", "dti", "asl", "dsc", "dce", "perf", "perfusion", "cbv", "cbf", "rcbv", "mtt", "ktrans"}
    | {"bold", "fmri", "trace", "t2star", "t1map", "t2map", "t1rho", "mra", "angio", "subtraction"}
)
"""Words of images that are none of the four sequences, even where T1 or T2 is in the name too."""
_NOT_PLAIN_T2: Final = frozenset({"star", "gre", "ffe", "hemo", "tirm", "pd", "pdw"})
"""Words beside T2 that make it T2*, an inversion recovery of unknown purpose, or a pair with proton density."""
_CONTRAST: Final = (
    r"(?:gd|gad|gado|gadolinium|gadovist|contrast|kontrast|kontrastmittel|ce|cm|km|enhanced|c|\+c|\+|\+gd"
    r"|postgad|postgd|postcontrast|postcon)"
)
_CONTRAST_WORD: Final = re.compile(rf"^{_CONTRAST}$")
_NO_CONTRAST: Final = frozenset(
    {"precontrast", "pregad", "pregd", "native", "nativ", "unenhanced", "noncontrast"}
    | {"without", "wo", "no", "non", "ohne", "sans"}
)
_TREATMENT: Final = frozenset(
    {"op", "operative", "treatment", "surgery", "surgical", "rt", "radiation", "therapy", "chemo", "resection"}
)
_REGISTERED_TO: Final = re.compile(
    r"(?:(?:co)?reg(?:istered)?|aligned|warped|resampled|mapped|transformed)[_\-.]*(?:to|2|on|in)[_\-.]*"
    r"(?:flair|t[12][a-z0-9]*|mni[a-z0-9]*)|(?<![a-z0-9])(?:to|in)[_\-.](?:flair|t[12][a-z0-9]*)"
)
_BIDS_ENTITY: Final = re.compile(r"(?<![a-z0-9])(?:(?:sub|ses|run|echo)-[a-z0-9]+|ce-(?:no|none|pre)(?![a-z0-9]))")
_DARK_FLUID: Final = re.compile(r"dark[-_. ]?fluid|(?<![a-z])da[-_.]fl(?![a-z])")
"""What Siemens calls FLAIR."""
_PLANE: Final = r"(?:ax|axial|sag|sagittal|cor|coronal|tra|trans|[23]d|mr|mri|w|wi|se|tse|fse|mprage|spgr|brain)"
_T1: Final = re.compile(rf"^{_PLANE}*t1(?P<rest>.*)$")
_T2: Final = re.compile(rf"^{_PLANE}*t2{_PLANE}*$")
_FLAIR: Final = re.compile(rf"^{_PLANE}*(?:flair|fla|t2w?flair|t2f|flairt2){_PLANE}*$")
_T1_PLAIN_REST: Final = re.compile(rf"^(?:n|pre|precontrast|pregad|pregd|native|{_PLANE})*$")
_T1_CONTRAST_REST: Final = re.compile(rf"^{_PLANE}*(?:post|{_CONTRAST})+{_PLANE}*$")
_BOTH_AT_THE_END: Final[dict[tuple[Role | None, Role | None], Role | None]] = {
    ("FLAIR", "T2"): "FLAIR",
    ("FLAIR", "T1"): None,
    ("T1", "T2"): None,
    ("T2", "T1"): None,
}
"""Two roles as the last two words: the same by two names, or a doubt (`T1` may also count the visits)."""
_T1_SYNONYMS: Final = frozenset({"mprage", "spgr", "bravo", "mp2rage"})


def _plain_name(lower: str) -> str:
    """The name without what would mislead: subject and session of BIDS, and two spellings with a separator inside."""
    if lower.startswith("sub-"):
        lower = _BIDS_ENTITY.sub(" ", lower)
    return _DARK_FLUID.sub("flair", re.sub(r"t2w?\s*\*", "t2star", lower))


def _words(lower: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:\+[a-z]*)?|\+[a-z]*", lower)


def _role_of_words(words: Sequence[str]) -> Role | None:
    if not words or _OTHER_WORDS & set(words) or words[-1] == "sub":
        return None
    role = _role_mentioned(words)
    return None if role == "T2" and _NOT_PLAIN_T2 & set(words) else role


def _role_mentioned(words: Sequence[str]) -> Role | None:
    last, before = _role_of_word(words[-1]), _role_of_word(words[-2]) if len(words) > 1 else None
    if (before, last) in _BOTH_AT_THE_END:
        return _BOTH_AT_THE_END[before, last]
    # "AX T1 FLAIR" is a T1 whose fluid is dark.
    if last not in (None, "T1") and not (last == "FLAIR" and before == "T1"):
        return last
    mentions = [(i, role) for i, word in enumerate(words) if (role := _role_of_word(word)) is not None]
    if not mentions:
        return None
    place, role = mentions[-1] if last == "T1" else mentions[0]
    if role == "T2":
        return "FLAIR" if any(other == "FLAIR" for _, other in mentions) else "T2"
    return "T1c" if role == "T1" and _has_contrast(words, place) else role


def _role_of_word(word: str) -> Role | None:
    if _FLAIR.match(word):
        return "FLAIR"
    if _T2.match(word):
        return "T2"
    if word in _T1_SYNONYMS:
        return "T1"
    if word in _SPELLINGS and "t1" in word:
        return _SPELLINGS[word]
    if match := _T1.match(word):
        rest = match["rest"]
        return "T1" if _T1_PLAIN_REST.match(rest) else "T1c" if _T1_CONTRAST_REST.match(rest) else None
    return None


def _has_contrast(words: Sequence[str], place: int) -> bool:
    """Whether words around the T1 at `place` tell of a contrast agent."""
    after = list(words[place + 1 :])
    others = set(words[:place]) | set(after)
    if others & _NO_CONTRAST or any(_is_pre_contrast(words, i, place) for i, w in enumerate(words) if w == "pre"):
        return False
    if any(_is_agent(word) for word in others) or "c" in (after[:1] + after[-1:]):
        return True
    if "post" in after:
        follows = after[after.index("post") + 1 :]
        return not (follows and follows[0] in _TREATMENT)
    return place > 0 and words[place - 1] == "post"


def _is_agent(word: str) -> bool:
    return word != "c" and _CONTRAST_WORD.match(word) is not None


def _is_pre_contrast(words: Sequence[str], at: int, place: int) -> bool:
    """Whether the "pre" at `at` means before contrast; before the T1, or with a word for it, it is before treatment."""
    follows = words[at + 1] if at + 1 < len(words) else ""
    return _is_agent(follows) or (at > place and follows not in _TREATMENT)


def _role_or_none(text: str) -> Role | None:
    try:
        return role_named(text)
    except RoleError:
        return role_in_name(text)


def _duplicate_message(role: Role, paths: Sequence[Path]) -> str:
    names = " and ".join(str(Path(p.parent.name) / p.name) for p in paths[:2])
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
    return (
        f"Two files claim to be {role}: {names}{more}. A study has one of each: if this folder holds several "
        f'examinations open one of them, otherwise say which file is meant, for example roles={{"{role}": '
        f'"{paths[0].name}"}}.'
    )
