"""Coded concepts for the parts of a brain tumour, and the terms they stand for.

DICOM's context groups for brain lesions, CID 7168 and 7169 (PS3.16), take edema and necrosis from SNOMED CT, and
enhancing and non-enhancing lesion from the NCI Thesaurus, since SNOMED CT has no concept for these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.label_schemas import LabelSchema, guess_schema
from napari_brain_tumor.label_words import meaning_of
from napari_brain_tumor.labels import RESECTION_CAVITY, Region
from napari_brain_tumor.study import Segmentation


@dataclass(frozen=True, slots=True)
class Concept:
    """A code, the coding scheme that defines it, and its meaning."""

    value: str
    scheme: str
    meaning: str


ABNORMAL: Final = Concept("49755003", "SCT", "Morphologically Abnormal Structure")
BRAIN: Final = Concept("12738006", "SCT", "Brain")
_EDEMA: Final = Concept("79654002", "SCT", "Edema")
_NECROSIS: Final = Concept("6574001", "SCT", "Necrosis")
_ENHANCING: Final = Concept("C113842", "NCIt", "Enhancing Lesion")
_NON_ENHANCING: Final = Concept("C81175", "NCIt", "Non-Enhancing Lesion")
_NEOPLASM: Final = Concept("108369006", "SCT", "Neoplasm")
_CAVITY: Final = Concept("RESECTION_CAVITY", "99NBT", "Resection cavity")
"""A private code, since neither DICOM nor the part of SNOMED CT listed by DICOM has one."""

_CONCEPTS: Final[Mapping[str, Concept]] = {
    "edema": _EDEMA,
    "necrosis": _NECROSIS,
    "necrosis and non-enhancing": _NON_ENHANCING,
    "non-enhancing": _NON_ENHANCING,
    "enhancing": _ENHANCING,
    "resection cavity": _CAVITY,
}
_WORDS: Final[Mapping[tuple[str, str], str]] = {
    (_EDEMA.value, _EDEMA.scheme): "edema",
    (_NECROSIS.value, _NECROSIS.scheme): "necrosis",
    (_ENHANCING.value, _ENHANCING.scheme): "enhancing",
    (_NON_ENHANCING.value, _NON_ENHANCING.scheme): "non-enhancing",
    (_CAVITY.value, _CAVITY.scheme): "resection cavity",
}

REGION_TITLES: Final[Mapping[Region, str]] = {"WT": "whole tumour", "TC": "tumour core", "ET": "enhancing tumour"}


def concept_of(words: str) -> Concept:
    """Return the concept for a segment; without a specific code, such as for the whole tumour, it is a neoplasm."""
    return _CONCEPTS.get(words, _NEOPLASM)


def words_of(value: str, scheme: str, label: str) -> str:
    """Return the meaning of a segment from its code, or from its label if the code is unspecific (`Neoplasm`)."""
    known = _WORDS.get((value, scheme))
    if known is not None:
        return known
    return label if meaning_of(label) is not None else "tumour"


def segment_words(segmentation: Segmentation, schema: LabelSchema) -> dict[int, str]:
    """Return the term for each class of a segmentation in a schema, in order.

    If the schema has a more specific term for a class, such as `necrosis`, it is used; a schema with only the whole
    tumour merges all classes into one.
    """
    if len(schema.known_regions) == 1:
        return {1: "whole tumour"}
    words = dict(segmentation.class_names)
    for value, name in words.items():
        written = schema.meanings.get(schema.from_class.get(value, 0), name)
        if "necrosis" in written and name == "non-enhancing":
            words[value] = written
    if (segmentation.data == RESECTION_CAVITY).any():
        words.setdefault(RESECTION_CAVITY, "resection cavity")
    return dict(sorted(words.items()))


def schema_of_segments(words: Mapping[int, str]) -> LabelSchema:
    """Return the schema described by the terms of numbered segments; raises `LabelSchemaError` if ambiguous."""
    return guess_schema(words, dataset_labels={str(number): text for number, text in words.items()})
