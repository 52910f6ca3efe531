"""Interpretation of label names such as those in `dataset.json`: edema, non-enhancing, enhancing and so on.

"Enhanc" is also part of "non-enhancing", and "tumor core" of "necrotic tumor core". Negations are therefore handled
first, and the most specific of several terms decides. Ambiguous names are left undecided.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

Meaning = Literal[
    "background", "edema", "non-enhancing", "enhancing", "resection cavity", "tumour core", "whole tumour", "tumour",
    "edema and non-enhancing", "ignore",
]  # fmt: skip
"""What one integer of a label file marks. `tumour` means the whole tumour only if nothing else is marked."""

_ABBREVIATIONS: Final[dict[str, str]] = {
    "et": "enhancing",
    "enh": "enhancing",
    "ed": "edema",
    "snfh": "edema",
    "ncr": "necrosis",
    "nec": "necrosis",
    "nc": "necrosis",
    "net": "nonenhancing tumor",
    "netc": "nonenhancing core",
    "cc": "cyst",
    "ce": "enhancing",
    "cet": "enhancing tumor",
    "nce": "nonenhancing",
    "ncet": "nonenhancing tumor",
    "rc": "cavity",
    "wt": "whole tumor",
    "tc": "tumor core",
    "bg": "background",
}
"""Abbreviations accepted only on their own, with each other or with "tumour", as in `NCR/NET` and `CE tumor`."""
_STANDS_FOR: Final = re.compile(r"\b(?:ET|ED|SNFH|NCR|NET|NETC)\b")
"""Abbreviations that are unambiguous in capitals, whatever else the name contains."""
_ONE_PART: Final = frozenset(("edema", "non-enhancing", "enhancing", "edema and non-enhancing", "resection cavity"))
_BESIDE_ABBREVIATIONS: Final = frozenset(("and", "or", "-", "tumor", "tumour"))

_NOT_ENHANCING: Final = re.compile(
    r"\b(?:non|not|no|un|without)[-_ ]*(?:contrast[-_ ]*|gd[-_ ]*|gadolinium[-_ ]*)?(?:enh\w*|ce\b)"
    r"|\bnon-?enh\w*|\bunenh\w*|\bn[-_ ]?enh\w*"
)
_NEGATION: Final = re.compile(
    r"\b(?:no|non|not|without|lack\w*|absen\w*|excl\w*|except\w*|but|minus|free|sans|ohne|un|outside)\b|\bnon(?=[a-z])"
)
"""Negations that remain after those of enhancement and tumour: what they negate is unclear, so the name is not used."""
_BACKGROUND_TUMOUR: Final = re.compile(r"\b(?:non|not?|without)[-_ ]*tumou?r\w*")
_SOMETHING_ELSE: Final = re.compile(
    r"\b(?:vessel|vascul|arter|vein|venous|sinus|dura|mening|pachymen|leptomen|choroid|pseudo|previous|former|prior\b|pre-?enh"
    r"|old\b|radiation|radionecro|bed\b)"
)
"""Words for something that is not part of the current tumour, whatever else is said."""
_QUALIFIED_ENHANCING: Final = re.compile(
    r"(?!\benh)\B[a-z]*enhanc|\b(?:hypo|hyper|weak|minimal|poor|faint)\w*[-_ ]*enh"
)
"""Qualified enhancement, which is neither clearly enhancing nor non-enhancing."""
_FACTS: Final[dict[str, re.Pattern[str]]] = {
    "enhancing": re.compile(r"\benh(?:an|\b)\w*"),
    "necrosis": re.compile(r"\bnecro|\bcyst"),
    "edema": re.compile(r"\bo?edema|\bödem|\bperitumou?ral\b|\binfiltrat"),
    "flair": re.compile(r"\bflair\b|\bt2\b|\bhyperintens"),
    "cavity": re.compile(r"\bcavit|\bresection\b"),
    "core": re.compile(r"\bcore\b"),
    "whole": re.compile(r"\bwhole\b|\bcomplete\b|\bentire\b"),
    "tumour": re.compile(r"\btumou?rs?\b|\bglioma|\blesions?\b|\bneoplasm|\babnormalit"),
    "background": re.compile(
        rf"{_BACKGROUND_TUMOUR.pattern}|\bbackground\b|\bhealthy\b|\bnormal\b|\beverything else\b"
    ),
    "ignore": re.compile(r"\bignore\b|\bunlabell?ed\b"),
}


def meaning_of(text: str) -> Meaning | None:
    """Return the meaning of a label name; None if it is unclear or cannot be represented by a single label.

    Examples
    --------
    >>> meaning_of("necrotic core and non-enhancing tumor core"), meaning_of("enhancing tumour")
    ('non-enhancing', 'enhancing')
    >>> meaning_of("Non Enhancing"), meaning_of("peritumoral oedema"), meaning_of("label 1")
    ('non-enhancing', 'edema', None)
    """
    meaning = _meaning_of_facts(_facts(text))
    if meaning in _ONE_PART and _STANDS_FOR.search(text):
        # "Edema (ED)" names the same thing twice; "edema + NET" and "edema around NET" name two things.
        spelt_out = _STANDS_FOR.sub(lambda abbreviation: _ABBREVIATIONS[abbreviation[0].lower()], text)
        return meaning if _meaning_of_facts(_facts(spelt_out)) == meaning else None
    return meaning


def _meaning_of_facts(facts: frozenset[str]) -> Meaning | None:
    for needed, meaning in _BY_FACTS:
        if needed <= facts:
            return meaning if facts <= _MAY_STAND_WITH[meaning] | needed else None
    return None


_BY_FACTS: Final[tuple[tuple[frozenset[str], Meaning], ...]] = (
    (frozenset(("ignore",)), "ignore"),
    (frozenset(("background",)), "background"),
    (frozenset(("cavity",)), "resection cavity"),
    (frozenset(("not enhancing", "enhancing")), "tumour core"),
    (frozenset(("necrosis", "enhancing")), "tumour core"),
    (frozenset(("not enhancing", "edema")), "edema and non-enhancing"),
    (frozenset(("not enhancing", "flair")), "edema and non-enhancing"),
    (frozenset(("not enhancing",)), "non-enhancing"),
    (frozenset(("necrosis",)), "non-enhancing"),
    (frozenset(("enhancing",)), "enhancing"),
    (frozenset(("whole",)), "whole tumour"),
    (frozenset(("core",)), "tumour core"),
    (frozenset(("edema",)), "edema"),
    (frozenset(("flair", "tumour")), "tumour"),
    (frozenset(("flair",)), "edema"),
    (frozenset(("tumour",)), "tumour"),
)
"""Rules in order of precedence: the first whose facts are all present decides."""

_MAY_STAND_WITH: Final[dict[Meaning, frozenset[str]]] = {
    "ignore": frozenset(("background",)),
    "background": frozenset(),
    "resection cavity": frozenset(("tumour",)),
    "tumour core": frozenset(("tumour", "core", "necrosis", "not enhancing", "enhancing")),
    "edema and non-enhancing": frozenset(("tumour", "flair", "edema", "not enhancing")),
    "non-enhancing": frozenset(("tumour", "core", "necrosis")),
    "enhancing": frozenset(("tumour", "core", "whole")),
    "whole tumour": frozenset(("tumour",)),
    "edema": frozenset(("flair", "tumour")),
    "tumour": frozenset(("flair",)),
}
"""Facts that may be added without changing the meaning; any others make it unclear."""


def meanings_of_regions(by_value: Mapping[int, tuple[str, ...]]) -> dict[int, Meaning | None]:
    """Return the meaning of each integer if descriptions name the regions to which it belongs (region-based nnU-Net).

    Parameters
    ----------
    by_value : mapping of int to tuple of str
        For each integer, the descriptions that include it: 2 in `whole tumor` and `tumor core` is non-enhancing core;
        1 in `whole tumor` alone is edema.
    """
    nested = any(len(texts) > 1 for texts in by_value.values())
    return {value: _innermost(texts) if nested else meaning_of(texts[0]) for value, texts in by_value.items()}


def _innermost(texts: tuple[str, ...]) -> Meaning | None:
    meanings = {meaning_of(text) for text in texts}
    if meanings == {"whole tumour"} or meanings == {"tumour"}:
        return "edema"
    if meanings == {"whole tumour", "tumour core"}:
        return "non-enhancing"
    if "enhancing" in meanings and meanings <= {"enhancing", "tumour core", "whole tumour"}:
        return "enhancing"
    return next(iter(meanings)) if len(meanings) == 1 else None


def _facts(text: str) -> frozenset[str]:
    camel = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text)  # TumorCore, nonEnhancing
    dashes = re.sub(r"[\u2010-\u2015\u2212]", "-", camel.lower())
    plain = re.sub(r"[_/,;()\[\]&+.|]+|\s+", " ", re.sub(r"\bw\s*/\s*o\b", "without", dashes)).strip()
    words = plain.split()
    if words and all(word in _ABBREVIATIONS or word in _BESIDE_ABBREVIATIONS for word in words):
        plain = " ".join(_ABBREVIATIONS.get(word, word) for word in words)
    rest, negations = _NOT_ENHANCING.subn(" ", plain)
    if _SOMETHING_ELSE.search(rest):
        return frozenset(("unclear",))
    if _QUALIFIED_ENHANCING.search(rest) or _NEGATION.search(_BACKGROUND_TUMOUR.sub(" ", rest)):
        return frozenset(("unclear",))
    facts = {name for name, pattern in _FACTS.items() if pattern.search(rest)}
    if _BACKGROUND_TUMOUR.search(rest):
        facts -= {"tumour"}
    # "Surrounding non-enhancing FLAIR hyperintensity" is another term for edema.
    if negations and re.search(r"\bsurround", rest):
        return frozenset(("edema",))
    return frozenset(facts | {"not enhancing"} if negations else facts)
