"""Correct a segmentation with a few prompts: strokes, points, boxes, lassos; without napari and without torch."""

from napari_brain_tumor.interactive.prompts import (
    Box3D,
    Interpolate,
    Lasso,
    Painted,
    Point,
    Prompt,
    PromptFile,
    Propagate,
    Step,
    Stroke,
    read_prompts,
    save_prompts,
)
from napari_brain_tumor.interactive.refine import refine, refine_job
from napari_brain_tumor.interactive.refiner import Change, Refiner

__all__ = [
    "Box3D",
    "Change",
    "Interpolate",
    "Lasso",
    "Painted",
    "Point",
    "Prompt",
    "PromptFile",
    "Propagate",
    "Refiner",
    "Step",
    "Stroke",
    "read_prompts",
    "refine",
    "refine_job",
    "save_prompts",
]
