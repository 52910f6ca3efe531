"""Pictures of samples: how augmentation varies them, and predictions on fixed validation slices."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_brain_tumor.labels import CLASS_COLORS, classes_from_regions
from napari_brain_tumor.types import Array
from napari_brain_tumor_training.augmentation import Augmentation
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.dataset import TrainingCase
from napari_brain_tumor_training.run_files import save_figure
from napari_brain_tumor_training.sampling import VolumeSampler
from napari_brain_tumor_training.trainer import drawn_batch

_PANEL_INCHES = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """One panel: an image `(Y, X)`, the classes whose outlines are drawn on it, and a title."""

    image: Array
    classes: npt.NDArray[np.uint8]
    title: str = ""


@dataclass(slots=True)
class SlicePictures:
    """Collect predictions on fixed slices of validation cases, and draw them next to the truth.

    For each of up to `count` cases, the slice with the most tumour is shown.
    """

    count: int
    _rows: dict[str, list[_Panel]] = field(default_factory=dict)

    def observe(self, case: TrainingCase, predicted: npt.NDArray[np.uint8]) -> None:
        """Store the slice of a case; an `evaluate.Observer`."""
        if case.files.name not in self._rows and len(self._rows) >= self.count:
            return
        z = int(np.count_nonzero(case.classes, axis=(1, 2)).argmax())
        image = _as_picture(case.channels[z].astype(np.float32))
        name = f"{case.files.name}, slice {z + 1}"
        self._rows[case.files.name] = [
            _Panel(image, np.zeros_like(case.classes[z]), name),
            _Panel(image, case.classes[z], "truth"),
            _Panel(image, predicted[z], "predicted"),
        ]

    def draw(self, path: Path) -> None:
        """Write the picture, if there is anything to show; raises `SaveError`."""
        if self._rows:
            _draw(list(self._rows.values()), path)


def draw_augmented(
    config: TrainConfig, sampler: VolumeSampler, path: Path, *, samples: int = 6, times: int = 5
) -> None:
    """Write a picture with a row for each sample: the original, then `times` augmented versions.

    Sub-volumes are shown by their middle slice. Raises `SaveError` if the picture cannot be written.
    """
    batch, seed = drawn_batch(sampler, samples, config.seed, 0)
    images, targets = torch.from_numpy(batch.images), torch.from_numpy(batch.targets)
    augment = Augmentation(config.augmentation)
    torch.manual_seed(seed)
    versions = [(images, targets)] + [augment(images, targets, torch.from_numpy(batch.present)) for _ in range(times)]
    titles = ["as drawn"] + [f"variant {number + 1}" for number in range(times)]
    rows = [
        [_panel(varied[row], masks[row], title) for (varied, masks), title in zip(versions, titles, strict=True)]
        for row in range(samples)
    ]
    _draw(rows, path)


def _panel(image: torch.Tensor, targets: torch.Tensor, title: str) -> _Panel:
    if image.ndim == 4:
        middle = image.shape[1] // 2
        image, targets = image[:, middle], targets[:, middle]
    return _Panel(_as_picture(image.numpy()), classes_from_regions(targets.numpy() > 0.5), title)


def _as_picture(channels: Array) -> Array:
    """Return the last sequence present in `(C, Y, X)`: FLAIR if sequences are in the package's order."""
    filled: list[Array] = [channel for channel in channels if channel.any()]
    return filled[-1] if filled else np.zeros_like(channels[-1])


def _draw(rows: Sequence[Sequence[_Panel]], path: Path) -> None:
    size = (_PANEL_INCHES * len(rows[0]), _PANEL_INCHES * len(rows))
    figure = Figure(figsize=size, dpi=100, facecolor="black", layout="constrained")
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for row, line in zip(rows, axes, strict=True):
        for panel, place in zip(row, line, strict=True):
            _draw_panel(panel, place)
    save_figure(figure, path)


def _draw_panel(panel: _Panel, axes: Axes) -> None:
    # The working grid is in RAS order; in radiological convention the patient's right is on the left.
    axes.imshow(panel.image, cmap="gray", vmin=-2.5, vmax=3, origin="lower")
    axes.invert_xaxis()
    for value, colour in CLASS_COLORS.items():
        mask = panel.classes == value
        if mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors=[colour], linewidths=0.8)
    axes.set_title(panel.title, color="white", fontsize=7)
    axes.set_axis_off()
