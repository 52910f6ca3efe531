"""The table of the cases of a data set, with a thousand of them."""

import pytest

from napari_brain_tumor.widgets.case_rows import CaseRow, RowScore

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_brain_tumor.widgets.case_table import COLUMNS, CaseTable

pytestmark = pytest.mark.gui

COUNT = 1000
UNSURE = next(at for at, column in enumerate(COLUMNS) if column.title == "Unsure")


class Reads:
    """Rows whose scores are read from files, as it were; counts which."""

    def __init__(self):
        self.ids = []

    def row(self, at, state="draft"):
        def read():
            self.ids.append(at)
            return RowScore({"WT": 0.5}, ((7 * at) % COUNT) / COUNT)

        return CaseRow(f"case-{at:04d}", f"p{at}", "train", state, whole_ml=float(at % 10), score=read)


@pytest.fixture
def table(qtbot):
    table = CaseTable()
    qtbot.addWidget(table)
    table.resize(420, 400)
    return table


def shown(table):
    table.show()
    QApplication.processEvents()
    table.grab()


def test_scores_are_read_of_the_rows_in_sight_alone(table):
    reads = Reads()
    table.show_rows([reads.row(at) for at in range(COUNT)], "case-0003")
    shown(table)
    assert table.model().rowCount() == COUNT
    assert 0 < len(set(reads.ids)) <= 100
    assert table.currentIndex().row() == 3
    table.verticalScrollBar().setValue(table.verticalScrollBar().maximum())
    shown(table)
    assert COUNT - 1 in reads.ids
    assert len(set(reads.ids)) <= 200


def test_asking_for_the_rows_reads_no_score(table):
    reads = Reads()
    table.show_rows([reads.row(at) for at in range(COUNT)], None)
    assert [row.id for row in table.rows][-1] == f"case-{COUNT - 1:04d}"
    assert reads.ids == []


def test_what_changed_is_shown_without_scrolling_back(table):
    reads = Reads()
    table.show_rows([reads.row(at) for at in range(COUNT)], None)
    shown(table)
    table.verticalScrollBar().setValue(500)
    table.show_rows([reads.row(at, "accepted" if at == 510 else "draft") for at in range(COUNT)], None)
    shown(table)
    assert table.verticalScrollBar().value() == 500
    assert table.model().index(510, 1).data() == "accepted"


def test_sorted_by_a_score_the_rows_stay_sorted_and_the_current_case_selected(table):
    reads = Reads()
    rows = [reads.row(at) for at in range(COUNT)]
    table.show_rows(rows, "case-0500")
    table.sortByColumn(UNSURE, Qt.SortOrder.DescendingOrder)
    unsure = [row.unsure for row in table.rows]
    assert unsure == sorted(unsure, reverse=True)
    asked = []
    table.open_requested.connect(asked.append)
    table.clicked.emit(table.model().index(0, 0))
    assert asked == [table.rows[0].id]
    table.select("case-0500")
    assert table.rows[table.currentIndex().row()].id == "case-0500"


def test_unknown_numbers_sort_before_known_ones(table):
    table.show_rows([CaseRow("a", "p", "train", "draft", whole_ml=2.0), CaseRow("b", "p", "train", "draft")], None)
    table.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    assert [row.id for row in table.rows] == ["b", "a"]
    table.show_rows([], None)
    assert table.rows == []
