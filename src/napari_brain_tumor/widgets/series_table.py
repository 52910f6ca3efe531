"""The DICOM series of an examination as a table, with a choice of role for each."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from qtpy.QtCore import QSize, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView

from napari_brain_tumor.io import Series
from napari_brain_tumor.io.dicom import describe, size_words, slice_words, time_words
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.widgets.cell_table import CellTable
from napari_brain_tumor.widgets.parts import combo

_NONE: Final = "–"
_COLUMNS: Final[tuple[tuple[str, Callable[[Series], str]], ...]] = (
    ("No.", lambda series: series.number),
    ("Description", lambda series: series.description),
    ("Plane", lambda series: series.plane if series.modality in ("MR", "") else f"{series.plane} {series.modality}"),
    ("Slices", slice_words),
    ("Agent", lambda series: series.contrast_agent),
    ("Pixels", size_words),
    ("Times", time_words),
    ("Type", lambda series: "\\".join(series.image_type)),
    ("Scanned", lambda series: series.acquired or series.study_date),
)


class SeriesTable(CellTable):
    """Shows every series with a description; the first column sets its role."""

    changed = Signal()
    """A role was assigned or removed."""

    def __init__(self) -> None:
        tip = "DICOM series of the examination. Choose what each is used as."
        super().__init__(["Use as", *(title for title, _ in _COLUMNS)], tip, "Series", 180)
        self._series: list[Series] = []
        self._boxes: list[QComboBox] = []
        for header in (self.horizontalHeader(), self.verticalHeader()):
            assert header is not None
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setVisible(header.orientation() == Qt.Orientation.Horizontal)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setWordWrap(False)

    def sizeHint(self) -> QSize:
        """Return a size as narrow as the panel; the table scrolls sideways."""
        return QSize(280, 220)

    def show_series(self, series: Sequence[Series]) -> None:
        """Show these series; a role for which only one series is suitable is preselected."""
        self._series, self._boxes = list(series), []
        self.setRowCount(len(self._series))
        sure = _sure_roles(self._series)
        for at, entry in enumerate(self._series):
            self.setCellWidget(at, 0, self._box(entry, sure.get(entry.key)))
            tip = describe(entry).replace(" · ", "\n")
            self.show_cells(at, [text(entry) for _, text in _COLUMNS], first=1, tip=tip)
        self.changed.emit()

    @property
    def picks(self) -> dict[str, str]:
        """Number of the series that is assigned to each role."""
        numbers = {box.currentText(): series.number for box, series in zip(self._boxes, self._series, strict=True)}
        return {role: numbers[role] for role in ROLES if role in numbers}

    def choose(self, number: str, role: Role | None) -> None:
        """Assign a role to a series, or None."""
        for box, series in zip(self._boxes, self._series, strict=True):
            if series.number == number:
                box.setCurrentText(role or _NONE)

    def _box(self, series: Series, role: Role | None) -> QComboBox:
        box = combo(f"What series {series.number} is used as.", f"Use of series {series.number}")
        box.addItems([_NONE, *ROLES])
        box.setMinimumContentsLength(5)
        box.setCurrentText(role or _NONE)
        if series.problem:
            box.setEnabled(False)
            box.setToolTip(f"It cannot be opened: {series.problem}")
        box.currentTextChanged.connect(lambda text: self._on_chosen(box, text))
        self._boxes.append(box)
        return box

    def _on_chosen(self, box: QComboBox, text: str) -> None:
        """Assign a role to only one series, removing it from the one that had it."""
        if text != _NONE:
            for other in self._boxes:
                if other is not box and other.currentText() == text:
                    other.setCurrentText(_NONE)
        self.changed.emit()


def _sure_roles(series: Sequence[Series]) -> dict[str, Role]:
    """Return, by key, the roles for which only one series is suitable; empty if there are several examinations."""
    with_role = [entry for entry in series if entry.role is not None]
    if len({entry.study_uid for entry in with_role}) > 1:
        return {}
    counts = Counter(entry.role for entry in with_role)
    return {
        entry.key: entry.role for entry in with_role if entry.role and counts[entry.role] == 1 and not entry.problem
    }
