"""The outcome of recomputing a recorded result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_brain_tumor.records.agreement import Agreement, Verdict
from napari_brain_tumor.records.score_table import ScoreDifferences
from napari_brain_tumor.study import Segmentation

if TYPE_CHECKING:
    from napari_brain_tumor.records.preparation import PreparationDifferences


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """A recomputed result compared with the recorded one.

    Parameters
    ----------
    kind : {"segment", "evaluate", "prepare"}
    record : Path
        The JSON record that was followed.
    same_labels : bool or None
        Whether all labels match the record, judged by their hash; None if it has no hash.
    agreement : Agreement or None
        Agreement with the saved file; None if it is missing or no longer contains what was computed.
    scores : ScoreDifferences or None
        Differences between the scores, for an evaluation.
    preparation : PreparationDifferences or None
        Differences between the preparations, for a prepared study.
    notes : tuple of str
        Remarks that may explain the outcome.
    used : mapping of str to Path
        Where each scan was found.
    model, device : str
        The model and device used for the recomputation.
    segmentation : Segmentation or None
        The recomputed segmentation.
    schema : str
        Label schema in which the recorded segmentation was saved.
    """

    kind: Literal["segment", "evaluate", "prepare"]
    record: Path
    same_labels: bool | None = None
    agreement: Agreement | None = None
    scores: ScoreDifferences | None = None
    preparation: "PreparationDifferences | None" = None
    notes: tuple[str, ...] = ()
    used: Mapping[str, Path] = field(default_factory=dict)
    model: str = ""
    device: str = ""
    segmentation: Segmentation | None = None
    schema: str = "MSD"

    @property
    def verdict(self) -> Verdict | Literal["not compared"]:
        """Whether the result was reproduced; "not compared" if nothing is left of the recorded labels."""
        if self.scores is not None:
            return self.scores.verdict
        if self.preparation is not None:
            return self.preparation.verdict
        if self.same_labels:
            return "identical"
        if self.agreement is not None:
            return self.agreement.verdict
        return "not compared" if self.same_labels is None else "different"

    @property
    def same(self) -> bool:
        """Whether the result was reproduced exactly or within the precision expected on another processor."""
        return self.verdict in ("identical", "within precision")

    def describe(self) -> str:
        """Describe the outcome in words, starting with the verdict."""
        lines = [self._headline(), *self._details(), *self.notes]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON-serialisable dictionary."""
        document: dict[str, Any] = {
            "record": str(self.record),
            "task": self.kind,
            "verdict": self.verdict,
            "same": self.same,
            "model": self.model,
            "device": self.device,
            "inputs": {role: str(path) for role, path in self.used.items()},
            "same_labels_sha256": self.same_labels,
            "notes": list(self.notes),
        }
        if self.agreement is not None:
            agreement = self.agreement
            document |= {
                "voxels": agreement.voxels,
                "tumour_voxels": agreement.tumour,
                "differing_voxels": agreement.differing,
                "differing_share_of_tumour": agreement.share,
                "tolerated_share": agreement.tolerance,
                "dice": dict(agreement.dice),
            }
        if self.scores is not None:
            document["scores"] = self.scores.as_json()
        if self.preparation is not None:
            document["moved_mm"] = dict(self.preparation.moved_mm)
            document["same_values"] = self.preparation.same_values
        return document

    def _headline(self) -> str:
        what = {"evaluate": "The scores", "prepare": "The sequences", "segment": "The labels"}[self.kind]
        headlines = {
            "identical": f"The same: {what[0].lower()}{what[1:]} are exactly those of the record.",
            "within precision": f"The same within precision: {what[0].lower()}{what[1:]} differ no more than is "
            "expected between processors, numbers of threads or versions of torch.",
            "different": f"Not the same: {what[0].lower()}{what[1:]} differ from those of the record.",
            "not compared": "Computed again, but the recorded labels are not there to compare with: neither the "
            "saved file nor a hash.",
        }
        return headlines[self.verdict]

    def _details(self) -> list[str]:
        if self.scores is not None:
            return self.scores.lines()
        if self.preparation is not None:
            return self.preparation.lines()
        agreement = self.agreement
        if agreement is None:
            return []
        dice = ", ".join(f"{name} {value:.4f}" for name, value in agreement.dice.items())
        share = (
            f"{agreement.share:.4%} of the tumour; {agreement.tolerance:.1%} is tolerated"
            if agreement.tumour
            else "no tumour in either"
        )
        return [f"{agreement.differing} of {agreement.voxels} voxels differ ({share}). Dice with the record: {dice}."]
