import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from journal_cases import DOCUMENT, SHAPE, paint, zeros

from napari_brain_tumor.autosave import layer_journal
from napari_brain_tumor.autosave.changes import change_between, digest_of
from napari_brain_tumor.autosave.layer_journal import LayerJournal, recover
from napari_brain_tumor.autosave.sessions import Session
from napari_brain_tumor.errors import UnreadableFileError


@pytest.fixture
def thread():
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def journal(tmp_path, thread):
    return LayerJournal(tmp_path / "layer", zeros(), DOCUMENT, thread, compact_records=20)


def settle(thread):
    thread.submit(lambda: None).result()


def test_a_base_that_is_replaced_while_it_is_read_does_not_lose_its_changes(journal, thread, monkeypatch):
    labels = paint(journal, zeros(), 5)
    settle(thread)
    read = layer_journal._newest_base

    def read_slowly(folder):
        found = read(folder)
        monkeypatch.undo()
        journal.compact(labels, None)
        settle(thread)
        return found

    monkeypatch.setattr(layer_journal, "_newest_base", read_slowly)
    np.testing.assert_array_equal(recover(journal.folder).labels, labels)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_nobody_else_may_read_a_journal(tmp_path):
    umask = os.umask(0o022)
    try:
        session = Session(tmp_path / "home" / "journal")
        journal = session.open(zeros(), DOCUMENT)
        assert journal is not None
        paint(journal, zeros(), 3)
        session.flush()
        for path in [tmp_path / "home" / "journal", *(tmp_path / "home" / "journal").rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        session.finish()
    finally:
        os.umask(umask)


def test_the_last_state_is_recovered_without_closing(journal):
    labels = paint(journal, zeros(), 10)
    found = recover(journal.folder)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.document == DOCUMENT
    assert found.unsaved


def test_a_torn_or_damaged_end_costs_only_what_is_after_it(journal):
    labels = paint(journal, zeros(), 6)
    path = journal.folder / "000000.changes"
    whole = path.read_bytes()
    later = paint(journal, labels.copy(), 1, seed=9)
    assert (later != labels).any()
    for end in (b"\0\0\0", path.read_bytes()[len(whole) : -1], b""):
        path.write_bytes(whole + end)
        np.testing.assert_array_equal(recover(journal.folder).labels, labels)


def test_files_that_a_person_copied_into_the_folder_count_for_nothing(journal):
    labels = paint(journal, zeros(), 6)
    for name in ("copy_of_000000.changes", "000000 (1).changes", "old.base.npz"):
        (journal.folder / name).write_bytes(b"something")
    np.testing.assert_array_equal(recover(journal.folder).labels, labels)


def test_compacting_keeps_the_state_and_removes_what_is_older(journal, thread):
    labels = paint(journal, zeros(), 100)
    settle(thread)
    np.testing.assert_array_equal(recover(journal.folder).labels, labels)
    names = sorted(path.name for path in journal.folder.iterdir())
    assert len(names) == 2
    assert "000000.changes" not in names


def test_without_its_last_base_a_journal_is_read_from_the_one_before(tmp_path, journal, thread):
    labels = paint(journal, zeros(), 10)
    settle(thread)
    copy = tmp_path / "copy"
    shutil.copytree(journal.folder, copy)
    journal.compact(labels, None)
    labels = paint(journal, labels, 5, seed=3)
    settle(thread)
    for path in journal.folder.glob("*.changes"):
        shutil.copy(path, copy)  # as if the process had died before the new base was there
    np.testing.assert_array_equal(recover(copy).labels, labels)
    (copy / ".0123.000001.base.npz").write_bytes(b"half of a new base")
    (copy / "000001.base.npz").write_bytes(b"not whole")
    np.testing.assert_array_equal(recover(copy).labels, labels)


def test_what_a_hand_did_is_recovered_too(journal):
    labels, automatic = paint(journal, zeros(), 5), zeros()
    automatic[1:3] = 2
    journal.automatic(change_between(labels, automatic))
    np.testing.assert_array_equal(recover(journal.folder).automatic, automatic)
    journal.compact(labels, change_between(labels, automatic))
    labels = paint(journal, labels, 5, seed=2)
    np.testing.assert_array_equal(recover(journal.folder).automatic, automatic)
    journal.automatic(None)
    np.testing.assert_array_equal(recover(journal.folder).automatic, labels)


def test_saved_labels_and_labels_painted_back_are_not_unsaved(journal, thread):
    settle(thread)
    assert not recover(journal.folder).unsaved
    labels = paint(journal, zeros(), 5)
    journal.saved(digest_of(labels))
    assert not recover(journal.folder).unsaved
    before = labels.copy()
    labels = paint(journal, labels, 1, seed=4)
    assert recover(journal.folder).unsaved
    journal.change(change_between(labels, before))
    assert not recover(journal.folder).unsaved
    assert journal.close(before) is False


def test_a_new_document_takes_the_place_of_the_one_before(journal):
    labels = paint(journal, zeros(), 1)
    journal.describe({"name": "renamed"})
    assert recover(journal.folder).document == {"name": "renamed"}
    journal.compact(labels, None)
    assert recover(journal.folder).document == {"name": "renamed"}


def test_labels_of_another_shape_begin_anew(journal):
    paint(journal, zeros(), 5)
    other = np.ones((3, 4, 5), np.int32)
    journal.begin_anew(other, None)
    found = recover(journal.folder)
    np.testing.assert_array_equal(found.labels, other)
    assert found.labels.dtype == np.int32


def test_a_change_at_once_after_the_beginning_waits_for_the_base(tmp_path, thread):
    thread.submit(lambda: __import__("time").sleep(0.2))
    journal = LayerJournal(tmp_path / "layer", zeros(), DOCUMENT, thread)
    labels = paint(journal, zeros(), 1)
    np.testing.assert_array_equal(recover(journal.folder).labels, labels)


def test_a_disk_that_cannot_be_written_is_told_once_and_disturbs_nothing(tmp_path, thread):
    errors = []
    (tmp_path / "file").write_text("in the way")
    journal = LayerJournal(tmp_path / "file" / "layer", zeros(), DOCUMENT, thread, errors.append)
    assert not journal.running
    labels = paint(journal, zeros(), 3)
    journal.saved(digest_of(labels))
    journal.describe({})
    assert len(errors) == 1
    assert isinstance(errors[0], OSError)


def test_a_write_that_fails_later_ends_the_journal_and_keeps_what_it_has(tmp_path, thread):
    errors = []
    journal = LayerJournal(tmp_path / "layer", zeros(), DOCUMENT, thread, errors.append)
    labels = paint(journal, zeros(), 5)
    journal._file.close()
    paint(journal, labels.copy(), 5, seed=1)
    assert not journal.running
    assert len(errors) == 1
    np.testing.assert_array_equal(recover(journal.folder).labels, labels)


def test_a_journal_without_a_base_is_refused(tmp_path):
    (tmp_path / "layer").mkdir()
    with pytest.raises(UnreadableFileError, match="no readable starting labels"):
        recover(tmp_path / "layer")


def test_a_change_that_does_not_fit_ends_the_reading(journal):
    labels = paint(journal, zeros(), 5)
    outside = change_between(np.zeros((20, 20, 20), np.uint8), np.ones((20, 20, 20), np.uint8))
    journal.change(outside)
    assert outside.mask.shape != SHAPE
    np.testing.assert_array_equal(recover(journal.folder).labels, labels)
