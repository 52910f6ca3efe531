"""The table of methods without weights: their descriptions, requirements and publications.

The module of a method has a function `find_regions(scan, seeds)` that returns masks `(Z, Y, X)` of its regions: always
WT, and others if the necessary sequences are present. Slow methods also have `find_regions_job`. The module is imported
when the method is run.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from napari_brain_tumor.labels import Region
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.study import ROLES, Role


@dataclass(frozen=True, slots=True)
class Baseline:
    """A method without weights, as listed alongside trained models (see `catalogue.Method`).

    Parameters
    ----------
    name : str
        Name for use in code; also the name of its module in this package.
    title : str
        Displayed name, which states that the method is a baseline.
    summary : str
        How it works, in a sentence.
    source : str
        The publication on which it is based.
    takes_seeds : bool
        Whether points within the tumour can be given.
    takes_long : bool
        Whether it reports progress, as a job.
    """

    name: str
    title: str
    summary: str
    source: str
    takes_seeds: bool = False
    takes_long: bool = False

    is_baseline: ClassVar[bool] = True
    roles: ClassVar[tuple[Role, ...]] = ROLES
    regions: ClassVar[tuple[Region, ...]] = ("WT", "ET")
    min_lesion_mm3: ClassVar[float] = 100.0

    def obstacle(self, present: Iterable[Role]) -> str:
        """Explain why these sequences are not sufficient; empty if they are."""
        if not {"FLAIR", "T2"} & set(present):
            return f"{self.title} needs FLAIR or T2, on which the whole tumour is bright."
        return ""

    def notes_without(self, present: Iterable[Role], traits: Traits | None = None) -> list[str]:
        """Return notes for the user if a study has only these sequences."""
        roles = set(present)
        notes = ["This is a baseline without training; a trained model finds tumours better."]
        if "FLAIR" not in roles:
            notes.append("Without FLAIR the ventricles may be mistaken for tumour.")
        if not {"T1", "T1c"} <= roles:
            notes.append("The enhancing class needs T1 and T1c; only the whole tumour is marked here.")
        return notes

    def notes_on(self, traits: Traits) -> list[str]:
        """Return no notes: these methods accept any study."""
        return []


BASELINES: Final[dict[str, Baseline]] = {
    baseline.name: baseline
    for baseline in (
        Baseline(
            "threshold",
            "Threshold (baseline, no training)",
            "Otsu's threshold of FLAIR within the brain; enhancing tumour by Otsu's threshold of T1c minus T1.",
            "Otsu 1979, doi:10.1109/TSMC.1979.4310076",
        ),
        Baseline(
            "edges",
            "Edges (baseline, no training)",
            "Watershed on the gradient of FLAIR, from markers of clearly bright and clearly normal tissue.",
            "Meyer 1994, doi:10.1016/0165-1684(94)90060-4",
        ),
        Baseline(
            "region_growing",
            "Region growing (baseline, no training)",
            "Grows from seed points into voxels similar to those inside on FLAIR, T2 and T1, until it would leak.",
            "Adams 1994, doi:10.1109/34.295913; ITK's confidence-connected filters",
            takes_seeds=True,
        ),
        Baseline(
            "asymmetry",
            "Asymmetry (baseline, no training)",
            "Bright tissue whose mirror image across the middle of the brain is not bright.",
            "Ardekani 1997, IEEE TMI 16:947",
        ),
        Baseline(
            "atlas",
            "Atlas (baseline, no training)",
            "What deviates from a tumour-free template registered to the brain: bright on FLAIR and T2, dark on T1.",
            "Prastawa 2004, doi:10.1016/j.media.2004.06.007",
            takes_long=True,
        ),
    )
}
"""Methods by name, in the order of lists."""
