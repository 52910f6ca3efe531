"""N4: estimate and remove the smooth shading of receiver coils (Tustison 2010, 10.1109/TMI.2010.2046908)."""

from typing import Any, Final

import numpy as np
import SimpleITK as sitk

from napari_brain_tumor.types import Array, Float32Array, Mask

_FITTED_MM: Final = 4.0
"""Voxel size at which the field is fitted; it is smooth over centimetres."""
_ITERATIONS: Final = (40, 30, 20)


def without_bias_field(array: Array, mask: Mask, spacing_mm: tuple[float, float, float]) -> Float32Array:
    """Divide a sequence by its bias field.

    Parameters
    ----------
    array : (X, Y, Z) array
    mask : (X, Y, Z) bool array
        Where the field is fitted: brain or head.
    spacing_mm : (x, y, z)

    Returns
    -------
    (X, Y, Z) float32 array
        Corrected values, with the same mean within the mask.
    """
    positive = np.asarray(array, np.float32) - np.float32(min(0.0, float(array.min())))
    image = _as_image(positive, spacing_mm)
    where = sitk.Cast(_as_image(mask.astype(np.uint8), spacing_mm), sitk.sitkUInt8)
    shrink = [max(1, round(_FITTED_MM / side)) for side in spacing_mm]
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(list(_ITERATIONS))
    corrector.Execute(sitk.Shrink(image, shrink), sitk.Shrink(where, shrink))
    log_field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).transpose(2, 1, 0)
    corrected: Float32Array = np.asarray(positive / np.exp(log_field), np.float32)
    before, after = float(positive[mask].mean()), float(corrected[mask].mean())
    return corrected * np.float32(before / max(after, 1e-6))


def _as_image(values: Array, spacing_mm: tuple[float, float, float]) -> Any:
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing(spacing_mm)
    return image
