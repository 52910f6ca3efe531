"""Files that mean something only together, and names that only one of several writers gets."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import phantoms
from napari_brain_tumor import leftovers
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_segmentation, save_segmentation
from napari_brain_tumor.io.atomic import Part, write_atomically, write_together
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.study import Segmentation, TifSlices

PROGRAM = Path(__file__).with_name("killed_saves.py")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def part(path, text):
    return Part(path, lambda place: place.write_text(text), lambda _: None)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def notes(home):
    return sorted((home.parent / "home").rglob("*.*"))


def test_all_parts_are_written_and_nothing_else_is_left(home):
    write_together([part(home / "a", "1"), part(home / "b", "2")])
    write_together([part(home / "a", "3"), part(home / "b", "4")])
    assert contents(home) == {"a": "3", "b": "4"}
    assert notes(home) == []


@pytest.mark.parametrize("earlier", [{}, {"a": "old a", "b": "old b"}, {"a": "old a"}])
@pytest.mark.parametrize("failing", ["write", "check", "name"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_where_one_part_fails_no_part_is_changed(home, monkeypatch, earlier, failing, overwrite):
    if not overwrite:
        earlier = {name: text for name, text in earlier.items() if name != "a"}
    for name, text in earlier.items():
        (home / name).write_text(text)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    last = Part(home / "b", refuse if failing == "write" else lambda place: place.write_text("new"), refuse)
    if failing == "name":
        replace = os.replace
        last = part(home / "b", "new")
        monkeypatch.setattr(
            os,
            "replace",
            lambda a, b: refuse() if Path(b) == home / "b" and "old" not in Path(a).read_text() else replace(a, b),
        )
    with pytest.raises(SaveError, match=r"No space left on device.*Nothing was changed"):
        write_together([part(home / "a", "new"), last], overwrite=overwrite)
    assert contents(home) == earlier
    assert notes(home) == []


def test_what_could_not_be_taken_back_is_said(home, monkeypatch):
    (home / "a").write_text("old a")
    (home / "b").write_text("old b")
    replace = os.replace
    calls = []

    def fails_from_the_second_on(source, target):
        if Path(target).parent == home:
            calls.append(target)
            if len(calls) > 1:
                raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_from_the_second_on)
    with pytest.raises(SaveError, match=r"stopped halfway: Permission denied\. New already: a") as refused:
        write_together([part(home / "a", "new"), part(home / "b", "new")])
    assert "Nothing was changed" not in str(refused.value)


def test_a_name_that_is_taken_stays_whosoever_it_is(home):
    (home / "a").write_text("theirs")
    with pytest.raises(SaveError, match=r"already exists.*--overwrite, overwrite=True"):
        write_atomically(home / "a", lambda place: place.write_text("ours"), lambda _: None, overwrite=False)
    assert contents(home) == {"a": "theirs"}


@pytest.mark.parametrize("links", [True, False])
def test_of_many_that_write_one_name_at_once_one_gets_it(home, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(95, "Operation not supported")))
    start = threading.Barrier(8)
    outcomes = {}

    def write(name):
        def check(_):
            start.wait(timeout=30)

        try:
            write_together(
                [Part(home / "a", lambda p: p.write_text(name), check), part(home / "b", name)], overwrite=False
            )
            outcomes[name] = True
        except SaveError:
            outcomes[name] = False

    threads = [threading.Thread(target=write, args=(str(k),)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [name for name, won in outcomes.items() if won]
    assert len(winners) == 1
    assert contents(home) == {"a": winners[0], "b": winners[0]}


def test_a_home_that_cannot_be_written_to_does_not_keep_from_saving(home, monkeypatch):
    (home.parent / "home").write_text("a file")
    write_together([part(home / "a", "1"), part(home / "b", "2")])
    leftovers.finish_interrupted()
    assert contents(home) == {"a": "1", "b": "2"}


# Labels and their record --------------------------------------------------------------------------------------------


def result(classes=None, **changes):
    labels = phantoms.tumour() if classes is None else classes
    return Segmentation(labels, Grid(labels.shape, np.eye(4)), **changes)


def test_labels_stay_as_they_were_where_the_record_cannot_be_written(home, monkeypatch):
    save_segmentation(result(), home / "seg.nii.gz", "BraTS2023")
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    replace = os.replace

    def refuse_json(source, target):
        if str(target).endswith("seg.json") and '"MSD"' in Path(source).read_text():
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_json)
    with pytest.raises(SaveError, match="Nothing was changed"):
        save_segmentation(result(SCHEMAS["BraTS2023"].encode(phantoms.tumour())), home / "seg.nii.gz", "MSD")
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


def test_names_that_are_no_text_can_be_recorded(home):
    name = os.fsdecode(b"pat\xe9/t1.nii.gz")
    save_segmentation(result(provenance={"note": name}), home / "seg.nii.gz")
    assert json.loads((home / "seg.json").read_text("utf-8"))["provenance"]["note"] == name


def test_an_earlier_result_is_replaced_only_on_purpose(home):
    save_segmentation(result(), home / "seg.nii.gz")
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    with pytest.raises(SaveError, match="already exists"):
        save_segmentation(result(np.zeros((7, 6, 5), np.uint8)), home / "seg.nii.gz", overwrite=False)
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


@pytest.mark.parametrize("there", [False, True])
def test_masks_of_another_run_are_not_replaced(home, there):
    folder = home / "masks"
    if there:
        folder.mkdir()
        (folder / "scan_1.txt").write_text("of the patient")
    save_segmentation(result(), folder, overwrite=False)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(SaveError, match="already exists"):
        save_segmentation(result(np.ones((7, 6, 5), np.uint8)), folder, overwrite=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert np.array_equal(open_segmentation(folder).data, phantoms.tumour())


def test_masks_of_fewer_slices_do_not_mix_with_earlier_ones(home):
    long = result(layout=TifSlices("p", (1, 2, 3, 4, 5)))
    save_segmentation(long, home / "masks")
    short = result(phantoms.tumour()[..., :3].copy(), layout=TifSlices("p", (1, 2, 3)))
    with pytest.raises(SaveError, match=r"2 masks of other slices of p, such as p_4_mask.tif"):
        save_segmentation(short, home / "masks")
    assert np.array_equal(open_segmentation(home / "masks").data, long.data)


def test_a_record_of_another_file_is_not_replaced(home):
    save_segmentation(result(provenance={"by": "first"}), home / "seg.nrrd", "BraTS2023")
    for suffix in (".nii.gz", ".mha"):
        save_segmentation(result(provenance={"by": suffix}), home / f"seg{suffix}", "MSD")
    save_segmentation(result(provenance={"by": "again"}), home / "seg.mha", "MSD")
    texts = {path.name: json.loads(path.read_text()) for path in home.glob("*.json")}
    assert {name: (one["file"], one["provenance"]["by"]) for name, one in texts.items()} == {
        "seg.json": ("seg.nrrd", "first"),
        "seg.napari-brain-tumor.json": ("seg.nii.gz", ".nii.gz"),
        "seg.mha.napari-brain-tumor.json": ("seg.mha", "again"),
    }


# Killed on the way --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="children are killed by SIGKILL")
@pytest.mark.parametrize("kind", ["file", "file first", "masks", "masks first", "masks among scans"])
def test_a_save_killed_at_any_point_was_made_whole_or_not_at_all(home, kind):
    done = subprocess.run(
        [sys.executable, PROGRAM, home, kind], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["points"] >= 8
    assert set(report["outcomes"]) <= {"old", "new"}
    assert report["outcomes"] == sorted(report["outcomes"], key=["old", "new"].index)
    assert {"old", "new"} == set(report["outcomes"])
    assert report["swapped_before_the_next_start"] == 0
    assert report["left_over"] == []


def test_the_note_of_a_living_process_is_left_alone(home):
    temporary = home / ".0123456789ab.seg.nii.gz"
    temporary.write_text("being written")
    with leftovers.noted([temporary]):
        leftovers.finish_interrupted()
        assert temporary.exists()
    assert temporary.exists()


def note(home, content):
    folder = home.parent / "home" / "unfinished"
    folder.mkdir(parents=True)
    path = folder / f"{leftovers._this_machine()}-0.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_note_moves_and_removes_temporary_files_alone(home):
    precious = home / "precious.nii.gz"
    precious.write_text("precious")
    hidden = home / ".0123456789ab.other"
    hidden.write_text("in the way")
    path = note(
        home,
        {
            "temporary": [str(precious), str(hidden)],
            "moves": [[str(precious), str(home / "elsewhere")]],
        },
    )
    leftovers.finish_interrupted()
    assert contents(home) == {"precious.nii.gz": "precious"}
    assert not path.exists()


@pytest.mark.parametrize("moves", [[[".0123456789ab.a", "b"]], [[".0123456789ab.a", "../a"]]])
def test_a_temporary_file_gets_no_other_name_than_its_own(home, moves):
    (home / ".0123456789ab.a").write_text("new")
    note(home, {"temporary": [], "moves": [[str(home / a), str(home / b)] for a, b in moves]})
    leftovers.finish_interrupted()
    assert contents(home) == {".0123456789ab.a": "new"}


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"temporary": 3}', "[" * 5000])
def test_a_ruined_note_is_removed(home, content):
    path = note(home, content)
    leftovers.finish_interrupted()
    assert not path.exists()


@pytest.mark.parametrize(("number", "told"), [(5, True), (28, True), (22, False), (95, False)])
def test_a_folder_that_the_disk_does_not_confirm_is_said_truly(home, monkeypatch, number, told):
    fsync = os.fsync

    def fails_for_folders(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fails_for_folders)
    if told:
        with pytest.raises(SaveError, match="was written, but the disk did not confirm it") as refused:
            write_together([part(home / "a", "1")])
        assert "Nothing was changed" not in str(refused.value)
    else:
        write_together([part(home / "a", "1")])
    assert contents(home) == {"a": "1"}
