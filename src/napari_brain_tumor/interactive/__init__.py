"""Correct a segmentation with a few prompts (strokes, points, boxes, lassos); requires neither napari nor torch."""

from napari_brain_tumor.interactive.prompts import (
    Action,
    Box3D,
    FillHoles,
    Interpolate,
    KeepLargest,
    Lasso,
    Painted,
    Point,
    Prompt,
    PromptFile,
    Propagate,
    RemoveIsland,
    SmoothMargin,
    Step,
    Stroke,
    read_prompts,
    save_prompts,
)
from napari_brain_tumor.interactive.refine import refine, refine_job
from napari_brain_tumor.interactive.refiner import Change, Refiner

__all__ = [
    "Action",
    "Box3D",
    "Change",
    "FillHoles",
    "Interpolate",
    "KeepLargest",
    "Lasso",
    "Painted",
    "Point",
    "Prompt",
    "PromptFile",
    "Propagate",
    "Refiner",
    "RemoveIsland",
    "SmoothMargin",
    "Step",
    "Stroke",
    "read_prompts",
    "refine",
    "refine_job",
    "save_prompts",
]
