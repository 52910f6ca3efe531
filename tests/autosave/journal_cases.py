"""Arrays and changes that the tests of the journal share."""

import numpy as np

from napari_brain_tumor.autosave.changes import change_between

SHAPE = (6, 7, 8)
DOCUMENT = {"name": "truth"}


def zeros():
    return np.zeros(SHAPE, np.uint8)


def strokes(count, seed=0):
    """Random strokes, each a box and a label, one painted on the other."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        start = rng.integers(0, np.array(SHAPE) - 1)
        yield tuple(slice(int(a), int(a) + 2) for a in start), int(rng.integers(0, 4))


def paint(journal, labels, count, seed=0):
    """Paint strokes on the labels and write them down."""
    for box, value in strokes(count, seed):
        after = labels.copy()
        after[box] = value
        change = change_between(labels, after)
        if change is not None:
            change.apply(labels)
            journal.change(change)
            if journal.due:
                journal.compact(labels, None)
    return labels
