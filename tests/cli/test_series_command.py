"""`brain-tumor series` and `--series`: what an export holds, and picking from it."""

import json

import pytest

from dicom_phantoms import write_series
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.shell import request_from


def write_two(folder):
    write_series(folder / "a", "AX FLAIR", uid="1", SeriesNumber=3, EchoTime=120, InversionTime=2500)
    write_series(folder / "b", "SAG FLAIR", seed=1, uid="2", SeriesNumber=4)
    return folder


def test_every_series_is_printed_with_its_number(tmp_path, run):
    code, out, _ = run("series", write_two(tmp_path / "x"))
    assert code == 0
    lines = out.splitlines()
    assert "--series" in lines[0]
    (first,) = [line for line in lines if "AX FLAIR" in line]
    assert first.split()[0] == "3"
    assert "TI 2500" in first.replace("TE 120 ", "")


def test_the_list_is_json_on_request(tmp_path, run):
    _, out, _ = run("series", write_two(tmp_path / "x"), "--json")
    listed = json.loads(out)
    assert [(one["number"], one["description"], one["role"]) for one in listed] == [
        ("3", "AX FLAIR", "FLAIR"),
        ("4", "SAG FLAIR", "FLAIR"),
    ]
    assert listed[0]["slices"] == len(listed[0]["files"]) == 5


def test_two_candidates_stop_a_command_with_the_list_and_the_option_picks(tmp_path, run):
    write_two(tmp_path / "x")
    code, _, err = run("segment", "x", "--model", "threshold")
    assert code == 1
    assert "3: AX FLAIR" in err
    assert "4: SAG FLAIR" in err
    assert "--roles" not in err  # which would not help here
    _, out, _ = run("check", "x", "--series", "FLAIR=sag flair", "--model", "threshold", "--json")
    (row,) = [row for row in json.loads(out) if row["question"] == "Sequences"]
    assert row["verdict"] != "fail"
    code, _, err = run("segment", "x", "--model", "threshold", "--series", "FLAIR=7")
    assert code == 1
    assert "no series '7'" in err


def test_picks_are_read_as_people_type_them():
    assert request_from(OpenOptions, {"series": []}).series is None
    assert request_from(OpenOptions, {"series": ["T1c=5", "FLAIR = AX FLAIR=2"]}).series == {
        "T1c": "5",
        "FLAIR": "AX FLAIR=2",
    }


@pytest.mark.parametrize("texts", [["5"], ["=5"], ["T1="], ["T1=1", "T1=2"]])
def test_picks_that_say_nothing_are_wrong_usage(texts, run):
    code, _, err = run("segment", "x", *(word for text in texts for word in ("--series", text)))
    assert code == 2
    assert "--series" in err
