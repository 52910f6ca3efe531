"""Curves of volumes and products over the visits."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.followup.followup import FollowUp, Series
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.labels import CLASS_COLORS, REGIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES: Final = {
    "WT": (CLASS_COLORS[1], "o", "-"),
    "TC": (CLASS_COLORS[2], "s", "--"),
    "ET": (CLASS_COLORS[3], "^", ":"),
    "area": ("#009E73", "D", "-"),
}
"""Colour of Okabe and Ito's palette, marker and dashes; distinguishable without colour as well."""


def draw_follow_up(figure: "Figure", follow_up: FollowUp, *, ink: str = "black") -> None:
    """Draw the volumes of the regions above, and the products of the target lesions below.

    Parameters
    ----------
    figure : matplotlib Figure
        Figure to draw on; it is cleared first.
    ink : str
        Colour of axes and text, chosen for contrast with the figure's background.
    """
    figure.clear()
    regions = [series for series in follow_up.series if series.key in REGIONS]
    groups = [regions, [follow_up["area"]]] if _has_values(follow_up["area"]) else [regions]
    axes = figure.subplots(len(groups), 1, squeeze=False, sharex=True)[:, 0]
    for plot_axes, series in zip(axes, groups, strict=True):
        _draw(plot_axes, series, follow_up, ink)
    _name_visits(axes[-1], follow_up)


def save_plot(follow_up: FollowUp, path: str | os.PathLike[str]) -> Path:
    """Save the curves as PNG or SVG, according to the file extension; raises `SaveError` if that fails."""
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    target = Path(path)
    if target.suffix.lower() not in (".png", ".svg"):
        raise SaveError(f"The plot cannot be written as {target.name}. End it with .png or .svg.")
    figure = Figure(figsize=(7, 5), dpi=120, layout="constrained", facecolor="white")
    draw_follow_up(figure, follow_up)
    # Without a date, repeated runs give identical files.
    metadata = {"Date": None} if target.suffix.lower() == ".svg" else None
    write_atomically(target, lambda temporary: figure.savefig(temporary, metadata=metadata), lambda _: None)
    return target


def _has_values(series: Series) -> bool:
    return any(change.value for change in series.changes)


def _draw(axes: "Axes", group: Sequence[Series], follow_up: FollowUp, ink: str) -> None:
    places = _places(follow_up)
    for series in group:
        color, marker, dashes = _STYLES[series.key]
        values = [float("nan") if change.value is None else change.value for change in series.changes]
        axes.plot(
            places,
            values,
            color=color,
            marker=marker,
            linestyle=dashes,
            label=series.key if series.key in REGIONS else series.name,
        )
    axes.axvline(places[follow_up.baseline], color=ink, linewidth=0.6, alpha=0.5)
    largest = max((change.value or 0.0 for series in group for change in series.changes), default=0.0)
    axes.set_ylim(0, 1.1 * largest or 1.0)
    axes.set_ylabel(group[0].unit if group else "", color=ink)
    axes.set_facecolor("none")
    axes.tick_params(colors=ink, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(ink)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2}
    axes.legend(fontsize=8, frameon=False, labelcolor=ink, ncols=max(1, len(group)), columnspacing=1.2, **above)


def _places(follow_up: FollowUp) -> list[float]:
    """Return days since the baseline if every date is known, otherwise the visits' numbers."""
    days = [result.visit.day for result in follow_up.visits]
    first = days[follow_up.baseline]
    known = [day for day in days if day is not None]
    if first is None or len(known) < len(days) or len(set(known)) < len(known):
        return [float(i) for i in range(len(days))]
    return [float((day - first).days) for day in known]


def _name_visits(axes: "Axes", follow_up: FollowUp) -> None:
    places = _places(follow_up)
    names = [result.visit.name for result in follow_up.visits]
    days = [result.visit.day for result in follow_up.visits]
    labels = [name if day is None else f"{name}\n{day.isoformat()}" for name, day in zip(names, days, strict=True)]
    axes.set_xticks(places, labels, fontsize=8, rotation=0 if len(places) <= 4 else 30)
    apart = max(places) - min(places) or 1.0
    axes.set_xlim(min(places) - 0.15 * apart, max(places) + 0.15 * apart)
