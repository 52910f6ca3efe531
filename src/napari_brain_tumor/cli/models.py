"""`brain-tumor models`: list, show, count, import, export and remove."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from napari_brain_tumor.cli.arguments import Overwrite, Yes, check_free
from napari_brain_tumor.cli.console import print_table, say
from napari_brain_tumor.errors import BrainTumorError, CheckpointError, RoleError
from napari_brain_tumor.io.table import Table

if TYPE_CHECKING:
    from napari_brain_tumor.models.blocks import Dims
    from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.cli.model_cells import baseline_cells, card_entries, model_cells

models_app = typer.Typer(
    help="List, show, import, export and remove models; count their parameters.",
    invoke_without_command=True,
    add_completion=False,
)

_BASELINE_COLUMNS: Final = ("Name", "How it works", "Regions", "Seeds")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of a model in the list.")]


class _Scaling(StrEnum):
    zscore = "zscore"
    unit = "unit"
    imagenet = "imagenet"


class _Statistics(StrEnum):
    foreground = "foreground"
    box = "box"


class _Format(StrEnum):
    onnx = "onnx"
    torch_export = "torch-export"
    zip = "zip"


@models_app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_installed()


@models_app.command("list")
def list_installed() -> None:
    """List the installed models, and the methods without weights."""
    from napari_brain_tumor.catalogue import list_models
    from napari_brain_tumor.models.cards import ModelInfo, models_folder

    right = ("Parameters", "Size")
    columns = ("Name", "Architecture", "Inputs", "Regions", "Parameters", "Size", "Dice on validation cases", "Licence")
    methods = list_models()
    trained = [model_cells(method) for method in methods if isinstance(method, ModelInfo)]
    untrained = [baseline_cells(method) for method in methods if not isinstance(method, ModelInfo)]
    if trained:
        print_table("Models", Table.of_cells(columns, trained, right=frozenset(right)))
    else:
        say(f"No model is installed. Models are searched for in the package and in {models_folder()}.")
    print_table("Methods without weights (baselines)", Table.of_cells(_BASELINE_COLUMNS, untrained))


@models_app.command()
def show(name: NameArgument) -> None:
    """Show the card of a model: what it is, what it was trained on, how well it performs, and its licence."""
    from napari_brain_tumor.catalogue import find_model
    from napari_brain_tumor.models.cards import ModelInfo

    model = find_model(name)
    if isinstance(model, ModelInfo):
        entries = [(entry, text) for entry, text in card_entries(model.card).items() if text]
        title, entries = model.card.title, [*entries, ("Folder", str(model.folder))]
    else:
        cells = baseline_cells(model)
        title, entries = model.title, [(e, t or "none") for e, t in zip(_BASELINE_COLUMNS, cells, strict=True)]
    print_table(title, Table.of_cells(("Entry", "Value"), entries))


@models_app.command()
def count(
    inputs: Annotated[int, typer.Option("--in", min=1, help="Input channels.")] = 4,
    outputs: Annotated[int, typer.Option("--out", min=1, help="Output channels.")] = 3,
    dims: Annotated[
        int | None, typer.Option(min=2, max=3, help="Count all in 2D or 3D only; by default both are shown.")
    ] = None,
) -> None:
    """Count the parameters of every network that can be trained.

    The statistics are running means and variances of batch norms, which are kept but not trained.
    """
    from napari_brain_tumor.models.registry import CONFIGURATIONS, count_parameters, count_statistics

    columns = ("Name", "Network", "Dims", "Parameters", "Statistics", *(() if dims else ("In the other dims",)))
    rows = []
    for name, configuration in CONFIGURATIONS.items():
        counted_dims: Dims = configuration.dims if dims is None else (2 if dims == 2 else 3)
        other: Dims = 3 if counted_dims == 2 else 2
        cells = [
            name,
            configuration.title,
            f"{counted_dims}D",
            f"{count_parameters(name, inputs, outputs, counted_dims):,}",
            f"{count_statistics(name, inputs, outputs, counted_dims):,}",
        ]
        rows.append([*cells, *(() if dims else (f"{count_parameters(name, inputs, outputs, other):,} in {other}D",))])
    table = Table.of_cells(columns, rows, right=frozenset({"Parameters", "Statistics"}))
    print_table(f"Parameters for {inputs} input and {outputs} output channels", table)


@models_app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Zip of a model, or a state dict: .safetensors, .pth, .pt, .tar or .ckpt."),
    ],
    architecture: Annotated[
        str | None, typer.Option(help="Architecture of a state dict: u2net, u2netp, resunet_plus_plus or unet_brain.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name to install the model under; a zip has its own.")] = None,
    roles: Annotated[
        str | None, typer.Option(metavar="T1,FLAIR,...", help="Sequence in each input channel, in order; may repeat.")
    ] = None,
    regions: Annotated[
        str | None, typer.Option(metavar="WT,...", help="Region that each output channel predicts, in order.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence under which the weights may be used.")] = None,
    origin: Annotated[
        str | None, typer.Option(help="Who trained the weights and on what, or their web address.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title shown to users.")] = "",
    scaling: Annotated[
        _Scaling, typer.Option(help="Scaling: mean 0 and deviation 1; 0 to 1; or 0 to 1, then as for photographs.")
    ] = _Scaling.zscore,
    statistics: Annotated[
        _Statistics,
        typer.Option(help="Voxels the scaling is computed from: the brain or head, or the whole box around it."),
    ] = _Statistics.foreground,
    clip: Annotated[
        str, typer.Option(metavar="LOW,HIGH", help="Percentiles to which intensities are clipped first.")
    ] = "0.5,99.5",
    plane_spacing: Annotated[
        float, typer.Option(metavar="MM", min=0.2, help="Pixel spacing of the network's slices, in millimetres.")
    ] = 1.0,
    margin: Annotated[int, typer.Option(metavar="PIXELS", min=0, help="Margin around the head within slices.")] = 8,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an installed model of the same name.")] = False,
) -> None:
    """Install a model that `models export --format zip` wrote, or weights trained with a network's own code elsewhere.

    Only tensors are read; no code in the file is run. Names and shapes are checked one by one.
    A zip needs no option; weights need --architecture, --name, --roles and --regions.
    """
    if file.suffix.lower() == ".zip":
        _say_installed(_import_zip(file, name, replace=replace))
        return
    from napari_brain_tumor.models.foreign_weights import import_weights
    from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec

    preprocessing = PreprocessingSpec(
        plane_spacing_mm=plane_spacing,
        clip_percentiles=_percentiles(clip),
        scaling=scaling.value,
        statistics=statistics.value,
        margin_voxels=margin,
    )
    model_name = _needed(name, "--name")
    _check_no_baseline(model_name)
    try:
        model = import_weights(
            file,
            _needed(architecture, "--architecture"),
            name=model_name,
            roles=_words(_needed(roles, "--roles")),
            regions=_words(_needed(regions, "--regions")),
            licence=_value_or_prompt(licence, "--licence", "Licence of the weights"),
            origin=_value_or_prompt(origin, "--origin", "Origin of the weights"),
            title=title,
            preprocessing=preprocessing,
            replace=replace,
        )
    except RoleError as error:
        raise typer.BadParameter(str(error), param_hint="--roles") from error
    _say_installed(model)


@models_app.command()
def export(
    name: NameArgument,
    kind: Annotated[_Format, typer.Option("--format", help="Format of the file.")] = _Format.onnx,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; by default NAME.onnx, NAME.pt2 or NAME.zip here.")
    ] = None,
    sides: Annotated[
        str | None,
        typer.Option(metavar="[Z,]Y,X", help="Fixed size of its images; by default as many sizes as possible."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a model as one file: its network for other programs, with its card as JSON beside it, or a zip to hand on.

    A network is run beside the model before it counts: both must give the same output. A zip has card, weights and
    their SHA-256, for `models import`.
    """
    from napari_brain_tumor.models.cards import find_model

    if kind is _Format.zip:
        say(f"Wrote {_export_zip(find_model(name), output, overwrite=overwrite)}")
        return
    from napari_brain_tumor.models.exchange import SUFFIXES, export_onnx, export_torch

    exports: Final[dict[str, Callable[..., tuple[Path, Path]]]] = {"onnx": export_onnx, "torch-export": export_torch}
    model = find_model(name)
    network_format: Literal["onnx", "torch-export"] = "onnx" if kind is _Format.onnx else "torch-export"
    path = output or Path(f"{model.name}{SUFFIXES[network_format]}")
    for written in exports[network_format](model, path, sides=_sides(sides), overwrite=overwrite):
        say(f"Wrote {written}")


@models_app.command()
def remove(name: NameArgument, yes: Yes = False) -> None:
    """Delete one of your own models; those that ship stay."""
    from napari_brain_tumor.models.cards import find_model
    from napari_brain_tumor.models.checkpoint import remove_checkpoint

    model = find_model(name)
    if not yes and not model.bundled:
        if not sys.stdin.isatty():
            msg = f"{model.folder} would be deleted. Use --yes to confirm."
            raise BrainTumorError(msg)
        typer.confirm(f"Delete {model.folder}?", abort=True)
    remove_checkpoint(model)
    say(f"Removed {model.name}")


def _import_zip(file: Path, name: str | None, *, replace: bool) -> "ModelInfo":
    from napari_brain_tumor.models.packages import import_package

    if name is not None:
        _check_no_baseline(name)
    return import_package(file, name=name, replace=replace)


def _export_zip(model: "ModelInfo", output: Path | None, *, overwrite: bool) -> Path:
    from napari_brain_tumor.models.packages import export_package

    path = output or Path(f"{model.name}.zip")
    check_free(path, overwrite=overwrite)
    return export_package(model, path)


def _say_installed(model: "ModelInfo") -> None:
    say(f"Installed {model.name}: {model.card.parameters:,} parameters, in {model.folder}")
    say(f"To use it: brain-tumor segment CASE --model {model.name}")


def _needed(value: str | None, option: str) -> str:
    if value is None:
        msg = "It is required for weights without a card; a zip that `models export` wrote does not need it."
        raise typer.BadParameter(msg, param_hint=option)
    return value


def _check_no_baseline(name: str) -> None:
    """A model of that name would hide the method."""
    from napari_brain_tumor.catalogue import Baseline, list_models

    if name in {method.name for method in list_models() if isinstance(method, Baseline)}:
        msg = f"{name!r} is the name of a method without weights. Choose another name."
        raise CheckpointError(msg)


def _value_or_prompt(value: str | None, option: str, question: str) -> str:
    """What was given, or the answer to the question where somebody sits at a terminal."""
    if value is not None:
        return value
    if not sys.stdin.isatty():
        msg = "It is recorded in the model's card and is required."
        raise typer.BadParameter(msg, param_hint=option)
    return str(typer.prompt(question))


def _words(text: str) -> list[str]:
    return [part for part in text.replace(",", " ").split() if part]


def _percentiles(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = 0.0
    if not 0 <= low < high <= 100:
        msg = f"{text!r} is not two percentiles. Give low,high, for example --clip 0.5,99.5."
        raise typer.BadParameter(msg, param_hint="--clip")
    return low, high


def _sides(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if not all(part.strip().isdecimal() for part in parts):
        msg = f"{text!r} is not a size in whole numbers. Give y,x or z,y,x, for example --sides 240,240."
        raise typer.BadParameter(msg, param_hint="--sides")
    return tuple(int(part) for part in parts)
