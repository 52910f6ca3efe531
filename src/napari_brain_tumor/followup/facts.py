"""Clinical facts that the response criteria need but images do not show, as entered by the user."""

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
"""Description of each corticosteroid dose."""
CLINICAL: Final[dict[ClinicalStatus, str]] = {
    "stable or improved": "As good as at baseline, or better",
    "worse": "Worse, not attributable to causes other than the tumour",
}
"""Description of each clinical status."""


class VisitFacts(BaseModel, extra="forbid", frozen=True):
    """Clinical facts of one visit; anything left out is treated as unknown and never guessed."""

    baseline: bool = False
    """Whether this visit is the baseline: the first after radiotherapy, or the last before a new treatment."""
    steroids: Steroids | None = None
    """Dose of corticosteroids relative to the baseline."""
    clinical_status: ClinicalStatus | None = None
    """Clinical status relative to the baseline; only worse if nothing but the tumour explains it."""
    radiotherapy_end: date | Literal["none"] | None = None
    """Last day of the most recent radiotherapy before the visit, or "none" if there was none."""
    new_lesion: bool | None = None
    """Whether a reader sees a new measurable lesion; takes precedence over lesion matching."""
    non_target_worse: bool | None = None
    """Whether there is clear progression of non-target lesions."""
    note: str = Field(default="", max_length=2000)
    """Any other remark, shown in the report."""
