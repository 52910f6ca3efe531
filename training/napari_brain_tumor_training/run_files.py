"""Files that a run updates while it trains: history as CSV, curves as PNG, and TensorBoard events."""

import logging
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.atomic import write_atomically, write_text
from napari_brain_tumor.io.csv_text import csv_text
from napari_brain_tumor.labels import CLASS_COLORS, REGIONS

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

logger = logging.getLogger(__name__)

HISTORY_FILE = "history.csv"
CURVES_FILE = "curves.png"
Row = dict[str, float]

_LOSSES: Final = ("loss", "validation loss")
_NOT_DICE: Final = {"epoch", *_LOSSES, "learning rate", "seconds"}
_COLOURS: Final[dict[str, str]] = {region: CLASS_COLORS[min(classes)] for region, classes in REGIONS.items()}


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write the history with one line per epoch; raises `SaveError` and keeps the old file if it cannot be written."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    write_text(path, csv_text(columns, rows))


def write_curves(path: Path, rows: Sequence[Row]) -> None:
    """Plot loss and Dice per region, for training and validation, to a file; raises `SaveError`."""
    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    draw_curves(figure, rows)
    save_figure(figure, path)


def draw_curves(figure: Figure, rows: Sequence[Row], *, stacked: bool = False) -> None:
    """Plot loss and Dice per region, for training and validation, side by side or `stacked`."""
    first, second = figure.subplots(2, 1) if stacked else figure.subplots(1, 2)
    losses = [name for name in _LOSSES if any(name in row for row in rows)] or ["loss"]
    _plot(first, rows, losses)
    first.set(xlabel="" if stacked else "epoch", ylabel="loss")
    names = list(dict.fromkeys(key for row in rows for key in row if key not in _NOT_DICE))
    _plot(second, rows, names)
    second.set(xlabel="epoch", ylabel="Dice", ylim=(0, 1))
    for axes in (first, second):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(min([row["epoch"] for row in rows], default=1) - 0.5, max([len(rows), 1]) + 0.5)
    if len(losses) > 1:
        first.legend(fontsize=7, loc="upper right")
    if names:
        second.legend(fontsize=7, loc="lower right")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically; raises `SaveError`."""
    write_atomically(
        path, lambda part: figure.savefig(part, format="png", facecolor=figure.get_facecolor()), _check_not_empty
    )


class BoardEvents:
    """TensorBoard events of a run, written if the package tensorboard is installed.

    They duplicate the history for another viewer, so the run continues without them if they cannot be written.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    first_epoch : int
        Events of this and later epochs, left over from an interrupted run, are replaced.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        self._writer = _writer(folder, first_epoch)

    def add(self, row: Row) -> None:
        if self._writer is None:
            return
        try:
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(_tag(name), value, int(row["epoch"]))
            self._writer.flush()
        except OSError as error:
            logger.warning("TensorBoard events are no longer written: %s.", error)
            self._writer = None

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _writer(folder: Path, first_epoch: int) -> "SummaryWriter | None":
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        logger.info("The package tensorboard is not installed: no events are written, history and curves are.")
        return None
    writer: Any = SummaryWriter  # its constructor has no annotations
    created: SummaryWriter = writer(str(folder / "tensorboard"), purge_step=first_epoch)
    return created


def _tag(name: str) -> str:
    """Return the name of a column, prefixed by the group in which TensorBoard shows it."""
    if name in _NOT_DICE:
        return name.replace(" ", "_")
    group, _, region = name.rpartition(" ")
    return f"Dice_{region}/{group}".replace(" ", "_")


def _plot(axes: Axes, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Plot a colour for each region and a line style for each set; training is dotted."""
    groups = dict.fromkeys(name.rpartition(" ")[0] for name in names)
    styles = dict(zip([group for group in groups if group != "train"], cycle(("-", "--", "-.")), strict=False))
    for name in names:
        group, _, region = name.rpartition(" ")
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        axes.plot(
            *zip(*points, strict=True),
            linestyle=styles.get(group, ":"),
            color=_COLOURS.get(region, "black"),
            marker="." if len(points) < 30 else None,
            label=name,
        )


def _check_not_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        raise SaveError(f"{path} was not written as a whole.")
