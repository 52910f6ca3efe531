import numpy as np
import pytest
from journal_cases import SHAPE, strokes, zeros

from napari_brain_tumor.autosave.changes import change_between
from napari_brain_tumor.autosave.mirror import Mirror, combine


class KeptInMemory:
    """What a journal would be told, made into the state that it would give back."""

    def __init__(self, labels):
        self.labels, self.hand = labels.copy(), None
        self.due, self.compacted = False, 0

    def change(self, change):
        change.apply(self.labels)

    def automatic(self, change):
        self.hand = change

    def compact(self, labels, automatic):
        self.compacted += 1
        np.testing.assert_array_equal(labels, self.labels)

    def begin_anew(self, labels, automatic):
        self.labels, self.hand = labels.copy(), automatic


@pytest.fixture
def told():
    return KeptInMemory(zeros())


def result(value=2):
    labels = zeros()
    labels[1:5, 1:5, 1:5] = value
    return labels


def test_what_is_painted_reaches_the_journal_and_the_mirror(told):
    mirror, labels = Mirror(zeros(), journal=told), zeros()
    for box, value in strokes(30):
        labels[box] = value
        around = tuple(slice(0, at.stop) for at in box)
        mirror.painted(around, lambda copy, box=box, value=value: copy.__setitem__(box, value))
        np.testing.assert_array_equal(mirror.labels, labels)
        np.testing.assert_array_equal(told.labels, labels)


def test_a_look_takes_in_what_was_not_told(told):
    mirror, labels = Mirror(zeros(), journal=told), zeros()
    labels[2, 3, 4] = 3
    assert mirror.look(labels) is None
    np.testing.assert_array_equal(told.labels, labels)
    labels[2, 3, 4] = 1
    assert mirror.labels[2, 3, 4] == 3  # a copy


def test_what_a_hand_did_is_what_differs_from_the_last_automatic_step(told):
    mirror, labels = Mirror(zeros(), journal=told), result()
    mirror.step(labels, result())
    assert told.hand is None
    labels = labels.copy()
    labels[0, 0, 0] = 1
    labels[1, 1, 1] = 0
    mirror.look(labels)
    assert np.argwhere(mirror.labels != mirror.automatic).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_undo_and_redo_of_an_automatic_step_bring_the_automatic_labels_before_and_after_it(told):
    mirror = Mirror(zeros(), journal=told)
    painted = zeros()
    painted[0, 0, 0] = 1
    mirror.look(painted)
    combined = result()
    combined[0, 0, 0] = 1
    mirror.step(combined, result(), ("before", "after"))
    assert mirror.look(painted).notes == ("before", "after")
    np.testing.assert_array_equal(mirror.automatic, zeros())
    assert mirror.look(combined) is not None
    np.testing.assert_array_equal(mirror.automatic, result())
    assert np.argwhere(mirror.labels != mirror.automatic).tolist() == [[0, 0, 0]]


def test_undo_of_strokes_after_an_automatic_step_leaves_it(told):
    mirror = Mirror(zeros(), journal=told)
    mirror.step(result(), result())
    painted = result()
    painted[0, 0, 0] = 1
    mirror.look(painted)
    assert mirror.look(result()) is None
    np.testing.assert_array_equal(mirror.automatic, result())


def test_two_automatic_steps_are_undone_one_after_the_other(told):
    mirror = Mirror(zeros(), journal=told)
    mirror.step(result(1), result(1))
    mirror.step(result(2), result(2))
    for labels in (result(1), zeros()):
        assert mirror.look(labels) is not None
        np.testing.assert_array_equal(mirror.automatic, labels)


def test_a_step_that_changes_nothing_still_makes_everything_automatic(told):
    mirror = Mirror(result(), zeros(), told)
    assert told.hand.count == np.count_nonzero(result())
    mirror.step(result(), result())
    np.testing.assert_array_equal(mirror.automatic, result())
    assert told.hand is None


def test_a_journal_that_is_due_is_compacted(told):
    mirror = Mirror(zeros(), journal=told)
    told.due = True
    mirror.look(result())
    assert told.compacted == 1


def test_labels_of_another_shape_are_begun_anew(told):
    mirror = Mirror(zeros(), journal=told)
    mirror.look(np.ones((2, 3, 4), np.int16))
    assert told.labels.shape == mirror.labels.shape == mirror.automatic.shape == (2, 3, 4)


def test_combining_keeps_what_a_hand_changed_and_takes_the_rest_from_the_result():
    automatic, labels, new = result(1), result(1), result(3)
    labels[0, 0, 0] = 2  # added by hand
    labels[1, 1, 1] = 0  # erased by hand
    labels[2, 2, 2] = 3  # changed by hand to what the result says as well
    combined, kept = combine(labels, automatic, new)
    expected = result(3)
    expected[0, 0, 0], expected[1, 1, 1] = 2, 0
    np.testing.assert_array_equal(combined, expected)
    assert kept == 2
    assert combined.dtype == labels.dtype
    assert change_between(labels, labels) is None
    assert labels.shape == SHAPE
