"""Offers once, after the first case, to open such files always with this plugin."""

from typing import Any, Final

import napari.viewer
from napari.layers import Layer
from qtpy.QtCore import QTimer
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout

from napari_brain_tumor.plugin.default_reader import make_default_reader, may_offer, remember_offer
from napari_brain_tumor.plugin.layers import sequence_tag
from napari_brain_tumor.sample import sample_case_folder
from napari_brain_tumor.widgets.case_watch import CaseWatch, watch_cases
from napari_brain_tumor.widgets.parts import add_to, button, check, wrapped
from napari_brain_tumor.widgets.worker import notify

_DOCK: Final = "Opening files"
_WAIT_MS: Final = 300
"""So that the case is drawn first, and a choice in napari's own dialog counts."""


class ReaderOffer(QFrame):
    """Asks below the canvas whether this plugin should always open `.nii.gz` and the like; it blocks nothing."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 2, 6, 2)
        # Short, to stand in one line at 16 pt: a second one would make the window higher than a small screen.
        self.text_label = wrapped("Always open .nii.gz, .nii, .nrrd and .mha with Brain Tumor, without asking?")
        row.addWidget(self.text_label, 1)
        # No letters for Alt: it stands beside the panels, and these have theirs.
        self.folders_box = check(
            "Folders too",
            "Case folders, DICOM series and slices.\nFor a folder that is not a case, napari asks which other "
            "plugin should open it.",
        )
        self.folders_box.setChecked(True)
        self.yes_button = button("Yes", "Open them with Brain Tumor from now on. Undo it in Preferences > Plugins.")
        self.later_button = button(
            "Not now", "Do not ask again. Open… > Files that need details… has a button that does the same."
        )
        add_to(row, self.folders_box, self.yes_button, self.later_button)
        self.yes_button.clicked.connect(self.accept)
        self.later_button.clicked.connect(self.leave)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Make room for all lines of the text and no more: the dock asks for no height that goes with its width."""
        super().resizeEvent(event)
        self.text_label.setMinimumHeight(self.text_label.heightForWidth(self.text_label.width()))
        self.setMaximumHeight(self.minimumSizeHint().height())

    def accept(self) -> None:
        """Open such files always, and ask no more."""
        make_default_reader(folders=self.folders_box.isChecked())
        notify("Such files open with Brain Tumor from now on. Undo it in Preferences > Plugins.")
        self.leave()

    def leave(self) -> None:
        """Ask no more."""
        # Later: what is clicked must not be deleted while its click is handled.
        QTimer.singleShot(0, self._remove)

    def _remove(self) -> None:
        self._viewer.window.remove_dock_widget(self)
        self.deleteLater()


def offer_after_opening(viewer: Any) -> None:
    """Offer it in this viewer when its first case is opened; the second call for a viewer does nothing.

    Parameters
    ----------
    viewer : napari.Viewer
        One without a window is left alone.
    """
    watch_cases(viewer, "offer to open files", _is_case, _offer, _WAIT_MS)


def _offer(watch: CaseWatch) -> None:
    watch.stop()
    if may_offer():
        remember_offer()
        watch.viewer.window.add_dock_widget(ReaderOffer(watch.viewer), name=_DOCK, area="bottom")


def _is_case(layer: Layer) -> bool:
    """Whether a layer is a scan that the user opened, not the sample's."""
    tag = sequence_tag(layer)
    return tag is not None and (tag.source is None or sample_case_folder() not in tag.source.path.parents)
