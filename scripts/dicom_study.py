"""Write the NIfTI files of an examination as a DICOM study, to try how it is prepared.

python scripts/dicom_study.py EXAMINATION OUT            # a slice a file, with a scout and a second FLAIR added
python scripts/dicom_study.py EXAMINATION OUT --enhanced # one multi-frame file a series
python scripts/dicom_study.py --sample OUT               # of the sample that ships, its head turned between series
"""

import argparse
from pathlib import Path

import numpy as np

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_sequences
from napari_brain_tumor.sample.examination import write_dicom_series, write_examination

NAMES = {"T1": "AX T1", "T1c": "AX T1 POST GAD", "T2": "AX T2", "FLAIR": "AX FLAIR"}


def main() -> None:
    """Read the arguments and write the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", type=Path, nargs="+", help="the examination, unless --sample, and the new folder")
    parser.add_argument("--enhanced", action="store_true")
    parser.add_argument("--sample", action="store_true")
    given = parser.parse_args()
    if given.sample:
        write_examination(given.places[-1])
        return
    source, out = given.places
    for number, (role, volume) in enumerate(open_sequences(source).volumes.items(), 2):
        values = np.clip(np.round(volume.array), 0, 65535)
        agent = {"ContrastBolusAgent": "GADOLINIUM"} if role == "T1c" else {}
        write_dicom_series(
            out / f"{number:02}_{role}", values, volume.grid, NAMES[role], number, agent, enhanced=given.enhanced
        )
        if role == "FLAIR":
            few = values[:, :, ::2]
            thick = Grid(few.shape, volume.grid.affine @ np.diag([1, 1, 2, 1]))
            write_dicom_series(out / "09_FLAIR", few, thick, "AX FLAIR 11 MM", 9, enhanced=given.enhanced)
        if role == "T2":
            scout = Grid((*values.shape[:2], 3), volume.grid.affine @ np.diag([1, 1, 6, 1]))
            kind = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
            write_dicom_series(
                out / "01_scout", values[:, :, 4:22:6], scout, "LOCALIZER", 1, kind, enhanced=given.enhanced
            )


if __name__ == "__main__":
    main()
