"""Medical Decathlon and nnU-Net folders: `dataset.json`, `imagesTr`, `labelsTr`.

Roles and label meanings are taken from `dataset.json`. nnU-Net has one file per channel, `<case>_0000.nii.gz`, and does
not list its cases.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.dataset.imports.found_case import FoundCase
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.io.inside import path_inside
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.reading import visible
from napari_brain_tumor.io.study_folder import dataset_roles
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.study import Role

_CHANNEL: Final = re.compile(r"(.+)_(\d{4})")


def find_decathlon(root: Path) -> tuple[FoundCase, ...]:
    """Return the labelled cases that `dataset.json` lists under `training` or `validation`.

    Parameters
    ----------
    root : Path
        Folder with `dataset.json`.

    Raises
    ------
    DatasetError
        If `dataset.json` is missing, cannot be read, or lists anything but pairs inside the folder.
    """
    content = _document(root / "dataset.json")
    entries = [*(content.get("training") or ()), *(content.get("validation") or ())]
    if not entries and isinstance(content.get("channel_names"), dict):
        return _nnunet_cases(root, content)
    return tuple(_case(root, entry) for entry in entries)


def _nnunet_cases(root: Path, content: dict[str, Any]) -> tuple[FoundCase, ...]:
    roles = dataset_roles(content)
    images = root / "imagesTr"
    files: dict[str, dict[int, Path]] = {}
    for path in visible(images) if images.is_dir() else []:
        if (match := _CHANNEL.fullmatch(short_name(path))) is not None:
            files.setdefault(match[1], {})[int(match[2])] = path
    labels = {short_name(path): path for path in visible(root / "labelsTr")} if (root / "labelsTr").is_dir() else {}
    return tuple(
        _nnunet_case(name, channels, labels, roles or ()) for name, channels in files.items() if name in labels
    )


def _nnunet_case(
    name: str, channels: dict[int, Path], labels: dict[str, Path], roles: Sequence[Role | None]
) -> FoundCase:
    files = {role: channels[number] for number, role in enumerate(roles) if role and number in channels}
    problem = "" if files else f"dataset.json does not name the sequence of any channel of {name}: give roles."
    images: dict[str, str | Path | int] = {str(role): file for role, file in files.items()}
    return FoundCase(name, next(iter(channels.values())).parent, labels[name], images, problem=problem)


def _document(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read ({error}). A Medical Decathlon folder has this file: choose its folder."
        raise DatasetError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, expected an object with `training`. Repair the file."
        raise DatasetError(msg)
    return content


def _case(root: Path, entry: Any) -> FoundCase:
    if not (isinstance(entry, dict) and isinstance(entry.get("image"), str) and isinstance(entry.get("label"), str)):
        msg = f'dataset.json lists {entry!r} for training; expected {{"image": file, "label": file}}. Repair it.'
        raise DatasetError(msg)
    image, label = (
        path_inside(root, entry[key].removeprefix("./"), named_by="dataset.json", links=True)
        for key in ("image", "label")
    )
    return FoundCase(short_name(image), image, label)
