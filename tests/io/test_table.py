"""One value for a result's rows: its CSV reads back, its data frame has the same cells, printed cells are rounded."""

import numpy as np
import pytest

from napari_brain_tumor import compare_segmentations, measure_volumes
from napari_brain_tumor.batch.case_table import COLUMNS, CaseRow, CaseRows
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.csv_text import read_csv_text
from napari_brain_tumor.io.table import Table, units_of
from napari_brain_tumor.measure.examination import measure_study
from napari_brain_tumor.study import Segmentation
from phantoms import affine, tumour

TABLE = Table(
    ("case", "dice", "hd95_mm"),
    ({"case": "=1+1", "dice": 1 / 3, "hd95_mm": None}, {"case": "b", "dice": 1.0}),
    digits={"dice": 3},
    units=units_of(("case", "dice", "hd95_mm")),
)


@pytest.fixture
def segmentation():
    return Segmentation(tumour(), Grid(tumour().shape, affine(spacing=(3, 3, 3))), "case")


def test_csv_and_data_frame_hold_the_same_numbers(tmp_path):
    text = TABLE.to_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == text.encode()
    _, rows = read_csv_text(text)
    frame = TABLE.to_dataframe()
    assert list(frame.columns) == list(TABLE.columns)
    assert [float(row["dice"]) for row in rows] == frame["dice"].tolist() == [1 / 3, 1.0]
    assert frame["case"].tolist() == [row["case"] for row in rows] == ["=1+1", "b"]
    assert frame["hd95_mm"].isna().all()
    assert frame.attrs["units"] == {"hd95_mm": "mm"}


def test_a_table_without_rows_keeps_its_columns():
    assert list(Table(("a", "b"), ()).to_dataframe().columns) == ["a", "b"]
    assert Table(("a", "b"), ()).to_csv() == "a,b\n"


def test_people_read_rounded_numbers_with_units_in_the_titles():
    assert [TABLE.printed(row, "dice") for row in TABLE.rows] == ["0.333", "1.000"]
    assert TABLE.printed(TABLE.rows[0], "hd95_mm") == ""
    assert TABLE.titles == ("case", "dice", "hd95_mm (mm)")


def test_html_escapes_names_its_rows_and_aligns_numbers():
    table = Table.of_cells(("case", "dice", "side"), [("a<b>", 0.25, "left"), ("c", None, "right")], digits={"dice": 3})
    assert table.to_html().splitlines() == [
        "<table>",
        '<thead><tr><th scope="col">case</th><th scope="col" class="number">dice</th>'
        '<th scope="col">side</th></tr></thead>',
        "<tbody>",
        '<tr><th scope="row">a&lt;b&gt;</th><td class="number">0.250</td><td>left</td></tr>',
        '<tr><th scope="row">c</th><td class="number"></td><td>right</td></tr>',
        "</tbody>",
        "</table>",
    ]
    assert '<tr><td colspan="2">None.</td></tr>' in Table(("a", "b"), ()).to_html()


def test_rows_of_cells_have_as_many_as_there_are_columns():
    with pytest.raises(ValueError, match="zip"):
        Table.of_cells(("a", "b"), [("only one",)])


def test_rows_of_a_batch_give_a_data_frame_of_numbers(segmentation):
    rows = CaseRows(
        [
            CaseRow("a", "done", "a.nii.gz", "unet", measure_volumes(segmentation), 1.5, ("One note.", "Two.")),
            CaseRow("b", "failed", error="torn"),
        ]
    )
    assert rows[1].error == "torn"
    frame = rows.to_dataframe()
    assert list(frame.columns) == list(COLUMNS)
    assert frame["status"].tolist() == ["done", "failed"]
    assert frame["WT_ml"][0] == pytest.approx(measure_volumes(segmentation)["WT"].ml)
    assert frame["WT_voxels"][0] == np.count_nonzero(segmentation.data)
    assert frame["notes"][0] == "One note. Two."
    assert frame[["WT_ml", "seconds"]].isna().iloc[1].all()
    assert frame.attrs["units"]["WT_ml"] == "mL"


def test_a_table_that_cannot_be_written_is_an_error_and_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("mine")
    monkeypatch.setattr(
        "napari_brain_tumor.io.atomic.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(SaveError, match="not saved"):
        TABLE.to_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "mine"


def test_results_give_data_frames_of_what_their_csv_holds(segmentation):
    volumes = measure_volumes(segmentation)
    assert volumes.to_dataframe().set_index("key")["ml"]["WT"] == volumes["WT"].ml
    examination = measure_study(segmentation)
    frame = examination.to_dataframe()
    assert (frame["kind"] == "lesion").sum() == len(examination.lesions) > 0
    assert frame.attrs["units"]["long_mm"] == "mm"
    moved = Segmentation(np.roll(segmentation.data, 1, axis=0), segmentation.grid, "moved")
    agreement = compare_segmentations({"first": segmentation, "moved": moved})
    scores = agreement.to_dataframe()
    assert len(scores) == len(agreement.scores)
    assert scores.set_index("region")["dice"]["WT"] == agreement.scores_of("WT")[0].scores.dice
