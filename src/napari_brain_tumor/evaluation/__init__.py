"""Segmentations against truth."""
