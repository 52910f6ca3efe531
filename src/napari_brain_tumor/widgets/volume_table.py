"""The table of volumes below the Segment panel."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_brain_tumor.labels import CLASS_COLORS
from napari_brain_tumor.measure.volumes import VolumeRow, VolumeTable


class VolumeView(QTableWidget):
    """Shows a `VolumeTable`: name with the colour of the class, and volume; read-only."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 2, parent)
        self._table: VolumeTable | None = None
        self.setHorizontalHeaderLabels(["Part", "Volume"])
        self._header = QHeaderView(Qt.Orientation.Horizontal, self)
        self.setHorizontalHeader(self._header)
        numbers = QHeaderView(Qt.Orientation.Vertical, self)
        numbers.hide()
        self.setVerticalHeader(numbers)
        self._header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self._header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabKeyNavigation(False)  # Tab leaves the table instead of walking through its cells
        self.setAccessibleName("Volumes")
        self.setToolTip(
            "Size of each class and of the nested regions: the whole tumour contains the tumour\ncore, which "
            "contains the enhancing tumour.\n"
            "Counted on the scan's own grid, again after every edit."
        )
        self.show_table(None)

    def show_table(self, table: VolumeTable | None) -> None:
        """Show these volumes; None clears the table."""
        if table is not None and table == self._table:
            return
        self._table = table
        rows = table.rows if table is not None else ()
        self.setRowCount(len(rows))
        for at, row in enumerate(rows):
            self.setItem(at, 0, _name_item(row))
            self.setItem(at, 1, _size_item(row))
        self.setVisible(bool(rows))
        self.resizeRowsToContents()
        height = self._header.sizeHint().height() + sum(self.rowHeight(at) for at in range(len(rows)))
        self.setFixedHeight(height + 2 * self.frameWidth() + 2)

    def texts(self) -> dict[str, str]:
        """The displayed volumes, by name."""
        return {self._text(at, 0): self._text(at, 1) for at in range(self.rowCount())}

    def _text(self, row: int, column: int) -> str:
        item = self.item(row, column)
        return item.text() if item is not None else ""


def _name_item(row: VolumeRow) -> QTableWidgetItem:
    item = QTableWidgetItem(row.name)
    if row.kind == "class":
        item.setIcon(_swatch(CLASS_COLORS.get(int(row.key), "white")))
    else:
        font = item.font()
        font.setBold(True)
        item.setFont(font)
    return item


def _swatch(color: str) -> QIcon:
    pixmap = QPixmap(12, 12)
    pixmap.fill(QColor(color))
    return QIcon(pixmap)


def _size_item(row: VolumeRow) -> QTableWidgetItem:
    item = QTableWidgetItem(row.size)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    item.setToolTip(f"{row.voxels} voxels")
    return item
