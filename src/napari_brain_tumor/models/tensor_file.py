"""Read tensors from an untrusted file without executing any code it may contain."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from napari_brain_tumor.errors import CheckpointError, UnreadableFileError

SUFFIXES: Final = (".safetensors", ".pth", ".pt", ".tar", ".ckpt")
_WRAPPERS: Final = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights")
"""Keys under which training scripts store the state dict."""
_PREFIXES: Final = ("module.", "_orig_mod.")
"""Prefixes of all names if the network was wrapped for several GPUs or compiled."""
_IS_FOLDER: Final = 0x10
"""Bit in the attributes of a zip entry that marks a folder."""
_OBJECT: Final = r"GLOBAL|Unsupported class|Trying to"
"""How torch's error messages refer to an object that is not a tensor."""


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Read the state dict from a file to the CPU, without the wrappers that training scripts put around it.

    Parameters
    ----------
    file : Path
        `.safetensors`, or a file written by `torch.save`: `.pth`, `.pt`, `.tar`, `.ckpt`. From the latter, too, only
        tensors are read; a file that contains any other object is refused, since loading objects can execute code.

    Raises
    ------
    UnreadableFileError
        If the file is missing, damaged or of another type.
    CheckpointError
        If it contains objects, or no state dict.
    """
    if not file.is_file():
        raise UnreadableFileError(f"There is no file {file}. Give a file of weights: {', '.join(SUFFIXES)}.")
    if file.suffix.lower() not in SUFFIXES:
        raise UnreadableFileError(
            f"{file.name} is not one of {', '.join(SUFFIXES)}. Save the weights with torch.save(net.state_dict(), ...)."
        )
    loaded = _safetensors(file) if file.suffix.lower() == ".safetensors" else _torch_file(file)
    return _without_prefix(_checked(_unwrapped(loaded), file))


def _safetensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise UnreadableFileError(_damaged(file, str(error))) from error


def _torch_file(file: Path) -> Any:
    check_archive(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the protocol of a pickle that is refused anyway
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message recommends loading the file as a pickle after all; it is not passed on.
        if re.search(_OBJECT, str(error)):
            raise CheckpointError(_holds_objects(file, str(error))) from error
        reason = "it is not a file of tensors as torch.save writes it"
        raise UnreadableFileError(_damaged(file, reason)) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, zipfile.BadZipFile) as error:
        if "TorchScript" in str(error):
            raise CheckpointError(_holds_objects(file, "")) from error
        raise UnreadableFileError(_damaged(file, str(error) or type(error).__name__)) from error


def check_archive(file: Path) -> None:
    """Verify the checksums of a file written by `torch.save`, which torch itself does not.

    Raises
    ------
    UnreadableFileError
        If one is wrong, or the archive differs from what torch writes. A file that is not an archive, as written
        before torch used zip files, has no checksums.
    """
    try:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as archive:
            reason = _why_damaged(archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
    if reason:
        raise UnreadableFileError(_damaged(file, reason))


def _why_damaged(archive: zipfile.ZipFile) -> str:
    packed = next((info for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None:
        return f"{packed.filename} is compressed, which torch.save never does"
    # torch's own reader leaves the tensors of such an entry uninitialised.
    folder = next((info for info in archive.infolist() if info.external_attr & _IS_FOLDER), None)
    if folder is not None:
        return f"{folder.filename} is marked as a folder"
    wrong = archive.testzip()
    return "" if wrong is None else f"the checksum of {wrong} is wrong"


def _holds_objects(file: Path, text: str) -> str:
    match = re.search(r"GLOBAL (\S+)", text)
    what = f"a pickled object ({match[1]})" if match else "a program or pickled objects"
    return (
        f"{file.name} holds {what} beside its tensors. Reading it would run code that the file names, so it is not "
        "opened. In the program that made it, save the weights alone: torch.save(net.state_dict(), 'weights.pth'); "
        "then import that file."
    )


def _damaged(file: Path, reason: str) -> str:
    first = reason.strip().splitlines()[0][:200]
    return f"{file.name} cannot be read as weights: {first}. It may be damaged or of another kind: get it again."


def _unwrapped(loaded: Any) -> Any:
    while isinstance(loaded, Mapping):
        inner = next((loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        if inner is None:
            break
        loaded = inner
    return loaded


def _checked(loaded: Any, file: Path) -> dict[str, torch.Tensor]:
    if not isinstance(loaded, Mapping) or not loaded:
        what = "nothing" if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"
        msg = f"{file.name} holds {what}, not a state dict. Save it with torch.save(net.state_dict(), 'weights.pth')."
        raise CheckpointError(msg)
    other = [str(name) for name, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if other:
        raise CheckpointError(
            f"{file.name} holds {len(other)} entries that are not tensors ({few(other)}), and no state dict under "
            f"{', '.join(_WRAPPERS)}. Save the state dict alone with torch.save(net.state_dict(), 'weights.pth')."
        )
    return {str(name): tensor.detach() for name, tensor in loaded.items()}


def _without_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    while prefix := next((p for p in _PREFIXES if all(name.startswith(p) for name in tensors)), ""):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def few(names: Sequence[str]) -> str:
    """Return the first three names, for a message."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
