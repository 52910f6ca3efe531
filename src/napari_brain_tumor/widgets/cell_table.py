"""A table of words to read, not to edit."""

from collections.abc import Iterable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_brain_tumor.widgets.parts import described


class CellTable(QTableWidget):
    """Shows words in cells, which repeat themselves on hover.

    Parameters
    ----------
    titles : iterable of str
        Of the columns.
    tip, name : str
        On hover, and for screen readers.
    height : int
        The least, in pixels.
    """

    def __init__(self, titles: Iterable[str], tip: str, name: str, height: int) -> None:
        columns = list(titles)
        super().__init__(0, len(columns))
        self.setHorizontalHeaderLabels(columns)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)  # Tab leaves the table instead of walking through its cells
        self.setMinimumHeight(height)
        described(self, tip, name)

    def fit_columns(self) -> None:
        """Make columns as wide as what stands in them; in a long table the first rows decide."""
        header = QHeaderView(Qt.Orientation.Horizontal, self)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setResizeContentsPrecision(50)
        self.setHorizontalHeader(header)

    def show_cells(
        self, row: int, texts: Sequence[str], *, first: int = 0, tip: str = "", numbers: Iterable[int] = ()
    ) -> None:
        """Show these words in a row from the first column on; numbers are aligned to the right."""
        for column, text in enumerate(texts, first):
            item = QTableWidgetItem(text)
            item.setToolTip(tip or text)
            if column in numbers:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
