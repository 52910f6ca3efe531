"""The manifest of the checkpoints that ship with the package: which there are, and the SHA-256 of their weights."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, Field, ValidationError

from napari_brain_tumor.errors import CheckpointError

BUNDLED: Final = Path(__file__).parent.parent / "checkpoints"
"""Folder of the checkpoints that ship with the package."""
MANIFEST_FILE: Final = "manifest.json"
WEIGHTS_FILE: Final = "weights.safetensors"


class ShippedFile(BaseModel, extra="forbid", frozen=True):
    """What the weights of a shipped model must be."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(gt=0)
    """In bytes."""

    @classmethod
    def of(cls, content: bytes) -> "ShippedFile":
        """What the manifest says of a file with that content."""
        return cls(sha256=hashlib.sha256(content).hexdigest(), size=max(1, len(content)))


class Manifest(BaseModel, extra="forbid", frozen=True):
    """The shipped models by name, in the order of their names."""

    format: Literal[1] = 1
    weights: dict[str, ShippedFile]

    def check(self, name: str, actual: ShippedFile) -> None:
        """Refuse weights of a shipped model that are not byte for byte what was shipped.

        Raises
        ------
        CheckpointError
            If they are not, or the manifest does not know the model.
        """
        expected = self.weights.get(name)
        if actual == expected:
            return
        statement = "does not know that model" if expected is None else f"says {_described(expected)}"
        raise CheckpointError(
            f"The weights of the shipped model {name} are {_described(actual)}; the package's manifest "
            f"{statement}. The file was "
            "changed or damaged: install napari-brain-tumor again."
        )


@lru_cache(maxsize=1)
def read_manifest() -> Manifest:
    """The manifest of this installation; raises `CheckpointError` where it is missing or not valid."""
    path = BUNDLED / MANIFEST_FILE
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        msg = f"The manifest of the shipped models, {path}, cannot be read: {error}. Install napari-brain-tumor again."
        raise CheckpointError(msg) from error


def manifest_of(folder: Path) -> Manifest:
    """What the manifest of a folder of checkpoints must say."""
    files = sorted(folder.glob(f"*/{WEIGHTS_FILE}"))
    return Manifest(weights={file.parent.name: ShippedFile.of(file.read_bytes()) for file in files})


def _described(file: ShippedFile) -> str:
    return f"{file.size} bytes with SHA-256 {file.sha256[:12]}..."
