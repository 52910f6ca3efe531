"""Metrics for comparing segmentations with a reference."""
