"""Manifest of the bundled checkpoints: their names and the SHA-256 of their weights."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, Field, ValidationError

from napari_brain_tumor.errors import CheckpointError

BUNDLED: Final = Path(__file__).parent.parent / "checkpoints"
"""Folder of the checkpoints bundled with the package."""
MANIFEST_FILE: Final = "manifest.json"
WEIGHTS_FILE: Final = "weights.safetensors"


class ShippedFile(BaseModel, extra="forbid", frozen=True):
    """Expected hash and size of a bundled model's weights."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(gt=0)
    """Size in bytes."""

    @classmethod
    def of(cls, content: bytes) -> "ShippedFile":
        """Return the manifest entry for a file with these contents."""
        return cls(sha256=hashlib.sha256(content).hexdigest(), size=max(1, len(content)))


class Manifest(BaseModel, extra="forbid", frozen=True):
    """The bundled models, sorted by name."""

    format: Literal[1] = 1
    weights: dict[str, ShippedFile]

    def check(self, name: str, actual: ShippedFile) -> None:
        """Refuse weights of a bundled model that are not byte for byte those in the manifest.

        Raises
        ------
        CheckpointError
            If they differ, or the model is not in the manifest.
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
    """Read the manifest of this installation; raises `CheckpointError` if it is missing or invalid."""
    path = BUNDLED / MANIFEST_FILE
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        msg = f"The manifest of the shipped models, {path}, cannot be read: {error}. Install napari-brain-tumor again."
        raise CheckpointError(msg) from error


def manifest_of(folder: Path) -> Manifest:
    """Create the manifest for a folder of checkpoints."""
    files = sorted(folder.glob(f"*/{WEIGHTS_FILE}"))
    return Manifest(weights={file.parent.name: ShippedFile.of(file.read_bytes()) for file in files})


def _described(file: ShippedFile) -> str:
    return f"{file.size} bytes with SHA-256 {file.sha256[:12]}..."
