"""Each action of the window as the Python lines and the shell command that do the same. Does not load torch."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path, PurePath
from typing import Any, Final, Literal

from napari_brain_tumor.errors import BrainTumorError, RecordError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interpreter import module_command
from napari_brain_tumor.io import dicom, find_sequences, metaimage, nifti, nrrd, tiff
from napari_brain_tumor.io.reading import images_in, is_image, slices_in
from napari_brain_tumor.io.study_folder import names_segmentation, role_of_file
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.study import ROLES, Role, Source

__all__ = [
    "SHELLS",
    "CommandLines",
    "LabelFile",
    "ModelRun",
    "Opening",
    "Shell",
    "add_case_lines",
    "check_dataset_lines",
    "compare_lines",
    "create_dataset_lines",
    "evaluate_lines",
    "install_command",
    "measure_lines",
    "measure_study_lines",
    "opening_of",
    "quoted",
    "refine_lines",
    "relabel_lines",
    "rerun_lines",
    "review_lines",
    "score_dataset_lines",
    "segment_lines",
    "train_lines",
    "usual_shell",
    "view_lines",
]

Shell = Literal["posix", "powershell", "cmd"]
SHELLS: Final[dict[Shell, str]] = {
    "posix": "Linux, macOS",
    "powershell": "Windows PowerShell",
    "cmd": "Windows cmd",
}
"""Whose rules of quoting a command follows."""

_WIDTH: Final = 100
_PROGRAM: Final = "brain-tumor"


@dataclass(frozen=True, slots=True)
class CommandLines:
    """An action as a user would write it.

    Parameters
    ----------
    python : str
        Lines that run as they are.
    arguments : tuple of str
        Of the command `brain-tumor`; empty where the shell cannot do it, and `notes` says why.
    notes : tuple of str
        What to know before they are used.
    """

    python: str
    arguments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def shell(self, kind: Shell) -> str:
        """The command, quoted for that shell; empty where there is none."""
        return quoted((_PROGRAM, *self.arguments), kind) if self.arguments else ""


# Quoting ------------------------------------------------------------------------------------------------------------


def usual_shell() -> Shell:
    """That of this operating system."""
    return "powershell" if os.name == "nt" else "posix"


def quoted(words: Sequence[str], kind: Shell) -> str:
    """Words as one line that the shell splits into the same words.

    For `"cmd"` as it is typed: in a batch file every `%` has to be doubled.
    """
    quote = {"posix": shlex.quote, "powershell": _for_powershell, "cmd": _for_cmd}[kind]
    return " ".join(map(quote, words))


_PLAIN_WINDOWS: Final = re.compile(r"[A-Za-z0-9_./\\:=+-]+")
"""Words that neither cmd nor PowerShell takes apart; a comma would make a list in PowerShell."""


def _for_powershell(word: str) -> str:
    if _PLAIN_WINDOWS.fullmatch(word) and not word.startswith("-"):
        return word
    if re.fullmatch(r"--?[A-Za-z][A-Za-z0-9-]*", word):
        return word
    # PowerShell knows four more characters that end a quotation.
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", word) + "'"


def _for_cmd(word: str) -> str:
    if _PLAIN_WINDOWS.fullmatch(word):
        return word
    # The rules by which programs take their line apart: quotes and the backslashes before them are escaped.
    inner = re.sub(r'(\\*)"', r'\1\1\\"', word)
    inner = re.sub(r"(\\+)$", r"\1\1", inner)
    if not re.search(r'["%!]', word):
        return f'"{inner}"'
    # cmd itself looks for %names% even inside quotes, so every special character is taken literally instead.
    return re.sub(r'([()%!^"<>&|\s])', r"^\1", f'"{inner}"')


def install_command(packages: Sequence[str]) -> str:
    """The line that installs packages for the Python that runs now, in the shell of this system.

    They are named one by one, at the versions that an extra of this package asks for: so the line works however this
    package itself was installed.
    """
    try:
        told = [one.partition(";")[0].strip() for one in requires("napari-brain-tumor") or ()]
    except PackageNotFoundError:
        told = []
    wanted = [next((one for one in told if re.match(rf"{re.escape(name)}\b", one)), name) for name in packages]
    return quoted(module_command("pip", "install", *wanted), usual_shell())


# Scans --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opening:
    """What `open_study` has to be given to open the very same sequences.

    Parameters
    ----------
    path : Path
        Case folder or file.
    roles : tuple of (role, file or volume number)
        Empty where names tell the roles.
    spacing_mm : (x, y, z) or None
    resample : Role or None
        Onto whose grid the others are brought.
    series : tuple of (role, number or description)
        Of DICOM, where series are picked.
    """

    path: Path
    roles: tuple[tuple[Role, str | int], ...] = ()
    spacing_mm: tuple[float, float, float] | None = None
    resample: Role | None = None
    series: tuple[tuple[Role, str], ...] = ()

    @property
    def is_tif(self) -> bool:
        """Whether it is a TIFF, or a folder of them."""
        files = [self.path] if self.path.is_file() else images_in(self.path)
        return any(map(tiff.is_tif, files))

    def python(self, name: str = "study") -> str:
        """The line that opens it."""
        options: dict[str, Any] = {}
        if self.roles:
            options["roles"] = dict(self.roles)
        if self.series:
            options["series"] = dict(self.series)
        if self.spacing_mm is not None:
            options["spacing_mm"] = self.spacing_mm
        if self.resample is not None:
            options["resample"] = self.resample
        return f"{name} = {_call('open_study', [self.path], options)}"

    def arguments(self) -> tuple[str, ...]:
        """Of a command that takes a case; raises `RecordError` where the shell has no words for its files."""
        words = [_path_word(self.path)]
        if self.roles:
            if any("," in str(value) for _, value in self.roles):
                msg = "The shell separates roles by commas, and a file's name has one."
                raise RecordError(msg)
            words.append("--roles=" + ",".join(f"{role.lower()}={value}" for role, value in self.roles))
        words += [f"--series={role}={value}" for role, value in self.series]
        if self.spacing_mm is not None:
            words.append("--spacing=" + _numbers(self.spacing_mm))
        if self.resample is not None:
            words.append(f"--resample={self.resample}")
        return tuple(words)


def opening_of(
    sources: Mapping[Role, Source], roles: Iterable[Role], grid: Grid, resampled: Iterable[Role] = ()
) -> Opening:
    """How `open_study` is told to open those sequences again, with as few words as are certain.

    Parameters
    ----------
    sources : mapping of role to Source
        Where they were read from.
    roles : iterable of Role
        All sequences that are meant.
    grid : Grid
        Their own.
    resampled : iterable of Role
        Those that were brought onto the grid of the others.

    Raises
    ------
    RecordError
        If a sequence is not from a file, or no one call opens them together.
    """
    wanted = tuple(roles)
    in_memory = [role for role in wanted if role not in sources]
    sources = {role: sources[role] for role in ROLES if role in sources and role in wanted}
    gone = [str(source.path) for source in sources.values() if not source.path.exists()]
    if in_memory or gone:
        what = f"{', '.join(in_memory)} is not from a file" if in_memory else f"{gone[0]} is not there any more"
        msg = f"{what}: save the layer first (File > Save Selected Layers), open the saved file and choose it here."
        raise RecordError(msg)
    picked = _picked_series(sources)
    place, told = (next(iter(sources.values())).path, ()) if picked else _place_and_roles(sources)
    spacing = grid.spacing if grid.unit == "mm" and not _tells_spacing(next(iter(sources.values())).path) else None
    moved = set(resampled)
    return Opening(place, told, spacing, _reference(sources, moved) if moved else None, picked)


def _reference(sources: Mapping[Role, Source], moved: set[Role]) -> Role:
    """A sequence that lies on the common grid by itself."""
    still = next((role for role in sources if role not in moved), None)
    if still is None:
        msg = (
            "The sequence onto whose grid the others were resampled is not chosen, so a script cannot open them so. "
            "Choose it too, or save the layers and open the saved files."
        )
        raise RecordError(msg)
    return still


def _place_and_roles(sources: Mapping[Role, Source]) -> tuple[Path, tuple[tuple[Role, str | int], ...]]:
    paths = {(source.path, source.series) for source in sources.values()}
    numbered = {role: source.channel for role, source in sources.items() if source.channel is not None}
    if len(paths) == 1 and len(numbered) == len(sources):
        return next(iter(sources.values())).path, tuple(numbered.items())
    if numbered:
        names = ", ".join(dict.fromkeys(source.path.name for source in sources.values()))
        msg = (
            f"The sequences come from {names}, some of them as volumes of one file; no one call opens them together. "
            "Save them as files of their own first."
        )
        raise RecordError(msg)
    files = {role: _one_file(source) for role, source in sources.items()}
    return _short_place(files) or _explicit_place(files)


def _picked_series(sources: Mapping[Role, Source]) -> tuple[tuple[Role, str], ...]:
    """The numbers of the DICOM series of one folder, where a file of them would not do: it holds several stacks."""
    folders = {source.path for source in sources.values()}
    if len(folders) != 1 or not all(source.series is not None and "#" in source.series for source in sources.values()):
        return ()
    numbers = {role: [one.number for one in dicom.series_of_source(s.path, s.series)] for role, s in sources.items()}
    if any(len(found) != 1 for found in numbers.values()):
        return ()
    return tuple((role, found[0]) for role, found in numbers.items())


def _one_file(source: Source) -> Path:
    """A file that stands for the sequence: itself, or any one of its DICOM series."""
    if source.path.is_file():
        return source.path
    series = dicom.series_of_source(source.path, source.series)
    if len(series) != 1:
        msg = f"{source.path} holds {len(series)} series that fit; one was opened. Put it back as it was."
        raise RecordError(msg)
    file = series[0].files[0]
    if len(dicom.contents_of(file).series) != 1:
        msg = f"{file.name} holds several stacks, so no file stands for this one: pick it with series=."
        raise RecordError(msg)
    return file


def _short_place(files: Mapping[Role, Path]) -> tuple[Path, tuple[tuple[Role, str | int], ...]] | None:
    """A folder or file whose names alone tell exactly these sequences; None where there is none."""
    first = next(iter(files.values()))
    if len(files) == 1 and is_image(first) and not names_segmentation(first):
        role = next(iter(files))
        return (first, ()) if role_of_file(first, images_in(first.parent)) == role else None
    if {path.parent for path in files.values()} != {first.parent} or any(p.images for p in slices_in(first.parent)):
        return None
    try:
        found = find_sequences(images_in(first.parent))
    except BrainTumorError:
        return None
    return (first.parent, ()) if found.sequences == dict(files) else None


def _explicit_place(files: Mapping[Role, Path]) -> tuple[Path, tuple[tuple[Role, str | int], ...]]:
    try:
        folder = Path(os.path.commonpath([path.parent for path in files.values()]))
    except ValueError:  # on several drives
        folder = next(iter(files.values())).parent
    return folder, tuple((role, _named_in(path, folder)) for role, path in files.items())


def _named_in(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return f"./{name}" if name.isdecimal() else name  # a number would be that of a volume


def _tells_spacing(path: Path) -> bool:
    """Whether the files state their voxel size themselves."""
    if path.is_dir():
        return not slices_in(path)
    if nifti.is_nifti(path):
        return nifti.read_nifti_header(path).grid.unit == "mm"
    if nrrd.is_nrrd(path):
        return nrrd.read_nrrd_header(path).grid.unit == "mm"
    if metaimage.is_metaimage(path):
        return metaimage.read_metaimage_header(path).grid.unit == "mm"
    return not tiff.is_tif(path)


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A saved segmentation: its file or folder, and its schema where the file leaves a doubt."""

    path: Path
    schema: str | None = None

    def python(self) -> str:
        """The call that opens it."""
        return _call("open_segmentation", [self.path, *([self.schema] if self.schema else [])])


# Actions ------------------------------------------------------------------------------------------------------------

_USUAL: Final[dict[str, Any]] = {
    "model": None,
    "device": "auto",
    "flips": False,
    "min_lesion_mm3": None,
    "precision": "auto",
    "seeds": (),
    "thresholds": {},
    "box": None,
    "brain": "auto",
}
"""What `segment` takes where nothing is said."""
_SEGMENT_OPTIONS: Final = (
    "model",
    "device",
    "flips",
    "min_lesion_mm3",
    "precision",
    "seeds",
    "thresholds",
    "box",
    "brain",
)
"""Settings for which the shell has an option."""


def segment_lines(
    scans: Opening, settings: Mapping[str, Any], output: PurePath | str, schema: str = "MSD"
) -> CommandLines:
    """Segment a case, print its volumes and save it.

    Parameters
    ----------
    scans : Opening
    settings : mapping
        Arguments of `segment` beside the study.
    output : path-like
        Where the result is saved.
    schema : str
        Which integers are written.
    """
    chosen = _unusual(settings)
    model = [chosen.pop("model")] if "model" in chosen else []
    saving = {"schema": schema} if schema != "MSD" else {}
    python = "\n".join(
        (
            "from napari_brain_tumor import measure_volumes, open_study, save_segmentation, segment",
            "",
            scans.python(),
            f"segmentation = {_call('segment', [_Name('study'), *model], chosen)}",
            "for row in measure_volumes(segmentation).rows:",
            "    print(row.name, row.size)",
            _call("save_segmentation", [_Name("segmentation"), PurePath(output)], saving),
        )
    )
    options = {"model": model[0]} | chosen if model else chosen
    try:
        words = _segment_words(scans, options, PurePath(output))
    except RecordError as error:
        return CommandLines(python, (), (f"{error} Use the Python lines.",))
    return CommandLines(python, (*words, *(["--schema", schema] if schema != "MSD" else [])))


def _segment_words(scans: Opening, options: Mapping[str, Any], output: PurePath) -> tuple[str, ...]:
    unknown = [key for key in options if key not in _SEGMENT_OPTIONS]
    if unknown:
        msg = f"The shell has no option for {', '.join(unknown)}."
        raise RecordError(msg)
    if not output.suffix and not scans.is_tif:
        msg = "The shell saves masks slice by slice for TIFF slices alone."
        raise RecordError(msg)
    words = ["segment", *scans.arguments()]
    for key, value in options.items():
        words += _option(key, value)
    target = _path_word(output)
    return (*words, "--output", target if output.suffix else f"{target}/")


def _option(key: str, value: Any) -> list[str]:
    if key == "seeds":
        return [f"--seed={_numbers(seed)}" for seed in value]
    if key == "thresholds":
        return [f"--threshold={region}={_word(float(threshold))}" for region, threshold in value.items()]
    if key == "box":
        return [f"--box={_numbers(value)}"]
    name = f"--{key.replace('_', '-')}"
    if isinstance(value, bool):
        return [name] if value else []
    return [name, _path_word(value) if isinstance(value, PurePath) else _word(value)]


def view_lines(scans: Opening, schema: str | None = None, *, labels: bool = False) -> CommandLines:
    """Open an examination, or labels; in the shell, in a window of its own.

    Parameters
    ----------
    scans : Opening
    schema : str, optional
        What the integers of labels mean, where a file leaves a doubt.
    labels : bool
        Whether it holds labels instead of scans.
    """
    asked = ["--schema", schema] if schema else []
    if labels:
        spacing = {} if scans.spacing_mm is None else {"spacing_mm": scans.spacing_mm}
        call = _call("open_segmentation", [scans.path], ({"schema": schema} if schema else {}) | spacing)
        python = f"from napari_brain_tumor import open_segmentation\n\nsegmentation = {call}"
    else:
        python = f"from napari_brain_tumor import open_study\n\n{scans.python()}"
    try:
        return CommandLines(python, ("view", *scans.arguments(), *asked))
    except RecordError as error:
        return CommandLines(python, (), (f"{error} Use the Python lines.",))


def measure_lines(labels: LabelFile) -> CommandLines:
    """Volumes of a saved segmentation."""
    python = "\n".join(
        (
            "from napari_brain_tumor import measure_volumes, open_segmentation",
            "",
            f"for row in measure_volumes({labels.python()}).rows:",
            "    print(row.name, row.size)",
        )
    )
    return CommandLines(python, ("measure", _path_word(labels.path), *_given("--schema", labels.schema)))


def measure_study_lines(labels: LabelFile, scans: Opening | None, settings: MeasureSettings) -> CommandLines:
    """Volumes, lesions and diameters of a saved segmentation.

    Parameters
    ----------
    labels : LabelFile
    scans : Opening, optional
        In which the midline is found.
    settings : MeasureSettings
        How to measure; what is as usual is not told.
    """
    usual = MeasureSettings()
    changed = {one.name: getattr(settings, one.name) for one in fields(settings)}
    changed = {name: value for name, value in changed.items() if value != getattr(usual, name)}
    python = [
        f"from napari_brain_tumor import open_segmentation{', open_study' if scans is not None else ''}",
        "from napari_brain_tumor.measure.examination import measure_study",
        *(["from napari_brain_tumor.measure.settings import MeasureSettings"] if changed else []),
        "",
        f"segmentation = {labels.python()}",
        *([scans.python()] if scans is not None else []),
    ]
    told = {"settings": _Name(_call("MeasureSettings", [], changed))} if changed else {}
    with_scans = [_Name("study")] if scans is not None else []
    python += [
        f"examination = {_call('measure_study', [_Name('segmentation'), *with_scans], told)}",
        "for lesion in examination.lesions:",
        "    print(lesion.title, lesion.size, lesion.side, lesion.reason)",
    ]
    words = ["measure", _path_word(labels.path), *_given("--schema", labels.schema), "--lesions"]
    try:
        words += ["--study", *scans.arguments()] if scans is not None else []
    except RecordError as error:
        return CommandLines("\n".join(python), (), (f"{error} Use the Python lines.",))
    return CommandLines("\n".join(python), (*words, *_measure_words(changed)))


def _measure_words(changed: Mapping[str, Any]) -> Iterator[str]:
    if "least_mm3" in changed:
        yield f"--least-mm3={changed['least_mm3']:g}"
    if "plane" in changed:
        yield f"--plane={changed['plane']}"
    if "fill_cavities" in changed:
        yield "--fill-cavities"


def compare_lines(
    files: Mapping[str, LabelFile],
    reference: str | None = None,
    *,
    resample: bool = False,
    joined: tuple[str, PurePath] | None = None,
) -> CommandLines:
    """Compare saved segmentations of one case.

    Parameters
    ----------
    files : mapping of str to LabelFile
        By name.
    reference : str, optional
        The name of the one that counts as the truth.
    resample : bool
        Whether those on other grids are resampled.
    joined : (method, path), optional
        How a consensus of all but the reference is found, and where it is saved.
    """
    wanted = {"reference": reference} if reference is not None else {}
    options = wanted | ({"resample": True} if resample else {})
    names = ["compare_segmentations", *(["consensus"] if joined else []), "open_segmentation"]
    lines = [
        f"from napari_brain_tumor import {', '.join([*names, *(['save_segmentation'] if joined else [])])}",
        "",
        "segmentations = {",
        *(f"    {name!r}: {file.python()}," for name, file in files.items()),
        "}",
        f"found = {_call('compare_segmentations', [_Name('segmentations')], options)}",
        'for one in found.scores_of("WT"):',
        "    print(one.first, one.second, one.scores.dice)",
    ]
    if joined is not None:
        lines += _joining_lines(joined, reference, resample)
    python = "\n".join(lines)
    if any("," in name for name in files):
        return CommandLines(python, (), ("The shell separates names by commas, and one has a comma in it.",))
    words = ["compare", *(_path_word(file.path) for file in files.values()), f"--names={','.join(files)}"]
    words += [f"--reference={reference}"] if reference is not None else []
    schemas = [file.schema or "-" for file in files.values()]
    words += _given("--schema", ",".join(schemas) if set(schemas) != {"-"} else None)
    words += ["--resample"] if resample else []
    words += ["--consensus", joined[0], "--output", _path_word(joined[1])] if joined is not None else []
    return CommandLines(python, tuple(words))


def _joining_lines(joined: tuple[str, PurePath], reference: str | None, resample: bool) -> list[str]:
    method, path = joined
    raters = _Name("segmentations")
    if reference is not None:
        raters = _Name(f"{{name: one for name, one in segmentations.items() if name != {reference!r}}}")
    call = _call("consensus", [raters, method], {"resample": True} if resample else {})
    return [f"joined = {call}", _call("save_segmentation", [_Name("joined"), path])]


@dataclass(frozen=True, slots=True)
class ModelRun:
    """Labels as the result of a model or method: which, and how it was run.

    Parameters
    ----------
    model : str or path
    settings : mapping
        Arguments of `segment` beside study and model.
    has_probabilities : bool
        Whether it tells probabilities, which methods without weights do not.
    """

    model: str | PurePath
    settings: Mapping[str, Any] = field(default_factory=dict)
    has_probabilities: bool = True

    def python(self) -> tuple[str, str]:
        """The function that is called, and the line that calls it."""
        options = _unusual(self.settings)
        if self.has_probabilities:
            call = _call("segment_with_probabilities", [_Name("study"), self.model], options)
            return "segment_with_probabilities", f"segmentation, probabilities = {call}"
        return "segment", f"segmentation = {_call('segment', [_Name('study'), self.model], options)}"

    def words(self) -> list[str]:
        """Options of a command that begins with it."""
        return [
            word
            for key, value in ({"model": self.model} | _unusual(self.settings)).items()
            for word in _option(key, value)
        ]


def _unusual(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are not as `segment` takes them where nothing is said."""
    return {key: value for key, value in settings.items() if value != _USUAL.get(key, _Nothing)}


def refine_lines(
    scans: Opening, labels: LabelFile | ModelRun | None, prompts: PurePath | str, output: PurePath | str
) -> CommandLines:
    """Correct a segmentation with recorded prompts, and save it.

    Parameters
    ----------
    scans : Opening
    labels : LabelFile, ModelRun or None
        What is corrected: a file, what a model gives, or nothing.
    prompts, output : path-like
    """
    begun: list[str] = []
    names = ["open_study", "read_prompts", "refine", "save_segmentation"]
    if isinstance(labels, LabelFile):
        begun, names = [f"segmentation = {labels.python()}"], [*names, "open_segmentation"]
    elif labels is not None:
        function, line = labels.python()
        begun, names = [line], [*names, function]
    arguments = [_Name("study"), _Name("segmentation" if labels is not None else "None")]
    told_more = isinstance(labels, ModelRun) and labels.has_probabilities
    options = {"probabilities": _Name("probabilities")} if told_more else {}
    python = "\n".join(
        (
            f"from napari_brain_tumor import {', '.join(sorted(names))}",
            "",
            scans.python(),
            *begun,
            f"prompts = {_call('read_prompts', [PurePath(prompts)])}",
            f"corrected = {_call('refine', [*arguments, _Name('prompts')], options)}",
            _call("save_segmentation", [_Name("corrected"), PurePath(output)]),
        )
    )
    file = labels if isinstance(labels, LabelFile) else None
    told = ["--segmentation", _path_word(file.path), *_given("--schema", file.schema)] if file is not None else []
    told += labels.words() if isinstance(labels, ModelRun) else []
    files = ["--prompts", _path_word(PurePath(prompts)), "-o", _path_word(PurePath(output))]
    return CommandLines(python, ("refine", *scans.arguments(), *told, *files))


def rerun_lines(record: PurePath | str) -> CommandLines:
    """Compute a saved result again and compare."""
    python = "\n".join(
        (
            "from napari_brain_tumor import rerun",
            "",
            f"found = {_call('rerun', [PurePath(record)])}",
            "print(found.describe())",
        )
    )
    return CommandLines(python, ("rerun", _path_word(PurePath(record))))


def evaluate_lines(
    cases: Sequence[PurePath],
    models: Mapping[str, str | PurePath],
    output: PurePath,
    *,
    predictions: Mapping[str, PurePath] | None = None,
    device: str = "auto",
    flips: bool = False,
    schema: str | None = None,
    spacing_mm: tuple[float, float, float] | None = None,
) -> CommandLines:
    """Score methods on cases with a truth; parameters as for `evaluate`, and the folder of the results."""
    options = {
        "predictions": dict(predictions or {}) or None,
        "schema": schema,
        "spacing_mm": spacing_mm,
        "device": None if device == "auto" else device,
        "flips": flips or None,
    }
    told = {key: value for key, value in options.items() if value is not None}
    named = {name: str(where) for name, where in models.items()}
    python = "\n".join(
        (
            "from pathlib import Path",
            "",
            "from napari_brain_tumor import evaluate",
            "",
            f"found = {_call('evaluate', [list(cases), named], told)}",
            f"found.write({_call('Path', [output])})",
        )
    )
    words = ["evaluate", *map(_path_word, cases)]
    words += _given("--models", ",".join(f"{name}={where}" for name, where in named.items()) or None)
    for name, folder in (predictions or {}).items():
        words += ["--predictions", f"{name}={folder}"]
    words += _given("--schema", schema)
    words += [f"--spacing={_numbers(spacing_mm)}"] if spacing_mm is not None else []
    words += _given("--device", None if device == "auto" else device) + (["--flips"] if flips else [])
    if any("," in f"{name}{where}" for name, where in named.items()):
        return CommandLines(python, (), ("The shell separates models by commas, and one has a comma in its name.",))
    return CommandLines(python, (*words, "--output", _path_word(output)))


# Curated data sets --------------------------------------------------------------------------------------------------


def create_dataset_lines(folder: Path) -> CommandLines:
    """Make an empty curated data set."""
    python = _with_dataset(_call("CuratedDataset.create", [folder]))
    return CommandLines(python, ("data", "create", _path_word(folder)))


def add_case_lines(
    folder: Path, scans: Opening, labels: LabelFile, facts: Mapping[str, Any], known_slices: Sequence[int] | None = None
) -> CommandLines:
    """Add a case to a curated data set.

    Parameters
    ----------
    folder : Path
        Of the data set.
    scans : Opening
    labels : LabelFile
    facts : mapping
        Other arguments of `CuratedDataset.add`: patient, grade, note, state, not_same_as; made_by as (kind, model).
    known_slices : sequence of int, optional
        Slices whose label is known, as the file counts them.
    """
    told = {key: value for key, value in facts.items() if value and (key, value) != ("state", "draft")}
    options = told if known_slices is None else told | {"known_slices": list(known_slices)}
    kind, model = told.get("made_by", (None, None))
    shown = options if kind is None else options | {"made_by": _Name(_maker_call(kind, model))}
    python = "\n".join(
        (
            "from napari_brain_tumor import CuratedDataset, open_segmentation, open_study",
            *(["from napari_brain_tumor.dataset import MadeBy"] if kind else []),
            "",
            scans.python(),
            f"labels = {labels.python()}",
            f"{_call('CuratedDataset', [folder])}.{_call('add', [_Name('study'), _Name('labels')], shown)}",
        )
    )
    words = ["data", "add", _path_word(folder)]
    try:
        words += scans.arguments()
    except RecordError as error:
        return CommandLines(python, (), (f"{error} Use the Python lines.",))
    words += ["--labels", _path_word(labels.path), *_given("--schema", labels.schema)]
    for key, value in options.items():
        words += _fact_words(key, value)
    return CommandLines(python, tuple(words))


def _fact_words(key: str, value: Any) -> list[str]:
    name = f"--{key.replace('_', '-')}"
    if key == "made_by":
        kind, model = value
        return ["--made-by", kind, *_given("--model", model)]
    if key == "known_slices":
        return [name, ",".join(map(str, value))]
    if key == "not_same_as":
        return [word for one in value for word in (name, one)]
    return [f"{name}={_state_word(value) if key == 'state' else value}"]


def _maker_call(kind: str, model: str | None) -> str:
    return _call("MadeBy", [], {"kind": kind} | ({"model": model} if model else {}))


def review_lines(folder: Path, case_id: str, state: str, note: str = "") -> CommandLines:
    """Note what was decided about the label of a case."""
    call = _call("review", [case_id, state, note])
    python = _with_dataset(f"{_call('CuratedDataset', [folder])}.{call}")
    return CommandLines(python, ("data", "review", _path_word(folder), case_id, _state_word(state), f"--note={note}"))


def relabel_lines(folder: Path, case_id: str, labels: LabelFile, state: str = "draft", note: str = "") -> CommandLines:
    """Replace the label of a case by a saved one."""
    options = {"state": state, "note": note}
    python = "\n".join(
        (
            "from napari_brain_tumor import CuratedDataset, open_segmentation",
            "",
            f"labels = {labels.python()}",
            f"{_call('CuratedDataset', [folder])}.{_call('relabel', [case_id, _Name('labels')], options)}",
        )
    )
    words = [
        "data",
        "relabel",
        _path_word(folder),
        case_id,
        _path_word(labels.path),
        *_given("--schema", labels.schema),
    ]
    return CommandLines(python, (*words, "--state", _state_word(state), f"--note={note}"))


def score_dataset_lines(
    folder: Path, case_ids: Sequence[str], model: str | PurePath, device: str = "auto"
) -> CommandLines:
    """Let a model segment the cases of a curated data set, and keep what it thinks."""
    python = "\n".join(
        (
            "from napari_brain_tumor.opinion import opinions_job",
            "from napari_brain_tumor.progress import run_job",
            "",
            f"problems = run_job({_call('opinions_job', [folder, list(case_ids), str(model), device])})",
            "print(problems)",
        )
    )
    words = ("data", "score", _path_word(folder), *case_ids, "--model", str(model))
    return CommandLines(python, words + (("--device", device) if device != "auto" else ()))


def check_dataset_lines(folder: Path, case_ids: Sequence[str] = ()) -> CommandLines:
    """Look for what is wrong with labels and scans of a curated data set."""
    ids = [list(case_ids)] if case_ids else []
    python = "\n".join(
        (
            "from napari_brain_tumor import CuratedDataset",
            "from napari_brain_tumor.dataset.checks import check_dataset",
            "from napari_brain_tumor.progress import run_job",
            "",
            f"for finding in run_job({_call('check_dataset', [_Name(_call('CuratedDataset', [folder])), *ids])}):",
            "    print(finding.severity, finding.case, finding.found)",
        )
    )
    return CommandLines(python, ("data", "check", _path_word(folder), *case_ids))


def _with_dataset(call: str) -> str:
    return f"from napari_brain_tumor import CuratedDataset\n\n{call}"


def _state_word(state: str) -> str:
    return state.replace("_", "-")


# Training -----------------------------------------------------------------------------------------------------------


def train_lines(request: Mapping[str, Any], folder: Path) -> CommandLines:
    """Start a training in a process of its own.

    Parameters
    ----------
    request : mapping
        Arguments of `RunRequest` that are not as usual; `source` is a data set's folder or a recipe.
    folder : Path
        Of the run.
    """
    shown = {key: _Path(value) if isinstance(value, PurePath) else value for key, value in request.items()}
    python = "\n".join(
        (
            "from pathlib import Path",
            "",
            "from napari_brain_tumor_training.detached import RunRequest, start_run",
            "",
            f"request = {_call('RunRequest', [], shown)}",
            f"run = start_run(request, {_call('Path', [folder])})",
        )
    )
    told = dict(request)
    source = Path(told.pop("source"))
    if source.suffix.lower() == ".toml":
        told.setdefault("data", source.parent)  # the shell would take the current folder
    words = ["train", _path_word(source)]
    for key, value in told.items():
        words += _option(key, value)
    return CommandLines(python, (*words, "--detach", "--out", _path_word(folder)))


# Words --------------------------------------------------------------------------------------------------------------


class _Nothing:
    """Equals no setting."""


class _Name(str):
    """An expression, shown as it is."""

    __slots__ = ()


class _Path:
    """A path that has to be a `Path` in the lines."""

    def __init__(self, path: PurePath) -> None:
        self.path = path


def _call(name: str, arguments: Sequence[Any], options: Mapping[str, Any] | None = None) -> str:
    """A call on one line, or on several where it would be long."""
    shown = [*map(_shown, arguments), *(f"{key}={_shown(value)}" for key, value in (options or {}).items())]
    line = f"{name}({', '.join(shown)})"
    if len(line) <= _WIDTH:
        return line
    inner = "".join(f"    {one},\n" for one in shown)
    return f"{name}(\n{inner})"


def _shown(value: Any) -> str:
    if isinstance(value, _Name):
        return str(value)
    if isinstance(value, _Path):
        return f"Path({str(value.path)!r})"
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_shown, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def _word(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _numbers(values: Iterable[float]) -> str:
    return ",".join(repr(float(value)) for value in values)


def _path_word(path: PurePath) -> str:
    text = str(path)
    return f"./{text}" if text.startswith("-") else text


def _given(option: str, value: str | None) -> list[str]:
    return [] if value is None else [option, value]
