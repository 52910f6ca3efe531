"""What the user is working on in a viewer, so that late results do not interrupt it."""

from dataclasses import dataclass
from typing import Any, Final

from napari.layers import Layer

_RESTING: Final = ("pan_zoom", "transform")
"""Layer modes in which a click draws nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """The layer that was active when a long computation was started.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    viewer: Any
    active: Layer | None

    @classmethod
    def of(cls, viewer: Any) -> "Attention":
        """Return the currently active layer."""
        return cls(viewer, viewer.layers.selection.active)

    @property
    def is_drawing(self) -> bool:
        """Whether a drawing tool is active, so that neither selection nor view may be changed."""
        active = self.viewer.layers.selection.active
        return active is not None and str(getattr(active, "mode", _RESTING[0])) not in _RESTING

    def add(self, layer: Layer) -> Layer:
        """Add a layer; select it unless the user has moved on to something else."""
        stays, selected = self.is_elsewhere, set(self.viewer.layers.selection)
        self.viewer.add_layer(layer)
        if stays:
            self.viewer.layers.selection = {
                selected_layer for selected_layer in selected if selected_layer in self.viewer.layers
            }
        return layer

    @property
    def is_elsewhere(self) -> bool:
        """Whether the user has selected another layer since or is drawing, so that the selection may not be changed."""
        return self.is_drawing or self.viewer.layers.selection.active is not self.active
