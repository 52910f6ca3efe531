"""How records name files: near ones relative to themselves, so that a folder can be moved with its results."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_phantoms import write_series
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_sources, open_study, save_segmentation
from napari_brain_tumor.io.dicom import hidden_key
from napari_brain_tumor.io.sidecar_paths import with_paths
from napari_brain_tumor.study import Segmentation


def provenance(path):
    return {
        "inputs": {"T1": {"path": str(path), "sha256": "0" * 64, "files": {"a": "b"}}},
        "model": {"name": "mine", "folder": str(path)},
        "refined": [{"kind": "stroke", "points": [[1, 2, 3]]}],
        "start": {"path": Path(path), "schema": "MSD"},
    }


def named(record):
    return [record["inputs"]["T1"]["path"], record["model"]["folder"], record["start"]["path"]]


@pytest.mark.parametrize(
    ("place", "style", "expected"),
    [
        ("a/b/out/scan.nii", "auto", "scan.nii"),
        ("a/b/case/scan.nii", "auto", "../case/scan.nii"),
        ("a/case/scan.nii", "auto", "../../case/scan.nii"),
        ("case/scan.nii", "auto", None),
        ("case/scan.nii", "relative", "../../../case/scan.nii"),
        ("a/b/out/scan.nii", "absolute", None),
        ("a/b/case/scan.nii", "names", "scan.nii"),
    ],
)
def test_paths_are_written_as_asked(tmp_path, place, style, expected):
    path = tmp_path / place
    record = with_paths(provenance(path), tmp_path / "a/b/out", style)
    assert named(record) == [expected or str(path)] * 3
    assert record["inputs"]["T1"]["sha256"] == "0" * 64
    assert record["refined"] == [{"kind": "stroke", "points": [[1, 2, 3]]}]


def test_a_path_of_the_current_folder_is_told_from_that_of_the_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named(with_paths(provenance("case/scan.nii"), Path("out"), "auto")) == ["../case/scan.nii"] * 3


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_linked_folder_of_results_is_left_by_its_real_place(tmp_path):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "scan.nii").touch()
    (tmp_path / "out").symlink_to(tmp_path / "real" / "deep")
    (path, *_) = named(with_paths(provenance(tmp_path / "case/scan.nii"), tmp_path / "out", "auto"))
    assert path == "../../case/scan.nii"
    assert (tmp_path / "out" / path).exists()


def test_what_is_no_path_stays(tmp_path):
    told = {"model": {"folder": None, "path": ""}, "inputs": {}, "path": 3}
    assert with_paths(told, tmp_path, "names") == told


def test_saving_takes_the_style(tmp_path):
    result = Segmentation(
        np.zeros((3, 3, 3), np.uint8), Grid((3, 3, 3), np.eye(4)), provenance=provenance(tmp_path / "s")
    )
    for style, expected in (("auto", "s"), ("absolute", str(tmp_path / "s"))):
        save_segmentation(result, tmp_path / "seg.nii.gz", paths=style)
        assert named(json.loads((tmp_path / "seg.json").read_text())["provenance"]) == [expected] * 3


def test_uids_of_series_are_hidden_unless_paths_are_absolute(tmp_path):
    told = {"inputs": {"T1": {"path": "dicom", "series": "1.2.840.1#2"}}}
    for style in ("auto", "relative", "names"):
        series = with_paths(told, tmp_path, style)["inputs"]["T1"]["series"]
        assert "1.2.840" not in series
        assert hidden_key("1.2.840.1#2") == series == hidden_key(series)
    assert with_paths(told, tmp_path, "absolute")["inputs"]["T1"]["series"] == "1.2.840.1#2"


def test_a_hidden_series_is_found_by_whoever_has_the_files(tmp_path):
    write_series(tmp_path, "AX FLAIR", uid="1")
    second = write_series(tmp_path / "more", "AX T2", seed=1, uid="2")
    study = open_study(tmp_path, series={"T2": "AX T2"})
    source = study.sources["T2"]
    again = open_sources({"T2": replace(source, series=hidden_key(source.series))}, "case")
    np.testing.assert_array_equal(again.sequences["T2"], second)
