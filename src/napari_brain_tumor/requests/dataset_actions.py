"""Lines in Python and in the shell for what is done with data sets and trainings."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Final

from napari_brain_tumor.requests.actions import LabelFile, given
from napari_brain_tumor.requests.dataset import AddCaseRequest, ImportRequest
from napari_brain_tumor.requests.lines import CommandLines, Name, PathCall, Word, call, command_lines, open_line
from napari_brain_tumor.requests.opening import OpenRequest
from napari_brain_tumor.requests.reproduce import ReproduceRequest
from napari_brain_tumor.requests.train import TrainRequest

_DATASET: Final = "from napari_brain_tumor import CuratedDataset"


def create_dataset_lines(folder: Path) -> CommandLines:
    """Make an empty curated data set."""
    python = (_DATASET, "", call("CuratedDataset.create", [folder]))
    return command_lines(python, ["data", "create", folder])


def add_case_lines(folder: Path, scans: OpenRequest, labels: LabelFile, request: AddCaseRequest) -> CommandLines:
    """Add a case to a curated data set.

    Parameters
    ----------
    folder : Path
        Of the data set.
    """
    options = request.changed()
    maker = {name: options.pop(key) for name, key in (("kind", "made_by"), ("model", "model")) if key in options}
    if maker:
        options["made_by"] = Name(call("MadeBy", [], {"kind": "model"} | maker))
    if "side" in options:
        options["split"] = options.pop("side")
    python = (
        "from napari_brain_tumor import CuratedDataset, open_segmentation, open_study",
        *(["from napari_brain_tumor.dataset import MadeBy"] if maker else []),
        "",
        open_line(scans),
        f"labels = {labels.python()}",
        f"{call('CuratedDataset', [folder])}.{call('add', [Name('study'), Name('labels')], options)}",
    )
    words: list[Word] = ["data", "add", folder, scans, "--labels", labels.path, *given("--schema", labels.schema)]
    return command_lines(python, [*words, request])


def review_lines(folder: Path, case_id: str, state: str, note: str = "") -> CommandLines:
    """Note what was decided about the label of a case."""
    python = (_DATASET, "", f"{call('CuratedDataset', [folder])}.{call('review', [case_id, state, note])}")
    return command_lines(python, ["data", "review", folder, case_id, _state_word(state), f"--note={note}"])


def relabel_lines(folder: Path, case_id: str, labels: LabelFile, state: str = "draft", note: str = "") -> CommandLines:
    """Replace the label of a case by a saved one."""
    options = {"state": state, "note": note}
    python = (
        "from napari_brain_tumor import CuratedDataset, open_segmentation",
        "",
        f"labels = {labels.python()}",
        f"{call('CuratedDataset', [folder])}.{call('relabel', [case_id, Name('labels')], options)}",
    )
    words: list[Word] = ["data", "relabel", folder, case_id, labels.path, *given("--schema", labels.schema)]
    return command_lines(python, [*words, "--state", _state_word(state), f"--note={note}"])


def score_dataset_lines(
    folder: Path, case_ids: Sequence[str], model: str | PurePath, device: str = "auto"
) -> CommandLines:
    """Let a model segment the cases of a curated data set, and keep what it thinks."""
    python = (
        "from napari_brain_tumor.case_scoring import score_dataset_job",
        "from napari_brain_tumor.progress import run_job",
        "",
        f"problems = run_job({call('score_dataset_job', [folder, list(case_ids), str(model), device])})",
        "print(problems)",
    )
    words: list[Word] = ["data", "score", folder, *case_ids, "--model", str(model)]
    return command_lines(python, [*words, *(["--device", device] if device != "auto" else [])])


def _state_word(state: str) -> str:
    return state.replace("_", "-")


def train_lines(request: TrainRequest, folder: Path) -> CommandLines:
    """Start a training in a process of its own.

    Parameters
    ----------
    folder : Path
        Of the run.
    """
    options = {
        key: PathCall(value) if isinstance(value, PurePath) else value for key, value in request.changed().items()
    }
    python = (
        "from pathlib import Path",
        "",
        "from napari_brain_tumor_training.detached import RunRequest, start_run",
        "",
        f"request = {call('RunRequest', [], options)}",
        f"run = start_run(request, {call('Path', [folder])})",
    )
    if request.source.suffix.lower() == ".toml" and request.data is None:
        request = request.with_options(data=request.source.parent)  # the shell would take the current folder
    return command_lines(python, ["train", request, "--detach", "--out", folder])


def reproduce_lines(request: ReproduceRequest, folder: Path) -> CommandLines:
    """Reproduce a published experiment.

    Parameters
    ----------
    folder : Path
        For networks, scores and the page.
    """
    options = request.changed()
    arguments = [options.pop("name"), options.pop("data"), folder]
    python = (
        "from napari_brain_tumor_training.reproduce import reproduce",
        "",
        f"result = {call('reproduce', arguments, options)}",
        "print(result.page)",
    )
    return command_lines(python, ["reproduce", request, "--out", folder])


def import_lines(dataset: Path, request: ImportRequest) -> CommandLines:
    """Add all cases of a labelled folder to a data set.

    Parameters
    ----------
    dataset : Path
        Folder of the data set.
    """
    python = (
        _DATASET,
        "from napari_brain_tumor.dataset.imports import ImportRequest, import_folder",
        "from napari_brain_tumor.progress import run_job",
        "",
        f"request = {call('ImportRequest', [], request.changed())}",
        f"report = run_job(import_folder({call('CuratedDataset', [dataset])}, request))",
        "for case in report.of('refused'):",
        "    print(case.name, case.text)",
    )
    return command_lines(python, ["data", "import", dataset, request])
