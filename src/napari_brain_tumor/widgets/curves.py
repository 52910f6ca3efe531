"""A plot canvas for panels."""

from typing import Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure

from napari_brain_tumor.widgets.parts import described


class CurvesCanvas(FigureCanvasQTAgg):
    """A figure for viewing only, drawn by its owner; wheel events are left to the panel, which scrolls.

    Parameters
    ----------
    tip, name : str
        Tooltip and accessible name.
    height : int
        Minimum height in pixels.
    """

    def __init__(self, tip: str, name: str, height: int) -> None:
        super().__init__(Figure(dpi=80, layout="constrained"))  # type: ignore[no-untyped-call]
        self.setMinimumHeight(height)
        self.setMinimumWidth(200)
        described(self, tip, name)

    def wheelEvent(self, event: Any) -> None:
        """Let the panel scroll."""
        event.ignore()
