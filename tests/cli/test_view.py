import sys

import pytest

from napari_brain_tumor import cli
from napari_brain_tumor.cli import view


@pytest.fixture
def started(monkeypatch):
    """The commands that would open a window; the window opens without a complaint."""
    calls = []

    def call(command, env):
        assert env["PYTHONSAFEPATH"] == "1"
        calls.append(command)
        return 0

    monkeypatch.setattr(view.subprocess, "call", call)
    monkeypatch.setattr(view, "why_no_window", lambda _: None)
    return calls


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["view", *arguments])
    return ended.value.code


def test_view_opens_the_window_on_the_case(started, tmp_path):
    assert run(str(tmp_path)) == 0
    assert started == [[sys.executable, "-P", "-m", "napari_brain_tumor.widgets.show", "--", str(tmp_path)]]


def test_view_hands_on_what_the_files_do_not_tell(started):
    assert run("-5.nii.gz") == 2  # an option that is none
    given = ["scan.nii.gz", "--segmentation", "seg.nii.gz", "--roles", "FLAIR,-,T1", "--spacing", "1,1,5"]
    assert run(*given, "--schema", "BraTS") == 0
    options = ["--roles=FLAIR,-,T1", "--spacing=1.0,1.0,5.0", "--schema", "BraTS"]
    assert started[0][4:] == [*options, "--", "scan.nii.gz", "seg.nii.gz"]


def test_view_without_a_display_says_why(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(view, "why_no_window", lambda _: "there is no display")
    assert run(str(tmp_path)) == 1
    assert "there is no display" in capsys.readouterr().err


def test_view_ends_as_its_window_ended(started, monkeypatch, tmp_path):
    monkeypatch.setattr(view.subprocess, "call", lambda *_, **__: 1)
    assert run(str(tmp_path)) == 1


def test_view_refuses_what_is_no_spacing_before_a_window_opens(started, tmp_path):
    assert run(str(tmp_path), "--spacing", "1,1") == 2
    assert started == []
