"""Measurements of segmentations: volumes, lesions, diameters, midline and enhancing rim."""
