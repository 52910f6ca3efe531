import os
import time

import pytest
from filelock import FileLock

from napari_brain_tumor.io.scratch import recover_scratch, scratch_beside, swap_in


def folder(path, text):
    path.mkdir(parents=True)
    (path / "card.json").write_text(text)
    return path


def test_new_folder_takes_the_place_of_the_old_one_and_nothing_is_left(tmp_path):
    folder(tmp_path / "model", "old")
    with scratch_beside(tmp_path / "model") as scratch:
        swap_in(folder(scratch / "new", "new"), tmp_path / "model", scratch)
    assert (tmp_path / "model" / "card.json").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_old_folder_is_there_again_where_the_new_one_cannot_be_moved(tmp_path):
    folder(tmp_path / "model", "old")
    with pytest.raises(OSError, match="missing"), scratch_beside(tmp_path / "model") as scratch:
        swap_in(scratch / "missing", tmp_path / "model", scratch)
    assert (tmp_path / "model" / "card.json").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_folder_that_a_kill_took_away_comes_back(tmp_path):
    scratch = tmp_path / ".scratch-killed"
    folder(scratch / "old", "old")
    folder(scratch / "new", "new")
    (scratch / "name.txt").write_text("model")
    (scratch / ".lock").touch()
    recover_scratch(tmp_path)
    assert (tmp_path / "model" / "card.json").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_kill_after_the_swap_keeps_the_new_folder(tmp_path):
    folder(tmp_path / "model", "new")
    scratch = tmp_path / ".scratch-killed"
    folder(scratch / "old", "old")
    (scratch / "name.txt").write_text("model")
    (scratch / ".lock").touch()
    recover_scratch(tmp_path)
    assert (tmp_path / "model" / "card.json").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_scratch_of_a_process_that_lives_is_left_alone(tmp_path):
    scratch = tmp_path / ".scratch-alive"
    folder(scratch / "old", "old")
    (scratch / "name.txt").write_text("model")
    with FileLock(scratch / ".lock"):
        recover_scratch(tmp_path)
        assert (scratch / "old").is_dir()
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["../escaped", "a/b", "", ".."])
def test_name_that_leads_elsewhere_puts_nothing_back(tmp_path, name):
    home = tmp_path / "home"
    scratch = home / ".scratch-killed"
    folder(scratch / "old", "old")
    (scratch / "name.txt").write_text(name)
    (scratch / ".lock").touch()
    recover_scratch(home)
    assert list(home.iterdir()) == []
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_folders_of_earlier_versions_go_when_they_are_old(tmp_path):
    fresh, old, foreign = (
        folder(tmp_path / ".import-new", "x"),
        folder(tmp_path / ".import-old", "x"),
        tmp_path / ".git-x",
    )
    foreign.mkdir()
    day_ago = time.time() - 2 * 24 * 3600
    for path in (old, foreign):
        os.utime(path, (day_ago, day_ago))
    recover_scratch(tmp_path)
    assert fresh.is_dir()
    assert foreign.is_dir()
    assert not old.exists()
