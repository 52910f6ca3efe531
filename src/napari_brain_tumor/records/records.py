"""The records saved next to results, limited to what is needed to recompute the results."""

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
    """Base class; fields added by later versions are ignored."""


class InputRecord(_Record):
    """An input sequence: its file or folder, and its hash if one was recorded."""

    path: Path
    sha256: str | None = None
    files: dict[str, str] = Field(default_factory=dict)
    """For a folder: the hash of every file by name, listed once for all sequences that share the files."""
    channel: int | None = None
    series: str | None = None

    @property
    def source(self) -> Source:
        """The place from which it was read."""
        return Source(self.path, self.channel, self.series)


class ModelRecord(_Record):
    """The model that was run; a method without weights has no hash."""

    name: str
    weights_sha256: str | None = None
    folder: Path | None = None
    """Folder of the model, if it is not supplied with the package."""


class RefinementRecord(_Record):
    """The starting point of a correction by prompts."""

    from_labels_sha256: str | None = None
    probabilities: bool = False
    """Whether the model's probabilities were used."""
    rule: int = 1
    """Version of the rule by which prompts changed labels, see `interactive.prompts.RULE`."""


class BrainRecord(_Record):
    """How the brain was separated from the rest of the head."""

    source: Literal["network", "mask", "study"]
    mask_sha256: str
    weights_sha256: str | None = None
    """Hash of the weights of the network that found it."""
    path: Path | None = None
    """The file of the user's own mask."""
    sha256: str | None = None
    """Hash of that file."""


class StartRecord(_Record):
    """The file of a segmentation that was corrected."""

    path: Path
    label_schema: str | None = Field(default=None, alias="schema")


class _MadeRecord(_Record):
    """Fields common to all recorded segmentations."""

    case: str
    inputs: dict[Role, InputRecord]
    grid: GridRecord
    resampled: tuple[Role, ...] = ()
    """Sequences that were resampled onto the grid."""
    versions: dict[str, str] = Field(default_factory=dict)
    labels_sha256: str | None = None
    """Hash of the classes as computed, including changes by prompts."""
    edited_by_hand: bool = False
    refined: tuple[Step, ...] = ()
    """Prompts by which the segmentation was corrected."""
    refinement: RefinementRecord | None = None
    """If it is missing, as in records written by the window, the prompts are tried with and without probabilities."""


class RestoredRecord(_Record):
    """The series whose grid the labels of a prepared study were mapped back to."""

    onto: Role


class SegmentRecord(_MadeRecord):
    """Provenance of a segmentation made by a model or method and possibly corrected by prompts."""

    task: Literal["segment"] = "segment"
    model: ModelRecord
    device: str = "auto"
    settings: dict[str, Any] = Field(default_factory=dict)
    threads: int | None = None
    brain: BrainRecord | None = None
    preparation: PreparationRecord | None = None
    """How the study was prepared from raw series."""
    restored: RestoredRecord | None = None


class CorrectionRecord(_MadeRecord):
    """Provenance of a segmentation made by prompts, starting from scratch or from a file."""

    task: Literal["refine"]
    start: StartRecord | None = None


def _beside(name: str) -> str:
    if not is_plain_name(name):
        raise ValueError("it is not the plain name of a file beside the document")
    return name


NameBeside = Annotated[str, AfterValidator(_beside)]


class SidecarRecord(_Record):
    """The document saved next to a segmentation."""

    path: Path
    """The document itself."""
    file: NameBeside
    label_schema: str = Field(alias="schema")
    labels_sha256: str | None = None
    """Hash of the label numbers as saved."""
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
    """Path and hash of one prediction in an evaluation."""

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
    """A model or a folder of segmentations, under the name used in the evaluation."""

    name: str
    model: str | None = None
    folder: Path | None = None
    weights_sha256: str = ""


def _roles(value: Any) -> Any:
    """Convert a list to a tuple: JSON has no tuples."""
    return tuple(value) if isinstance(value, list) else value


class EvaluationSettings(_Record, extra="allow", frozen=True):
    """Settings shared by all cases; the options of `segment` are stored alongside them."""

    label_schema: str | None = Field(default=None, alias="schema")
    predictions_schema: str | None = None
    roles: Annotated[dict[str, int | str] | tuple[str | None, ...] | None, BeforeValidator(_roles)] = None
    spacing_mm: tuple[float, float, float] | None = None
    device: str = "auto"
    brain: str = "keep"
    """How whole heads were treated; missing from records that predate brain extraction."""

    @property
    def request(self) -> SegmentRequest:
        return SegmentRequest.recorded_in(self.model_extra or {}).with_options(device=self.device, brain=self.brain)


class PreparedRecord(PreparationRecord):
    """The document in the folder of a prepared study."""

    path: Path
    inputs: dict[Role, InputRecord]
    versions: dict[str, str] = Field(default_factory=dict)


class EvaluationRecord(_Record):
    """The document of an evaluation; its scores are saved next to it."""

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
    """Read the record of a result.

    Parameters
    ----------
    path : path-like
        The JSON file next to a saved segmentation, or the segmentation itself; the `scores.json` of an evaluation, or
        its folder; or the folder of a prepared study.

    Raises
    ------
    UnreadableFileError
        If there is no such file.
    RecordError
        If it was not written by this program, was written by a later version, or does not describe how the result
        was computed.
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
