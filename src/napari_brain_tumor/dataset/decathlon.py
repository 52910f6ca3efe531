"""Write `dataset.json`, which describes the data set to readers of the Medical Decathlon format.

The format has a single list of channels and a single meaning of labels for all cases, and cannot mark labels as
unknown. It therefore lists only accepted cases with complete labels that share the most common sequences and regions;
everything else is only in `index.json`, and the description states how many cases that concerns.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from napari_brain_tumor.dataset.index import CaseRecord, DatasetIndex
from napari_brain_tumor.dataset.truth import class_names
from napari_brain_tumor.study import Role

_MODALITIES: Final[dict[Role, str]] = {"T1": "T1w", "T1c": "T1gd", "T2": "T2w", "FLAIR": "FLAIR"}
"""Sequence names as spelt in the Medical Decathlon."""
_Kind = tuple[tuple[Role, ...], tuple[str, ...]]


def dataset_text(index: DatasetIndex, before: Mapping[str, Any]) -> str:
    """Return the text of `dataset.json`; fields of `before` that are not ours, such as a licence, are kept."""
    return json.dumps({**before, **dataset_document(index)}, indent=1, ensure_ascii=False) + "\n"


def dataset_document(index: DatasetIndex) -> dict[str, Any]:
    """Return the fields derived from the index: those of the Medical Decathlon, and `validation`."""
    kind = _most_common_kind(index.cases)
    listed = [case for case in index.cases if _is_listed(case, kind)]
    roles, regions = kind
    sides = {side: [case for case in listed if case.split == side] for side in ("train", "val", "test")}
    values = sorted({value for case in listed for value in case.label.voxels})
    names = class_names(regions, values) if roles else index.classes
    return {
        "name": index.name,
        "description": _description(index, len(listed)),
        "tensorImageSize": "4D" if len(roles) > 1 else "3D",
        "modality": {str(channel): _MODALITIES[role] for channel, role in enumerate(roles)},
        "labels": {"0": "background", **{str(value): name for value, name in names.items()}},
        "numTraining": len(sides["train"]),
        "numValidation": len(sides["val"]),
        "numTest": len(sides["test"]),
        "training": _pairs(sides["train"]),
        "validation": _pairs(sides["val"]),
        "test": [f"./{case.image}" for case in sides["test"]],
    }


def _most_common_kind(cases: Sequence[CaseRecord]) -> _Kind:
    """Return the most common sequences and regions among listable cases; among ties, the most comprehensive."""
    usable = [case for case in cases if _is_usable(case)] or list(cases)
    counts = Counter((case.roles, case.label.known_regions) for case in usable)
    return max(counts, key=lambda kind: (counts[kind], len(kind[0]), len(kind[1]), kind), default=((), ()))


def _is_usable(case: CaseRecord) -> bool:
    return case.state == "accepted" and case.label.is_complete and bool(case.label.known_regions)


def _is_listed(case: CaseRecord, kind: _Kind) -> bool:
    return _is_usable(case) and (case.roles, case.label.known_regions) == kind


def _pairs(cases: Sequence[CaseRecord]) -> list[dict[str, str]]:
    return [{"image": f"./{case.image}", "label": f"./{case.label.file}"} for case in cases]


def _description(index: DatasetIndex, listed: int) -> str:
    left = len(index.cases) - listed
    if not left:
        return index.description
    why = (
        f"{left} of {len(index.cases)} cases are not listed here, only in index.json: not accepted yet, or with other "
        "sequences, other regions or partly known labels."
    )
    return f"{index.description} {why}".strip()
