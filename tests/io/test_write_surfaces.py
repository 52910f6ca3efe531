"""Surfaces as files: how large, where in the world, and which way round."""

from dataclasses import replace

import numpy as np
import pytest

import phantoms
from dicom_results import result_of
from napari_brain_tumor import open_study, save_segmentation
from napari_brain_tumor.errors import SaveError, SpacingUnknownError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.write_surfaces import region_surface
from napari_brain_tumor.study import Segmentation

TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
MATRICES = {
    "RAS": phantoms.affine(spacing=(1, 1, 1)),
    "mirrored and flat": phantoms.affine(np.diag([-1, -1, 1]), (0.8, 1.1, 2.5)),
    "oblique": phantoms.affine(phantoms.tilt(), (0.7, 0.9, 3.0), (-31, 12, 77)),
    "sheared": phantoms.affine([[1, 0, 0.2], [0, 1, 0], [0, 0, 1]], (1, 1, 2)),
}


def balls(matrix, radius_mm=16.0):
    """Three nested balls around one point in the world, the core with a hole; and the point."""
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    shape = tuple(int(n) for n in np.ceil(60 / spacing))
    grid = Grid(shape, matrix)
    middle = grid.world(np.array(shape) / 2)
    away = np.linalg.norm(grid.world(np.indices(shape).transpose(1, 2, 3, 0)) - middle, axis=-1)
    labels = (away <= radius_mm).astype(np.uint8) + (away <= 0.8 * radius_mm) + (away <= 0.6 * radius_mm)
    labels[away <= 0.3 * radius_mm] = 2
    return Segmentation(labels.astype(np.uint8), grid, "balls"), middle


def read_stl(path):
    content = path.read_bytes()
    triangles = np.frombuffer(content, TRIANGLE, offset=84)
    assert len(triangles) == int(np.frombuffer(content, "<u4", 1, 80)[0])
    return content[:80].decode().strip(), triangles


def volume_of(triangles):
    a, b, c = (triangles["corners"][:, at].astype(float) for at in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


@pytest.mark.parametrize("axes", ["RAS", "LPS"])
@pytest.mark.parametrize("name", MATRICES)
def test_volume_within_is_that_of_the_voxels_and_faces_look_outwards(tmp_path, name, axes):
    result, middle = balls(MATRICES[name])
    paths = save_segmentation(result, tmp_path / "tumour.stl", axes=axes)
    assert [path.name for path in paths] == ["tumour_WT.stl", "tumour_TC.stl", "tumour_ET.stl"]
    for path, classes in zip(paths, ((1, 2, 3), (2, 3), (3,)), strict=True):
        text, triangles = read_stl(path)
        assert f"SPACE={axes}" in text
        voxels = np.isin(result.data, classes).sum() * result.grid.voxel_volume_mm3
        assert volume_of(triangles) == pytest.approx(voxels, rel=0.04)  # signed: positive is outwards
        expected = middle * ([-1, -1, 1] if axes == "LPS" else 1)
        centre = triangles["corners"].reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(centre, expected, atol=0.5)
    _, triangles = read_stl(paths[0])
    turned = np.cross(*(triangles["corners"][:, at] - triangles["corners"][:, 0] for at in (1, 2)))
    assert (np.einsum("ij,ij->i", turned, triangles["normal"]) >= 0).all()


def test_ply_has_the_same_points_and_a_colour(tmp_path):
    result, _ = balls(MATRICES["oblique"])
    path = save_segmentation(result, tmp_path / "x.ply", regions=["ET"])
    assert path == [tmp_path / "x.ply"]
    header, _, body = path[0].read_bytes().partition(b"end_header\n")
    lines = header.decode().splitlines()
    assert "comment napari-brain-tumor ET SPACE=RAS unit=mm" in lines
    count = int(next(line for line in lines if line.startswith("element vertex")).split()[2])
    vertices = np.frombuffer(body, np.dtype([("point", "<f4", 3), ("colour", "u1", 3)]), count)
    surface = region_surface(result, "ET")
    np.testing.assert_allclose(vertices["point"], surface.points, atol=1e-3)
    assert set(map(tuple, vertices["colour"].tolist())) == {(0xD5, 0x5E, 0x00)}


def test_surface_of_one_voxel_lies_around_its_centre():
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[4, 2, 5] = 3
    grid = Grid(labels.shape, MATRICES["oblique"])
    surface = region_surface(Segmentation(labels, grid), "WT")
    np.testing.assert_allclose(surface.points.mean(axis=0), grid.world([4, 2, 5]), atol=1e-3)


def test_absent_regions_have_no_file_and_nothing_at_all_is_refused(tmp_path):
    result, _ = balls(MATRICES["RAS"])
    edema = replace(result, data=(result.data > 0).astype(np.uint8))
    assert save_segmentation(edema, tmp_path / "a.stl") == [tmp_path / "a_WT.stl"]
    with pytest.raises(SaveError, match="contain no ET"):
        save_segmentation(edema, tmp_path / "b.stl", regions=("ET",))
    with pytest.raises(SaveError, match="contain no WT, TC, ET"):
        save_segmentation(replace(result, data=0 * result.data), tmp_path / "b.stl")
    with pytest.raises(SpacingUnknownError):
        save_segmentation(replace(result, grid=Grid(result.grid.shape, np.eye(4), "voxel")), tmp_path / "b.stl")


def test_record_beside_the_surfaces_tells_where_they_come_from(tmp_path):
    scan = phantoms.write_nifti(tmp_path / "x_t1.nii.gz", phantoms.noise())
    study = open_study(scan)
    result = result_of(study, phantoms.tumour(study.grid.shape))
    save_segmentation(result, tmp_path / "t.stl", axes="LPS")
    text = (tmp_path / "t.json").read_text()
    assert '"axes": "LPS"' in text
    assert '"WT": "t_WT.stl"' in text
    assert "unet" in text
