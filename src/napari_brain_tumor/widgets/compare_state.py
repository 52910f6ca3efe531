"""Logic of the Compare panel, without Qt: which labels are compared, its tables as text, the layers it adds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from napari.layers import Labels, Layer
from napari.utils.colormaps import ensure_colormap
from psygnal import SignalGroupDescriptor

from napari_brain_tumor.compare import Agreement, Consensus, SliceRow, compare_segmentations_job
from napari_brain_tumor.compare.consensus_methods import ConsensusMethod, consensus_job
from napari_brain_tumor.compare.maps import AGREEMENT_COLORS, count_map, count_names, pair_map, pair_names
from napari_brain_tumor.compare.slices import AXES, Axis
from napari_brain_tumor.errors import ComparisonError
from napari_brain_tumor.io import open_segmentation
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.labels import Region
from napari_brain_tumor.plugin import from_layers, layers, to_layers
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.layers import CODES_KEY, KEY, LayerData, LayerView
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.requests.actions import compare_lines
from napari_brain_tumor.requests.compare import CompareRequest
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets.panel_lines import label_file_of

MATRIX_METRICS: Final[dict[str, tuple[str, int]]] = {
    "dice": ("Dice", 3),
    "hd95_mm": ("HD95 (mm)", 1),
    "nsd_2mm": ("NSD at 2 mm", 3),
    "assd_mm": ("ASSD (mm)", 2),
}
"""Titles and decimals of the scores that the matrix of all pairs can show."""

_SCORES: Final[dict[str, tuple[str, int]]] = {
    "dice": ("Dice", 3),
    "hd95_mm": ("HD95", 1),
    "nsd_2mm": ("NSD", 3),
    "lesionwise_dice": ("Lesion", 3),
    "assd_mm": ("ASSD", 2),
    "sensitivity": ("Sens.", 3),
    "precision": ("Prec.", 3),
}
_DARK_GROUND: Final = "background-color:#303030"
"""Background of the colour squares of a legend, so that bright ones are visible in a light theme too."""
_LEAST_SEEN: Final = 0.2
"""Start of the colour map of a count; darker colours would be lost on a dark scan."""


@dataclass
class CompareChoices:
    """What the user chose; `events` reports each change."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    layers: tuple[Labels, ...] = ()
    reference: Labels | None = None
    resample: bool = False

    @property
    def obstacle(self) -> str:
        """Why the chosen labels cannot be compared yet; empty if they can."""
        if len(self.layers) < 2:
            return "Tick two or more labels layers of one case."
        return ""

    @property
    def reference_name(self) -> str | None:
        """Name of the reference labels, if there are any."""
        return self.reference.name if self.reference in self.layers and self.reference is not None else None


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Result of a comparison, with the layers as they were at that time.

    Parameters
    ----------
    case : str
        Name of the case, used for what is derived from it.
    views : mapping of str to LayerView
        Copies of the layers, by their names at the time.
    """

    agreement: Agreement
    case: str
    views: Mapping[str, LayerView]


def candidates(all_layers: Iterable[Layer]) -> list[Labels]:
    """Return the labels layers that can be compared: one volume or slice of classes with known meaning."""
    return [layer for layer in all_layers if isinstance(layer, Labels) and _can_be_compared(layer)]


def _can_be_compared(layer: Labels) -> bool:
    tag = layers.segmentation_tag(layer)
    understood = tag is None or tag.understood
    return layer.ndim in (2, 3) and not layer.multiscale and understood and CODES_KEY not in layer.metadata


# Jobs ---------------------------------------------------------------------------------------------------------------


def compare_steps(
    views: Mapping[str, LayerView], references: Sequence[LayerView], reference: str | None, resample: bool
) -> Job[Comparison]:
    """Read labels layers and compare them.

    Parameters
    ----------
    views : mapping of str to LayerView
        The labels, by name.
    references : sequence of LayerView
        Open layers, one of which has the grid of labels that were painted from scratch.
    reference : str, optional
        Name of the reference labels.
    resample : bool
        Whether labels on other grids are resampled.
    """
    yield Progress(0, 1, "reading the layers")
    read = {name: from_layers.segmentation_from_layer(labels_view, references) for name, labels_view in views.items()}
    agreement = yield from compare_segmentations_job(read, reference, resample=resample)
    return Comparison(agreement, next(iter(read.values())).name, views)


def consensus_steps(compared: Comparison, method: ConsensusMethod) -> Job[tuple[LayerData, Consensus]]:
    """Combine all compared labels except the reference; return the layer and the consensus."""
    agreement = compared.agreement
    raters = {name: rater for name, rater in agreement.raters.segmentations.items() if name != agreement.reference}
    if len(raters) < 2:
        msg = (
            f"The reference takes no part in the consensus, which leaves {', '.join(raters)}. Compare with another "
            "labels layer too, or without a reference."
        )
        raise ComparisonError(msg)
    joined = yield from consensus_job(raters, method)
    segmentation = replace(joined.segmentation, name=compared.case)
    return to_layers.segmentation_to_layer(segmentation, name=f"{compared.case} consensus ({method})"), joined


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """A code layer and what it shows: the agreement of a pair or, without a pair, the count over all raters."""

    compared: Comparison
    region: Region
    pair: tuple[str, str] | None
    layer: LayerData

    def shows(self, compared: Comparison | None, region: Region, pair: tuple[str, str] | None) -> bool:
        """Return whether it shows exactly this."""
        return self.compared is compared and (self.region, self.pair) == (region, pair)


def codes_of(compared: Comparison, region: Region, pair: tuple[str, str] | None) -> Codes:
    """Return where a pair agrees on a region and where only one marks it; without a pair, how many raters mark it."""
    raters = compared.agreement.raters
    if pair is None:
        values, names = count_map(raters, region), count_names(raters, region)
        ramp = ensure_colormap("viridis").map(np.linspace(_LEAST_SEEN, 1, len(names)))
        colors: Mapping[int, Any] = dict(zip(names, ramp, strict=True))
        title, kind = f"{region}: how many of {len(raters.names)}", "count"
    else:
        titles = short_names(raters.names)
        values, names, colors = pair_map(raters, region, *pair), pair_names(raters, *pair, titles), AGREEMENT_COLORS
        title, kind = f"{region}: {titles[pair[0]]} and {titles[pair[1]]}", "pair"
    data = to_layers.coded_labels_to_layer(title, values, raters.grid, names, colors, of=kind)
    return Codes(compared, region, pair, data)


def legend_html(layer: Layer) -> str:
    """Return the colours of a code layer with their names, as HTML."""
    names = layer.metadata[KEY].class_names
    parts = [
        f'<span style="{_DARK_GROUND}; color:{_hex(layer.get_color(value))}">&nbsp;■&nbsp;</span>&nbsp;{escape(name)}'
        for value, name in names.items()
    ]
    return " &nbsp; ".join(f'<span style="white-space:nowrap">{part}</span>' for part in parts)


def _hex(color: Any) -> str:
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in color[:3])


def save_tables(agreement: Agreement, path: Path) -> Path:
    """Write the scores as `.csv`, or everything as `.json`."""
    if path.suffix.lower() == ".csv":
        agreement.to_csv(path)
    else:
        agreement.to_json(path)
    return path


def open_file(path: Path, schema: str | None) -> LayerData:
    """Return the layer of a segmentation file."""
    opened = open_segmentation(path, schema)
    return to_layers.segmentation_to_layer(opened, name=opened.name)


# Tables -------------------------------------------------------------------------------------------------------------


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Shorten names by the leading words that all share, such as the case, so that what differs comes first.

    >>> short_names(["patient 7 unet", "patient 7 unet3d"])
    {'patient 7 unet': 'unet', 'patient 7 unet3d': 'unet3d'}
    """
    words = [name.split(" ") for name in names]
    most = min((len(parts) for parts in words), default=1) - 1
    shared = 0
    while len(words) > 1 and shared < most and len({parts[shared] for parts in words}) == 1:
        shared += 1
    return {name: " ".join(parts[shared:]) for name, parts in zip(names, words, strict=True)}


def score_cells(agreement: Agreement, region: Region) -> Table:
    """Return the scores of each compared pair for a region."""
    titles = short_names(agreement.names)
    rows = agreement.scores_of(region)
    metrics = [key for key in _SCORES if any(getattr(row.scores, key) is not None for row in rows)]
    single = agreement.reference is not None
    who = [titles[row.second] if single else f"{titles[row.first]} – {titles[row.second]}" for row in rows]
    cells = [
        (name, *(_number(getattr(row.scores, key), _SCORES[key][1]) for key in metrics))
        for name, row in zip(who, rows, strict=True)
    ]
    title = "Pair" if agreement.reference is None else f"Against {titles[agreement.reference]}"
    return _numbers((title, *(_SCORES[key][0] for key in metrics)), cells)


def matrix_cells(agreement: Agreement, region: Region, metric: str) -> Table:
    """Return the matrix of one score for all pairs."""
    table, digits = agreement.matrix(region, metric), MATRIX_METRICS[metric][1]
    titles = short_names(agreement.names).values()
    rows = [(title, *(_number(value, digits) for value in row)) for title, row in zip(titles, table, strict=True)]
    return _numbers(("", *titles), rows)


def volume_cells(agreement: Agreement, region: Region) -> Table:
    """Return the volumes, and their differences from the reference or the mean."""
    in_ml = agreement.raters.grid.unit == "mm"
    titles = short_names(agreement.names)
    base = "the mean" if agreement.reference is None else titles[agreement.reference]
    rows = []
    for row in agreement.volumes:
        if row.region == region:
            size = f"{row.ml:.2f}" if row.ml is not None else str(row.voxels)
            off = f"{row.difference_ml:+.2f}" if row.difference_ml is not None else f"{row.difference_voxels:+.0f}"
            percent = "" if row.difference_percent is None else f"{row.difference_percent:+.1f} %"
            rows.append((titles[row.name], size, off, percent))
    return _numbers(("Labels", "mL" if in_ml else "Voxels", f"From {base}", ""), rows)


def slice_cells(rows: Sequence[SliceRow], compared: Comparison) -> Table:
    """Return the differing slices, numbered as on the viewer's slider."""
    grid = compared.agreement.raters.grid
    viewer_grid = Display.of(grid).viewer_grid
    numbers = [round(float(viewer_grid.voxels(row.centre)[AXES[row.axis]])) for row in rows]
    area = "mm²" if grid.unit == "mm" else "Voxels"
    cells = [
        (str(number), f"{row.area_mm2:.0f}" if row.area_mm2 is not None else str(row.differing), f"{row.dice:.3f}")
        for number, row in zip(numbers, rows, strict=True)
    ]
    return _numbers(("Slice", f"Differs ({area})" if area == "mm²" else "Differing voxels", "Dice"), cells)


def _numbers(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table whose first column is text and whose other columns are numbers."""
    return Table.of_cells(columns, rows, right=frozenset(columns[1:]))


def quality_cells(joined: Consensus) -> Table:
    """Return how well each rater detects the consensus."""
    rows = [
        (f"{quality.name}, {quality.region}", _number(quality.sensitivity, 3), _number(quality.specificity, 3))
        for quality in joined.qualities
    ]
    return _numbers((f"By {joined.method}", "Sens.", "Spec."), rows)


def summary_text(agreement: Agreement, region: Region) -> str:
    """Return a sentence about the agreement of all raters."""
    regional = agreement[region]
    kappa = "" if regional.kappa is None else f", Fleiss' kappa {regional.kappa:.3f}"
    return f"{region}, all {len(agreement.names)}: mean Dice of pairs {regional.mean_dice:.3f}{kappa}."


def stale_text(compared: Comparison, edited: Iterable[str], removed: Iterable[str]) -> str:
    """Describe which layers have changed since the comparison; empty if none has."""
    causes = {"changed": list(edited), "removed": list(removed)}
    parts = [f"{', '.join(names)} {what}" for what, names in causes.items() if names]
    return f"⚠ Since this comparison: {'; '.join(parts)}. Compare again." if parts else ""


def lines_of(choices: CompareChoices, joined: ConsensusMethod | None = None) -> CommandLines:
    """Return code for Compare; raises `ComparisonError` if it cannot run, `RecordError` if labels are not in a file."""
    if choices.obstacle:
        raise ComparisonError(choices.obstacle)
    files = {layer.name: label_file_of(layer) for layer in choices.layers}
    request = CompareRequest(reference=choices.reference_name, resample=choices.resample, consensus=joined)
    return compare_lines(files, request, None if joined is None else Path("consensus.nii.gz"))


def axis_names() -> tuple[Axis, ...]:
    """Return the slice orientations, the usual one first."""
    return tuple(reversed(AXES))


def _number(value: Any, digits: int) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.{digits}f}"
