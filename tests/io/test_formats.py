"""The table of file formats, and that everything which knows suffixes has them from it."""

from pathlib import Path

import pytest
import yaml

import napari_brain_tumor
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.formats import (
    FORMATS,
    format_named,
    format_to_write,
    image_suffixes,
    load,
    offered_suffixes,
    saved_formats,
    saved_suffixes,
    split_suffix,
)
from napari_brain_tumor.io.volume import short_name


def test_every_reader_and_writer_is_there_and_says_what_it_does():
    for one in FORMATS:
        for place in filter(None, (one.reader, one.writer)):
            assert load(place).__doc__


def test_manifest_offers_the_suffixes_of_the_table():
    manifest = yaml.safe_load((Path(napari_brain_tumor.__file__).parent / "napari.yaml").read_text())
    patterns = set(manifest["contributions"]["readers"][0]["filename_patterns"])
    assert {f"*{suffix}" for suffix in (*offered_suffixes(), ".dcm")} == patterns - {"*_mask.tif"}
    written = set(manifest["contributions"]["writers"][0]["filename_extensions"])
    assert written == set(saved_suffixes()) - {".tif"}  # everybody's


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("x.nii.gz", None, "nifti"),
        ("X.NII", None, "nifti"),
        ("x.tiff", None, "tiff"),
        ("x.dcm", None, "dicom-seg"),
        ("x.dcm", "rtstruct", "rtstruct"),
        ("x.stl", None, "stl"),
        ("folder", None, "masks"),
        ("folder", "bids", "bids"),
    ],
)
def test_format_is_that_of_the_suffix_unless_one_is_named(tmp_path, path, name, expected):
    assert format_to_write(tmp_path / path, name).name == expected


def test_suffixes_that_are_not_written_and_names_of_no_format_are_refused(tmp_path):
    for path in ("x.nhdr", "x.mhd", "x.png", "results.v2"):
        with pytest.raises(SaveError, match="suffix that cannot be written"):
            format_to_write(tmp_path / path)
    with pytest.raises(SaveError, match="does not have a suffix of the format stl"):
        format_to_write(tmp_path / "x.dcm", "stl")
    with pytest.raises(SaveError, match=r"'dicom'.*dicom-seg"):
        format_named("dicom")


def test_stem_and_suffix():
    assert split_suffix(Path("scan.NII.gz")) == ("scan", ".nii.gz")
    assert split_suffix(Path("case.v2")) == ("case", ".v2")
    assert short_name(Path("a/tumour.v2.stl")) == "tumour.v2"
    assert short_name(Path("case.v2")) == "case.v2"


def test_names_are_unique_and_readable_suffixes_too():
    names = [one.name for one in FORMATS]
    assert len(set(names)) == len(names)
    assert len(set(image_suffixes())) == len(image_suffixes())
    assert {one.name for one in saved_formats()} == set(names) - {"dicom", "nifti-pair"}
