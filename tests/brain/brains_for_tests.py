"""A head in which everybody sees the brain: bright ball in a dark shell in a bright shell, in noisy air."""

import numpy as np

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Study
from phantoms import affine, ball


def head(shape=(48, 50, 12), spacing=(4.0, 4.0, 10.0), unit="mm", roles=("T1", "FLAIR"), directions=None):
    """The study, and the mask of its brain."""
    middle = [n // 2 for n in shape]
    radius = min(shape[:2]) // 2 - 6
    random = np.random.default_rng(0)
    brain, skull, scalp = (ball(shape, middle, radius + wider) for wider in (0, 2, 4))
    image = np.abs(random.normal(0, 3, shape)) + 150 * scalp - 140 * skull + 90 * brain
    image = image + brain * random.normal(0, 4, shape)
    directions = np.eye(3) if directions is None else directions
    grid = Grid(shape, affine(directions, spacing), unit)
    images = {role: (image * (1 + 0.2 * at)).astype(np.float32) for at, role in enumerate(roles)}
    return Study(images, grid, name="head"), brain
