"""A journal on disk of every change to a labels array, from which its last state comes back after a crash.

`changes` tells what differs between two arrays and packs it, `records` frames bytes so that a torn end is noticed,
`layer_journal` writes the journal of one array and reads it back, `sessions` holds those of one run of the program,
and `mirror` follows an array as it is painted on, undone and replaced. Nothing here knows napari or Qt.
"""
