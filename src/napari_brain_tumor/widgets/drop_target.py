"""Widgets onto which one file or folder can be dropped, without napari's question which plugin should open it."""

from qtpy.QtCore import QMimeData
from qtpy.QtGui import QDragEnterEvent, QDropEvent


class DropTarget:
    """Mixin for a widget that accepts drops; `open_path` is called with the dropped path."""

    def open_path(self, path: str) -> None:
        """Open a file or folder."""
        raise NotImplementedError

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept one file or folder."""
        if event is not None and len(dropped_paths(event.mimeData())) == 1:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open the dropped path."""
        paths = dropped_paths(event.mimeData()) if event is not None else []
        if event is not None and len(paths) == 1:
            event.acceptProposedAction()
            self.open_path(paths[0])


def dropped_paths(data: QMimeData | None) -> list[str]:
    """Return the local files and folders that are being dragged."""
    urls = data.urls() if data is not None and data.hasUrls() else []
    return [url.toLocalFile() for url in urls if url.isLocalFile()]
