"""Save maps of agreement and disagreement as files that any viewer can open."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.compare.maps import count_map, count_names, pair_map, pair_names
from napari_brain_tumor.compare.result import Agreement
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.write_nifti import write_nifti

_LEGEND: Final = "maps.json"
_UNSAFE: Final = re.compile(r"[^\w.+-]+")


def map_files(agreement: Agreement, folder: Path) -> list[Path]:
    """List the files that `write_maps` writes: for each region one per compared pair, and one with counts."""
    return [folder / _LEGEND, *(folder / name for name, _, _ in _maps(agreement, with_values=False))]


def write_maps(agreement: Agreement, folder: Path) -> list[Path]:
    """Save the maps of all regions as NIfTI, and `maps.json` with the meaning of each value in each file.

    Maps of pairs are named `agreement_...` (1 agreed, 2 missed, 3 false), maps of counts `count_<region>.nii.gz`.

    Raises
    ------
    SaveError
        If a file cannot be written, or does not contain the same data when read back.
    """
    first = next(iter(agreement.raters.segmentations.values()))
    legend: dict[str, Any] = {}
    for name, values, meanings in _maps(agreement):
        write_nifti(values, agreement.raters.grid, first.layout, folder / name)
        legend[name] = {str(value): meaning for value, meaning in meanings.items()}
    text = json.dumps(legend, indent=2, ensure_ascii=False) + "\n"
    write_text(folder / _LEGEND, text)
    return map_files(agreement, folder)


def _maps(
    agreement: Agreement, *, with_values: bool = True
) -> Iterator[tuple[str, npt.NDArray[np.uint8], dict[int, str]]]:
    """Yield the name, values and meanings of each map; the values are left out if only the names are needed."""
    raters, nothing = agreement.raters, np.zeros(0, np.uint8)
    for region in raters.regions:
        for at, (name, other) in enumerate(raters.pairs):
            values = pair_map(raters, region, name, other) if with_values else nothing
            yield _file_name("agreement", region, name, other, at), values, pair_names(raters, name, other)
        yield (
            f"count_{region}.nii.gz",
            count_map(raters, region) if with_values else nothing,
            count_names(raters, region),
        )


def _file_name(what: str, region: str, first: str, second: str, at: int) -> str:
    # Names of people and models may contain any character; the number distinguishes names that become the same.
    plain = [_UNSAFE.sub("-", name) for name in (first, second)]
    return f"{what}_{region}_{at + 1}_{'_'.join(plain)}.nii.gz"
