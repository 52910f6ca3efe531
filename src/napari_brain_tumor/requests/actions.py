"""Each action of the window as the Python lines and the shell command that do the same. Does not load torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.formats import format_to_write
from napari_brain_tumor.requests.compare import CompareRequest
from napari_brain_tumor.requests.lines import CommandLines, Name, Word, call, command_lines, open_line
from napari_brain_tumor.requests.measure import MeasureRequest
from napari_brain_tumor.requests.opening import OpenRequest, ViewRequest
from napari_brain_tumor.requests.prepare import PrepareRequest
from napari_brain_tumor.requests.reopening import is_tif
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.requests.shell import word_of


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A saved segmentation: its file or folder, and its schema where the file leaves a doubt."""

    path: Path
    schema: str | None = None

    def python(self) -> str:
        """The call that opens it."""
        return call("open_segmentation", [self.path, *([self.schema] if self.schema else [])])


@dataclass(frozen=True, slots=True)
class ModelRun:
    """Labels as the result of a model or method: which, and how it was run.

    Parameters
    ----------
    has_probabilities : bool
        Whether it gives probabilities, which methods without weights do not.
    """

    request: SegmentRequest
    has_probabilities: bool = True

    def python(self) -> tuple[str, str]:
        """The function that is called, and the line that calls it."""
        if self.has_probabilities:
            return "segment_with_probabilities", _segment_line(
                self.request, "segmentation, probabilities", "segment_with_probabilities"
            )
        return "segment", _segment_line(self.request)


def _segment_line(request: SegmentRequest, result: str = "segmentation", function: str = "segment") -> str:
    options = request.changed()
    model = [options.pop("model")] if "model" in options else []
    return f"{result} = {call(function, [Name('study'), *model], options)}"


def segment_lines(
    scans: OpenRequest, request: SegmentRequest, output: PurePath | str, schema: str = "MSD", file_format: str = ""
) -> CommandLines:
    """Segment a case, print its volumes and save it.

    Parameters
    ----------
    output : path-like
        Where the result is saved.
    schema : str
        Which integers are written.
    file_format : str
        Name of the file format; written only if the suffix means another one, or none.
    """
    target = PurePath(output)
    format_name = _named_format(target, file_format)
    saving = ({"schema": schema} if schema != "MSD" else {}) | ({"format": format_name} if format_name else {})
    python = (
        "from napari_brain_tumor import measure_volumes, open_study, save_segmentation, segment",
        "",
        open_line(scans),
        _segment_line(request),
        "for row in measure_volumes(segmentation).rows:",
        "    print(row.name, row.size)",
        call("save_segmentation", [Name("segmentation"), target], saving),
    )
    if not target.suffix and not format_name and not is_tif(scans.path):
        note = "The shell saves masks slice by slice for TIFF slices alone. Use the Python lines."
        return CommandLines("\n".join(python), (), (note,))
    place = target if target.suffix else f"{word_of(target)}/"
    options = [word for name, value in saving.items() for word in (f"--{name}", value)]
    return command_lines(python, ["segment", scans, request, "--output", place, *options])


def segment_many_lines(
    folder: PurePath, output: PurePath, request: SegmentRequest, schema: str = "MSD", *, skip_existing: bool = True
) -> CommandLines:
    """Segment every case of a folder.

    Parameters
    ----------
    folder, output : path-like
        Where the cases are, and where results and table go.
    schema : str
        Which integers are written.
    skip_existing : bool
        Whether cases that have a result are passed over.
    """
    options = request.changed() | ({"schema": schema} if schema != "MSD" else {})
    options |= {"skip_existing": True} if skip_existing else {}
    python = (
        "from pathlib import Path",
        "",
        "from napari_brain_tumor import segment_many",
        "from napari_brain_tumor.io.case_folders import case_folders",
        "",
        f"cases = [case.path for case in case_folders({call('Path', [folder])})]",
        f"rows = {call('segment_many', [Name('cases'), output], options)}",
        "for row in rows:",
        "    print(row.case, row.status, row.error)",
    )
    words = [*(("--schema", schema) if schema != "MSD" else ()), *(("--skip-existing",) if skip_existing else ())]
    return command_lines(python, ["segment", folder, request, "--output", f"{word_of(output)}/", *words])


def _named_format(output: PurePath, name: str) -> str:
    """The format, unless the suffix alone means it."""
    try:
        by_suffix = format_to_write(Path(output)).name
    except SaveError:
        by_suffix = ""
    return "" if name in ("", by_suffix) else name


def view_lines(request: ViewRequest, *, labels: bool = False) -> CommandLines:
    """Open an examination, or labels; in the shell, in a window of its own.

    Parameters
    ----------
    labels : bool
        Whether it holds labels instead of scans.
    """
    options = {name: value for name, value in request.changed().items() if name not in ("path", "schema_name")}
    if labels:
        options = ({"schema": request.schema_name} if request.schema_name else {}) | options
        line = f"segmentation = {call('open_segmentation', [request.path], options)}"
    else:
        line = f"study = {call('open_study', [request.path], options)}"
    python = (f"from napari_brain_tumor import {'open_segmentation' if labels else 'open_study'}", "", line)
    return command_lines(python, ["view", request])


def prepare_lines(request: PrepareRequest, output: PurePath) -> CommandLines:
    """Prepare an examination.

    Parameters
    ----------
    output : path-like
        The folder for the study.
    """
    options = request.changed()
    line = f"prepared = {call('prepare', [options.pop('path')], options | {'output': output})}"
    python = ("from napari_brain_tumor import prepare", "", line)
    return command_lines(python, ["prepare", request, "--output", output])


def measure_study_lines(labels: LabelFile, scans: OpenRequest | None, settings: MeasureRequest) -> CommandLines:
    """Volumes, lesions and diameters of a saved segmentation.

    Parameters
    ----------
    scans : OpenRequest, optional
        In which the midline is found.
    settings : MeasureRequest
        How to measure.
    """
    changed = settings.changed()
    options = {"settings": Name(call("MeasureSettings", [], changed))} if changed else {}
    with_scans = [Name("study")] if scans is not None else []
    python = [
        f"from napari_brain_tumor import open_segmentation{', open_study' if scans is not None else ''}",
        "from napari_brain_tumor.measure.examination import measure_study",
        *(["from napari_brain_tumor.measure.settings import MeasureSettings"] if changed else []),
        "",
        f"segmentation = {labels.python()}",
        *([open_line(scans)] if scans is not None else []),
        f"examination = {call('measure_study', [Name('segmentation'), *with_scans], options)}",
        "for lesion in examination.lesions:",
        "    print(lesion.title, lesion.size, lesion.side, lesion.reason)",
    ]
    words: list[Word] = ["measure", labels.path, *given("--schema", labels.schema), "--lesions"]
    return command_lines(python, [*words, *given("--study", scans), settings])


def compare_lines(
    files: Mapping[str, LabelFile], request: CompareRequest, output: PurePath | None = None
) -> CommandLines:
    """Compare saved segmentations of one case.

    Parameters
    ----------
    files : mapping of str to LabelFile
        By name.
    output : path-like, optional
        Where a consensus is saved.
    """
    options = {name: value for name, value in request.changed().items() if name != "consensus"}
    saving = ["consensus", "save_segmentation"] if request.consensus is not None else []
    lines = [
        f"from napari_brain_tumor import {', '.join(sorted(['compare_segmentations', 'open_segmentation', *saving]))}",
        "",
        "segmentations = {",
        *(f"    {name!r}: {file.python()}," for name, file in files.items()),
        "}",
        f"result = {call('compare_segmentations', [Name('segmentations')], options)}",
        'for pair in result.scores_of("WT"):',
        "    print(pair.first, pair.second, pair.scores.dice)",
    ]
    if request.consensus is not None and output is not None:
        lines += _consensus_lines(request, output)
    if any("," in name for name in files):
        return CommandLines("\n".join(lines), (), ("The shell separates names by commas, and one has a comma in it.",))
    schemas = [file.schema or "-" for file in files.values()]
    words: list[Word] = ["compare", *(file.path for file in files.values()), f"--names={','.join(files)}"]
    words += given("--schema", ",".join(schemas) if set(schemas) != {"-"} else None)
    return command_lines(lines, [*words, request, *given("--output", output)])


def _consensus_lines(request: CompareRequest, output: PurePath) -> list[str]:
    raters = Name("segmentations")
    if request.reference is not None:
        raters = Name(f"{{name: one for name, one in segmentations.items() if name != {request.reference!r}}}")
    line = call("consensus", [raters, request.consensus], {"resample": True} if request.resample else {})
    return [f"joined = {line}", call("save_segmentation", [Name("joined"), output])]


def refine_lines(
    scans: OpenRequest, labels: LabelFile | ModelRun | None, prompts: PurePath | str, output: PurePath | str
) -> CommandLines:
    """Correct a segmentation with recorded prompts, and save it.

    Parameters
    ----------
    labels : LabelFile, ModelRun or None
        What is corrected: a file, what a model gives, or nothing.
    """
    start: list[str] = []
    names = ["open_study", "read_prompts", "refine", "save_segmentation"]
    if isinstance(labels, LabelFile):
        start, names = [f"segmentation = {labels.python()}"], [*names, "open_segmentation"]
    elif labels is not None:
        function, line = labels.python()
        start, names = [line], [*names, function]
    arguments = [Name("study"), Name("segmentation" if labels is not None else "None")]
    has_more = isinstance(labels, ModelRun) and labels.has_probabilities
    options = {"probabilities": Name("probabilities")} if has_more else {}
    python = (
        f"from napari_brain_tumor import {', '.join(sorted(names))}",
        "",
        open_line(scans),
        *start,
        f"prompts = {call('read_prompts', [PurePath(prompts)])}",
        f"corrected = {call('refine', [*arguments, Name('prompts')], options)}",
        call("save_segmentation", [Name("corrected"), PurePath(output)]),
    )
    origin: list[Word] = [labels.request] if isinstance(labels, ModelRun) else []
    if isinstance(labels, LabelFile):
        origin = ["--segmentation", labels.path, *given("--schema", labels.schema)]
    files: list[Word] = ["--prompts", PurePath(prompts), "-o", PurePath(output)]
    return command_lines(python, ["refine", scans, *origin, *files])


def rerun_lines(record: PurePath | str) -> CommandLines:
    """Compute a saved result again and compare."""
    python = (
        "from napari_brain_tumor import rerun",
        "",
        f"result = {call('rerun', [PurePath(record)])}",
        "print(result.describe())",
    )
    return command_lines(python, ["rerun", PurePath(record)])


def given(option: str, value: Word | None) -> list[Word]:
    return [] if value is None else [option, value]
