"""Box plots for each method and region, with every case drawn as a point."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.metrics.compare import METRICS, SHOWN_METRICS, CaseScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHOD_COLORS: Final = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000",
)  # fmt: skip
"""Okabe and Ito's palette, which is distinguishable to people with colour-vision deficiency."""

_CASES_FOR_A_BOX: Final = 5
"""With fewer cases, quartiles are meaningless and only the median is drawn."""

_MARKERS: Final = ("o", "^", "s", "D", "v", "P")
_GROUP_WIDTH: Final = 0.8
_INCHES_A_BOX: Final = 0.42
_MM_TICKS: Final = (0, 1, 2, 5, 10, 20, 50, 100, 200, 400)


def draw_boxes(rows: Iterable[CaseScores], metrics: Sequence[str] = SHOWN_METRICS) -> "Figure":
    """Draw one panel for each metric: cases by region, with boxes (quartiles, whiskers to 1.5 times their distance).

    With fewer than five cases, the median is drawn instead of a box.

    Parameters
    ----------
    rows : iterable of CaseScores
        Rows of classes are ignored: boxes are drawn for WT, TC and ET.
    metrics : sequence of str
        Metrics from `METRICS`. One that no case has, such as millimetres without a voxel size, gets no panel.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    scored = [row for row in rows if row.region in REGIONS]
    drawn = [metric for metric in metrics if any(row.value(metric) is not None for row in scored)]
    models = list(dict.fromkeys(row.model for row in scored))
    regions = [region for region in REGIONS if any(row.region == region for row in scored)]
    datasets = list(dict.fromkeys(row.dataset for row in scored))
    width = max(3.4, _INCHES_A_BOX * len(models) * len(regions) + 1.2)
    figure = Figure(figsize=(max(width * len(drawn), 5), 4.8), dpi=120, layout="constrained")
    panels = figure.subplots(1, max(len(drawn), 1), squeeze=False)[0]
    for axes, metric in zip(panels, drawn, strict=False):
        _draw_panel(axes, metric, scored, models, regions, datasets)
    if not drawn:
        panels[0].set_axis_off()
    _add_legend(figure, models, datasets)
    return figure


def _draw_panel(
    axes: "Axes",
    metric: str,
    rows: Sequence[CaseScores],
    models: Sequence[str],
    regions: Sequence[str],
    datasets: Sequence[str],
) -> None:
    step = _GROUP_WIDTH / len(models)
    for place, region in enumerate(regions):
        for number, model in enumerate(models):
            scored = [r for r in rows if (r.region, r.model) == (region, model) and r.value(metric) is not None]
            if scored:
                x = place + (number - (len(models) - 1) / 2) * step
                _draw_box(axes, x, step, [_value(row, metric) for row in scored], _color(number))
                _draw_points(axes, x, step, metric, scored, datasets)
    counts = {region: len({row.case_key for row in rows if row.region == region}) for region in regions}
    axes.set_xticks(range(len(regions)), [f"{region}\n{counts[region]} cases" for region in regions])
    axes.set_xlim(-0.6, len(regions) - 0.4)
    better = "higher is better" if METRICS[metric].higher_is_better else "lower is better"
    axes.set_title(METRICS[metric].label, fontsize=12)
    axes.set_ylabel(better, fontsize=9, color="#555555")
    _scale(axes, metric, [_value(row, metric) for row in rows if row.value(metric) is not None])
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_box(axes: "Axes", x: float, step: float, values: Sequence[float], color: str) -> None:
    if len(values) < _CASES_FOR_A_BOX:
        axes.hlines(np.median(values), x - step * 0.36, x + step * 0.36, color=color, linewidth=2.2)
        return
    axes.boxplot(
        [values],
        positions=[x],
        widths=step * 0.72,
        showfliers=False,  # every case is drawn as a point
        patch_artist=True,
        boxprops={"facecolor": (color, 0.25), "edgecolor": color},
        whiskerprops={"color": color},
        capprops={"color": color},
        medianprops={"color": color, "linewidth": 2.2},
        manage_ticks=False,
    )


def _draw_points(
    axes: "Axes", x: float, step: float, metric: str, rows: Sequence[CaseScores], datasets: Sequence[str]
) -> None:
    # Multiples of the golden ratio spread the points evenly, and a case has the same position in every box.
    for row, share in zip(rows, np.modf(np.arange(1, len(rows) + 1) * 0.618034)[0], strict=True):
        axes.plot(
            x + (share - 0.5) * step * 0.5,
            _value(row, metric),
            marker=_MARKERS[datasets.index(row.dataset) % len(_MARKERS)],
            markersize=4.5,
            markerfacecolor="white",
            markeredgecolor="#333333",
            markeredgewidth=0.8,
            zorder=3,
        )


def _scale(axes: "Axes", metric: str, values: Sequence[float]) -> None:
    if METRICS[metric].higher_is_better:
        axes.set_ylim(-0.03, 1.03)
        return
    # A missed tumour is scored as the image diagonal, hundreds of millimetres; on a linear axis it would hide the rest.
    axes.set_yscale("symlog", linthresh=1, linscale=0.4)
    top = max(2.0, *values) * 1.3 if values else 2.0
    axes.set_ylim(-0.1, top)
    ticks = [tick for tick in _MM_TICKS if tick <= top]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _add_legend(figure: "Figure", models: Sequence[str], datasets: Sequence[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=(_color(i), 0.25), edgecolor=_color(i), label=model) for i, model in enumerate(models)
    ]
    point: Mapping[str, Any] = {"linestyle": "", "markerfacecolor": "white", "markeredgecolor": "#333333"}
    for i, dataset in enumerate(datasets):
        handles.append(
            Line2D(
                [], [], marker=_MARKERS[i % len(_MARKERS)], label=f"case of {dataset}" if dataset else "case", **point
            )
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5), frameon=False, fontsize=10)


def _color(number: int) -> str:
    return METHOD_COLORS[number % len(METHOD_COLORS)]


def _value(row: CaseScores, metric: str) -> float:
    value = row.value(metric)
    return float("nan") if value is None else value
