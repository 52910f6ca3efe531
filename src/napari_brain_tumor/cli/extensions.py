"""Commands that other packages add, such as `train`: found by entry point, loaded only when they are called."""

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import typer

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.requests.quoting import install_command

GROUP: Final = "napari_brain_tumor.commands"
_HELP: Final = {
    "train": 'Train a network on curated cases (needs the extra "train").',
    "runs": 'List, show, stop and resume training runs (needs the extra "train").',
    "reproduce": 'Reproduce a published experiment: training, scores and one page (needs the extra "train").',
    "validate": 'Dice of a model on the validation cases of a recipe (needs the extra "train").',
}
_OURS: Final = ("napari_brain_tumor", "napari_brain_tumor_training")


def add_extensions(app: typer.Typer) -> None:
    """Add a command for each entry point of the group `napari_brain_tumor.commands`."""
    for point in entry_points(group=GROUP):
        _add(app, point)


def run_extension(point: EntryPoint, arguments: Sequence[str]) -> None:
    """Load the entry point's typer app and run it with those arguments.

    Raises
    ------
    BrainTumorError
        If a package that it needs is not installed.
    """
    try:
        command = typer.main.get_command(point.load())
        command.main(args=list(arguments), prog_name=f"brain-tumor {point.name}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in _OURS:
            raise
        msg = (
            f"`brain-tumor {point.name}` needs the package {package}, which is not installed. "
            f"Install it with: {install_command([package])}"
        )
        raise BrainTumorError(msg) from error


def _add(app: typer.Typer, point: EntryPoint) -> None:
    # Its own parser reads the arguments, --help among them, so that listing the commands loads nothing.
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

    @app.command(point.name, help=_HELP.get(point.name, f"From {point.value}."), context_settings=settings)
    def forward(context: typer.Context) -> None:
        run_extension(point, context.args)
