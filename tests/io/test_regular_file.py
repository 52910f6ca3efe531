import os
import socket
import sys

import numpy as np
import pytest

import phantoms
from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.interactive.prompts import read_prompts
from napari_brain_tumor.io import open_image, open_segmentation, open_study
from napari_brain_tumor.io.regular_file import file_beside, is_plain_name, open_regular, read_regular

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes and devices among its files")
READABLE = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".tif")


@posix
@pytest.mark.parametrize("suffix", READABLE)
def test_a_pipe_is_refused_before_it_is_opened(tmp_path, suffix):
    os.mkfifo(tmp_path / f"x_flair{suffix}")  # to open it would wait for ever
    for opened in (open_study, open_image, open_segmentation):
        with pytest.raises(UnreadableFileError, match="a pipe"):
            opened(tmp_path / f"x_flair{suffix}")


@posix
@pytest.mark.parametrize("suffix", READABLE)
def test_a_link_to_a_device_is_refused(tmp_path, suffix):
    (tmp_path / f"x_flair{suffix}").symlink_to(os.devnull)
    with pytest.raises(UnreadableFileError, match="a device"):
        open_study(tmp_path / f"x_flair{suffix}")


@posix
def test_a_pipe_as_prompts_is_refused(tmp_path):
    os.mkfifo(tmp_path / "prompts.json")
    with pytest.raises(ValueError, match="a pipe"):
        read_prompts(tmp_path / "prompts.json")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="long paths of sockets are refused elsewhere")
def test_a_socket_and_a_folder_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s")
        with pytest.raises(UnreadableFileError, match="a socket"):
            open_regular(tmp_path / "s")
    with pytest.raises(UnreadableFileError, match="a folder"):
        open_regular(tmp_path)


def test_an_ordinary_file_is_read_and_a_missing_one_named(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(UnreadableFileError, match="larger than 4 bytes"):
        read_regular(tmp_path / "a", 4)
    with pytest.raises(UnreadableFileError, match=r"b cannot be read: No such file"):
        read_regular(tmp_path / "b")
    with pytest.raises(UnreadableFileError, match="null"):
        read_regular(tmp_path / "b\0")


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", " ", "../x.raw", "./../x.raw", "a/b.raw", "a\\b.raw", "/etc/passwd", "C:x.raw", "C:\\x.raw",
        "\\\\host\\x", ".//etc/passwd", "x.raw:stream", "NUL", "con.raw", "LPT1", "%s%s%n\0", "x?.raw", "x*", "a\nb",
    ],
)  # fmt: skip
def test_a_name_that_is_a_path_a_drive_a_device_or_a_pattern_is_no_plain_name(tmp_path, name):
    assert not is_plain_name(name)
    with pytest.raises(UnreadableFileError, match="same folder"):
        file_beside(tmp_path / "x.mhd", name)


@pytest.mark.parametrize("name", ["x.raw", "x", "con_t1.raw", "nullify.raw", ".hidden", "T1 (2).zraw", "é.raw"])
def test_the_name_of_a_file_of_the_folder_is_plain(tmp_path, name):
    (tmp_path / name).write_bytes(b"1")
    assert file_beside(tmp_path / "x.mhd", name) == tmp_path / name
    assert file_beside(tmp_path / "x.mhd", f"./{name}") == tmp_path / name


def test_a_header_is_not_its_own_voxels(tmp_path):
    (tmp_path / "x.mhd").write_bytes(b"1")
    with pytest.raises(UnreadableFileError, match="names itself"):
        file_beside(tmp_path / "x.mhd", "x.mhd")


@posix
def test_a_link_must_not_leave_the_folder(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "case"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret").write_bytes(b"1")
    (inside / "x.raw").symlink_to(outside / "secret")
    with pytest.raises(UnreadableFileError, match="link out of the folder"):
        file_beside(inside / "x.mhd", "x.raw")
    (inside / "y").write_bytes(b"1")
    (inside / "y.raw").symlink_to(inside / "y")
    assert file_beside(inside / "x.mhd", "y.raw") == inside / "y.raw"
    (inside / "loop").symlink_to(inside / "loop")
    with pytest.raises(UnreadableFileError, match="not in its folder"):
        file_beside(inside / "x.mhd", "loop")


def test_a_link_to_a_scan_is_opened(tmp_path):
    path = phantoms.write_nifti(tmp_path / "a" / "x_flair.nii.gz", phantoms.noise())
    (tmp_path / "y_flair.nii.gz").symlink_to(path)
    study = open_study(tmp_path / "y_flair.nii.gz")
    np.testing.assert_array_equal(study.sequences["FLAIR"], phantoms.noise())
