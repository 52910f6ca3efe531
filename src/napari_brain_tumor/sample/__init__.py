"""The synthetic glioma that ships with the package: where its files lie."""

from importlib.resources import files
from pathlib import Path

_CASE = "synthetic_glioma"


def sample_case_folder() -> Path:
    """Folder of the four sequences T1, T1c, T2 and FLAIR of a synthetic patient, as `open_study` takes it."""
    return Path(str(files(__name__))) / _CASE


def sample_truth_path() -> Path:
    """The sample's exact segmentation, in the MSD schema that the JSON beside it names."""
    return sample_case_folder() / f"{_CASE}_seg.nii.gz"
