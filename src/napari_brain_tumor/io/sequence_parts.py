"""Split names and series descriptions into parts that carry information about the MRI sequence.

A name is split into words at its separators, and each word into known parts (`t1wpost` is T1, weighted, post). A word
that contains any unknown part is ignored: `t10`, `PAT12` and `Saint1` are not T1. Signs and negations are interpreted
before separators are removed, since `C-` and `C+` differ in nothing else.
"""

import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import resources
from typing import Final, Literal, NamedTuple

Kind = Literal[
    "T1", "T2", "FLAIR", "agent", "short agent", "c", "plus", "minus", "either", "pre", "post", "without", "no",
    "native", "treatment", "free", "gradient echo", "inversion", "proton density", "sub", "filler", "neutral",
    "subtraction", "map", "other", "identity", "space", "moved", "open c", "unknown",
]  # fmt: skip
_Kinds = tuple[Kind, ...]


class Part(NamedTuple):
    """One meaningful part of a name: its kind, and the index of the word that contains it."""

    kind: Kind
    word: int
    text: str


ROLE_KINDS: Final = frozenset(("T1", "T2", "FLAIR"))


def _table(name: str) -> dict[str, _Kinds]:
    text = resources.files("napari_brain_tumor.io").joinpath("sequence_words.toml").read_text("utf-8")
    return {word: tuple(entry["kinds"]) for entry in tomllib.loads(text)[name] for word in entry["words"].split()}


_COMPOUNDS: Final = _table("parts")
"""Parts that may be combined into words in any order and number, as in `axt1wpostgd`."""
_WORDS: Final = _table("words")
"""Words that count only as whole words, because they resemble parts of people's names."""

_PLUS, _MINUS, _EITHER, _OPEN = "\x01", "\x02", "\x03", "\x04"
_SIGNS: Final[dict[str, Kind]] = {_PLUS: "plus", _MINUS: "minus", _EITHER: "either", _OPEN: "open c"}
_OF_AN_AGENT: Final = re.compile(r"[ck]ontrast|kontras|enhanc|gadol|контраст|造影|增[强強]|조영")
"""A word that contains this refers to the contrast agent; if it is not understood further, T1 is left undecided."""
_TOKEN: Final = re.compile("[^\\W_]+|[\x01-\x04]")
_AGENT_WORD: Final = r"(?:c|ce|km|cm|iv|gd|gad|gado|gadolinium|contrast|kontrast|kontrastmittel)"
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])(?<!(?<![A-Za-z])[cqs])")
"""Between a lower-case and a capital letter, but not in `cT1`, `qT1` and `sT1W`, where a single letter precedes."""

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
"""BIDS entities; only the contrast agent and the acquisition carry information about the sequence."""

_RULES: Final = _rules(
    # Typographic dashes and the minus sign.
    (r"[\u2010-\u2015\u2212]", "-"),
    # Chinese and Japanese characters are not separated from Latin letters by spaces.
    (r"(?<=[a-z0-9])(?=[\u3400-\u9fff])|(?<=[\u3400-\u9fff])(?=[a-z0-9])", " "),
    # The space that an image was registered to is not what the image shows.
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
    # "With and without" contrast.
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
    # Signs for contrast: after the letter (C+, T1C-), before it (+C, " -C"), and on T1 itself (T1+, T1-).
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
    # A lone c whose sign may have been a separator: T1-C, T1_C-tra, and T1_C_ where a program removed the sign.
    (r"(?<=t1)-c(?![a-z0-9])|(?<=t1w)-c(?![a-z0-9])", f" {_OPEN} "),
    (r"(?<=[ _])c(?:-(?=[a-z0-9])|_$|__)", f" {_OPEN} "),
)


def parts_of(text: str) -> tuple[Part, ...]:
    return _cached_parts(str(text))


@lru_cache(maxsize=4096)
def _cached_parts(text: str) -> tuple[Part, ...]:
    # Accents are removed: "pré" becomes "pre".
    letters = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    plain = _CAMEL.sub(" ", letters).lower()
    rules = (*_BIDS_RULES, *_RULES) if plain.startswith("sub-") else _RULES
    for pattern, replacement in rules:
        plain = pattern.sub(replacement, plain)
    words = _TOKEN.findall(plain)
    parts = (Part(kind, i, word) for i, word in enumerate(words) for kind in _kinds(word))
    return tuple(_without_subjects(list(parts)))


@lru_cache(maxsize=4096)
def _kinds(word: str) -> _Kinds:
    """Return what a word is made of; `("unknown",)` if any part of it is unknown."""
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
        # "flair2" and "mprage1" number acquisitions; after T1 and T2 an additional digit would change the number.
        trimmed = re.sub(r"(?<=[a-z])\d{1,2}$", "", word)
        made_of = _taken_apart(trimmed) if trimmed != word else None
        if made_of is None or not ROLE_KINDS & set(made_of):
            return ("open c" if _OF_AN_AGENT.search(word) else "unknown",)
    if ROLE_KINDS & set(made_of) or len(made_of) == 1 or "neutral" not in made_of:
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


def _without_subjects(parts: list[Part]) -> Iterable[Part]:
    """Ignore `sub` before a number (a subject, otherwise a subtraction) and `ct1` before `patient` (not T1)."""
    for i, part in enumerate(parts):
        after = next((other for other in parts[i + 1 :] if other.word > part.word), None)
        if part.kind == "sub":
            is_subject = after is not None and after.kind == "unknown" and any(map(str.isdigit, after.text))
            yield part._replace(kind="unknown" if is_subject else "subtraction")
        elif part.text == "ct1" and after is not None and after.kind == "identity":
            yield part._replace(kind="unknown")
        else:
            yield part
