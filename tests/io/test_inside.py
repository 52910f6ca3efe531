import os

import pytest

from napari_brain_tumor.errors import OutsideFolderError
from napari_brain_tumor.io.inside import outside_reason, path_inside, refuse_links_outside


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "labelsTr/case.nii.gz",
        "a/b/c.json",
        ".changes.json",
        "Über/ä.nii",
        "con_trol/nul1.nii",
        "a b/c",
        "x..y/z",
    ],
)
def test_what_is_relative_everywhere_is_inside(text):
    assert outside_reason(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "../x", "a/../x", "a/..", "/etc/passwd", "//host/share", "C:/x", "C:x", "c:\\x", "\\\\host\\x",
        "..\\x", "a\\b", "~/x", "a//b", "./a", "a/.", "NUL", "nul.nii.gz", "a/CON", "COM1", "lpt9.txt", "aux .nii",
        "a.", "a /b", "a/b ", "file:stream", "a\x00b", "a\nb", "COM¹", "CONIN$",
    ],
)  # fmt: skip
def test_what_leaves_the_folder_on_some_system_is_told(text):
    assert outside_reason(text)


def test_path_inside_is_below_the_folder_and_need_not_exist(tmp_path):
    assert path_inside(tmp_path, "labelsTr/new.nii.gz", named_by="index") == tmp_path / "labelsTr" / "new.nii.gz"
    with pytest.raises(OutsideFolderError, match=r"journal names the file '\.\./x'.*leads up"):
        path_inside(tmp_path, "../x", named_by="journal")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_that_leave_the_folder_are_refused_and_those_within_are_not(tmp_path):
    home, outside = tmp_path / "set", tmp_path / "outside"
    (home / "real").mkdir(parents=True)
    outside.mkdir()
    (home / "away").symlink_to(outside)
    (home / "alias").symlink_to(home / "real")
    with pytest.raises(OutsideFolderError, match="link"):
        path_inside(home, "away/x.nii", named_by="index")
    assert path_inside(home, "alias/x.nii", named_by="index") == home / "alias" / "x.nii"
    with pytest.raises(OutsideFolderError, match="away is a link"):
        refuse_links_outside(home, [home / "alias", home / "away"])
    # The folder itself may be reached through a link.
    (tmp_path / "link").symlink_to(home)
    assert path_inside(tmp_path / "link", "real/x", named_by="index").name == "x"


def test_scans_that_are_only_read_may_be_laid_out_with_links_but_not_named_outside(tmp_path):
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    (away / "scan.nii").touch()
    (home / "scan.nii").symlink_to(away / "scan.nii")
    assert path_inside(home, "scan.nii", named_by="index", links=True) == home / "scan.nii"
    with pytest.raises(OutsideFolderError, match="leads up"):
        path_inside(home, "../away/scan.nii", named_by="index", links=True)
