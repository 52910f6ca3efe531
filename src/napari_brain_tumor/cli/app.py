"""The commands and their options. Whatever is heavy is imported by the command that needs it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_brain_tumor import __version__
from napari_brain_tumor.cli.arguments import (
    BrainOption,
    DeviceOption,
    PrecisionName,
    PrecisionOption,
    ResampleOption,
    RolesOption,
    SpacingOption,
    parse_box,
    parse_roles,
    parse_seeds,
    parse_spacing,
    parse_thresholds,
)
from napari_brain_tumor.cli.brain import brain
from napari_brain_tumor.cli.check import check
from napari_brain_tumor.cli.compare import compare
from napari_brain_tumor.cli.console import say_error
from napari_brain_tumor.cli.data import data
from napari_brain_tumor.cli.evaluate import evaluate
from napari_brain_tumor.cli.extensions import add_extensions
from napari_brain_tumor.cli.measure import measure
from napari_brain_tumor.cli.models import models_app
from napari_brain_tumor.cli.refine import refine
from napari_brain_tumor.cli.report import follow_up, report
from napari_brain_tumor.cli.rerun import rerun
from napari_brain_tumor.cli.score import score
from napari_brain_tumor.cli.view import view
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.labels import Region

if TYPE_CHECKING:
    from napari_brain_tumor.cli.outputs import Task

__all__ = ["app", "main"]

app = typer.Typer(
    name="brain-tumor",
    help="Segment, measure and learn brain tumours in MRI. Research use only, not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@dataclass(frozen=True, slots=True)
class _Choices:
    """What `segment` does alike with every case."""

    model: str | None
    device: str
    roles: str | None
    spacing_mm: tuple[float, float, float] | None
    resample: str | None
    schema: str
    flips: bool
    min_lesion_mm3: float | None
    seeds: tuple[tuple[float, float, float], ...]
    thresholds: Mapping[Region, float] = field(default_factory=dict)
    box: tuple[float, ...] | None = None
    maps: frozenset[str] = frozenset()
    precision: str = "auto"
    brain: str = "auto"

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of `segment_job` beside study, model and device."""
        settings = {"flips": self.flips, "min_lesion_mm3": self.min_lesion_mm3, "seeds": self.seeds}
        settings["brain"] = self.brain
        precision = self.precision if self.precision != "auto" else None
        told = {"thresholds": dict(self.thresholds), "box": self.box, "precision": precision}
        return settings | {name: value for name, value in told.items() if value}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 well, 1 refused with a message, 2 wrong usage, 130 stopped by Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        app(args=[word for word in given if word != "--debug"], prog_name="brain-tumor")
    except (BrainTumorError, OSError) as error:
        if debug:
            raise
        say_error(error)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        raise SystemExit(130) from error


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"brain-tumor {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Show the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors; may stand anywhere.")] = False,
) -> None:
    """Take the options of every command; `main` has read `--debug` already, here it stands for the help."""


@app.command()
def segment(
    cases: Annotated[list[Path], typer.Argument(metavar="CASE", help="Folders or files of examinations.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File (.nii.gz, .nii, .nrrd, .mha, .tif) or folder. "
            "Without it: <case>_segmentation.nii.gz in the current folder.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of a model (see `models`) or folder of a checkpoint.")] = None,
    device: DeviceOption = "auto",
    roles: RolesOption = None,
    spacing: SpacingOption = None,
    resample: ResampleOption = None,
    schema: Annotated[
        str, typer.Option(help="What the integers in the result mean: MSD, BraTS, LGG-binary ...")
    ] = "MSD",
    flips: Annotated[
        bool, typer.Option("--flips", help="Average over mirrored inputs: slower, a little better.")
    ] = False,
    min_lesion_mm3: Annotated[
        float | None, typer.Option("--min-lesion-mm3", min=0, help="Remove parts of the tumour smaller than this.")
    ] = None,
    precision: PrecisionOption = PrecisionName.auto,
    seeds: Annotated[
        list[str] | None,
        typer.Option("--seed", metavar="X,Y,Z", help="Point in the tumour, world mm, for region_growing; repeatable."),
    ] = None,
    thresholds: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            metavar="REGION=P",
            help="Probability from which a voxel is WT, TC or ET, such as ET=0.4; repeatable.",
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option("--box", metavar="X0,X1,Y0,Y1,Z0,Z1", help="Segment within this box alone, world mm."),
    ] = None,
    brain: BrainOption = "auto",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the probability of each region, as .nii.gz.")
    ] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also write how unsure the model is, entropy in bits, as .nii.gz.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
) -> None:
    """Segment the tumour of one or several examinations and save it on each scan's own grid."""
    from napari_brain_tumor.catalogue import find_model
    from napari_brain_tumor.cli.maps import check_maps
    from napari_brain_tumor.cli.outputs import plan_tasks
    from napari_brain_tumor.labels import schema_named

    parse_roles(roles)
    schema_name = schema_named(schema).name
    points, steps = parse_seeds(seeds or ()), parse_spacing(spacing)
    maps = frozenset(n for n, on in (("probabilities", probabilities), ("uncertainty", uncertainty)) if on)
    limits, ends = parse_thresholds(thresholds or ()), parse_box(box)
    choices = _Choices(
        model,
        device,
        roles,
        steps,
        resample,
        schema_name,
        flips,
        min_lesion_mm3,
        points,
        limits,
        ends,
        maps,
        precision.value,
        brain,
    )
    method = find_model(model)  # a wrong name is told before anything is read
    tasks = plan_tasks(cases, output, overwrite=overwrite)
    check_maps(tasks, method, maps, overwrite=overwrite)
    refused = [task for task in tasks if not _segment_or_report(task, choices, alone=len(tasks) == 1)]
    if refused:
        names = ", ".join(str(task.case) for task in refused)
        msg = f"{len(refused)} of {len(tasks)} cases were not segmented: {names}."
        raise BrainTumorError(msg)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("demo-output"),
    model: Annotated[str | None, typer.Option(help="Name of a model (see `models`) or folder of a checkpoint.")] = None,
    device: DeviceOption = "auto",
    window: Annotated[bool, typer.Option("--window/--no-window", help="Open napari where there is a display.")] = True,
) -> None:
    """Segment the shipped sample case, print its volumes, save and show the result."""
    from napari_brain_tumor.cli.demo import run_demo

    run_demo(output, model=model, device=device, window=window)


def _segment_or_report(task: "Task", choices: _Choices, *, alone: bool) -> bool:
    """Whether the case was segmented. A case that is refused does not stop the others."""
    try:
        _segment_one(task, choices)
    except (BrainTumorError, OSError) as error:
        if alone:
            raise
        say_error(error, str(task.case))
        return False
    return True


def _segment_one(task: "Task", choices: _Choices) -> None:
    from napari_brain_tumor.brain.extraction import notes_on_brain, traits_within
    from napari_brain_tumor.catalogue import find_model
    from napari_brain_tumor.cli.console import note, print_table, say, volume_table
    from napari_brain_tumor.cli.maps import segment_shown, write_maps
    from napari_brain_tumor.cli.outputs import check_inputs_are_kept
    from napari_brain_tumor.io import open_study, save_segmentation
    from napari_brain_tumor.measure.volumes import measure_volumes
    from napari_brain_tumor.models.cards import list_models, why_default
    from napari_brain_tumor.preflight.costs import remember
    from napari_brain_tumor.preprocessing.traits import traits_of

    roles = parse_roles(choices.roles, task.case)
    study = open_study(task.case, roles, spacing_mm=choices.spacing_mm, resample=choices.resample)
    check_inputs_are_kept(study, task.target)
    traits = traits_within(traits_of(study), choices.brain)
    method = find_model(choices.model, traits)
    chosen = why_default(list_models(), traits) if choices.model is None else ""
    for text in (
        *study.notes,
        *filter(None, [chosen]),
        *method.notes_without(study.roles, traits),
        *method.notes_on(traits),
    ):
        note(text)
    if study.grid.unit == "voxel":
        note("With --spacing X,Y,Z the volumes are given in millilitres.")
    segmentation, maps = segment_shown(study, choices.model, choices.device, choices.settings, bool(choices.maps))
    remember(segmentation.provenance)
    for text in notes_on_brain(segmentation.provenance):
        note(text)
    task.target.parent.mkdir(parents=True, exist_ok=True)
    save_segmentation(segmentation, task.target, schema=choices.schema)
    print_table(f"{study.name}, by {method.name}", volume_table(measure_volumes(segmentation)))
    say(f"Wrote {task.target}")
    if maps is not None:
        for path in write_maps(maps, choices.maps, task.target, study):
            say(f"Wrote {path}")


data.command()(score)
app.command()(compare)
app.command()(evaluate)
app.command()(measure)
app.command()(refine)
app.command()(check)
app.command()(brain)
app.command()(report)
app.command("follow-up")(follow_up)
app.command()(rerun)
app.command()(view)
app.add_typer(models_app, name="models")
app.add_typer(data)
add_extensions(app)
