"""A journal on disk of every change to a label array, from which its last state can be recovered after a crash.

`changes` finds the difference between two arrays and packs it, `records` frames bytes so that a truncated end is
detected, `layer_journal` writes and reads the journal of one array, `sessions` manages the journals of one run of the
program, and `mirror` follows an array through painting, undo and replacement. None of this depends on napari or Qt.
"""
