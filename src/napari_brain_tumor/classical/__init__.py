"""Classical segmentation methods, which need no trained weights."""
