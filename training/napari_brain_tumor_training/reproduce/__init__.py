"""Reproduce published experiments with a single command: check data, train, score, and write everything to one page."""

from napari_brain_tumor_training.reproduce.experiment import experiment_names
from napari_brain_tumor_training.reproduce.run import Reproduction, reproduce, reproduce_job

__all__ = ["Reproduction", "experiment_names", "reproduce", "reproduce_job"]
