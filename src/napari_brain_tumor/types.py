"""Type aliases for arrays; their axes are documented where they are used.

Volumes have the axes `(X, Y, Z)` of the scan's own grid, slices `(row, column)`, stacks of sequences or probabilities
`(channel, X, Y, Z)`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""An array of any shape and type."""

Float32Array = npt.NDArray[np.float32]
"""Intensities, probabilities or distances, as used by networks and filters."""

Float64Array = npt.NDArray[np.float64]
"""Coordinates, matrices and measurements."""

Indices = npt.NDArray[np.intp]
"""Voxel indices: flat, or `(N, 3)`."""

Mask = npt.NDArray[np.bool_]
"""Which voxels belong to a structure."""

Labels = npt.NDArray[np.uint8]
"""The class of each voxel, in the label schema of its segmentation."""

LayerLabels = npt.NDArray[Any]
"""Labels as stored in a napari layer: any integer type."""
