"""What images cannot tell of a visit, but the response criteria ask: a document that the user fills."""

from datetime import date
from typing import Final, Literal

from pydantic import BaseModel, Field

Steroids = Literal["none", "reduced", "stable", "increased"]
ClinicalStatus = Literal["stable or improved", "worse"]

STEROIDS: Final[dict[Steroids, str]] = {
    "none": "None, or only physiological replacement",
    "reduced": "Less than at baseline",
    "stable": "As much as at baseline",
    "increased": "More than at baseline",
}
"""Dose of corticosteroids, in words."""
CLINICAL: Final[dict[ClinicalStatus, str]] = {
    "stable or improved": "As good as at baseline, or better",
    "worse": "Worse, not attributable to causes other than the tumour",
}
"""How the patient is, in words."""


class VisitFacts(BaseModel, extra="forbid", frozen=True):
    """Facts of one visit; whatever is left out counts as not known, and nothing is guessed in its stead."""

    baseline: bool = False
    """Whether this is the visit to compare with: the first after radiotherapy, or the last before a new treatment."""
    steroids: Steroids | None = None
    """Dose of corticosteroids against the baseline."""
    clinical_status: ClinicalStatus | None = None
    """How the patient is against the baseline; worse only if no other cause explains it."""
    radiotherapy_end: date | Literal["none"] | None = None
    """The day on which radiotherapy last ended before the visit, or that there was none."""
    new_lesion: bool | None = None
    """Whether a reader sees a new measurable lesion; it outranks what matching of labels finds."""
    non_target_worse: bool | None = None
    """Whether lesions that are not measured clearly progress."""
    note: str = Field(default="", max_length=2000)
    """Anything else, shown in the report."""
