"""Where this package keeps what belongs to its user."""

import os
from pathlib import Path


def home_folder() -> Path:
    """The folder `$BRAIN_TUMOR_HOME`, or `~/.napari-brain-tumor`."""
    home = os.environ.get("BRAIN_TUMOR_HOME")
    return Path(home) if home else Path.home() / ".napari-brain-tumor"
