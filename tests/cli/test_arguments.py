from pathlib import Path

import pytest
import typer

from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.requests.shell import request_from


def opening(**options: object) -> OpenOptions:
    return request_from(OpenOptions, options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("t1=0,flair=3", {"t1": 0, "flair": 3}),
        ("T1c = gad.nii.gz , flair=sub/dark=fluid.nii", {"T1c": "gad.nii.gz", "flair": "sub/dark=fluid.nii"}),
        ("FLAIR,T1,T1c,T2", ("FLAIR", "T1", "T1c", "T2")),
        ("FLAIR,-,T1c", ("FLAIR", None, "T1c")),
        ("t1c", ("t1c",)),
    ],
)
def test_roles_are_read_from_pairs_or_an_order(text: str | None, expected: object) -> None:
    assert opening(roles=text).roles == expected


@pytest.mark.parametrize("text", ["", "t1=0,flair", "t1=0,T1=1", "t1=", "=1", "t1,,flair"])
def test_roles_that_make_no_sense_are_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        opening(roles=text)


def test_a_role_file_in_the_current_folder_is_found_when_none_lies_beside_the_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = tmp_path / "case"
    case.mkdir()
    (case / "both.nii").touch()
    (tmp_path / "both.nii").touch()
    (tmp_path / "here.nii").touch()
    monkeypatch.chdir(tmp_path)
    roles = opening(roles="t1=here.nii,flair=both.nii,t2=nowhere.nii").beside(Path("case")).roles
    assert roles == {"t1": str(tmp_path / "here.nii"), "flair": "both.nii", "t2": "nowhere.nii"}


def test_spacing_is_three_millimetres() -> None:
    assert opening(spacing_mm="1,0.5,5").spacing_mm == (1.0, 0.5, 5.0)
    assert opening(spacing_mm="1x1x5").spacing_mm == (1.0, 1.0, 5.0)
    assert opening(spacing_mm=None).spacing_mm is None


@pytest.mark.parametrize("text", ["1,1", "1,1,0", "1,1,-2", "a,b,c", "1,1,1,1", "nan,1,1", "inf,1,1", ""])
def test_spacing_that_is_not_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="three millimetres"):
        opening(spacing_mm=text)


def test_seeds_are_world_coordinates_one_a_word() -> None:
    assert seeds("12.5,-30,41", " 1, 2 ,3") == ((12.5, -30.0, 41.0), (1.0, 2.0, 3.0))
    assert seeds() == ()


def seeds(*texts: str) -> object:
    return request_from(SegmentRequest, {"seeds": list(texts)}).seeds


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4", "a,b,c", "", "nan,1,1", "1,inf,2"])
def test_seeds_that_are_not_are_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="three numbers"):
        seeds(text)
