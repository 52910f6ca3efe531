"""Share models as a single file: a zip of card and weights with their hashes, verified before installation."""

import hashlib
import lzma
import re
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import CheckpointError, SaveError
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.io.scratch import scratch_beside, swap_in
from napari_brain_tumor.models.bounds import LARGEST_CARD_BYTES, LARGEST_WEIGHTS_BYTES
from napari_brain_tumor.models.cards import CARD_FILE, Card, ModelInfo, list_models, models_folder, read_card
from napari_brain_tumor.models.checkpoint import load_network, shapes_of
from napari_brain_tumor.models.manifest import WEIGHTS_FILE
from napari_brain_tumor.models.tensor_shapes import largest_file

HASHES_FILE: Final = "SHA256SUMS"
_FILES: Final = (CARD_FILE, WEIGHTS_FILE)
_DATE: Final = (1980, 1, 1, 0, 0, 0)
"""Time stamp of every entry, so that the same model gives the same bytes."""
_LARGEST_HASHES: Final = 4096
_LARGEST_RATIO: Final = 3
"""Maximum compression ratio of weights, which are hardly compressible."""
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,99}")
_PIECE: Final = 2**20
_NO_ZIP: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
)
"""Exceptions raised when reading a damaged zip file."""


def export_package(model: ModelInfo, path: Path) -> Path:
    """Write a model to a zip file with its card, its weights, and the SHA-256 of both in the format of `sha256sum -c`.

    Parameters
    ----------
    model : ModelInfo
        Model to export; it is loaded once, so that no damaged model is passed on.
    path : Path
        Target file, ending in `.zip`; an existing file is replaced only when the new one is complete.

    Raises
    ------
    CheckpointError
        If the model's files are damaged.
    SaveError
        If the file cannot be written, or its name does not end in `.zip`.
    """
    if path.suffix.lower() != ".zip":
        raise SaveError(f"{path.name} does not end in .zip, which a package of a model needs: choose {path.stem}.zip.")
    load_network(model)
    hashes = {name: _file_sha256(model.folder / name) for name in _FILES}
    write_atomically(path, lambda part: _write(part, model, hashes), _check_whole)
    return path


def import_package(path: Path, *, name: str | None = None, replace: bool = False) -> ModelInfo:
    """Install a model from a package as one of the user's own; nothing is installed unless all checks pass.

    Parameters
    ----------
    path : Path
        File written by `export_package`.
    name : str, optional
        Name to use instead of the one in the card.
    replace : bool
        Whether to replace one of the user's own models of the same name.

    Raises
    ------
    CheckpointError
        If the file is not a package, its hashes are wrong, its weights do not match its card, or the name is taken.
    SaveError
        If it cannot be installed, for example because the disk is full.
    """
    home = models_folder()
    try:
        with scratch_beside(home / "model") as scratch:
            folder = scratch / "model"
            folder.mkdir()
            _unpack(path, folder)
            card = read_card(folder)
            new_name = _free_name(name or card.name, replace=replace)
            if new_name != card.name:
                card = card.model_copy(update={"name": new_name})
                (folder / CARD_FILE).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
            model = ModelInfo(name=new_name, folder=folder, card=card, bundled=False)
            load_network(model)
            target = home / new_name
            swap_in(folder, target, scratch)
    except OSError as error:
        if isinstance(error, SaveError):
            raise
        raise SaveError(
            f"{path.name} was not installed in {home}: {error.strerror or error}. Free some space or check the "
            "permissions."
        ) from error
    return model.model_copy(update={"folder": target})


def _write(path: Path, model: ModelInfo, hashes: dict[str, str]) -> None:
    lines = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(_entry(HASHES_FILE), lines)
        for name in _FILES:
            # Weights are hardly compressible; uncompressed, they are copied at the speed of the disk.
            with (
                (model.folder / name).open("rb") as source,
                archive.open(_entry(name), "w", force_zip64=True) as target,
            ):
                shutil.copyfileobj(source, target, _PIECE)


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.external_attr = 0o644 << 16
    return info


def _check_whole(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        hashes = _hashes(archive, path.name)
        for name in _FILES:
            digest = hashlib.sha256()
            with archive.open(name) as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
            if digest.hexdigest() != hashes[name]:
                raise SaveError(f"{name} was not written correctly.")


def _unpack(path: Path, folder: Path) -> None:
    """Extract only the files that belong to a package into the folder; refuse those whose hashes are wrong."""
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path} is not an ordinary file. Give the zip that `models export` wrote.")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive, path.name)
            hashes = _hashes(archive, path.name)
            _unpack_entry(archive, CARD_FILE, folder, hashes, path.name)
            (folder / WEIGHTS_FILE).touch()
            _check_size(archive, read_card(folder), path.name)
            _unpack_entry(archive, WEIGHTS_FILE, folder, hashes, path.name)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no file {path}. Give the zip that `models export` wrote.") from error
    except _NO_ZIP as error:
        raise CheckpointError(f"{path.name} cannot be read as a zip: {error}. Get the file again.") from error


def _unpack_entry(archive: zipfile.ZipFile, name: str, folder: Path, hashes: dict[str, str], package: str) -> None:
    with archive.open(name) as source, (folder / name).open("wb") as target:
        shutil.copyfileobj(source, target, _PIECE)
    digest = _file_sha256(folder / name)
    if digest != hashes[name]:
        raise CheckpointError(
            f"{name} in {package} is not what was packed (SHA-256 {digest[:12]}..., {HASHES_FILE} says "
            f"{hashes[name][:12]}...). The file was changed or damaged: get it again."
        )


def _check_size(archive: zipfile.ZipFile, card: Card, name: str) -> None:
    """Refuse weights that are larger than the card's network, before extracting them."""
    size, most = archive.getinfo(WEIGHTS_FILE).file_size, largest_file(shapes_of(card))
    if size > most:
        raise CheckpointError(
            f"{WEIGHTS_FILE} in {name} claims to have {size:,} bytes; the network that its card describes has {most:,} "
            "at most. It is not unpacked: get the file again."
        )


def _check_entries(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse a file that is not a package, before extracting anything from it."""
    entries = {info.filename: info.file_size for info in archive.infolist()}
    largest = {HASHES_FILE: _LARGEST_HASHES, CARD_FILE: LARGEST_CARD_BYTES, WEIGHTS_FILE: LARGEST_WEIGHTS_BYTES}
    if set(entries) != set(largest) or len(archive.infolist()) != len(largest):
        listed = ", ".join(sorted(entries)[:5]) or "nothing"
        msg = f"{name} is not a package of a model: it holds {listed}; a package holds {', '.join(largest)}."
        raise CheckpointError(msg)
    large = [entry for entry, size in entries.items() if size > largest[entry]]
    if large:
        msg = (
            f"{large[0]} in {name} claims to have {entries[large[0]]:,} bytes, more than any model: it is not unpacked."
        )
        raise CheckpointError(msg)
    weights = archive.getinfo(WEIGHTS_FILE)
    if weights.file_size > _LARGEST_RATIO * weights.compress_size + _PIECE:
        raise CheckpointError(
            f"{WEIGHTS_FILE} in {name} takes {weights.compress_size:,} bytes and claims to unpack to "
            f"{weights.file_size:,}: no weights do, so it is not unpacked."
        )
    if any(info.compress_type not in _METHODS for info in archive.infolist()):
        msg = f"{name} is not packed as model packages are: write it with `models export --format zip`."
        raise CheckpointError(msg)


def _hashes(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    lines = archive.read(HASHES_FILE).decode("ascii").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    hashes = {pair[1].removeprefix("*"): pair[0].lower() for pair in pairs if len(pair) == 2}
    if set(hashes) != set(_FILES):
        msg = f"{HASHES_FILE} in {name} does not list the hashes of {' and '.join(_FILES)}: get the file again."
        raise CheckpointError(msg)
    return hashes


def _free_name(name: str, *, replace: bool) -> str:
    """Return the name, after checking that a model can be installed under it."""
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be a model's name: choose one of letters, digits, dots, dashes and underscores."
        raise CheckpointError(msg)
    existing = [model for model in list_models() if model.name == name]
    if any(model.bundled for model in existing):
        msg = f"{name} is the name of a model that comes with the package. Choose another name for yours."
        raise CheckpointError(msg)
    if (existing or (models_folder() / name).exists()) and not replace:
        raise CheckpointError(f"A model called {name} is installed. Choose another name, or replace it.")
    if existing and existing[0].folder != models_folder() / name:
        msg = f"The installed model {name} is in {existing[0].folder.name}. Remove it first, or choose another name."
        raise CheckpointError(msg)
    return name


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
