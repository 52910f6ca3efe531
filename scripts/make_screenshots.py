"""Take the pictures of the README and the tutorials anew: `python scripts/make_screenshots.py docs/images`.

Only the synthetic sample that ships is shown. Under Xvfb: `make screenshots`.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from napari_driver import Window, private_settings
from tour import Tour, sample_without_truth

__all__ = ["LIMIT_BYTES", "PICTURES"]

PICTURES: Final[Mapping[str, str]] = {
    "case opened": "open.png",
    "checks before the run": "checks.png",
    "segmented": "segment.png",
    "doubtful place": "doubt.png",
    "four views": "views.png",
    "corrected": "correct.png",
    "surfaces": "surfaces.png",
    "corrected with an outline": "refine.png",
    "measured": "measure.png",
    "compared": "agreement.png",
    "curated": "curate.png",
}
"""File of each step of the tour that is shown in a document; a step that the panels do not have is left out."""

LIMIT_BYTES: Final = 300_000


def main() -> None:
    """Take the tour through the sample, and keep the pictures that are used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the pictures")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pictures-") as scratch:
        work, folder = Path(scratch), chosen.folder.resolve()
        case = sample_without_truth(work)
        os.chdir(work)
        private_settings(work)
        window = Window(chosen.theme)

        def seen(name: str) -> None:
            if name in PICTURES:
                window.dismiss_notifications()
                keep(window.picture(folder / PICTURES[name]))

        Tour(window, case, work, seen).run()
        window.close()


def keep(picture: Path) -> None:
    """Tell of a picture; one that is too large for the repository is an error."""
    size = picture.stat().st_size
    if size > LIMIT_BYTES:
        raise SystemExit(f"{picture} has {size:,} bytes; no more than {LIMIT_BYTES:,} are kept. Lower its colours.")
    print(f"{picture} {size:,} bytes")


if __name__ == "__main__":
    main()
