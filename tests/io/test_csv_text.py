import csv
import io

import pytest

from napari_brain_tumor.io.csv_text import csv_text, formula_safe, plain_text, read_csv_text

FORMULAS = ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "=cmd|' /C calc'!A0", "＝1", "-", "+",
            "\u00a0=1", "\ufeff=1", "\u200b=1", "\x00=1", "\x0b@x", "\u3000-a"]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_a_spreadsheet_would_run_is_made_text_and_reads_back(text):
    assert formula_safe(text) == f"'{text}"
    assert plain_text(formula_safe(text)) == text


@pytest.mark.parametrize(
    "value", ["-1.5", "+3", "1e-3", "-inf", "nan", -2, -0.5, None, True, "", "P-1", "case=1", "it's", "'quoted'", "ä"]
)
def test_numbers_and_other_texts_stay(value):
    assert formula_safe(value) == value
    assert not isinstance(value, str) or plain_text(value) == value


@pytest.mark.parametrize("text", ["'=1", "''=1", "'-x", "' =1"])
def test_text_that_looks_made_safe_reads_back_as_it_was(text):
    assert plain_text(formula_safe(text)) == text


def test_table_reads_back_with_line_breaks_and_separators():
    rows = [{"case": "=x", "note": "a,b\r\nc"}, {"case": "-1", "note": None}]
    text = csv_text(("case", "note"), rows)
    assert text.splitlines()[0] == "case,note"
    assert next(csv.DictReader(io.StringIO(text)))["case"] == "'=x"
    columns, read = read_csv_text(text)
    assert columns == ("case", "note")
    assert read == [{"case": "=x", "note": "a,b\r\nc"}, {"case": "-1", "note": ""}]


@pytest.mark.parametrize("between", [";", "\t", "\r", "\n", "\r\n", "|", '"', ","])
def test_no_spreadsheet_finds_a_second_cell_in_a_text(between):
    name = f"P1{between}=1+1"
    text = csv_text(("case", "mL"), [{"case": name, "mL": 1.5}])
    assert text == 'case,mL\n"' + name.replace('"', '""') + '",1.5\n'
    assert read_csv_text(text)[1] == [{"case": name, "mL": "1.5"}]


def test_an_empty_cell_alone_is_a_row():
    text = csv_text(("case",), [{"case": ""}, {"case": None}, {"case": 0.1 + 0.2}])
    assert [row["case"] for row in read_csv_text(text)[1]] == ["", "", "0.30000000000000004"]


def test_bytes_of_a_file_name_that_are_no_text_are_shown_by_their_codes():
    text = csv_text(("case",), [{"case": "pat\udce9"}])
    assert text.encode("utf-8") == b"case\npat\\udce9\n"


def test_columns_are_made_safe_too_and_unknown_ones_are_an_error():
    assert csv_text(("=a",), [{"=a": 1}]) == "'=a\n1\n"
    with pytest.raises(ValueError, match="b"):
        csv_text(("a",), [{"b": 1}])
