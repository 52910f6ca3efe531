"""The folder for this package's files that belong to the user."""

import os
from pathlib import Path


def home_folder() -> Path:
    """Return the folder `$BRAIN_TUMOR_HOME`, or `~/.napari-brain-tumor`."""
    home = os.environ.get("BRAIN_TUMOR_HOME")
    return Path(home) if home else Path.home() / ".napari-brain-tumor"
