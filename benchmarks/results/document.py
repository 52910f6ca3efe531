"""The content of `results.json` and `experiments.json`."""

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
"""Fields of `ModelResults` in the order of measurement: calibration is fitted before anything is scored."""


class Machine(Section):
    """The machine on which time and memory were measured."""

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
    """Hash of all dependencies: a block with the same key is not measured again."""
    created: datetime
    minutes: float
    """Duration of the measurement."""


class Score(Section):
    """Scores of one region of one case; distances in mm are None if the files lack the voxel size."""

    dice: float
    hd95_mm: float | None
    lesionwise_dice: float | None


class ScoredCase(Section):
    """A case segmented from all of its sequences; `seconds` exclude loading the model."""

    dataset: str
    case: str
    patient: str
    grade: str
    roles: list[Role]
    seconds: float
    scores: dict[Region, Score]


class Scores(Block):
    """All validation cases with the defaults of `segment` and the card's postprocessing, as users get them."""

    machine: Machine
    cases: list[ScoredCase]


class SubsetCase(Section):
    """Dice of a case segmented from some of its sequences."""

    dataset: str
    case: str
    patient: str
    roles: list[Role]
    dice: dict[Region, float]


class Subsets(Block):
    """Every case from every proper subset of its sequences; the full set is in `Scores`."""

    cases: list[SubsetCase]
    precision: Literal["auto", "bfloat16"] = "auto"
    """Precision of the networks."""


class Curve(Section):
    """A reliability curve; see `evaluation.calibration.Reliability`."""

    probability: list[float]
    observed: list[float]
    voxels: list[int]


class RegionCalibration(Section):
    """Expected calibration error of a region before and after dividing by its temperature.

    `error_...` are for the cases that the temperature was fitted on. `crossed_...` are means over both halves of the
    patients (weighted by voxels) of the error with the other half's temperature; None if a half has no voxels. A
    temperature of 1 means that none lowers the error.
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
    """Calibration of a trained model, on the validation cases with all of their sequences."""

    regions: dict[Region, RegionCalibration]


class FalseVolume(Section):
    """Volume in millilitres that was labelled as tumour where there is none."""

    case: str
    ml: float


class LesionControl(Section):
    """Labels in a brain with other lesions: mL by class, number of parts, and how much of them is on the lesions."""

    case: str
    ml: dict[str, float]
    parts: int
    lesions_ml: float | None
    on_lesions_ml: float | None


class Controls(Block):
    """Results for brains without tumour, or without enhancement."""

    synthetic: list[FalseVolume]
    twins: list[FalseVolume]
    no_twin: list[str]
    """Cases without a healthy twin because their tumour is in both hemispheres."""
    sclerosis: LesionControl
    no_enhancing: LesionControl


class FullSize(Section):
    """Seconds without loading, and peak memory, for one 240x240x155 case in a separate process."""

    seconds: float
    peak_mb: float


class Cost(Block):
    """Time and memory for one full-size case in a new process."""

    case: str
    shape: list[int]
    load_seconds: float
    imported_mb: float
    """Peak memory of the process after all imports, before opening any files."""
    memory_from: str
    plain: FullSize
    flipped: FullSize | None
    machine: Machine


class ModelResults(Section):
    """A model or a method without weights, with its measurements so far."""

    name: str
    title: str
    trained: bool
    default_for: list[str]
    """Sets whose cases it segments by default."""
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
        """Return the block of this name, if it was measured."""
        block: Block | None = getattr(self, name)
        return block


class Split(Section):
    """The split: patients of each set on each side, and the hash of the file that defines it."""

    sha256: str
    patients: dict[str, dict[str, int]]
    together: dict[str, int]
    """Patients on each side over all sets; some are in both sets."""


class Results(Section):
    """All measured models, by name."""

    format: Literal[1] = 1
    split: Split
    limit: int | None = None
    """Number of cases measured in each set, if it was a trial run."""
    models: dict[str, ModelResults] = Field(default_factory=dict)

    def with_model(self, entry: ModelResults) -> Self:
        """Return a copy in which this model's entry is replaced or added."""
        return self.model_copy(update={"models": {**self.models, entry.name: entry}})


class Experiment(Section):
    """An idea for training, with mean Dice by region on the validation cases with and without it."""

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
    """Read earlier measurements; None if there is no such file.

    Raises
    ------
    UnreadableFileError
        If the file exists but is invalid.
    """
    return _read(path, _RESULTS) if path.is_file() else None


def read_experiments(path: Path) -> list[Experiment]:
    """Read what was tried in training; empty if there is no such file. Raises `UnreadableFileError`."""
    return _read(path, _EXPERIMENTS) if path.is_file() else []


def write_results(results: Results, path: Path) -> None:
    """Write the document, atomically; raises `SaveError`."""

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
