"""Widgets on which one file or folder can be dropped; napari does not ask then which plugin should open it."""

from qtpy.QtCore import QMimeData
from qtpy.QtGui import QDragEnterEvent, QDropEvent


class DropTarget:
    """For a widget that accepts drops: `open_path` gets what is dropped on it."""

    def open_path(self, path: str) -> None:
        """Open a file or folder."""
        raise NotImplementedError

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take one file or folder."""
        if event is not None and len(dropped_paths(event.mimeData())) == 1:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open what is dropped."""
        paths = dropped_paths(event.mimeData()) if event is not None else []
        if event is not None and len(paths) == 1:
            event.acceptProposedAction()
            self.open_path(paths[0])


def dropped_paths(data: QMimeData | None) -> list[str]:
    """The files and folders of this machine that are dragged."""
    urls = data.urls() if data is not None and data.hasUrls() else []
    return [url.toLocalFile() for url in urls if url.isLocalFile()]
