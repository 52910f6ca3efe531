from hypothesis import given
from hypothesis import strategies as st

from napari_brain_tumor.autosave.records import CHANGE, SAVED, frame, read_records

RECORDS = [(CHANGE, b"a stroke"), (SAVED, b""), (CHANGE, bytes(range(256)) * 5)]
CONTENT = b"".join(frame(kind, payload) for kind, payload in RECORDS)
ENDS = [len(b"".join(frame(*one) for one in RECORDS[:count])) for count in range(len(RECORDS) + 1)]


def test_records_are_read_as_they_were_written():
    assert read_records(CONTENT) == (RECORDS, True)
    assert read_records(b"") == ([], True)


@given(st.integers(0, len(CONTENT)))
def test_a_torn_end_leaves_the_records_before_it(length):
    whole = sum(end <= length for end in ENDS[1:])
    assert read_records(CONTENT[:length]) == (RECORDS[:whole], length in ENDS)


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_ends_the_reading_at_its_record(at, flip):
    damaged = bytearray(CONTENT)
    damaged[at] ^= flip
    before = sum(end <= at for end in ENDS[1:])
    assert read_records(bytes(damaged)) == (RECORDS[:before], False)


def test_garbage_after_the_records_is_left_out():
    assert read_records(CONTENT + b"\0" * 40) == (RECORDS, False)
