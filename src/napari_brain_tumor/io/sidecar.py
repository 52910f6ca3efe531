"""The JSON beside a saved segmentation: how it was made and what its integers mean."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_brain_tumor.io.volume import short_name

__all__ = ["read_sidecar", "sidecar_path"]


def sidecar_path(path: Path) -> Path:
    """Where the sidecar of a file or folder lies: `seg.nii.gz` has `seg.json`."""
    return path.with_name(f"{short_name(path)}.json")


def read_sidecar(path: Path) -> Mapping[str, Any]:
    """Contents of our own sidecar of a file or folder; empty where there is none, or it is not ours."""
    try:
        content = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(content, dict) and content.get("program") == "napari-brain-tumor"
    return content if is_ours else {}
