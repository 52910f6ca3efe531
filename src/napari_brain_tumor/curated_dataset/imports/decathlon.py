"""Medical Decathlon folders: `dataset.json`, `imagesTr`, `labelsTr`. Roles and meanings come from `dataset.json`."""

from pathlib import Path
from typing import Any

from napari_brain_tumor.curated_dataset.imports.found import FoundCase
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.volume import short_name

__all__ = ["find_decathlon"]


def find_decathlon(root: Path) -> tuple[FoundCase, ...]:
    """The cases with a truth that `dataset.json` lists as `training` or `validation`.

    Parameters
    ----------
    root : Path
        Folder with `dataset.json`.

    Raises
    ------
    DatasetError
        If `dataset.json` is not there, cannot be read, or lists something else than pairs inside the folder.
    """
    content = _document(root / "dataset.json")
    entries = [*(content.get("training") or ()), *(content.get("validation") or ())]
    return tuple(_case(root, entry) for entry in entries)


def _document(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read ({error}). A Medical Decathlon folder has this file: choose its folder."
        raise DatasetError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, expected is an object with `training`. Repair the file."
        raise DatasetError(msg)
    return content


def _case(root: Path, entry: Any) -> FoundCase:
    if not (isinstance(entry, dict) and isinstance(entry.get("image"), str) and isinstance(entry.get("label"), str)):
        msg = f'dataset.json lists {entry!r} for training; expected is {{"image": file, "label": file}}. Repair it.'
        raise DatasetError(msg)
    image, label = (root / entry[key] for key in ("image", "label"))
    for path in (image, label):
        if not path.resolve().is_relative_to(root.resolve()):
            msg = f"dataset.json names {path}, which is outside {root}. Files of a data set lie in its folder."
            raise DatasetError(msg)
    return FoundCase(short_name(image), image, label)
