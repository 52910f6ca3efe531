"""Which sequence a name or a series description means: the one list of words, for files, layers and DICOM alike.

A name is cut into words at its separators, and a word into the parts that it is made of (`t1wpost` is T1, weighted,
post). A word that has any other part in it tells nothing: `t10`, `PAT12` and `Saint1` are no T1. Signs and negations
are read before the separators are taken away, since `C-` and `C+` differ in nothing else. Where the words contradict
each other the answer is a doubt, never the likelier of the two.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from napari_brain_tumor.errors import RoleError
from napari_brain_tumor.study import Role


@dataclass(frozen=True, slots=True)
class RoleWords:
    """What the words of a name tell.

    Parameters
    ----------
    role : Role or None
        The sequence that is meant; None where the words tell none, or leave it open.
    doubt : str
        Why there is no role although the name has words of sequences: "it names a subtraction, not a sequence". Empty
        where there is a role, and where there is no such word.
    only_words : bool
        Whether every word of the name is known here, so that it is nothing but the name of a sequence. A name of
        such words alone as stand between others ("y", "de") is none.
    """

    role: Role | None
    doubt: str = ""
    only_words: bool = False


def roles_in(text: str) -> RoleWords:
    """What a file name without suffix, a layer's name or a series description tells about its sequence.

    The last word decides if it is a sequence itself and nothing contradicts it. T2 beside FLAIR is FLAIR; T1 before
    FLAIR is T1, whose fluid is dark. `post` and `pre` mean the contrast agent unless a treatment follows.

    Examples
    --------
    >>> roles_in("AX T1 C+").role, roles_in("AX T1 C-").role, roles_in("T2*").role
    ('T1c', 'T1', None)
    >>> roles_in("SUB_T1_post-pre").doubt
    'it names a subtraction, not a sequence'
    """
    parts = _parts(text)
    kinds = {part.kind for part in parts}
    only_words = bool(kinds - {"filler"}) and not kinds & {"unknown", "identity"}
    if (doubt := _other_image(parts)) or not any(part.kind in _ROLE_KINDS for part in parts):
        return RoleWords(None, doubt if any(p.kind in _ROLE_KINDS for p in parts) else "", only_words)
    mention = _mentioned(parts)
    if mention is None:
        names = " and ".join(dict.fromkeys(part.kind for part in parts if part.kind in _ROLE_KINDS))
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
    """The role that a file name tells, or None where it tells none or leaves it open (`roles_in` says why)."""
    return roles_in(name).role


def role_named(text: str) -> Role:
    """The role that a person means by `t1ce`, `T1Gd`, `t1w`, `flair`, `T2-FLAIR`, `pre-contrast` and the like.

    Raises
    ------
    RoleError
        If it holds anything else than words for one sequence, or they leave it open.

    Examples
    --------
    >>> role_named("t1ce"), role_named("T2-FLAIR"), role_named("t1w")
    ('T1c', 'FLAIR', 'T1')
    """
    words = roles_in(str(text))
    if words.role is not None and words.only_words:
        return words.role
    # "Post-contrast" names no sequence, but among sequences there is one that is taken before and after.
    assumed = roles_in(f"T1 {text}") if words.only_words and not words.doubt else words
    if assumed.role is not None and assumed.only_words and any(p.kind in _AGENT_KINDS for p in _parts(str(text))):
        return assumed.role
    why = f" ({words.doubt})" if words.doubt else ""
    msg = (
        f"{text!r} is not the name of a sequence{why}. Known are T1 (also t1w, t1n), T1c (t1ce, t1gd, t1post), "
        "T2 (t2w) and FLAIR (t2f, t2-flair)."
    )
    raise RoleError(msg)


def role_of_description(
    text: str,
    contrast_agent: str | None = None,
    *,
    te_ms: float | None = None,
    tr_ms: float | None = None,
    ti_ms: float | None = None,
) -> RoleWords:
    """What a series description tells, together with what the scanner wrote down.

    Parameters
    ----------
    text : str
        Series description, or protocol name where that is empty.
    contrast_agent : str, optional
        Of the tag (0018,0010); None or empty where it is not there.
    te_ms, tr_ms, ti_ms : float, optional
        Echo, repetition and inversion time in ms.

    Returns
    -------
    RoleWords
        The agent settles a T1 whose words say nothing about it. Agent or times that contradict the words make it a
        doubt; where the words tell no sequence, times alone do not make one.

    Examples
    --------
    >>> role_of_description("AX T1", "Gadovist").role, role_of_description("AX T1 pre", "Gadovist").role
    ('T1c', None)
    >>> role_of_description("t2_tirm_tra", ti_ms=2500, tr_ms=9000).role
    'FLAIR'
    """
    words = roles_in(text)
    parts = _parts(text)
    if _is_undecided_inversion(parts, words) and _inverts_fluid(ti_ms, tr_ms):
        return RoleWords("FLAIR", "", words.only_words)
    if contradiction := _times_contradict(words.role, te_ms, tr_ms, ti_ms):
        return RoleWords(None, contradiction, words.only_words)
    if words.role == "T1" and _is_agent_text(contrast_agent):
        if any(part.kind in ("pre", "without", "native", "minus") for part in parts):
            return RoleWords(None, f"its words say before contrast, its header names {contrast_agent}", False)
        return RoleWords("T1c", "", words.only_words)
    return words


# Words -----------------------------------------------------------------------------------------------------------

_Kind = Literal[
    "T1", "T2", "FLAIR", "agent", "short agent", "c", "plus", "minus", "either", "pre", "post", "without", "no",
    "native", "treatment", "free", "gradient echo", "inversion", "proton density", "sub", "filler", "neutral",
    "subtraction", "map", "other", "identity", "space", "moved", "open c", "unknown",
]  # fmt: skip
_Kinds = tuple[_Kind, ...]


class _Part(NamedTuple):
    """One meaningful part of a name: what it is, and the number of the word that it stands in."""

    kind: _Kind
    word: int
    text: str


_ROLE_KINDS: Final = frozenset(("T1", "T2", "FLAIR"))
_AGENT_KINDS: Final = frozenset(("agent", "short agent", "c", "plus", "minus", "pre", "post", "native"))
_AGENTS: Final = frozenset(("agent", "short agent", "c", "plus"))
_BETWEEN: Final = frozenset(
    ("neutral", "filler", "inversion", "gradient echo", "space", "agent", "short agent", "c", "plus", "minus", "either")
)
"""What may stand between two words that belong together, as in `T2 SPACE FLAIR` and `POST AX T1`."""


def _entries(kinds: _Kinds, words: str) -> dict[str, _Kinds]:
    return dict.fromkeys(words.split(), kinds)


_COMPOUNDS: Final[dict[str, _Kinds]] = {
    **_entries(("T1",), "t1 t1w t1wi t1weighted mprage spgr fspgr irspgr irfspgr bravo mp2rage unit1"),
    **_entries(("T1", "agent"), "t1c t1wc t1cw"),
    **_entries(("T2",), "t2 t2w t2wi t2weighted"),
    **_entries(("FLAIR",), "flair flairw darkfluid"),
    **_entries(
        ("agent",),
        "gd gad gado gadolinium gadovist gadavist gadobutrol gadoteridol gadoterate gadobenate dotarem clariscan "
        "magnevist multihance prohance omniscan gbca gddtpa dtpa contrast contraste contrasto kontrast kontrastmittel "
        "enhanced enhancement enh mdc",
    ),
    **_entries(("short agent",), "ce cm km"),
    **_entries(("post",), "post"),
    **_entries(("pre",), "pre"),
    **_entries(("pre", "agent"), "precon pregad pregd prekm prec"),
    **_entries(("post", "agent"), "postcon postgad postgd postkm postc"),
    **_entries(("without",), "without wo ohne sans sin sem senza zonder bez utan uden uten fara без"),
    **_entries(("without", "agent"), "woc noncon nonce"),
    **_entries(("no",), "no non nicht kein not"),
    **_entries(("without", "agent"), "kontrastsiz"),
    **_entries(("agent",), "kontrastli"),
    **_entries(("native",), "平扫 平掃 単純 native nativ unenhanced unenh nonenhanced unkontrastiert"),
    **_entries(("map",), "map maps mapping"),
    **_entries(("gradient echo",), "star gre ffe flash"),
    **_entries(("T2", "gradient echo"), "t2star"),
    **_entries(("inversion",), "ir tirm stir"),
    **_entries(
        ("neutral",),
        "ax axial axi sag sagittal cor coronal tra trans transversal transverse 3d 2d mr mri w wi weighted se tse fse "
        "tfe tfl fs fatsat iso brain cube vista vibe hr hires img",
    ),
    **_entries(("space",), "space"),
}
"""Parts that words may be put together from, in any order and number, as in `axt1wpostgd`."""

_WORDS: Final[dict[str, _Kinds]] = {
    **_entries(("T1",), "t1n st1w st1"),
    **_entries(("T2",), "st2w st2"),
    **_entries(("T1", "agent"), "t1k"),
    **_entries(("FLAIR",), "fla t2f"),
    **_entries(("c",), "c"),
    **_entries(
        ("agent",),
        "inj injected injection injecte injectee gadolinio contrastado kontrastem kontrastom "
        "kontrastu контраст контрастом контраста контрастирования 增强 增強 造影",
    ),
    **_entries(("pre",), "before prior vor avant antes prae pra voor до"),
    **_entries(("post",), "after nach apres dopo despues после"),
    # German radiologists write oKM, mKM and nKM: without, with and after contrast agent.
    **_entries(("agent",), "mkm nkm"),
    **_entries(("without", "agent"), "okm vkm"),
    **_entries(("no",), "o"),
    **_entries(("free",), "free frei none off"),
    **_entries(("filler",), "with mit avec con com met cu med с iv the any de di w of and und et y i"),
    **_entries(("moved",), "reg coreg registered coregistered aligned warped rigid affine onto"),
    **_entries(
        ("treatment",),
        "op operative operation operatively treatment surgery surgical rt radiation radiotherapy therapy chemo "
        "resection biopsy biopsie bx crt tx treat tmz temozolomide bevacizumab avastin steroid steroids preop postop",
    ),
    **_entries(("identity",), "patient pat subject subj case control scan visit"),
    **_entries(("proton density",), "pd pdw dp pdt2"),
    **_entries(("gradient echo",), "hemo heme haemo fl2d fl3d me2d medic swan merge epi ep2d grad"),
    **_entries(("inversion",), "tir"),
    **_entries(("sub",), "sub subt"),
    **_entries(
        ("subtraction",),
        "subtraction subtractions subtracted subtract subtr subtrahiert subtraktion substraction subs difference "
        "differenz diff delta dt1",
    ),
    **_entries(
        ("map",),
        "t1map t2map qt1 qt2 qmap relax relaxation relaxometry molli shmolli parametric quantitative ratio prob "
        "probability pve jacobian warpfield deformation displacement fieldmap biasfield b0map b1map phase pha",
    ),
    **_entries(
        ("other",),
        "swi swip minip mip dwi adc eadc dti asl pcasl pasl dsc dce perf perfusion pwi cbv rcbv ncbv cbf rcbf mtt ttp "
        "tmax ktrans bold fmri trace tracew mra tof angio angiography mrv venography fa colfa md ivim noddi mrs csi "
        "svs spectro spectroscopy ct cta ncct pet fdg fet suv spect t1rho mtr localizer localiser loc scout survey "
        "topogram calibration calib dir spine cspine tspine lspine spinal hws bws lws dyn dynamic cest apt qsm b0 "
        "b1000 flairstar inv1 inv2",
    ),
}
"""Words that count only as they stand, since parts of names look like them."""

_OTHER_IMAGES: Final[dict[_Kind, str]] = {
    "subtraction": "it names a subtraction, not a sequence",
    "map": "it names a map that was calculated, not a sequence",
    "other": "it names another kind of image",
}
_LEFT_TO_RIGHT: Final[dict[tuple[_Kind, _Kind], Role | None]] = {
    ("T1", "FLAIR"): "T1",
    ("T2", "FLAIR"): "FLAIR",
    ("FLAIR", "T2"): "FLAIR",
}
"""Two roles side by side that are one sequence; others side by side are a doubt."""

# From text to parts ------------------------------------------------------------------------------------------------

_PLUS, _MINUS, _EITHER, _OPEN = "\x01", "\x02", "\x03", "\x04"
_SIGNS: Final[dict[str, _Kind]] = {_PLUS: "plus", _MINUS: "minus", _EITHER: "either", _OPEN: "open c"}
_OF_AN_AGENT: Final = re.compile(r"[ck]ontrast|kontras|enhanc|gadol|контраст|造影|增[强強]|조영")
"""A word with this in it speaks of the agent, in whatever language: where it is not known it leaves T1 open."""
_TOKEN: Final = re.compile("[^\\W_]+|[\x01-\x04]")
_AGENT_WORD: Final = r"(?:c|ce|km|cm|iv|gd|gad|gado|gadolinium|contrast|kontrast|kontrastmittel)"
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])(?<!(?<![A-Za-z])[cqs])")
"""Between a small and a capital letter, but not in `cT1`, `qT1` and `sT1W`, where a letter alone comes before."""

Rewrite = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _rules(*rules: tuple[str, str | Callable[[re.Match[str]], str]]) -> tuple[Rewrite, ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


_BIDS_RULES: Final = _rules(
    (r"(?<![a-z0-9])ce-(?:no|none|non|pre|without|0|false)[a-z]*(?![a-z0-9])", f" {_MINUS} "),
    (r"(?<![a-z0-9])ce-[a-z0-9]+", f" {_PLUS} "),
    (r"(?<![a-z0-9])part-(?:phase|real|imag)(?![a-z0-9])", " phase "),
    (r"(?<![a-z0-9])inv-\d+", " calib "),
    (r"(?<![a-z0-9])acq-", " "),
    (
        r"(?<![a-z0-9])(?:sub|ses|run|echo|space|rec|dir|res|den|label|desc|task|flip|mod|hemi|from|to|mode|chunk|trc"
        r"|atlas|split|proc|sample|seg)-[a-z0-9]+",
        " ",
    ),
)
"""Entities of BIDS: only the agent and the acquisition say something about the sequence."""

_RULES: Final = _rules(
    # Dashes of typesetters, and the sign for minus.
    (r"[\u2010-\u2015\u2212]", "-"),
    # No space divides Chinese and Japanese from letters.
    (r"(?<=[a-z0-9])(?=[\u3400-\u9fff])|(?<=[\u3400-\u9fff])(?=[a-z0-9])", " "),
    # What an image was moved onto is not what it shows.
    (
        r"(?:(?:co)?reg(?:istered)?|aligned|warped|resampled|mapped|transformed)[_\-. ]*(?:to|2|on|in)[_\-. ]*"
        r"(?:flair|t[12][a-z0-9]*|mni[a-z0-9]*)|(?<![a-z0-9])(?:to|in|on)[_\-. ](?:flair|t[12][a-z0-9]*)",
        " ",
    ),
    (r"(?<![a-z0-9])(flair|t1[a-z]*|t2[a-z]*|adc|swi|dwi|pet|ct)(?:2|to)(?:flair|t[12][a-z]*|mni)(?![a-z])", r"\1 "),
    (r"dark[-_. ]?fluid|(?<![a-z])da[-_.]fl(?![a-z])", " darkfluid "),
    (r"t2(?:w(?:i)?)?[ _\-]*\*|t2(?:w(?:i)?)?[ _\-]star", " t2star "),
    (r"flairw?[ _\-]*(?:\*|star(?![a-z]))", " flairstar "),
    (r"t1[ _\-]*rho(?![a-z])", " t1rho "),
    (r"(?<![a-z0-9])fl[ _\-]to[ _\-]sri(?![a-z])", " flair "),
    (r"post[ _\-]*(?:minus[ _\-]*|-|_|/)pre(?![a-z])", " subtraction "),
    (
        r"(?<![a-z0-9])t1[a-z]*[ _\-]*minus[ _\-]*t1[a-z]*"
        r"|(?<![a-z0-9])t1(?:w|wi)?(?:c|ce|gd|gad|post|km)?[ _]?-[ _]?t1(?:w|wi)?(?:c|ce|gd|gad|post|km|pre)?"
        r"(?![a-z0-9])",
        " t1 subtraction ",
    ),
    # With and without at once.
    (r"(?<![a-z])(?:mit|avec|con)[ _]*(?:und|u|et|y|/|&|\+)[ _]*(?:ohne|sans|sin)(?![a-z])", f" {_EITHER} "),
    (r"(?<![a-z])(?:ohne|sans|sin)[ _]*(?:und|u|et|y|/|&|\+)[ _]*(?:mit|avec|con)(?![a-z])", f" {_EITHER} "),
    (r"(?<![a-z0-9])(?:without|w/o|wo)[ _]*(?:and|&|\+|/)[ _]*(?:with|w/?)(?![a-z0-9])", f" {_EITHER} "),
    (
        r"(?<![a-z0-9])(?:with|w/?)[ _]*(?:and|&|\+|/|or|_|-| )[ _]*(?:without|w/o|wo|w[_\-]o)(?![a-z0-9])",
        f" {_EITHER} ",
    ),
    (r"(?<![a-z0-9])pre[ _]*(?:and|&|\+|/)[ _]*post(?![a-z0-9])|\+ ?/? ?-|- ?/ ?\+|±", f" {_EITHER} "),
    (r"(?<![a-z0-9])w[/\\._\- ]o\.?(?![a-z0-9])", " without "),
    (r"(?<![a-z0-9])w/", " with "),
    (r"(?<![a-z0-9])(?:free|frei)[ _\-]+(?:of|from|von)(?![a-z0-9])", " without "),
    # "W CON" and "W CONT" are short for "with contrast"; "con" alone is Spanish for "with".
    (r"(?<![a-z0-9])w[ _]?cont?(?![a-z0-9])", f" {_PLUS} "),
    (rf"(?<![a-z0-9])(t1(?:w|wi)?)?{_AGENT_WORD}[ _]*[=:][ _]*(?:0|no|none|off|false|-)(?![a-z0-9])", rf"\1 {_MINUS} "),
    (rf"(?<![a-z0-9])(t1(?:w|wi)?)?{_AGENT_WORD}[ _]*[=:][ _]*(?:1|yes|on|true|\+)(?![a-z0-9])", rf"\1 {_PLUS} "),
    (rf"(?<![a-z0-9])(t1(?:w|wi)?)?{_AGENT_WORD}[ _\-]?neg(?:ativ[eo]?)?(?![a-z0-9])", rf"\1 {_MINUS} "),
    (rf"(?<![a-z0-9])(t1(?:w|wi)?)?{_AGENT_WORD}[ _\-]?pos(?:itiv[eo]?)?(?![a-z0-9])", rf"\1 {_PLUS} "),
    # Signs of the agent: after it (C+, T1C-), before it (+C, " -C"), and of T1 itself (T1+, T1-).
    (r"(?<![a-z0-9])c[ _\-]?spine", " spine "),
    (rf"(?<![a-z0-9])(t1(?:w|wi)?)?{_AGENT_WORD}[ _]?(?:\++|plus)(?![a-z0-9])", rf"\1 {_PLUS} "),
    (rf"(?<![a-z0-9])(t1(?:w|wi)?)?{_AGENT_WORD}(?:-+|[ _]?minus)(?![a-z0-9])", rf"\1 {_MINUS} "),
    (rf"(?:\+|(?<![a-z0-9])plus)[ _]?{_AGENT_WORD}(?![a-z0-9+\-])", f" {_PLUS} "),
    (rf"(?:(?<=[\s_(\[,;])|^)(?:-|minus[ _]?){_AGENT_WORD}(?![a-z0-9+])", f" {_MINUS} "),
    (rf"[ _]-[ _]{_AGENT_WORD}(?![a-z0-9])|(?<=[ _])c[ _]-(?![a-z0-9])", f" {_OPEN} "),
    (rf"(?<![a-z0-9])(t1(?:w|wi)?)?{_AGENT_WORD}[ _]?\(\+\)", rf"\1 {_PLUS} "),
    (rf"(?<![a-z0-9])(t1(?:w|wi)?)?{_AGENT_WORD}[ _]?\(-\)", rf"\1 {_MINUS} "),
    (r"\(\+\)|(?<=[ _])\+(?=[ _]|$)", f" {_PLUS} "),
    (r"\(-\)", f" {_MINUS} "),
    (r"(?<![a-z0-9])(t1(?:w|wi)?)\+(?![a-z0-9])", rf"\1 {_PLUS} "),
    (r"(?<![a-z0-9])(t1(?:w|wi)?)-(?![a-z0-9_ ])", rf"\1 {_MINUS} "),
    # A lone c whose sign may have been a separator: T1-C, T1_C-tra, and T1_C_ where a program took the sign away.
    (r"(?<=t1)-c(?![a-z0-9])|(?<=t1w)-c(?![a-z0-9])", f" {_OPEN} "),
    (r"(?<=[ _])c(?:-(?=[a-z0-9])|_$|__)", f" {_OPEN} "),
)


def _parts(text: str) -> tuple[_Part, ...]:
    return _cached_parts(str(text))


@lru_cache(maxsize=4096)
def _cached_parts(text: str) -> tuple[_Part, ...]:
    # Accents are left out: "pré" is "pre".
    letters = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    plain = _CAMEL.sub(" ", letters).lower()
    rules = (*_BIDS_RULES, *_RULES) if plain.startswith("sub-") else _RULES
    for pattern, replacement in rules:
        plain = pattern.sub(replacement, plain)
    words = _TOKEN.findall(plain)
    parts = (_Part(kind, i, word) for i, word in enumerate(words) for kind in _kinds(word))
    return tuple(_without_subjects(list(parts)))


@lru_cache(maxsize=4096)
def _kinds(word: str) -> _Kinds:
    """What a word is made of; `("unknown",)` where any part of it is not known."""
    if word in _SIGNS:
        return (_SIGNS[word],)
    if word == "ct1":
        return ("T1", "c")
    if word in _WORDS:
        return _WORDS[word]
    if re.fullmatch(r"tir[23]d\d*", word):
        return ("inversion",)
    made_of = _taken_apart(word)
    if made_of is None:
        # "flair2" and "mprage1" count acquisitions; after T1 and T2 a digit would be another number.
        trimmed = re.sub(r"(?<=[a-z])\d{1,2}$", "", word)
        made_of = _taken_apart(trimmed) if trimmed != word else None
        if made_of is None or not _ROLE_KINDS & set(made_of):
            return ("open c" if _OF_AN_AGENT.search(word) else "unknown",)
    if _ROLE_KINDS & set(made_of) or len(made_of) == 1 or "neutral" not in made_of:
        return made_of
    return ("unknown",)


def _taken_apart(word: str) -> _Kinds | None:
    if not word:
        return ()
    for length in range(len(word), 0, -1):
        kinds = _COMPOUNDS.get(word[:length])
        if kinds is not None and (rest := _taken_apart(word[length:])) is not None:
            return (*kinds, *rest)
    return None


def _without_subjects(parts: list[_Part]) -> Iterable[_Part]:
    """`sub` before a number counts subjects, else it is short for subtraction; `ct1` before `patient` is no T1."""
    for i, part in enumerate(parts):
        after = next((other for other in parts[i + 1 :] if other.word > part.word), None)
        if part.kind == "sub":
            is_subject = after is not None and after.kind == "unknown" and any(map(str.isdigit, after.text))
            yield part._replace(kind="unknown" if is_subject else "subtraction")
        elif part.text == "ct1" and after is not None and after.kind == "identity":
            yield part._replace(kind="unknown")
        else:
            yield part


# From parts to the role --------------------------------------------------------------------------------------------


def _other_image(parts: Sequence[_Part]) -> str:
    kinds = {part.kind for part in parts}
    for kind, text in _OTHER_IMAGES.items():
        if kind in kinds:
            return text
    if "gradient echo" in kinds and "T2" in kinds and "FLAIR" not in kinds:
        return "it names T2*, not T2"
    if "proton density" in kinds:
        return "it names proton density"
    return ""


def _mentioned(parts: Sequence[_Part]) -> Role | None:
    """T1, T2 or FLAIR, whichever the words name; None where they name several."""
    groups: list[list[_Part]] = []
    between: list[_Kind] = []
    for part in parts:
        if part.kind not in _ROLE_KINDS:
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


def _role_of_group(group: Sequence[_Part]) -> Role | None:
    role: Role | None = _as_role(group[0])
    for part in group[1:]:
        if role is None or part.kind == role:
            continue
        role = _LEFT_TO_RIGHT.get((role, part.kind)) if role != "T1c" else None
    return role


def _as_role(part: _Part) -> Role | None:
    return part.kind if part.kind in ("T1", "T2", "FLAIR") else None


def _agent(parts: Sequence[_Part]) -> bool | None:
    """Whether the words around T1 tell of a contrast agent; None where they contradict each other."""
    first_t1 = next(i for i, part in enumerate(parts) if part.kind == "T1")
    answers: set[bool] = set()
    at = 0
    while at < len(parts):
        what, at = _said_at(parts, at, first_t1)
        if what == "open":
            return None
        answers |= {what} if isinstance(what, bool) else set()
    return None if len(answers) == 2 else True in answers


def _said_at(parts: Sequence[_Part], at: int, t1: int) -> tuple[bool | Literal["open"] | None, int]:
    """What the part at a place says about the agent, and the place to go on at."""
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
    simple: dict[_Kind, bool | Literal["open"]] = {"plus": True, "minus": False, "either": "open", "open c": "open"}
    if kind in simple:
        return simple[kind], at + 1
    if kind == "native":
        return (None if follows == "space" else False), at + 1
    return (True if kind in _AGENTS and _counts(parts, at, t1) else None), at + 1


def _before_or_after(parts: Sequence[_Part], at: int, t1: int) -> tuple[bool | Literal["open"] | None, int]:
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
    # "pre T1 Gd" is either before surgery with the agent, or before the agent.
    return False, at + 1


def _counts(parts: Sequence[_Part], at: int, t1: int) -> bool:
    """Whether a word for the agent is one: initials such as CE and KM are, beside T1 or after it."""
    part = parts[at]
    if part.kind == "agent" or part.word == parts[t1].word:
        return True
    if part.kind == "c":
        is_last = part.word == parts[-1].word
        return at > t1 and (is_last or _beside(parts, t1, at))
    return at > t1 or _beside(parts, at, t1)


def _beside(parts: Sequence[_Part], left: int, right: int) -> bool:
    return {part.kind for part in parts[left + 1 : right]} <= _BETWEEN


def _next_place(parts: Sequence[_Part], at: int) -> int | None:
    return next((i for i in range(at + 1, len(parts)) if parts[i].kind != "filler"), None)


def _next_kind(parts: Sequence[_Part], at: int) -> _Kind | None:
    place = _next_place(parts, at)
    return None if place is None else parts[place].kind


def _place_after_agents(parts: Sequence[_Part], at: int) -> int:
    """The place after the words for the agent that follow one another: "gadolinium contrast", "contrast-enhanced"."""
    place = _place_after_next(parts, at)
    while place < len(parts) and parts[place].kind in ("filler", *_AGENTS) and _next_kind(parts, place - 1) in _AGENTS:
        place = _place_after_next(parts, place - 1)
    return place


def _place_after_next(parts: Sequence[_Part], at: int) -> int:
    place = _next_place(parts, at)
    return len(parts) if place is None else place + 1


# What a scanner wrote down -----------------------------------------------------------------------------------------

_NO_AGENT: Final = frozenset(("", "none", "no", "n", "n/a", "na", "nil", "without", "ohne", "0", "false"))


def _is_agent_text(text: str | None) -> bool:
    return text is not None and text.strip().lower() not in _NO_AGENT


def _is_undecided_inversion(parts: Sequence[_Part], words: RoleWords) -> bool:
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
