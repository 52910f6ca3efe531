"""Offer once, after the first case, to always open such files with this plugin."""

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
"""Delay, so that the case is drawn first and a choice in napari's own dialog is taken into account."""


class ReaderOffer(QFrame):
    """Asks below the canvas whether this plugin should always open `.nii.gz` and similar files; it blocks nothing."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 2, 6, 2)
        # Short enough for one line at 16 pt: a second line would make the window higher than a small screen.
        self.text_label = wrapped("Always open .nii.gz, .nii, .nrrd and .mha with Brain Tumor, without asking?")
        row.addWidget(self.text_label, 1)
        # No Alt+letter shortcuts, as the panels beside it use those.
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
        """Make exactly enough room for the wrapped text, as the dock ignores heights that depend on the width."""
        super().resizeEvent(event)
        self.text_label.setMinimumHeight(self.text_label.heightForWidth(self.text_label.width()))
        self.setMaximumHeight(self.minimumSizeHint().height())

    def accept(self) -> None:
        """Always open such files with this plugin, and stop asking."""
        make_default_reader(folders=self.folders_box.isChecked())
        notify("Such files open with Brain Tumor from now on. Undo it in Preferences > Plugins.")
        self.leave()

    def leave(self) -> None:
        """Stop asking."""
        # Delayed, because a widget must not be deleted while its click is handled.
        QTimer.singleShot(0, self._remove)

    def _remove(self) -> None:
        self._viewer.window.remove_dock_widget(self)
        self.deleteLater()


def offer_after_opening(viewer: Any) -> None:
    """Show the offer in this viewer when its first case is opened; further calls for a viewer do nothing.

    Parameters
    ----------
    viewer : napari.Viewer
        A viewer without a window is ignored.
    """
    watch_cases(viewer, "offer to open files", _is_case, _offer, _WAIT_MS)


def _offer(watch: CaseWatch) -> None:
    watch.stop()
    if may_offer():
        remember_offer()
        watch.viewer.window.add_dock_widget(ReaderOffer(watch.viewer), name=_DOCK, area="bottom")


def _is_case(layer: Layer) -> bool:
    """Return whether a layer is a scan that the user opened, rather than the sample data."""
    tag = sequence_tag(layer)
    return tag is not None and (tag.source is None or sample_case_folder() not in tag.source.path.parents)
