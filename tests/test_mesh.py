"""Surfaces: their size, their place, and what they leave out."""

import numpy as np
import pytest

from napari_brain_tumor.errors import DimensionError
from napari_brain_tumor.mesh import label_mesh, vertex_normals

SPACING = (3.0, 1.0, 1.5)


def ball(radius_mm=12.0, spacing=SPACING, centre_mm=(20.0, 21.0, 22.5), shape=(14, 44, 30), value=1):
    axes = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    away = sum((axis - c) ** 2 for axis, c in zip(axes, centre_mm, strict=True))
    return (away <= radius_mm**2).astype(np.uint8) * value


def enclosed_volume(mesh, spacing_mm=(1.0, 1.0, 1.0)):
    """In mm3, by the divergence theorem."""
    return abs(np.linalg.det((mesh.vertices * np.array(spacing_mm))[mesh.faces]).sum()) / 6


def test_surface_of_a_ball_has_its_volume_and_lies_on_it_in_mm():
    labels = ball()
    mesh = label_mesh(labels, 1, SPACING)
    volume = float(labels.sum()) * np.prod(SPACING)
    assert enclosed_volume(mesh, SPACING) == pytest.approx(volume, rel=0.05)
    away = np.linalg.norm(mesh.vertices * SPACING - (20.0, 21.0, 22.5), axis=1)
    assert np.percentile(np.abs(away - 12.0), 99) < 1.6
    assert mesh.vertices.mean(axis=0) * SPACING == pytest.approx((20.0, 21.0, 22.5), abs=0.3)


def test_smoothing_takes_the_steps_of_the_voxels_away():
    labels = ball(spacing=(1.0, 1.0, 1.0), centre_mm=(20.0, 20.0, 20.0), shape=(41, 41, 41))
    away = np.linalg.norm(label_mesh(labels, 1).vertices - 20.0, axis=1)
    assert away.std() < 0.2


def test_surface_is_closed_also_at_the_border_of_the_volume():
    labels = np.ones((4, 5, 6), np.uint8)
    mesh = label_mesh(labels, 1)
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all()
    assert mesh.vertices.min() >= -0.7
    assert enclosed_volume(mesh) == pytest.approx(4 * 5 * 6, rel=0.15)


def test_enclosed_core_makes_no_second_wall_and_a_part_of_one_voxel_stays():
    labels = ball(value=1)
    labels[ball(radius_mm=5.0) > 0] = 3
    solid, shell = label_mesh(ball(), 1, SPACING), label_mesh(labels, 1, SPACING)
    assert len(shell.faces) == len(solid.faces)
    labels[:] = 0
    labels[3, 3, 3] = 2
    assert label_mesh(labels, 2).vertices.mean(axis=0) == pytest.approx((3, 3, 3), abs=0.01)


def test_large_surface_is_sampled_at_fewer_voxels_and_keeps_its_place():
    labels = ball(spacing=(1.0, 1.0, 1.0), centre_mm=(20.0, 20.0, 20.0), shape=(41, 41, 41), radius_mm=15.0)
    fine, coarse = label_mesh(labels, 1), label_mesh(labels, 1, max_faces=4000)
    assert len(coarse.faces) < len(fine.faces) / 3
    assert coarse.vertices.mean(axis=0) == pytest.approx((20, 20, 20), abs=0.5)
    assert enclosed_volume(coarse) == pytest.approx(enclosed_volume(fine), rel=0.1)


def test_slice_has_no_surface():
    with pytest.raises(DimensionError, match="2 axes"):
        label_mesh(np.ones((4, 4), np.uint8), 1)


def test_normals_of_a_ball_point_away_from_its_middle():
    mesh = label_mesh(ball(), 1, SPACING)
    outward = mesh.vertices * SPACING - np.array((20.0, 21.0, 22.5))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    normals = vertex_normals(mesh, SPACING)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0)
    assert np.percentile((normals * outward).sum(axis=1), 5) > 0.8
