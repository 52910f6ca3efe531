import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_brain_tumor.autosave.changes import change_between, digest_of, pack_change, unpack_change
from napari_brain_tumor.errors import UnreadableFileError

SHAPE = (6, 7, 8)


def labels(seed, shape=SHAPE, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, 4, shape).astype(dtype)


@given(st.integers(0, 500), st.sampled_from([np.uint8, np.int16, np.int32, np.uint64]), st.booleans())
def test_a_change_makes_one_array_the_other_also_after_packing(seed, dtype, strided):
    before, after = labels(seed, dtype=dtype), labels(seed + 1, dtype=dtype)
    if strided:
        before, after = before[:, ::2], after[:, ::2]
    for change in (change_between(before, after), unpack_change(pack_change(change_between(before, after)))):
        made = before.copy()
        change.apply(made)
        np.testing.assert_array_equal(made, after)
        assert made.dtype == after.dtype


def test_equal_arrays_differ_in_nothing_in_or_out_of_a_box():
    assert change_between(labels(0), labels(0)) is None
    assert change_between(labels(0), labels(0), (slice(1, 3), slice(0, 2), slice(4, 8))) is None


def test_a_change_is_told_in_the_smallest_box_with_one_value_for_all():
    before = np.zeros(SHAPE, np.uint8)
    after = before.copy()
    after[2, 3, 4] = after[4, 3, 5] = 3
    change = change_between(before, after)
    assert change.start == (2, 3, 4)
    assert change.mask.shape == (3, 1, 2)
    assert change.values.tolist() == [3]
    assert change.count == 2


def test_a_box_limits_where_is_looked():
    before, after = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    after[0, 0, 0], after[5, 6, 7] = 1, 2
    change = change_between(before, after, (slice(3, 6), slice(2, 7), slice(0, 8)))
    assert (change.start, change.values.tolist(), change.count) == ((5, 6, 7), [2], 1)


def test_equal_changes_give_equal_bytes_wherever_they_were_looked_for():
    before, after = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    after[2:4, 3, 4:6] = 2
    box = (slice(1, 5), slice(0, 7), slice(2, 8))
    assert pack_change(change_between(before, after)) == pack_change(change_between(before, after, box))


def test_a_stroke_takes_a_few_hundred_bytes():
    before = np.zeros((155, 240, 240), np.uint8)
    after = before.copy()
    after[70, 100:140, 60:200] = 1
    assert len(pack_change(change_between(before, after))) < 300


@pytest.mark.parametrize("ruin", [lambda b: b[:-4], lambda b: b"nothing", lambda b: b""])
def test_bytes_that_are_no_change_are_refused(ruin):
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        unpack_change(ruin(pack_change(change_between(labels(0), labels(1)))))


def test_a_digest_tells_labels_apart():
    assert digest_of(labels(0)) == digest_of(labels(0)[:, :, ::1].copy())
    assert digest_of(labels(0)) != digest_of(labels(1))
