"""Cards of checkpoints, and the list of installed models. Does not load torch."""

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from napari_brain_tumor.errors import CheckpointError, ModelNotFoundError
from napari_brain_tumor.home import home_folder
from napari_brain_tumor.io.scratch import recover_scratch
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.models.bounds import LARGEST_CARD_BYTES, MOST_PARAMETERS, MOST_ROLES
from napari_brain_tumor.models.card_parts import Arguments, Calibration, Member, Metrics, PrecisionCheck, TrainingRecord
from napari_brain_tumor.models.manifest import BUNDLED, WEIGHTS_FILE
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.study import Role

__all__ = ["Calibration", "Member", "Metrics", "PrecisionCheck", "TrainingRecord"]

CARD_FILE = "card.json"
DEFAULT_MODELS = ("ensemble",)
"""Default models; without a name, the first that suits the study is used."""
_FIRST_LISTED = ("ensemble", "unet")
"""Models listed first: the default, then the fastest of the best."""


class Card(BaseModel, extra="forbid"):
    """Everything except the weights: the card alone suffices to rebuild the network and its preprocessing."""

    format: Literal[1] = 1
    name: str
    title: str
    architecture: str
    arguments: Arguments
    dims: Literal[2, 3]
    roles: list[Role] = Field(min_length=1, max_length=MOST_ROLES)
    """Order of the input channels. A network from elsewhere may use one sequence in several channels."""
    optional_roles: bool = True
    """Whether any non-empty subset of the roles is accepted, with the others set to zero."""
    regions: list[Region] = Field(min_length=1, max_length=len(REGIONS))
    """Order of the output maps."""
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    thresholds: dict[Region, float] = Field(default_factory=dict)
    """Probability from which a voxel belongs to a region; 0.5 if not given."""
    min_lesion_mm3: float = Field(default=0.0, ge=0)
    """Connected parts of the tumour smaller than this are removed by default."""
    min_lesion_share: float = Field(default=0.0, ge=0, le=1)
    """Parts smaller than this fraction of the largest are removed, too, unless removal is switched off altogether."""
    min_enhancing_mm3: float = Field(default=0.0, ge=0)
    """If the total enhancing volume is less than this, it is relabelled as non-enhancing."""
    min_sure_enhancing: float = Field(default=0.0, ge=0, le=1)
    """With T1c, the same applies if less than this fraction of these voxels reach a probability of 0.9."""
    min_sure_tumor: float = Field(default=0.0, ge=0, le=1)
    """With FLAIR, the tumour is discarded if less than this fraction of its voxels reach a probability of 0.9."""
    thickest_slices_mm: float | None = Field(default=None, gt=0)
    """Maximum slice spacing for which the model is intended; None for any, including unknown spacing."""
    cascade: bool = False
    """For an ensemble on slices: whether, in stacks of thin slices, the members after the first are run only on slices
    in which the first one predicts something."""
    target: Literal["tumor", "brain"] = "tumor"
    """What the network's "whole tumour" stands for. A brain network is never listed as a tumour model."""
    brain_only: bool = False
    """Whether scans must be skull-stripped, because the model was never trained on whole heads."""
    min_extent_mm: float = Field(default=0.0, ge=0)
    """Minimum extent of the scanned brain or head: a volume model works poorly on a slab of a few slices."""
    parameters: int = Field(gt=0, le=MOST_PARAMETERS)
    calibration: dict[Region, Calibration] = Field(default_factory=dict)
    """Regions whose probabilities are calibrated."""
    members: list[Member] = Field(default_factory=list, max_length=32)
    """Networks of an ensemble (architecture "ensemble"), which predicts the mean of their probabilities."""
    training: TrainingRecord | None = None
    metrics: list[Metrics] = Field(default_factory=list)
    precisions: dict[Literal["bfloat16", "float16"], PrecisionCheck] = Field(default_factory=dict)
    """Precisions below float32 that have been evaluated."""
    notes: list[str] = Field(default_factory=list)
    """Notes for the user, such as what is unreliable if a given sequence is missing."""
    licence: str
    origin: str = ""
    """Source of weights that were not trained with this package."""
    source_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Hash of the file from which the weights were imported."""
    created: datetime
    software: dict[str, str] = Field(default_factory=dict)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    def threshold(self, region: Region) -> float:
        """Return the probability from which a voxel belongs to the region."""
        return self.thresholds.get(region, 0.5)

    def temperature(self, region: Region) -> float:
        """Return the temperature that divides the region's logits."""
        return self.calibration[region].temperature if region in self.calibration else 1.0

    @property
    def refit_of(self) -> str:
        """SHA-256 of the scored weights if the current ones were trained further on validation patients; else empty."""
        records = [self.training, *(member.training for member in self.members)]
        return next((record.refit_of for record in records if record and record.refit_of), "")

    @property
    def purpose(self) -> str:
        """Which scans the model is intended for, in words; empty if it accepts any."""
        limits = [
            "brains without skull" if self.brain_only else "",
            f"slices of up to {self.thickest_slices_mm:g} mm" if self.thickest_slices_mm is not None else "",
            f"at least {self.min_extent_mm:g} mm in all directions" if self.min_extent_mm else "",
        ]
        return ", ".join(filter(None, limits))

    def metrics_with(self, roles: Iterable[Role]) -> list[Metrics]:
        """Return the results for exactly those roles, one per data set, without mirrored inputs."""
        subset = set(roles)
        matching = [m for m in self.metrics if set(m.roles) == subset and not m.flips]
        return list({m.dataset: m for m in reversed(matching)}.values())[::-1]

    def notes_without(self, roles: Iterable[Role], traits: Traits | None = None) -> list[str]:
        """Return notes for the user about a study that has only those roles; empty if it has all.

        The cost of missing roles is given in numbers only for studies of the kind on which it was measured.
        """
        present = set(roles)
        missing = [role for role in dict.fromkeys(self.roles) if role not in present]
        notes = [f"Without {', '.join(missing)} {self._cost(present, traits)}."] if missing else []
        if "T1c" in missing and "ET" in self.regions:
            notes.append("Without T1c the enhancing class and the tumour core are not reliable.")
        return notes

    def notes_on(self, traits: Traits) -> list[str]:
        """Return notes for the user about a study that differs in kind from those used for training."""
        return [f"{limit} {advice}" for limit, advice in self._limits_met(traits)]

    def limits_met(self, traits: Traits) -> list[str]:
        """Return one sentence for each respect in which the model is not intended for such a study."""
        return [limit for limit, _ in self._limits_met(traits)]

    def _limits_met(self, traits: Traits) -> list[tuple[str, str]]:
        """Return each limit that a study exceeds, and what would work better."""
        flat = "A 2D model does better here."
        notes, limit = [], self.thickest_slices_mm
        if limit is not None and traits.thickness_mm is None:
            unknown = f"The distance between slices is not known; {self.name} is for slices of up to {limit:g} mm."
            notes.append((unknown, flat))
        elif limit is not None and traits.thickness_mm is not None and traits.thickness_mm > limit:
            thickness = f"{traits.thickness_mm:.3g}"
            thick = f"The slices are {thickness} mm apart; {self.name} is for slices of up to {limit:g} mm."
            notes.append((thick, flat))
        if self.brain_only and traits.whole_head:
            skull = f"The skull was not removed; {self.name} was trained on skull-stripped brains only."
            notes.append((skull, "Extract the brain first."))
        if traits.extent_mm is not None and traits.extent_mm < self.min_extent_mm:
            slab = f"The scan covers only {traits.extent_mm:.3g} mm"
            needs = f"{self.name} works on volumes and needs {self.min_extent_mm:g} mm in all directions."
            notes.append((f"{slab}; {needs}", flat))
        return notes

    def _cost(self, present: set[Role], traits: Traits | None) -> str:
        """Describe what is lost with only those roles, if this was measured on such studies."""
        if traits is None:
            return "the model may find less"
        with_all = {m.dataset: m.mean_dice for m in self.metrics_with(self.roles) if m.apply_to(traits)}
        for few in self.metrics_with(present):
            full = with_all.get(few.dataset, {})
            both = {region: (f"{few.mean_dice[region]:.2f}", f"{full[region]:.2f}") for region in full}
            worse = [f"{region} {less} instead of {more}" for region, (less, more) in both.items() if less < more]
            if worse:
                return f"the model finds less: mean Dice on the validation cases {', '.join(worse)}"
            if both:
                return "the model did no worse on the validation cases"
        return "the model may find less"


class ModelInfo(BaseModel, frozen=True):
    """An installed model: its name, the folder of its checkpoint, and its card."""

    name: str
    folder: Path
    card: Card
    bundled: bool

    @property
    def roles(self) -> tuple[Role, ...]:
        """Roles of the input channels, in order."""
        return tuple(self.card.roles)

    @property
    def title(self) -> str:
        """Name displayed to users."""
        return self.card.title or self.name

    @property
    def regions(self) -> tuple[Region, ...]:
        """Regions of the output maps, in order."""
        return tuple(self.card.regions)

    @property
    def min_lesion_mm3(self) -> float:
        """Size below which parts of the tumour are removed by default."""
        return self.card.min_lesion_mm3

    @property
    def is_baseline(self) -> bool:
        """False, since models are trained."""
        return False

    @property
    def takes_seeds(self) -> bool:
        """False, since models find the tumour automatically."""
        return False

    def obstacle(self, present: Iterable[Role]) -> str:
        """Describe why those sequences are insufficient; empty if they suffice."""
        roles, required = set(present), list(dict.fromkeys(self.card.roles))
        missing = [role for role in required if role not in roles]
        if len(missing) == len(required):
            return f"{self.title} needs at least one of {', '.join(required)}."
        if missing and not self.card.optional_roles:
            return f"{self.title} needs {', '.join(missing)}: it was trained for {', '.join(required)} together only."
        return ""

    def notes_without(self, present: Iterable[Role], traits: Traits | None = None) -> list[str]:
        """Return notes for the user about a study that has only those roles."""
        return self.card.notes_without(present, traits)

    def notes_on(self, traits: Traits) -> list[str]:
        """Return notes for the user about a study that differs in kind from those used for training."""
        return self.card.notes_on(traits)


def models_folder() -> Path:
    """Return the folder of the user's own models: `$BRAIN_TUMOR_HOME/models`, or `~/.napari-brain-tumor/models`."""
    return home_folder() / "models"


def read_card(folder: Path) -> Card:
    """Read the card of a checkpoint folder; raises `CheckpointError` if it is missing or invalid."""
    path = folder / CARD_FILE
    if not path.is_file() or not (folder / WEIGHTS_FILE).is_file():
        raise CheckpointError(f"{folder} is not a checkpoint: it needs {CARD_FILE} and {WEIGHTS_FILE}.")
    try:
        if (size := path.stat().st_size) > LARGEST_CARD_BYTES:
            msg = f"The card {path} has {size:,} bytes, more than any card: it is not read. Get the model again."
            raise CheckpointError(msg)
        return Card.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"The card {path} cannot be read: {error}. Install the model again.") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise CheckpointError(f"The card {path} does not describe a checkpoint of this version: {problems}.") from error


def list_models() -> list[ModelInfo]:
    """Return all installed models: the bundled ones first, starting with the default; then the user's own, by name.

    Folders that are not valid checkpoints are left out; call `find_model` with the path to see the reason.
    """
    recover_scratch(models_folder())
    bundled = _models_in(BUNDLED, bundled=True)
    return [*sorted(bundled, key=lambda model: _rank(model.name)), *_models_in(models_folder(), bundled=False)]


def default_model(models: Iterable[ModelInfo], traits: Traits | None = None) -> ModelInfo | None:
    """Return the first default model among them that suits a study, or else the last; None if there is none."""
    by_name = {model.name: model for model in models}
    present = [by_name[name] for name in DEFAULT_MODELS if name in by_name]
    suitable = [model for model in present if traits is None or not model.notes_on(traits)]
    return next(iter([*suitable, *present[-1:]]), None)


def why_default(models: Iterable[ModelInfo], traits: Traits) -> str:
    """Explain why the default model for such a study is not the first one; empty if it is."""
    installed = list(models)
    first, fitting = default_model(installed), default_model(installed, traits)
    if first is None or fitting is None or fitting.name == first.name:
        return ""
    return " ".join([f"{fitting.name} was chosen.", *first.card.limits_met(traits)])


def find_model(
    name: str | os.PathLike[str] | None = None, traits: Traits | None = None, *, also: Iterable[str] = ()
) -> ModelInfo:
    """Return the checkpoint with that name or in that folder; without a name, the default model for such a study.

    Names in `also` are listed as installed in the error message. `catalogue.find_model` also knows methods without
    weights.

    Raises
    ------
    ModelNotFoundError
        If there is no such model.
    CheckpointError
        If the folder is not a valid checkpoint.
    """
    installed = list_models()
    default = default_model(installed, traits) if name is None else None
    if default is not None:
        return default
    requested = DEFAULT_MODELS[0] if name is None else os.fspath(name)
    for model in reversed(installed):
        if model.name == requested:
            return model
    folder = Path(requested)
    if folder.is_dir():
        card = read_card(folder)
        return ModelInfo(name=card.name, folder=folder, card=card, bundled=folder.parent == BUNDLED)
    names = ", ".join([*(model.name for model in installed), *also]) or "none"
    msg = f"No model is called {requested!r}, and it is not a checkpoint folder. Installed: {names}."
    raise ModelNotFoundError(msg)


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST_LISTED.index(name) if name in _FIRST_LISTED else len(_FIRST_LISTED)), name


def _models_in(parent: Path, *, bundled: bool) -> list[ModelInfo]:
    models = []
    for folder in sorted(parent.glob("*/")):
        try:
            card = read_card(folder)
        except CheckpointError:
            continue
        if card.target == "tumor":
            models.append(ModelInfo(name=card.name, folder=folder, card=card, bundled=bundled))
    return models
