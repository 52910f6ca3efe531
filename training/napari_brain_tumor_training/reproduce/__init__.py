"""Published experiments, each with one command: data checked, networks trained, scores and pictures on one page."""

from napari_brain_tumor_training.reproduce.experiment import experiment_names
from napari_brain_tumor_training.reproduce.run import Reproduction, reproduce, reproduce_job

__all__ = ["Reproduction", "experiment_names", "reproduce", "reproduce_job"]
