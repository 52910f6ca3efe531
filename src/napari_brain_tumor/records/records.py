"""What was written beside a result, as far as it is needed to compute the result again."""

from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from napari_brain_tumor.dataset.index import GridRecord
from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.interactive.prompts import Step
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.reading import existing
from napari_brain_tumor.io.regular_file import is_plain_name
from napari_brain_tumor.io.sidecar import FORMAT, PROGRAM, sidecar_path
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.preparation.folder import RECORD_FILE
from napari_brain_tumor.preparation.records import PreparationRecord
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Role, Source

SCORES_FILE: Final = "scores.json"


class _Record(BaseModel, extra="ignore", frozen=True):
    """What later versions add is not needed to read what is here."""


class InputRecord(_Record):
    """A sequence that was read: its file or folder, and its hash where it had one."""

    path: Path
    sha256: str | None = None
    files: dict[str, str] = Field(default_factory=dict)
    """Of a folder: the hash of every file by name, once for all sequences that share them."""
    channel: int | None = None
    series: str | None = None

    @property
    def source(self) -> Source:
        """Where it was read from."""
        return Source(self.path, self.channel, self.series)


class ModelRecord(_Record):
    """The model that was run; a method without weights has no hash."""

    name: str
    weights_sha256: str | None = None
    folder: Path | None = None
    """Where it was, if it does not come with the package."""


class RefinementRecord(_Record):
    """What a correction by prompts began with."""

    from_labels_sha256: str | None = None
    probabilities: bool = False
    """Whether those of the model were used."""
    rule: int = 1
    """By which prompts changed labels, `interactive.prompts.RULE`."""


class BrainRecord(_Record):
    """How the brain was told from the rest of the head."""

    source: Literal["network", "mask", "study"]
    mask_sha256: str
    weights_sha256: str | None = None
    """Of the network that found it."""
    path: Path | None = None
    """The file of the user's own mask."""
    sha256: str | None = None
    """Of that file."""


class StartRecord(_Record):
    """The file of a segmentation that was corrected."""

    path: Path
    label_schema: str | None = Field(default=None, alias="schema")


class _MadeRecord(_Record):
    """What is told alike of every segmentation."""

    case: str
    inputs: dict[Role, InputRecord]
    grid: GridRecord
    resampled: tuple[Role, ...] = ()
    """Sequences that were brought onto the grid."""
    versions: dict[str, str] = Field(default_factory=dict)
    labels_sha256: str | None = None
    """Of the classes as they were computed, prompts included."""
    edited_by_hand: bool = False
    refined: tuple[Step, ...] = ()
    """Prompts that corrected it."""
    refinement: RefinementRecord | None = None
    """Where it is not told, as the window does not, both ways are tried."""


class RestoredRecord(_Record):
    """Onto the grid of which series labels of a prepared study were brought."""

    onto: Role


class SegmentRecord(_MadeRecord):
    """The provenance of a segmentation that a model or method made, and that prompts may have corrected."""

    task: Literal["segment"] = "segment"
    model: ModelRecord
    device: str = "auto"
    settings: dict[str, Any] = Field(default_factory=dict)
    threads: int | None = None
    brain: BrainRecord | None = None
    preparation: PreparationRecord | None = None
    """How the study was made of raw series."""
    restored: RestoredRecord | None = None


class CorrectionRecord(_MadeRecord):
    """The provenance of a segmentation that prompts made, from nothing or from a file."""

    task: Literal["refine"]
    start: StartRecord | None = None


def _beside(name: str) -> str:
    if not is_plain_name(name):
        raise ValueError("it is not the plain name of a file beside the document")
    return name


NameBeside = Annotated[str, AfterValidator(_beside)]


class SidecarRecord(_Record):
    """The document beside a saved segmentation."""

    path: Path
    """The document itself."""
    file: NameBeside
    label_schema: str = Field(alias="schema")
    labels_sha256: str | None = None
    """Of the integers as they were saved."""
    provenance: Annotated[SegmentRecord | CorrectionRecord, Field(discriminator="task")]

    @property
    def result(self) -> Path:
        """The saved segmentation."""
        return self.path.with_name(self.file)


class TruthRecord(_Record):
    """The segmentation that a case was scored against."""

    path: Path
    sha256: str | None = None


class EvaluatedResult(_Record):
    """What is known of one prediction of an evaluation."""

    path: Path | None = None
    sha256: str | None = None


class EvaluatedCase(_Record):
    """One case of an evaluation."""

    case: str
    dataset: str = ""
    patient: str = ""
    path: Path
    truth: TruthRecord
    inputs: dict[Role, InputRecord] = Field(default_factory=dict)
    methods: dict[str, EvaluatedResult] = Field(default_factory=dict)


class EvaluatedMethod(_Record):
    """A model, or a folder of segmentations, under the name that it had in the evaluation."""

    name: str
    model: str | None = None
    folder: Path | None = None
    weights_sha256: str = ""


def _roles(value: Any) -> Any:
    """JSON knows lists where Python had tuples."""
    return tuple(value) if isinstance(value, list) else value


class EvaluationSettings(_Record, extra="allow", frozen=True):
    """What was done alike with every case; the options of `segment` stand beside the others."""

    label_schema: str | None = Field(default=None, alias="schema")
    predictions_schema: str | None = None
    roles: Annotated[dict[str, int | str] | tuple[str | None, ...] | None, BeforeValidator(_roles)] = None
    spacing_mm: tuple[float, float, float] | None = None
    device: str = "auto"
    brain: str = "keep"
    """Of whole heads; records from before brain extraction do not say it."""

    @property
    def request(self) -> SegmentRequest:
        return SegmentRequest.recorded_in(self.model_extra or {}).with_options(device=self.device, brain=self.brain)


class PreparedRecord(PreparationRecord):
    """The document in the folder of a prepared study."""

    path: Path
    inputs: dict[Role, InputRecord]
    versions: dict[str, str] = Field(default_factory=dict)


class EvaluationRecord(_Record):
    """The document of an evaluation; its scores lie beside it."""

    path: Path
    scores: NameBeside
    methods: tuple[EvaluatedMethod, ...]
    settings: EvaluationSettings
    cases: tuple[EvaluatedCase, ...]
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def table(self) -> Path:
        return self.path.with_name(self.scores)


def read_record(path: str | PathLike[str]) -> SidecarRecord | EvaluationRecord | PreparedRecord:
    """What was written about a result.

    Parameters
    ----------
    path : path-like
        The JSON beside a saved segmentation, or the segmentation itself; the `scores.json` of an evaluation, or its
        folder; the folder of a prepared study.

    Raises
    ------
    UnreadableFileError
        If there is no such file.
    RecordError
        If it is not ours, of a later version, or does not tell how the result was computed.
    """
    place = _document_of(existing(path))
    content = _content(place)
    version = content.get("format", 1)
    if not isinstance(version, int) or version > FORMAT:
        msg = f"{place} has format {version}; this version reads up to {FORMAT}. Install a newer napari-brain-tumor."
        raise RecordError(msg)
    kind = _kind(content, place)
    try:
        if kind == "evaluate":
            return EvaluationRecord.model_validate({**content, "path": place})
        if kind == "prepare":
            return PreparedRecord.model_validate({**content, "path": place})
        return SidecarRecord.model_validate({**content, "path": place})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise RecordError(
            f"{place} does not hold enough to compute the result again: {problems}. Records of segmentations made by "
            "`brain-tumor segment`, in Python or in the window do; compute it again."
        ) from error


def _document_of(place: Path) -> Path:
    for name in (SCORES_FILE, RECORD_FILE):
        if place.is_dir() and (place / name).is_file():
            return place / name
    if place.suffix.lower() == ".json" and place.is_file():
        return place
    beside = sidecar_path(place)
    if beside is None:
        raise RecordError(
            f"{place} has no record of how it was made: {short_name(place)}.json is not beside it or is not of this "
            "program. Name the JSON file itself if it lies elsewhere."
        )
    return beside


def _content(place: Path) -> dict[str, Any]:
    try:
        content = read_json(place)
    except (OSError, ValueError) as error:
        msg = f"{place} cannot be read as JSON: {error}. Name the file that was written beside the result."
        raise RecordError(msg) from error
    if not isinstance(content, dict) or content.get("program") != PROGRAM:
        msg = f"{place} was not written by {PROGRAM}. Name the JSON beside a saved segmentation, or a scores.json."
        raise RecordError(msg)
    return content


def _kind(content: dict[str, Any], place: Path) -> Literal["segment", "evaluate", "prepare"]:
    if content.get("task") == "prepare":
        return "prepare"
    if "scores" in content and "cases" in content:
        return "evaluate"
    provenance = content.get("provenance")
    task = provenance.get("task") if isinstance(provenance, dict) else None
    if task not in ("segment", "refine"):
        how = provenance.get("method") if isinstance(provenance, dict) else None
        raise RecordError(
            f"{place} describes a segmentation that was not made by a model ({how or task or 'it does not say how'}), "
            "so there is nothing to compute again."
        )
    return "segment"
