"""A data set whose writers are killed at any moment, or write at the same time, stays readable and whole."""

import subprocess
import sys
from pathlib import Path

import pytest
from dataset_cases import add_case, assert_is_whole
from killed_changes import OPERATIONS, other_label

from napari_brain_tumor import CuratedDataset

PROGRAM = Path(__file__).with_name("killed_changes.py")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="children are forked and killed by SIGKILL")


@pytest.fixture
def dataset(tmp_path):
    made = CuratedDataset.create(tmp_path / "set")
    add_case(made, "first", state="accepted", split="train")
    add_case(made, "second", split="val")
    return made


def start(*arguments):
    return subprocess.Popen([sys.executable, str(PROGRAM), *map(str, arguments)], stderr=subprocess.PIPE, text=True)


def finish(process):
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said


def summary(dataset):
    return {case.id: (case.label.sha256, case.state, case.split) for case in dataset.cases()}


@pytest.mark.slow
@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_a_change_killed_at_any_point_was_made_whole_or_not_at_all(dataset, tmp_path, operation):
    work = tmp_path / "killed"
    finish(start("points", dataset.folder, operation, work))
    copies = sorted(work.iterdir())
    assert len(copies) >= (25 if operation == "add" else 10)
    before, after = summary(dataset), summary(CuratedDataset(copies[-1]))
    assert before != after
    seen = []
    for copy in copies:
        killed = CuratedDataset(copy)
        found = summary(killed)
        assert found in (before, after)
        assert killed.check_files(voxels=True) == {}
        assert all(killed.truth(case.id).known.all() for case in killed.cases())
        seen.append(found == after)
        if found == before:
            OPERATIONS[operation](killed)
        killed.review("second", "accepted")
        assert_is_whole(killed)
        assert set(summary(killed)) == set(after)
    # Not made up to one point, made from there on.
    assert seen == sorted(seen)
    assert {False, True} == set(seen)


@pytest.mark.slow
def test_a_writer_killed_at_random_moments_leaves_a_whole_data_set(dataset):
    finish(start("random", dataset.folder, 7, 25))
    assert dataset.check_files(voxels=True) == {}
    assert len(dataset) > 2
    add_case(dataset, "last")
    assert_is_whole(dataset)


@pytest.mark.slow
def test_two_processes_add_at_one_time_while_a_third_reads(dataset):
    writers = [start("add", dataset.folder, prefix, 9) for prefix in "ab"]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        for case in CuratedDataset(dataset.folder).cases():
            if case.id in ("first", "second"):
                assert dataset.truth(case.id).segmentation.data.any()
                reads += 1
    for writer in writers:
        finish(writer)
    assert reads > 0
    assert len(dataset) == 2 + 2 * 6
    assert dataset.index.revision == 2 + 2 * (9 + 3)
    sides = {f"patient {k // 2}": set() for k in range(9)}
    for case in dataset.cases():
        sides.setdefault(case.patient, set()).add(case.split)
    assert all(len(found) <= 1 for found in sides.values())
    assert_is_whole(dataset)


def test_a_label_can_be_read_while_it_is_being_replaced(dataset):
    possible = {dataset.truth("second").segmentation.data.tobytes(), other_label().data.tobytes()}
    process = start("relabel", dataset.folder, 40)
    seen = set()
    while process.poll() is None:
        seen.add(dataset.truth("first").segmentation.data.tobytes())
    finish(process)
    assert seen == possible
    assert dataset.case("first").label.version == 41
