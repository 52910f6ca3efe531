"""The command `brain-tumor`."""

from napari_brain_tumor.cli.app import app, main

__all__ = ["app", "main"]
