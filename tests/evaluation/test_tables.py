import csv
from pathlib import Path

import pytest

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.evaluation.tables import COLUMNS, read_scores, scores_csv
from scores_for_tests import row

ROWS = (
    row("a, b", "unet", 1 / 3, scores={"hd95_mm": 2**0.5, "lesions_truth": 2}, seconds=0.1 + 0.2, patient="p"),
    row("c", 'new "one"', 0.0, region="non-enhancing", dataset="set", truth_voxels=0),
)


def test_table_reads_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(scores_csv(ROWS), encoding="utf-8")
    assert read_scores(path) == ROWS


def test_table_has_one_line_for_each_row_and_empty_cells_for_undefined_scores() -> None:
    lines = list(csv.DictReader(scores_csv(ROWS).splitlines()))
    assert tuple(lines[0]) == COLUMNS
    assert [(line["case"], line["region"], line["dice"], line["hd95_mm"], line["seconds"]) for line in lines] == [
        ("a, b", "WT", "0.3333333333333333", "1.4142135623730951", "0.30000000000000004"),
        ("c", "non-enhancing", "0.0", "", ""),
    ]


@pytest.mark.parametrize("content", ["case,dice\na,1\n", "dataset\x00", scores_csv(ROWS).replace(",9,", ",nine,")])
def test_another_table_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "scores.csv").write_text(content)
    with pytest.raises(UnreadableFileError, match=r"scores.csv"):
        read_scores(tmp_path / "scores.csv")
