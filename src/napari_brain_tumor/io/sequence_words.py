"""Identify the MRI sequence from a name or a series description, for files, layers and DICOM alike.

If the words contradict each other, the result is a doubt and never the likelier of the two sequences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from napari_brain_tumor.errors import RoleError
from napari_brain_tumor.io.sequence_parts import ROLE_KINDS, Kind, Part, parts_of
from napari_brain_tumor.study import Role


@dataclass(frozen=True, slots=True)
class RoleWords:
    """What the words of a name say about its sequence.

    Parameters
    ----------
    role : Role or None
        The sequence named; None if the words name none or leave it open.
    doubt : str
        Why there is no role although the name contains sequence words, e.g. "it names a subtraction, not a sequence".
        Empty if there is a role, or if there are no such words.
    only_words : bool
        Whether every word of the name is known here, so that it is only the name of a sequence. False for a name that
        consists only of connecting words ("y", "de").
    """

    role: Role | None
    doubt: str = ""
    only_words: bool = False


def roles_in(text: str) -> RoleWords:
    """Identify the sequence from a file name without suffix, a layer's name or a series description.

    The last word decides if it is a sequence itself and nothing contradicts it. T2 next to FLAIR is FLAIR; T1 before
    FLAIR is T1 (with dark fluid). `post` and `pre` refer to the contrast agent unless a treatment follows.

    Examples
    --------
    >>> roles_in("AX T1 C+").role, roles_in("AX T1 C-").role, roles_in("T2*").role
    ('T1c', 'T1', None)
    >>> roles_in("SUB_T1_post-pre").doubt
    'it names a subtraction, not a sequence'
    """
    parts = parts_of(text)
    kinds = {part.kind for part in parts}
    only_words = bool(kinds - {"filler"}) and not kinds & {"unknown", "identity"}
    if (doubt := _other_image(parts)) or not any(part.kind in ROLE_KINDS for part in parts):
        return RoleWords(None, doubt if any(p.kind in ROLE_KINDS for p in parts) else "", only_words)
    mention = _mentioned(parts)
    if mention is None:
        names = " and ".join(dict.fromkeys(part.kind for part in parts if part.kind in ROLE_KINDS))
        return RoleWords(None, f"it names {names}", only_words)
    if mention == "T2" and any(part.kind == "inversion" for part in parts):
        return RoleWords(None, "it names an inversion recovery, which may be FLAIR or STIR", only_words)
    if mention != "T1":
        return RoleWords(mention, "", only_words)
    agent = _agent(parts)
    if agent is None:
        return RoleWords(None, "its words leave open whether it is T1 with or without contrast agent", only_words)
    return RoleWords("T1c" if agent else "T1", "", only_words)


def role_in_name(name: str) -> Role | None:
    """Return the role that a file name indicates, or None if it indicates none or leaves it open (see `roles_in`)."""
    return roles_in(name).role


def role_named(text: str) -> Role:
    """Return the role that a user means by `t1ce`, `T1Gd`, `t1w`, `flair`, `T2-FLAIR`, `pre-contrast` and the like.

    Raises
    ------
    RoleError
        If it contains anything but words for one sequence, or they leave it open.

    Examples
    --------
    >>> role_named("t1ce"), role_named("T2-FLAIR"), role_named("t1w")
    ('T1c', 'FLAIR', 'T1')
    """
    words = roles_in(str(text))
    if words.role is not None and words.only_words:
        return words.role
    # "Post-contrast" names no sequence, but T1 is the only one acquired before and after contrast.
    assumed = roles_in(f"T1 {text}") if words.only_words and not words.doubt else words
    if assumed.role is not None and assumed.only_words and any(p.kind in _AGENT_KINDS for p in parts_of(str(text))):
        return assumed.role
    why = f" ({words.doubt})" if words.doubt else ""
    raise RoleError(
        f"{text!r} is not the name of a sequence{why}. Use T1 (also t1w, t1n), T1c (t1ce, t1gd, t1post), "
        "T2 (t2w) or FLAIR (t2f, t2-flair)."
    )


def role_of_description(
    text: str,
    contrast_agent: str | None = None,
    *,
    te_ms: float | None = None,
    tr_ms: float | None = None,
    ti_ms: float | None = None,
) -> RoleWords:
    """Identify the sequence from a series description together with the recorded acquisition parameters.

    Parameters
    ----------
    text : str
        Series description, or the protocol name if that is empty.
    contrast_agent : str, optional
        Value of the tag (0018,0010); None or empty if absent.
    te_ms, tr_ms, ti_ms : float, optional
        Echo, repetition and inversion time in ms.

    Returns
    -------
    RoleWords
        The contrast agent decides a T1 whose words do not mention contrast. An agent or times that contradict the
        words give a doubt. Times alone never determine a sequence.

    Examples
    --------
    >>> role_of_description("AX T1", "Gadovist").role, role_of_description("AX T1 pre", "Gadovist").role
    ('T1c', None)
    >>> role_of_description("t2_tirm_tra", ti_ms=2500, tr_ms=9000).role
    'FLAIR'
    """
    words = roles_in(text)
    parts = parts_of(text)
    if _is_undecided_inversion(parts, words) and _inverts_fluid(ti_ms, tr_ms):
        return RoleWords("FLAIR", "", words.only_words)
    if contradiction := _times_contradict(words.role, te_ms, tr_ms, ti_ms):
        return RoleWords(None, contradiction, words.only_words)
    if words.role == "T1" and _is_agent_text(contrast_agent):
        if any(part.kind in ("pre", "without", "native", "minus") for part in parts):
            return RoleWords(None, f"its words say before contrast, its header names {contrast_agent}", False)
        return RoleWords("T1c", "", words.only_words)
    return words


_AGENT_KINDS: Final = frozenset(("agent", "short agent", "c", "plus", "minus", "pre", "post", "native"))
_AGENTS: Final = frozenset(("agent", "short agent", "c", "plus"))
_BETWEEN: Final = frozenset(
    ("neutral", "filler", "inversion", "gradient echo", "space", "agent", "short agent", "c", "plus", "minus", "either")
)
"""Kinds that may stand between two words that belong together, as in `T2 SPACE FLAIR` and `POST AX T1`."""

_OTHER_IMAGES: Final[dict[Kind, str]] = {
    "subtraction": "it names a subtraction, not a sequence",
    "map": "it names a map that was calculated, not a sequence",
    "other": "it names another kind of image",
}
_LEFT_TO_RIGHT: Final[dict[tuple[Kind, Kind], Role | None]] = {
    ("T1", "FLAIR"): "T1",
    ("T2", "FLAIR"): "FLAIR",
    ("FLAIR", "T2"): "FLAIR",
}
"""Pairs of adjacent roles that together name one sequence; other pairs give a doubt."""


def _other_image(parts: Sequence[Part]) -> str:
    kinds = {part.kind for part in parts}
    for kind, text in _OTHER_IMAGES.items():
        if kind in kinds:
            return text
    if "gradient echo" in kinds and "T2" in kinds and "FLAIR" not in kinds:
        return "it names T2*, not T2"
    if "proton density" in kinds:
        return "it names proton density"
    return ""


def _mentioned(parts: Sequence[Part]) -> Role | None:
    """Return T1, T2 or FLAIR, whichever the words name; None if they name several."""
    groups: list[list[Part]] = []
    between: list[Kind] = []
    for part in parts:
        if part.kind not in ROLE_KINDS:
            between.append(part.kind)
            continue
        if groups and between and between[-1] == "moved":
            return None
        if groups and set(between) <= _BETWEEN:
            groups[-1].append(part)
        else:
            groups.append([part])
        between = []
    roles = [_role_of_group(group) for group in groups]
    if len(set(roles)) == 1:
        return roles[0]
    is_last_word = groups[-1][-1].word == parts[-1].word
    return roles[-1] if is_last_word else None


def _role_of_group(group: Sequence[Part]) -> Role | None:
    role: Role | None = _as_role(group[0])
    for part in group[1:]:
        if role is None or part.kind == role:
            continue
        role = _LEFT_TO_RIGHT.get((role, part.kind)) if role != "T1c" else None
    return role


def _as_role(part: Part) -> Role | None:
    return part.kind if part.kind in ("T1", "T2", "FLAIR") else None


def _agent(parts: Sequence[Part]) -> bool | None:
    """Whether the words around T1 indicate contrast; None if they contradict each other."""
    first_t1 = next(i for i, part in enumerate(parts) if part.kind == "T1")
    answers: set[bool] = set()
    at = 0
    while at < len(parts):
        what, at = _said_at(parts, at, first_t1)
        if what == "open":
            return None
        answers |= {what} if isinstance(what, bool) else set()
    return None if len(answers) == 2 else True in answers


def _said_at(parts: Sequence[Part], at: int, t1: int) -> tuple[bool | Literal["open"] | None, int]:
    """Return what the part at a position says about contrast, and the position to continue from."""
    kind = parts[at].kind
    follows = _next_kind(parts, at)
    if kind in ("pre", "post"):
        return _before_or_after(parts, at, t1)
    if kind in ("no", "without"):
        if follows in _AGENTS:
            return False, _place_after_agents(parts, at)
        return (False if kind == "without" and follows is None and at > t1 else None), at + 1
    if kind in _AGENTS and (follows == "free" or (follows == "no" and _next_place(parts, at) == len(parts) - 1)):
        return False, _place_after_next(parts, at)
    simple: dict[Kind, bool | Literal["open"]] = {"plus": True, "minus": False, "either": "open", "open c": "open"}
    if kind in simple:
        return simple[kind], at + 1
    if kind == "native":
        return (None if follows == "space" else False), at + 1
    return (True if kind in _AGENTS and _counts(parts, at, t1) else None), at + 1


def _before_or_after(parts: Sequence[Part], at: int, t1: int) -> tuple[bool | Literal["open"] | None, int]:
    is_post = parts[at].kind == "post"
    follows = _next_kind(parts, at)
    if follows in _AGENTS:
        return is_post, _place_after_agents(parts, at)
    if follows == "treatment":
        return None, _place_after_next(parts, at)
    if follows in ("pre", "post"):
        return "open", at + 1
    if at > t1:
        return is_post, at + 1
    if not _beside(parts, at, t1):
        return None, at + 1
    if is_post:
        return True, at + 1
    # "pre T1 Gd" means either before surgery with contrast, or before contrast.
    return False, at + 1


def _counts(parts: Sequence[Part], at: int, t1: int) -> bool:
    """Whether a word refers to contrast: initials such as CE and KM do so only beside T1 or after it."""
    part = parts[at]
    if part.kind == "agent" or part.word == parts[t1].word:
        return True
    if part.kind == "c":
        is_last = part.word == parts[-1].word
        return at > t1 and (is_last or _beside(parts, t1, at))
    return at > t1 or _beside(parts, at, t1)


def _beside(parts: Sequence[Part], left: int, right: int) -> bool:
    return {part.kind for part in parts[left + 1 : right]} <= _BETWEEN


def _next_place(parts: Sequence[Part], at: int) -> int | None:
    return next((i for i in range(at + 1, len(parts)) if parts[i].kind != "filler"), None)


def _next_kind(parts: Sequence[Part], at: int) -> Kind | None:
    place = _next_place(parts, at)
    return None if place is None else parts[place].kind


def _place_after_agents(parts: Sequence[Part], at: int) -> int:
    """Return the position after consecutive words for contrast: "gadolinium contrast", "contrast-enhanced"."""
    place = _place_after_next(parts, at)
    while place < len(parts) and parts[place].kind in ("filler", *_AGENTS) and _next_kind(parts, place - 1) in _AGENTS:
        place = _place_after_next(parts, place - 1)
    return place


def _place_after_next(parts: Sequence[Part], at: int) -> int:
    place = _next_place(parts, at)
    return len(parts) if place is None else place + 1


_NO_AGENT: Final = frozenset(("", "none", "no", "n", "n/a", "na", "nil", "without", "ohne", "0", "false"))


def _is_agent_text(text: str | None) -> bool:
    return text is not None and text.strip().lower() not in _NO_AGENT


def _is_undecided_inversion(parts: Sequence[Part], words: RoleWords) -> bool:
    kinds = {part.kind for part in parts}
    return words.role is None and "inversion" in kinds and not kinds & {"T1", *_OTHER_IMAGES}


def _inverts_fluid(ti_ms: float | None, tr_ms: float | None) -> bool:
    return ti_ms is not None and 1500 <= ti_ms <= 3500 and (tr_ms is None or tr_ms >= 4000)


def _times_contradict(role: Role | None, te_ms: float | None, tr_ms: float | None, ti_ms: float | None) -> str:
    if role == "T2" and _inverts_fluid(ti_ms, tr_ms):
        return f"it is called T2, but its inversion time of {ti_ms:g} ms is that of FLAIR"
    if role in ("T1", "T1c") and te_ms is not None and te_ms > 60 and (tr_ms is None or tr_ms > 2000):
        return f"it is called T1, but its echo time of {te_ms:g} ms is not that of T1"
    if role == "FLAIR" and ti_ms is not None and ti_ms < 1300 and te_ms is not None and te_ms < 40:
        return f"it is called FLAIR, but inversion time {ti_ms:g} and echo time {te_ms:g} ms are those of T1 FLAIR"
    return ""
