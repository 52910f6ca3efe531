"""Label schemas: the meaning of integers in label files of each data set, and recognition of the schema of a file.

Sources: Medical Decathlon `dataset.json` (Antonelli 2022, doi:10.1038/s41467-022-30695-9), BraTS challenges
(Menze 2015, doi:10.1109/TMI.2014.2377694; Baid 2021, arXiv:2107.02314; de Verdier 2024, arXiv:2405.18368),
Kaggle LGG (Buda 2019, doi:10.1016/j.compbiomed.2019.05.002).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import LabelSchemaError
from napari_brain_tumor.label_words import Meaning, meanings_of_regions
from napari_brain_tumor.labels import (
    CLASS_NAMES,
    EDEMA,
    ENHANCING,
    NON_ENHANCING,
    RESECTION_CAVITY,
    Region,
    class_names_of,
    label_values,
    slabs_of,
)
from napari_brain_tumor.types import Array


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """The meaning of the integers in one kind of label file.

    Parameters
    ----------
    name : str
        Name used by users and in files.
    meanings : dict of int to str
        What each integer in a file means.
    to_class : dict of int to int
        Maps file integers to the package's classes.
    from_class : dict of int to int
        Maps the package's classes to the integer to write; a class that is missing cannot be saved in this schema.
    known_regions : tuple of {"WT", "TC", "ET"}
        Regions that a file in this schema defines.
    """

    name: str
    meanings: dict[int, str]
    to_class: dict[int, int]
    from_class: dict[int, int]
    known_regions: tuple[Region, ...] = ("WT", "TC", "ET")

    @property
    def class_names(self) -> dict[int, str]:
        """Names of the package's classes, as far as files in this schema define them."""
        names = class_names_of(self.known_regions)
        if RESECTION_CAVITY in self.to_class.values():
            names[RESECTION_CAVITY] = "resection cavity"
        return names

    def decode(self, values: Array) -> npt.NDArray[np.uint8]:
        """Convert file integers to the package's classes; raises `LabelSchemaError` for a value not in the schema."""
        present = label_values(values)
        unknown = sorted(present - set(self.to_class) - {0})
        if unknown:
            known = ", ".join(f"{value} {meaning}" for value, meaning in self.meanings.items())
            msg = f"The labels hold {unknown}, which {self.name} does not define ({known}). Name the right schema."
            raise LabelSchemaError(msg)
        return _mapped(values, self.to_class)

    def encode(self, classes: Array) -> npt.NDArray[np.uint8]:
        """Convert the package's classes to file integers; raises `LabelSchemaError` for a class not in the schema."""
        unknown = sorted(label_values(classes) - set(self.from_class) - {0})
        if unknown:
            raise LabelSchemaError(
                f"The segmentation holds class {unknown}, which {self.name} cannot express. "
                f"It can express {sorted(self.from_class)}; relabel those voxels or choose another schema."
            )
        return _mapped(classes, self.from_class)


def _schema(
    name: str,
    numbers: dict[int, tuple[str, int]],
    *,
    written: Mapping[int, int] | None = None,
    known_regions: tuple[Region, ...] = ("WT", "TC", "ET"),
) -> LabelSchema:
    """Create a schema from the meaning and class of each integer; `written` resolves several integers for a class."""
    to_class = {number: target for number, (_, target) in numbers.items()}
    from_class = {target: number for number, target in to_class.items()} | dict(written or {})
    return LabelSchema(name, {n: word for n, (word, _) in numbers.items()}, to_class, from_class, known_regions)


SCHEMAS: Final[dict[str, LabelSchema]] = {
    schema.name: schema
    for schema in (
        _schema("MSD", {1: ("edema", 1), 2: ("non-enhancing", 2), 3: ("enhancing", 3)}),
        _schema(
            "BraTS2012-2016",
            {1: ("necrosis", 2), 2: ("edema", 1), 3: ("non-enhancing", 2), 4: ("enhancing", 3)},
            written={2: 3},
        ),
        _schema("BraTS2018-2022", {1: ("necrosis and non-enhancing", 2), 2: ("edema", 1), 4: ("enhancing", 3)}),
        _schema("BraTS2023", {1: ("necrosis and non-enhancing", 2), 2: ("edema", 1), 3: ("enhancing", 3)}),
        _schema(
            "BraTS2024-post-treatment",
            {
                1: ("non-enhancing core", 2),
                2: ("FLAIR hyperintensity", 1),
                3: ("enhancing", 3),
                4: ("resection cavity", 4),
            },
        ),
        _schema(
            "BraTS2024-pediatric",
            {1: ("enhancing", 3), 2: ("non-enhancing", 2), 3: ("cyst", 2), 4: ("edema", 1)},
            written={2: 2},
        ),
        _schema("GliODIL", {1: ("enhancing", 3), 3: ("edema", 1), 4: ("necrosis", 2)}),
        _schema(
            "LGG-binary",
            {1: ("whole tumour", 1), 255: ("whole tumour", 1)},
            written={1: 255, 2: 255, 3: 255},
            known_regions=("WT",),
        ),
    )
}
"""All schemas by name. `BraTS` alone stands for `BraTS2018-2022`, the most common one."""


_ALIASES: Final[dict[str, str]] = {
    **dict.fromkeys(("brats", *(f"brats{year}" for year in range(2017, 2023))), "BraTS2018-2022"),
    "brats2024": "BraTS2024-post-treatment",
    "brats2024-ped": "BraTS2024-pediatric",
    "brats2024-peds": "BraTS2024-pediatric",
    "binary": "LGG-binary",
    "lgg": "LGG-binary",
}


_NAME_PATTERNS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (r"^brats-gli-\d{4,5}-1\d\d(?!\d)", ("BraTS2024-post-treatment",)),
    (r"^brats-met-\d{4,5}-\d{3}(?!\d)", ("BraTS2023", "BraTS2024-post-treatment")),
    (r"^brats-(gli|men|ssa)-\d{4,5}-\d{3}(?!\d)", ("BraTS2023",)),
    (r"^brats-peds?-\d{4,5}-\d{3}(?!\d)", ("BraTS2023", "BraTS2024-pediatric")),
    (r"^brats(17|18|19|20)_", ("BraTS2018-2022",)),
    (r"^brats20(17|18|19|20|21|22)_", ("BraTS2018-2022",)),
    (r"^(vsd\.brain|brats_201[2-6]_|brats1[2-6]_|brats201[2-6]_)", ("BraTS2012-2016",)),
    (r"^tcga-.*_glistrboost", ("BraTS2018-2022",)),
    (r"^tcga_.*_mask(\.tiff?)?$", ("LGG-binary",)),
)
"""Patterns of lower-case file names that identify the schema, or a few schemas to be distinguished by the values."""


def schema_named(name: str) -> LabelSchema:
    """Return the schema of a given name, ignoring case; `BraTS` means `BraTS2018-2022`.

    A schema without a name can be written out: `"1=enhancing,2=edema,3=non-enhancing"`.

    Raises
    ------
    LabelSchemaError
        If there is no such schema.
    """
    key = name.strip().lower()
    if "=" in key:
        return _spelt_out(key)
    key = _ALIASES.get(key, key).lower()
    for schema in SCHEMAS.values():
        if schema.name.lower() == key:
            return schema
    raise LabelSchemaError(
        f"No label schema is called {name!r}. Choose one of: {', '.join(SCHEMAS)}; or state what each number means, "
        "such as 1=enhancing,2=edema,3=non-enhancing."
    )


def guess_schema(
    values: Iterable[int], file_name: str = "", dataset_labels: Mapping[str, str] | None = None
) -> LabelSchema:
    """Return the only schema that fits; raises `LabelSchemaError` if more than one does.

    Parameters
    ----------
    values : iterable of int
        The distinct integers in the file.
    file_name : str
        Base name of the file, or name of the case whose folder contains it.
    dataset_labels : mapping, optional
        The `labels` entry of a `dataset.json` next to the file: class name by integer (as text), or several names, one
        per line, if regions are listed.
    """
    present = {int(v) for v in values} - {0}
    schema_by_name = _schema_of_dataset(dataset_labels) if dataset_labels else _schema_of_name(file_name, present)
    if schema_by_name is not None:
        if not present <= set(schema_by_name.to_class):
            raise LabelSchemaError(
                f"{file_name or 'The label file'} holds {sorted(present)}, but by its name or dataset.json it is "
                f"{schema_by_name.name}, which defines {sorted(schema_by_name.to_class)}. Name the schema that is "
                "right."
            )
        return schema_by_name
    fitting = [schema for schema in SCHEMAS.values() if present and present <= set(schema.to_class)]
    if len(fitting) == 1:
        return fitting[0]
    candidates = ", ".join(schema.name for schema in fitting) or "none that is known"
    raise LabelSchemaError(
        f"What the labels {sorted(present)} in {file_name or 'this segmentation'} mean is not certain: "
        f"they fit {candidates}. Name the schema, for example schema='MSD'. The schemas are: {', '.join(SCHEMAS)}."
    )


def names_maker(file_name: str) -> bool:
    """Whether a name follows the naming pattern of a data set with known label numbers."""
    return any(re.search(pattern, file_name.lower()) for pattern, _ in _NAME_PATTERNS)


_CLASS_OF: Final[dict[Meaning, int]] = {
    "edema": EDEMA,
    "edema and non-enhancing": EDEMA,
    "whole tumour": EDEMA,
    "tumour": EDEMA,
    "non-enhancing": NON_ENHANCING,
    "tumour core": NON_ENHANCING,
    "enhancing": ENHANCING,
    "resection cavity": RESECTION_CAVITY,
}


_REGIONS_TOLD: Final[dict[frozenset[Meaning], tuple[Region, ...]]] = {
    frozenset(("edema", "non-enhancing", "enhancing")): ("WT", "TC", "ET"),
    frozenset(("edema", "non-enhancing")): ("WT", "TC", "ET"),
    frozenset(("edema", "tumour core")): ("WT", "TC"),
    frozenset(("edema", "tumour core", "enhancing")): ("WT", "TC", "ET"),
    frozenset(("edema", "enhancing")): ("WT", "ET"),
    frozenset(("edema and non-enhancing", "enhancing")): ("WT", "ET"),
    frozenset(("non-enhancing", "enhancing")): ("TC", "ET"),
    frozenset(("tumour core", "enhancing")): ("TC", "ET"),
    frozenset(("tumour core",)): ("TC",),
    frozenset(("enhancing",)): ("ET",),
    frozenset(("whole tumour",)): ("WT",),
    frozenset(("tumour",)): ("WT",),
}
"""Regions that are known for each set of marked labels; other sets, such as edema with `tumour`, are ambiguous."""


def _schema_of_dataset(labels: Mapping[str, str]) -> LabelSchema | None:
    """Return the schema described by the words; None if none of them is understood."""
    texts = {int(value): tuple(text.split("\n")) for value, text in labels.items() if str(value).isdigit()}
    meanings = meanings_of_regions({value: text for value, text in texts.items() if value != 0})
    if not any(meanings.values()):
        return None
    marked = {value: meaning for value, meaning in meanings.items() if meaning not in ("background", "ignore")}
    schema = None if None in marked.values() else _schema_of_meanings({v: m for v, m in marked.items() if m})
    if schema is not None:
        return schema
    words = ", ".join(f"{value} {' and '.join(text)!r}" for value, text in sorted(texts.items()))
    raise LabelSchemaError(
        f"The labels of dataset.json do not state clearly what they mean: {words}. State it, for example "
        "schema='1=edema,2=non-enhancing,3=enhancing'."
    )


def _schema_of_meanings(marked: Mapping[int, Meaning]) -> LabelSchema | None:
    """Return the named schema with these meanings, or else a new one; None if no region can be derived from them."""
    to_class = {value: _CLASS_OF[meaning] for value, meaning in marked.items()}
    regions = _REGIONS_TOLD.get(frozenset(marked.values()) - {"resection cavity"})
    if regions is None:
        return None
    for schema in SCHEMAS.values():
        known = schema.to_class if schema.name != "LGG-binary" or 255 in to_class else {1: EDEMA}
        if known == to_class and schema.known_regions == regions:
            return schema
    from_class = {target: value for value, target in sorted(to_class.items(), reverse=True)}
    if regions == ("WT",):
        from_class = dict.fromkeys(CLASS_NAMES, from_class[EDEMA])
    name = ",".join(f"{value}={meaning}" for value, meaning in sorted(marked.items()))
    return LabelSchema(name, dict(sorted(marked.items())), to_class, from_class, regions)


def _spelt_out(text: str) -> LabelSchema:
    """Parse a schema such as `1=enhancing,2=edema`; raises `LabelSchemaError` if it is unclear."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    values = [number.strip() for number, _, _ in pairs]
    if not all(value.isdecimal() and 0 <= int(value) <= 255 for value in values) or len(set(values)) != len(values):
        msg = f"{text!r} is not a list of label numbers: write each once, from 0 to 255, as 1=edema,2=non-enhancing."
        raise LabelSchemaError(msg)
    schema = _schema_of_dataset({value: meaning.strip() for value, (_, _, meaning) in zip(values, pairs, strict=True)})
    if schema is None:
        raise LabelSchemaError(
            f"{text!r} does not say what the numbers mean. Use edema, non-enhancing, enhancing, resection "
            "cavity, tumour core or whole tumour."
        )
    return schema


def _schema_of_name(file_name: str, values: set[int]) -> LabelSchema | None:
    name = file_name.lower()
    for pattern, schemas in _NAME_PATTERNS:
        if re.search(pattern, name):
            return _of_several(file_name, [SCHEMAS[schema] for schema in schemas], values)
    return None


def _of_several(file_name: str, schemas: Sequence[LabelSchema], values: set[int]) -> LabelSchema:
    """Return the first schema if all that fit agree on these values; raises `LabelSchemaError` otherwise."""
    fitting = [schema for schema in schemas if values <= set(schema.to_class)] or list(schemas[:1])
    common = set.intersection(*(set(schema.to_class) for schema in fitting))
    readings = {tuple(schema.to_class[value] for value in sorted(values & common)) for schema in fitting}
    if len(readings) > 1 or (not values and len({tuple(s.to_class[v] for v in sorted(common)) for s in fitting}) > 1):
        names = " or ".join(f"{s.name} ({', '.join(f'{v} {m}' for v, m in s.meanings.items())})" for s in fitting)
        raise LabelSchemaError(
            f"The name of {file_name} fits {names}, which give the numbers {sorted(values)} different meanings. Name "
            f"the schema, for example schema={fitting[0].name!r}."
        )
    return fitting[0]


def _mapped(values: Array, mapping: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    table = np.zeros(max([255, *mapping]) + 1, dtype=np.uint8)
    for source, target in mapping.items():
        table[source] = target
    index = np.asarray(values)
    mapped: npt.NDArray[np.uint8] = np.empty_like(index, dtype=np.uint8)
    for slab, part in zip(slabs_of(mapped), slabs_of(index), strict=True):
        slab[...] = table[part.astype(np.intp)]
    return mapped
