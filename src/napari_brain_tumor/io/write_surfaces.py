"""Write surfaces of the tumour regions as STL and PLY files, in world millimetres."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import SaveError, SpacingUnknownError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.atomic import Part
from napari_brain_tumor.io.formats import split_suffix
from napari_brain_tumor.io.meaning import Meaning
from napari_brain_tumor.io.output import Axes, Output, SaveOptions, regions_to_save
from napari_brain_tumor.io.write_nifti import require
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.labels import CLASS_COLORS, REGIONS, Region, region_mask
from napari_brain_tumor.mesh import mask_mesh
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.types import Float32Array, Float64Array

_TO_LPS: Final = np.array([-1.0, -1.0, 1.0])
_TRIANGLE: Final = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_VERTEX: Final = np.dtype([("point", "<f4", 3), ("colour", "u1", 3)])
_FACE: Final = np.dtype([("count", "u1"), ("vertices", "<i4", 3)])
_HEADER_BYTES: Final = 80
_COLOUR_OF: Final[dict[Region, str]] = {region: CLASS_COLORS[classes[0]] for region, classes in REGIONS.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A closed surface in world coordinates.

    Parameters
    ----------
    points : (N, 3) float64 array
        Vertices in millimetres.
    faces : (M, 3) int32 array
        Indices of three points each, counter-clockwise as seen from outside.
    """

    points: Float64Array
    faces: npt.NDArray[np.int32]

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume by the divergence theorem; positive, since faces are oriented outwards."""
        first, second, third = (self.points[self.faces[:, at]] for at in range(3))
        return float(np.einsum("ij,ij->i", first, np.cross(second, third)).sum() / 6)


Encode = Callable[[Surface, str, str], bytes]
"""Encodes a surface, with its description and colour, as the bytes of a file."""


def stl_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return a binary STL file for each region."""
    return _output(segmentation, target, options, lambda surface, text, _: stl_bytes(surface, text), _check_stl)


def ply_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return a binary PLY file with colours for each region."""
    return _output(segmentation, target, options, ply_bytes, _check_ply)


def region_surface(segmentation: Segmentation, region: Region, axes: Axes = "RAS") -> Surface | None:
    """Return the surface of a nested region in world millimetres, lightly smoothed; None if the region is empty.

    The walls of holes are included, so that the enclosed volume is that of the region.

    Raises
    ------
    SpacingUnknownError
        If the voxel size is unknown.
    """
    grid = segmentation.grid
    if grid.unit != "mm":
        raise SpacingUnknownError(
            "Surfaces are written in millimetres, but the voxel size of this study is not known. Open the study with "
            "spacing_mm=(x, y, z)."
        )
    mesh = mask_mesh(region_mask(segmentation.data, region), grid.spacing)
    return None if mesh is None else _in_world(mesh.vertices, mesh.faces, grid, axes)


def _in_world(vertices: Float32Array, faces: npt.NDArray[np.int32], grid: Grid, axes: Axes) -> Surface:
    points = grid.world(vertices)
    if axes == "LPS":
        points = points * _TO_LPS
    surface = Surface(points, faces)
    return surface if surface.volume_mm3 >= 0 else Surface(points, np.ascontiguousarray(faces[:, ::-1]))


def _output(
    segmentation: Segmentation,
    target: Path,
    options: SaveOptions,
    encode: Encode,
    check: Callable[[Path, Surface], None],
) -> Output:
    surfaces = {
        region: surface
        for region in regions_to_save(segmentation, options)
        if (surface := region_surface(segmentation, region, options.axes)) is not None
    }
    if not surfaces:
        missing = ", ".join(options.regions or segmentation.known_regions)
        raise SaveError(f"{target.name} was not saved: the labels of {segmentation.name} contain no {missing}.")
    places = _places(target, tuple(surfaces), alone=len(options.regions) == 1)
    parts = []
    for region, surface in surfaces.items():
        text = f"napari-brain-tumor {region} SPACE={options.axes} unit=mm"
        content = encode(surface, text, _COLOUR_OF[region])
        parts.append(_part(places[region], content, surface, check))
    schema = SCHEMAS["BraTS2024-post-treatment"] if (segmentation.data == 4).any() else SCHEMAS["MSD"]
    more = {"axes": options.axes, "unit": "mm", "surfaces": {region: path.name for region, path in places.items()}}
    return Output(parts, list(places.values()), Meaning.of(segmentation, schema), target, more)


def _places(target: Path, regions: tuple[Region, ...], *, alone: bool) -> dict[Region, Path]:
    """Return a file name with the region for each region, or the given name if a single region was chosen."""
    if alone:
        return dict.fromkeys(regions, target)
    stem, suffix = split_suffix(target)
    return {region: target.with_name(f"{stem}_{region}{suffix}") for region in regions}


def _part(path: Path, content: bytes, surface: Surface, check: Callable[[Path, Surface], None]) -> Part:
    return Part(path, lambda temporary: temporary.write_bytes(content), lambda temporary: check(temporary, surface))


def stl_bytes(surface: Surface, text: str) -> bytes:
    """Encode a surface as binary STL; `text` is the header, where readers look for `SPACE=RAS` or `SPACE=LPS`."""
    triangles = np.zeros(len(surface.faces), _TRIANGLE)
    corners = surface.points[surface.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    triangles["normal"] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    triangles["corners"] = corners
    header = text.encode("ascii")[:_HEADER_BYTES].ljust(_HEADER_BYTES)
    return header + len(triangles).to_bytes(4, "little") + bytes(triangles.tobytes())


def ply_bytes(surface: Surface, text: str, colour: str) -> bytes:
    """Encode a surface as binary PLY with one colour such as `"#D55E00"` for all points; `text` becomes a comment."""
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {text}",
        f"element vertex {len(surface.points)}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue")),
        f"element face {len(surface.faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    vertices = np.zeros(len(surface.points), _VERTEX)
    vertices["point"] = surface.points
    vertices["colour"] = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    faces = np.zeros(len(surface.faces), _FACE)
    faces["count"], faces["vertices"] = 3, surface.faces
    return "\n".join(lines).encode("ascii") + b"\n" + vertices.tobytes() + faces.tobytes()


def _check_stl(path: Path, surface: Surface) -> None:
    content = path.read_bytes()
    triangles = np.frombuffer(content, _TRIANGLE, offset=_HEADER_BYTES + 4)
    require(len(triangles) == len(surface.faces), "it has another number of triangles")
    require(np.allclose(triangles["corners"], surface.points[surface.faces], atol=1e-3), "its points lie elsewhere")


def _check_ply(path: Path, surface: Surface) -> None:
    content = path.read_bytes()
    start = content.index(b"end_header\n") + len(b"end_header\n")
    vertices = np.frombuffer(content, _VERTEX, len(surface.points), start)
    faces = np.frombuffer(content, _FACE, len(surface.faces), start + vertices.nbytes)
    require(np.array_equal(faces["vertices"], surface.faces), "its triangles differ")
    require(np.allclose(vertices["point"], surface.points, atol=1e-3), "its points lie elsewhere")
