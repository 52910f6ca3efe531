import os
import sys
import time
from datetime import UTC, datetime

import pytest
from filelock import FileLock
from journal_cases import DOCUMENT, paint, zeros

from napari_brain_tumor.autosave import sessions
from napari_brain_tumor.autosave.changes import digest_of
from napari_brain_tumor.autosave.sessions import Session, forget, journal_folder, journals, mark, recover_all, tidy


@pytest.fixture
def home(tmp_path):
    return tmp_path / "journal"


def lost(home, count=5, seed=0):
    """The folder of a journal whose session ended without closing it."""
    session = Session(home)
    journal = session.open(zeros(), DOCUMENT)
    paint(journal, zeros(), count, seed)
    session.flush()
    session.finish()
    return journal.folder


def make_older(folder, days):
    then = time.time() - days * 86_400
    for path in folder.iterdir():
        os.utime(path, (then, then))


def test_journals_lie_in_the_home_of_this_package(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path))
    assert journal_folder() == tmp_path / "journal"


def test_a_session_makes_no_folder_until_it_has_a_journal(home):
    Session(home).finish()
    assert not home.exists()
    assert journals(home) == []


def test_a_running_session_is_not_offered_and_not_tidied(home):
    session = Session(home)
    journal = session.open(zeros(), DOCUMENT)
    paint(journal, zeros(), 3)
    tidy(home, keep_days=-1, keep_bytes=0)
    assert journals(home) == []
    assert journal.folder.exists()
    session.finish()
    assert [one.folder for one in journals(home)] == [journal.folder]


def test_a_session_that_only_just_began_is_not_tidied(home):
    session = Session(home)
    folder = session._started()
    tidy(home)
    assert folder.exists()
    session.finish()
    assert not folder.exists()
    assert list(home.iterdir()) == []


@pytest.fixture
def unlucky(home, monkeypatch):
    """A function: another napari, which tidies up, holds the lock of so many first names of a new session."""
    real = sessions._lock_of

    def hold(count):
        home.mkdir(parents=True)
        taken = FileLock(home / "taken.lock")
        taken.acquire()
        names = []

        def lock_of(folder):
            names.append(folder)
            return FileLock(home / "taken.lock") if len(names) <= count else real(folder)

        monkeypatch.setattr(sessions, "_lock_of", lock_of)
        return taken

    return hold


def test_a_session_begins_although_another_napari_takes_its_lock_while_it_tidies(home, unlucky):
    taken = unlucky(3)
    errors = []
    session = Session(home, errors.append)
    journal = session.open(zeros(), DOCUMENT)
    assert errors == []
    labels = paint(journal, zeros(), 3)
    assert journals(home) == []  # it is protected by the lock that it got in the end
    session.flush()
    session.finish()
    taken.release()
    ((_, recovered),) = recover_all(journals(home))
    assert (recovered.labels == labels).all()


def test_a_session_that_never_gets_a_lock_says_so(home, unlucky):
    taken = unlucky(sessions._MOST_NAMES)
    errors = []
    assert Session(home, errors.append).open(zeros(), DOCUMENT) is None
    assert "taken by another program" in str(errors[0])
    taken.release()


@pytest.mark.skipif(sys.platform == "win32", reason="there the lock removes its file when it is released")
def test_tidying_removes_a_lock_before_another_session_can_hold_it(home, monkeypatch):
    home.mkdir(parents=True)
    left = home / "20260101-000000-1-abcd.lock"
    left.touch()
    there, release = [], FileLock.release
    monkeypatch.setattr(FileLock, "release", lambda lock: there.append(left.exists()) or release(lock))
    tidy(home)
    assert there == [False]


def test_what_was_lost_is_told_and_what_was_closed_is_told_apart(home):
    folder = lost(home)
    session = Session(home)
    journal = session.open(zeros(), DOCUMENT)
    labels = paint(journal, zeros(), 3, seed=1)
    session.close(journal, labels)
    session.finish()
    assert {one.folder: one.fate for one in journals(home)} == {folder: "lost", journal.folder: "closed"}


@pytest.mark.parametrize("saved", [False, True])
def test_a_closed_journal_without_unsaved_work_is_removed(home, saved):
    session = Session(home)
    journal = session.open(zeros(), DOCUMENT)
    labels = zeros()
    if saved:
        labels = paint(journal, labels, 3)
        journal.saved(digest_of(labels))
    session.close(journal, labels)
    session.finish()
    assert list(home.iterdir()) == []


def test_only_journals_with_unsaved_work_are_recovered(home):
    folder = lost(home)
    session = Session(home)
    session.open(zeros(), DOCUMENT)
    session.finish()
    ruined = lost(home, seed=3)
    for path in ruined.glob("*.npz"):
        path.write_bytes(b"ruined")
    assert len(journals(home)) == 3
    assert [one.folder for one, _ in recover_all(journals(home))] == [folder]


def test_marks_tell_how_a_journal_ended(home):
    folder = lost(home)
    mark(folder, "declined")
    assert [one.fate for one in journals(home)] == ["declined"]
    mark(folder, "restored")
    assert [one.fate for one in journals(home)] == ["restored"]
    forget(folder)
    assert journals(home) == []
    mark(folder, "closed")
    assert not folder.exists()


def test_old_journals_are_removed_with_their_sessions(home):
    old, new = lost(home), lost(home, seed=1)
    make_older(old, days=15)
    tidy(home, keep_days=14)
    assert [one.folder for one in journals(home)] == [new]
    assert not old.parent.exists()


def test_where_there_is_too_much_what_was_closed_goes_first_then_the_oldest(home):
    oldest, older, closed = lost(home), lost(home, seed=1), lost(home, seed=2)
    mark(closed, "closed")
    make_older(oldest, 3)
    make_older(older, 2)
    size = sum(path.stat().st_size for path in older.iterdir())
    tidy(home, keep_bytes=round(2.5 * size))
    assert {one.folder for one in journals(home)} == {oldest, older}
    tidy(home, keep_bytes=round(1.5 * size))
    assert {one.folder for one in journals(home)} == {older}


def test_a_session_folder_tells_when_it_was_started(home):
    folder = lost(home)
    assert folder.parent.name.startswith(f"{datetime.now(UTC):%Y%m%d}")


def test_a_home_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    errors = []
    session = Session(tmp_path / "file" / "journal", errors.append)
    assert session.open(zeros(), DOCUMENT) is None
    assert len(errors) == 1
    session.finish()
