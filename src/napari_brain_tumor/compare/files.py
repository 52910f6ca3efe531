"""Write where segmentations agree and differ as files that any viewer opens."""

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
    """The files that `write_maps` writes: of each region one for each compared pair, and one that counts."""
    return [folder / _LEGEND, *(folder / name for name, _, _ in _maps(agreement, with_values=False))]


def write_maps(agreement: Agreement, folder: Path) -> list[Path]:
    """Write the maps of all regions as NIfTI, and `maps.json`, which says what each value of each file means.

    Those of pairs are called `agreement_...` (1 agreed, 2 missed, 3 false), those that count `count_<region>.nii.gz`.

    Raises
    ------
    SaveError
        If a file cannot be written, or does not read back the same.
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
    """Name, values and meanings of each map; without the values where only the names are needed."""
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
    # Names of people and models may hold anything; the number keeps apart what is left of them.
    plain = [_UNSAFE.sub("-", name) for name in (first, second)]
    return f"{what}_{region}_{at + 1}_{'_'.join(plain)}.nii.gz"
