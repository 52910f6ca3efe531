"""What `results.json` and `experiments.json` hold."""

from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from napari_brain_tumor.errors import SaveError, UnreadableFileError
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.labels import Region
from napari_brain_tumor.study import Role
from napari_brain_tumor_training.config_parts import Section

__all__ = [
    "BLOCKS",
    "RESULTS_FILE",
    "Block",
    "BlockName",
    "CalibrationBlock",
    "Controls",
    "Cost",
    "Curve",
    "Experiment",
    "FalseVolume",
    "FullSize",
    "LesionControl",
    "Machine",
    "ModelResults",
    "RegionCalibration",
    "Results",
    "Score",
    "ScoredCase",
    "Scores",
    "Split",
    "SubsetCase",
    "Subsets",
    "read_experiments",
    "read_results",
    "write_results",
]

RESULTS_FILE: Final = "results.json"
BlockName = Literal["calibration", "scores", "flipped", "subsets", "controls", "cost"]
BLOCKS: Final[tuple[BlockName, ...]] = ("calibration", "scores", "flipped", "subsets", "controls", "cost")
"""Fields of `ModelResults` in the order in which they are measured: what is fitted goes before what is scored."""


class Machine(Section):
    """Where seconds and memory were measured."""

    processor: str
    features: list[str]
    cores: int
    threads: int
    device: str
    torch: str
    python: str


class Block(Section):
    """One kind of measurement of one model."""

    key: str
    """Hash of everything that it depends on: with the same key it is not measured again."""
    created: datetime
    minutes: float
    """That measuring took."""


class Score(Section):
    """One region of one case; what is in mm is None where the files do not state the voxel size."""

    dice: float
    hd95_mm: float | None
    lesionwise_dice: float | None


class ScoredCase(Section):
    """A case segmented from every sequence that it has; `seconds` are without loading the model."""

    dataset: str
    case: str
    patient: str
    grade: str
    roles: list[Role]
    seconds: float
    scores: dict[Region, Score]


class Scores(Block):
    """All validation cases as a user gets them: the defaults of `segment`, the postprocessing of the card."""

    machine: Machine
    cases: list[ScoredCase]


class SubsetCase(Section):
    """Dice of a case from some of its sequences."""

    dataset: str
    case: str
    patient: str
    roles: list[Role]
    dice: dict[Region, float]


class Subsets(Block):
    """Every case from every proper subset of its sequences; all of them are in `Scores`."""

    cases: list[SubsetCase]
    precision: Literal["auto", "bfloat16"] = "auto"
    """That the networks computed in."""


class Curve(Section):
    """A reliability curve; see `evaluation.calibration.Reliability`."""

    probability: list[float]
    observed: list[float]
    voxels: list[int]


class RegionCalibration(Section):
    """Expected calibration error of a region before and after its temperature.

    `error_...` are of the cases that the temperature was fitted on. `crossed_...` are the means over both halves of the
    patients (weighted by voxels) of the error with the temperature of the other half; None where a half has no voxel.
    A temperature of 1 means that none lowers the error.
    """

    temperature: float
    error_before: float
    error_after: float
    crossed_temperatures: list[float]
    crossed_before: float | None
    crossed_after: float | None
    voxels: int
    patients: int
    before: Curve
    after: Curve


class CalibrationBlock(Block):
    """Of a trained model, on the validation cases with every sequence that they have."""

    regions: dict[Region, RegionCalibration]


class FalseVolume(Section):
    """Millilitres called tumour where there is none."""

    case: str
    ml: float


class LesionControl(Section):
    """What was called tumour in a brain with other lesions: mL by class, parts, and how much lies on the lesions."""

    case: str
    ml: dict[str, float]
    parts: int
    lesions_ml: float | None
    on_lesions_ml: float | None


class Controls(Block):
    """Brains in which there is nothing to be found, or no enhancement."""

    synthetic: list[FalseVolume]
    twins: list[FalseVolume]
    no_twin: list[str]
    """Cases whose tumour reaches both hemispheres."""
    sclerosis: LesionControl
    no_enhancing: LesionControl


class FullSize(Section):
    """Seconds without loading, and the peak of memory, of one 240x240x155 case in a process of its own."""

    seconds: float
    peak_mb: float


class Cost(Block):
    """Time and memory of one case of full size in a fresh process."""

    case: str
    shape: list[int]
    load_seconds: float
    imported_mb: float
    """Peak of the process when everything is imported and nothing is open yet."""
    memory_from: str
    plain: FullSize
    flipped: FullSize | None
    machine: Machine


class ModelResults(Section):
    """One model or method without weights, and what was measured of it so far."""

    name: str
    title: str
    trained: bool
    default_for: list[str]
    """Sets whose cases it segments when no model is named."""
    architecture: str
    dims: int | None
    parameters: int | None
    weights_sha256: str | None
    weights_mb: float | None
    min_lesion_mm3: float
    min_lesion_share: float = 0.0
    min_enhancing_mm3: float
    min_sure_enhancing: float = 0.0
    min_sure_tumor: float = 0.0
    calibration: CalibrationBlock | None = None
    scores: Scores | None = None
    flipped: Scores | None = None
    subsets: Subsets | None = None
    controls: Controls | None = None
    cost: Cost | None = None

    def block(self, name: BlockName) -> Block | None:
        """The block of that name, if it was measured."""
        block: Block | None = getattr(self, name)
        return block


class Split(Section):
    """Who was kept apart: patients of each set on each side, and the hash of the file that says so."""

    sha256: str
    patients: dict[str, dict[str, int]]
    together: dict[str, int]
    """Patients on each side over all sets; some are in both."""


class Results(Section):
    """Every measured model, by name."""

    format: Literal[1] = 1
    split: Split
    limit: int | None = None
    """Cases of each set, where only some were measured to try it out."""
    models: dict[str, ModelResults] = Field(default_factory=dict)

    def with_model(self, entry: ModelResults) -> Self:
        """The same with the entry of that model replaced or added."""
        return self.model_copy(update={"models": {**self.models, entry.name: entry}})


class Experiment(Section):
    """An idea for training, and mean Dice by region on the validation cases with and without it."""

    idea: str
    setting: str
    gained: dict[str, float] = Field(alias="with")
    without: dict[str, float]
    cases: int
    minutes: float
    note: str = ""


_RESULTS: Final = TypeAdapter(Results)
_EXPERIMENTS: Final = TypeAdapter(list[Experiment])
Document = TypeVar("Document")


def read_results(path: Path) -> Results | None:
    """What was measured before; None where there is no such file.

    Raises
    ------
    UnreadableFileError
        If it is there, but is not such a document.
    """
    return _read(path, _RESULTS) if path.is_file() else None


def read_experiments(path: Path) -> list[Experiment]:
    """What was tried in training; nothing where there is no such file. Raises `UnreadableFileError`."""
    return _read(path, _EXPERIMENTS) if path.is_file() else []


def write_results(results: Results, path: Path) -> None:
    """Write the document as a whole or not at all; raises `SaveError`."""

    def check(part: Path) -> None:
        if Results.model_validate_json(part.read_text(encoding="utf-8")) != results:
            msg = "the results did not read back the same"
            raise SaveError(msg)

    text = results.model_dump_json(indent=1) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"), check)


def _read(path: Path, kind: TypeAdapter[Document]) -> Document:
    try:
        return kind.validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}. Restore it, or choose another folder with --output."
        raise UnreadableFileError(msg) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        msg = f"{path} does not hold what it should: {problems}. Correct it, or move it away to measure anew."
        raise UnreadableFileError(msg) from error
