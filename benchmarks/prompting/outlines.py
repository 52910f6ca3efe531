"""Sessions with outlines, from which is fitted how the slices beside them follow (`interactive.carry`)."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.geometry import Grid, bounding_box
from napari_brain_tumor.interactive.carry import Said, plane_of, sections_of
from napari_brain_tumor.interactive.evidence import Block
from napari_brain_tumor.interactive.prompts import Lasso
from napari_brain_tumor.interactive.rasterise import rasterise
from napari_brain_tumor.interactive.refiner import reach_of
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.interactive.section import Section, Surroundings
from napari_brain_tumor.interactive.spread import Outlined, outline, outlined_by, slices_beside
from napari_brain_tumor.interactive.verdict import Verdict
from napari_brain_tumor.labels import REGIONS, Region, classes_from_regions, region_mask
from napari_brain_tumor.preprocessing.intensity import foreground_mask
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Array, Float32Array, Labels, Mask
from prompting.simulated_user import next_prompt
from prompting.verdict import Samples, Start, joined

__all__ = ["Maps", "play_outlines", "uneven_start", "within_brain"]

_OUTLINES: Final = 0.85
"""Share of prompts around a whole region; the others go around an error."""
_SHARES: Final = 0.6
"""Share of prompts to the error with the largest share of its region, and not with the most voxels."""
_NEAR_MM: Final = 6.0
"""As many voxels are sampled within this distance from the border of the shapes as beyond it."""
_MOST_ERRORS_MM: Final = 7.0


def play_outlines(
    study: Study,
    truth: Labels,
    start: Start,
    random: np.random.Generator,
    *,
    prompts: int = 6,
    regions: Sequence[Region] = ("WT", "TC", "ET"),
    verdict: Verdict | None = None,
    most: int = 1500,
) -> Samples:
    """Play one session with outlines and lassos, and sample the voxels beside each.

    Parameters
    ----------
    study : Study
    truth : (X, Y, Z) uint8 array
    start : Start
    random : Generator
        Chooses the user's habits, and the voxels.
    prompts : int
        At most.
    regions : sequence of {"WT", "TC", "ET"}
        Those that the truth knows.
    verdict : Verdict, optional
        Corrects between the prompts; without one only the shapes do.
    most : int
        Voxels that are sampled near the shapes' border, and as many further away, for every section.
    """
    scene, labels = Scene(study, start.probabilities), start.labels.copy()
    said, outlined = np.zeros(labels.shape, np.uint8), frozenset[Outlined]()
    samples: list[Samples] = []
    for _ in range(prompts):
        habit = "outline" if random.random() < _OUTLINES else "lasso"
        measure = "share" if random.random() < _SHARES else "voxels"
        prompt = next_prompt(labels, truth, study.grid, habit, regions, measure)  # type: ignore[arg-type]
        touched = None if prompt is None else rasterise(prompt, study.grid)
        plane = None if touched is None else plane_of(touched)
        if not isinstance(prompt, Lasso) or touched is None or plane is None:
            break
        at = (box := reach_of(touched, labels.shape)).slices
        block = Block(scene, box)
        for section in sections_of(prompt, touched, plane, box, labels[at], said[at]):
            if section.region in regions:
                others = slices_beside(section, outlined, box)
                samples += _sampled(block, section, labels[at], said[at], others, truth[at], random, most)
        settled = said[at].copy()
        after = outline(scene, box, labels[at], settled, prompt, touched, plane, outlined, verdict)
        labels[at] = after if "TC" in regions else after > 0
        said[at] = settled
        outlined |= outlined_by(prompt, touched)
    return joined(samples)


def _sampled(
    block: Block,
    section: Section,
    labels: Labels,
    said: Labels,
    others: Sequence[int],
    truth: Labels,
    random: np.random.Generator,
    most: int,
) -> Iterator[Samples]:
    settled = Said.of(said, section.region)
    before = region_mask(labels, section.region)
    around = Surroundings(block, section, before, settled.is_in, settled.is_out, others)
    where = np.nonzero(around.candidates())
    if not len(where[0]):
        return
    near = np.abs(around.shape[where]) < _NEAR_MM
    indices, weights = [], []
    for part in (np.flatnonzero(near), np.flatnonzero(~near)):
        some = random.choice(part, min(most, len(part)), replace=False)
        indices.append(some)
        weights.append(np.full(len(some), len(part) / max(1, len(some)), np.float32))
    at = tuple(index[np.concatenate(indices)] for index in where)
    inside = np.moveaxis(region_mask(truth, section.region), section.axis, 0)[at]
    zeros = np.zeros(len(inside), np.intp)
    yield Samples(around.evidence(at).astype(np.float16), inside, np.concatenate(weights), zeros)


def uneven_start(truth: Labels, grid: Grid, random: np.random.Generator) -> Start:
    """The truth with uneven margins, lost parts and false ones, and probabilities that are wrong where it is.

    Parameters
    ----------
    truth : (X, Y, Z) uint8 array
    grid : Grid
    random : Generator
    """
    box = bounding_box(truth > 0)
    at = tuple(slice(None) for _ in range(3)) if box is None else box.grown((20, 20, 20), grid.shape).slices
    near = truth[at]
    most = random.uniform(1.5, _MOST_ERRORS_MM)
    alike = _noise(near.shape, grid, random.uniform(4, 10), random)
    masks: list[Mask] = []
    maps: dict[Region, Float32Array] = {}
    for region in REGIONS:
        errors = 0.7 * alike + 0.7 * _noise(near.shape, grid, random.uniform(2, 6), random)
        depth = _depth(region_mask(near, region), grid) + most * errors + random.normal(0, 1.5)
        masks.append(depth > 0)
        maps[region] = np.zeros(truth.shape, np.float32)
        maps[region][at] = 1 / (1 + np.exp(-np.clip(random.uniform(0.4, 1.5) * depth, -9, 9)))
    labels = np.zeros_like(truth)
    labels[at] = classes_from_regions(np.stack(masks))
    return Start(labels, Maps(maps))  # type: ignore[arg-type]


class Maps:
    """Probabilities in the form in which a correction reads those of a network."""

    def __init__(self, arrays: dict[Region, Float32Array]) -> None:
        self._arrays = arrays
        self.regions = tuple(arrays)

    def __getitem__(self, region: Region) -> Float32Array:
        return self._arrays[region]


def _noise(shape: tuple[int, ...], grid: Grid, width_mm: float, random: np.random.Generator) -> Array:
    smooth = ndimage.gaussian_filter(random.standard_normal(shape), [width_mm / s for s in grid.spacing])
    return np.asarray(smooth / smooth.std())


def _depth(mask: Mask, grid: Grid) -> Array:
    if not mask.any():
        return np.full(mask.shape, -20.0)
    inside = ndimage.distance_transform_edt(mask, sampling=grid.spacing)
    return np.asarray(inside - ndimage.distance_transform_edt(~mask, sampling=grid.spacing))


def within_brain(study: Study, truth: Labels) -> tuple[Study, Labels, tuple[slice, slice, slice]]:
    """A case cut to the brain, so that the simulated user looks at no air; and where that lies in the whole."""
    foreground = foreground_mask([volume.T for volume in study.sequences.values()]).T | (truth > 0)
    box = bounding_box(foreground)
    assert box is not None
    cut = {role: np.ascontiguousarray(volume[box.slices]) for role, volume in study.sequences.items()}
    return Study(cut, study.grid.cropped(box), study.name), truth[box.slices].copy(), box.slices
