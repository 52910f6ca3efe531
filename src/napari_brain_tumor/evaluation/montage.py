"""Voxel-wise agreement of every method with the reference, for the best, the median and the worst case."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.compare import maps
from napari_brain_tumor.evaluation.views import CaseView
from napari_brain_tumor.measure.planes import AXIAL, draw_mask, draw_slice
from napari_brain_tumor.metrics.compare import CaseScores, RankedCase, ranked_cases

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AGREEMENT_COLORS: Final[dict[str, str]] = {
    "true": maps.AGREEMENT_COLORS[maps.AGREED],
    "false": maps.AGREEMENT_COLORS[maps.FALSE],
    "missed": maps.AGREEMENT_COLORS[maps.MISSED],
}
"""Colours of voxels in both masks, only in the prediction and only in the reference, as in the viewer."""

TRUTH_COLOR: Final = "#FFFFFF"

_PANEL_INCHES: Final = 2.9
_OPACITY: Final = 0.45
_LABEL_CHARACTERS: Final = 30


def draw_montage(
    rows: Sequence[CaseScores], views: Mapping[tuple[str, str], CaseView], models: Sequence[str]
) -> "Figure":
    """Draw a row for each chosen case: the reference, then a panel for each method with its agreement and Dice.

    Parameters
    ----------
    rows : sequence of CaseScores
        Scores by which the cases are chosen: the Dice of the whole tumour, averaged over methods.
    views : mapping of (str, str) to CaseView
        Slices by data set and case.
    models : sequence of str
        Methods, in the order of the columns.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    cases = ranked_cases(rows)
    heights = [views[case.key].borders[3] / views[case.key].borders[1] for case in cases]
    size = (_PANEL_INCHES * (1 + len(models)) + 0.5, sum(_PANEL_INCHES * height + 0.45 for height in heights) + 0.8)
    figure = Figure(figsize=size, dpi=120, facecolor="black", layout="constrained")
    panels = figure.subplots(len(cases), 1 + len(models), squeeze=False, gridspec_kw={"height_ratios": heights})
    for row, case in zip(panels, cases, strict=True):
        _draw_truth(row[0], case, views[case.key])
        for axes, model in zip(row[1:], models, strict=True):
            _draw_prediction(axes, model, case, views[case.key])
    _add_legend(figure)
    return figure


def _draw_truth(axes: "Axes", case: RankedCase, view: CaseView) -> None:
    draw_slice(axes, view.image, AXIAL, view.borders, (0, 255))
    draw_mask(axes, view.truth, TRUTH_COLOR, view.borders, opacity=0.0)
    axes.set_title(f"truth\n{view.caption}", color="white", fontsize=10)
    dataset, name = case.key
    axes.set_ylabel("\n".join(filter(None, (case.rank, _short(name), dataset))), color="white", fontsize=10)


def _draw_prediction(axes: "Axes", model: str, case: RankedCase, view: CaseView) -> None:
    draw_slice(axes, view.image, AXIAL, view.borders, (0, 255))
    score = case.dice.get(model)
    axes.set_title(f"{model}\n" + ("no result" if score is None else f"Dice {score:.3f}"), color="white", fontsize=10)
    if model in view.predicted:
        for name, mask in _agreement(view.truth, view.predicted[model]).items():
            draw_mask(axes, mask, AGREEMENT_COLORS[name], view.borders, _OPACITY)


def _agreement(truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.bool_]]:
    return {"true": truth & predicted, "false": predicted & ~truth, "missed": truth & ~predicted}


def _short(name: str) -> str:
    return name if len(name) <= _LABEL_CHARACTERS else name[: _LABEL_CHARACTERS - 1] + "…"


def _add_legend(figure: "Figure") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    labels = {"true": "found", "false": "false: not in the truth", "missed": "missed"}
    handles: list[Any] = [Line2D([], [], color=TRUTH_COLOR, label="whole tumour, truth")]
    handles += [Patch(color=AGREEMENT_COLORS[key], label=text) for key, text in labels.items()]
    columns = 4 if figure.get_figwidth() > 7.5 else 2
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)
    legend.set_title("Dice of the whole tumour over the whole volume. Not for clinical use.")
    legend.get_title().set_fontsize(8)
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_color("white")
