"""Numbers from segmentations."""
