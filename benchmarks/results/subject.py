"""A model as a subject of the results page: its name, its description, and what its numbers depend on."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from napari_brain_tumor.classical.registry import Baseline
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.cards import Card, ModelInfo, default_model, list_models
from napari_brain_tumor.models.manifest import WEIGHTS_FILE
from napari_brain_tumor.preprocessing.traits import Traits
from results.bench import FULL_SET, SLICE_SET, Bench
from results.document import BLOCKS, BlockName, ModelResults

__all__ = ["TYPICAL", "Subject"]

_FORMATS: Final[dict[BlockName, int]] = dict.fromkeys(BLOCKS, 1)
"""Format versions; raised when the meaning of a block's numbers, or a method without weights, changes."""

TYPICAL: Final = {
    FULL_SET: Traits(thickness_mm=1.0, whole_head=False),
    SLICE_SET: Traits(thickness_mm=None, whole_head=True),
}
"""Typical traits of the studies of both sets, which determine the default model."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A trained model, or a method without weights, that is measured."""

    method: ModelInfo | Baseline

    @property
    def card(self) -> Card | None:
        """Card of a trained model; None for a method without weights."""
        return self.method.card if isinstance(self.method, ModelInfo) else None

    @property
    def place(self) -> str:
        """The `model` argument of `segment`: the folder of a checkpoint, or the name of a method."""
        return str(self.method.folder) if isinstance(self.method, ModelInfo) else self.method.name

    @property
    def blocks(self) -> tuple[BlockName, ...]:
        """Blocks that can be measured: methods without weights have no flips, subsets or probabilities."""
        if self.card is None:
            return "scores", "controls", "cost"
        return BLOCKS if self.card.regions == list(REGIONS) else BLOCKS[1:]

    def described(self, earlier: ModelResults | None) -> ModelResults:
        """Return the model's description, together with its earlier measurements."""
        blocks = {} if earlier is None else {name: earlier.block(name) for name in self.blocks}
        return ModelResults.model_validate(self._description() | blocks)

    def key(self, block: BlockName, bench: Bench) -> str:
        """Return a hash of a block's dependencies: weights, postprocessing, cases, split, device, format version."""
        parts: dict[str, Any] = {
            "block": block,
            "format": _FORMATS[block],
            "weights": self._weights(),
            "settings": self._settings(),
            "split": bench.split.sha256,
            "cases": [(case.dataset, case.name) for case in bench.cases],
            "device": bench.device,
            "precision": bench.subset_precision if block == "subsets" else "auto",
            "spacing": bench.spec.resolution_mm if block == "controls" else None,
            "temperatures": self._temperatures() if self._are_averaged(block) else None,
        }
        if block == "subsets" and bench.subset_sets != (FULL_SET, SLICE_SET):
            parts["sets"] = bench.subset_sets
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def _description(self) -> dict[str, Any]:
        method, card = self.method, self.card
        description: dict[str, Any] = {
            "name": method.name,
            "title": method.title,
            "trained": card is not None,
            "default_for": [dataset for dataset, traits in TYPICAL.items() if self._is_default_for(traits)],
            "min_lesion_mm3": method.min_lesion_mm3,
            "min_lesion_share": 0.0 if card is None else card.min_lesion_share,
            "min_enhancing_mm3": 0.0 if card is None else card.min_enhancing_mm3,
            "min_sure_enhancing": 0.0 if card is None else card.min_sure_enhancing,
            "min_sure_tumor": 0.0 if card is None else card.min_sure_tumor,
        }
        if not isinstance(method, ModelInfo):
            nothing = dict.fromkeys(("dims", "parameters", "weights_sha256", "weights_mb"))
            return description | nothing | {"architecture": method.source}
        return description | {
            "architecture": method.card.architecture,
            "dims": method.card.dims,
            "parameters": method.card.parameters,
            "weights_sha256": method.card.weights_sha256,
            "weights_mb": round((method.folder / WEIGHTS_FILE).stat().st_size / 1e6, 2),
        }

    def _is_default_for(self, traits: Traits) -> bool:
        default = default_model(list_models(), traits)
        return default is not None and default.name == self.method.name

    def _weights(self) -> str:
        return self.method.name if self.card is None else self.card.weights_sha256

    def _settings(self) -> Any:
        if self.card is None:
            return self.method.min_lesion_mm3
        fields = {
            "roles",
            "regions",
            "preprocessing",
            "thresholds",
            "min_lesion_mm3",
            "min_lesion_share",
            "min_enhancing_mm3",
            "min_sure_enhancing",
        }
        members = [member.model_dump(mode="json", include={"calibration"}) for member in self.card.members]
        if self.card.min_sure_tumor:
            fields |= {"min_sure_tumor"}
        return self.card.model_dump(mode="json", include=fields) | {"members": members}

    def _temperatures(self) -> dict[str, float]:
        return {} if self.card is None else {region: self.card.temperature(region) for region in self.card.regions}

    def _are_averaged(self, block: BlockName) -> bool:
        """Whether labels are based on averages of probabilities, which a temperature can change at the border."""
        return self.card is not None and block != "calibration" and (block == "flipped" or self.card.dims == 3)
