"""Small valid scans and labels in every format: noise whose shape, spacing and place are unlike in all directions."""

import bz2
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import editors
import nibabel as nib
import numpy as np
import numpy.typing as npt
import openers
import tifffile
from cases import Seed

SHAPE: Final = (9, 8, 7)
AFFINE: Final = np.array(((0.9, 0, 0, -4), (0, -1.1, 0, 5), (0, 0, 3.0, 10), (0, 0, 0, 1)))
_ROLES: Final = ("T1", "T1c", "T2", "FLAIR")
_NIFTI: Final = dict.fromkeys((".nii", ".hdr"), (editors.nifti_field,) * 3 + (editors.nifti_extension,))
_NIFTI_GZ: Final = {".nii.gz": (*_NIFTI[".nii"], *_NIFTI[".nii"], editors.gzip_bomb)}
_HEADER: Final = dict.fromkeys((".nrrd", ".nhdr", ".mha", ".mhd"), (editors.header_line,))
_JSON: Final = {".json": (editors.json_node,)}

Array = npt.NDArray[Any]


def noise(seed: int = 0, shape: tuple[int, ...] = SHAPE, dtype: str = "<i2") -> Array:
    """Values that differ from voxel to voxel."""
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def tumour() -> Array:
    """Classes 1, 2 and 3, nested around a corner."""
    classes = np.zeros(SHAPE, np.uint8)
    classes[1:6, 1:5, 0:4], classes[2:5, 1:4, 0:3], classes[3, 1:3, 0:2] = 1, 2, 3
    return classes


def nifti_seeds() -> Iterator[Seed]:
    """NIfTI-1 and NIfTI-2, plain and gzip, both byte orders, scaled values, several volumes, a pair of files."""
    plain = {
        "int16": _nifti(nib.Nifti1Image, noise()),
        "scaled": _nifti(nib.Nifti1Image, noise(1), slope=0.5),
        "big-endian": _nifti(nib.Nifti1Image, noise(2), order=">"),
        "NIfTI-2": _nifti(nib.Nifti2Image, noise(3, dtype="<f4")),
    }
    for name, content in plain.items():
        yield _file(name, "scan.nii", content, _NIFTI)
        yield _file(f"{name}, gzip", "scan.nii.gz", gzip.compress(content, mtime=0), _NIFTI_GZ)
    several = _nifti(nib.Nifti1Image, noise(4, (*SHAPE, 4)))
    yield _file("four volumes", "scan.nii.gz", gzip.compress(several, mtime=0), _NIFTI_GZ, roles=_ROLES)
    folder = {
        f"case_{role.lower()}.nii.gz": gzip.compress(_nifti(nib.Nifti1Image, noise(5 + k)), mtime=0)
        for k, role in enumerate(_ROLES)
    }
    checked = {name: ((0, len(content)),) for name, content in folder.items()}
    yield Seed("NIfTI", "case folder", folder, openers.scan(""), _NIFTI_GZ, checked, frozenset(folder))
    pair = nib.Nifti1Pair(noise(9), AFFINE)
    parts = {key: io.BytesIO() for key in ("header", "image")}
    pair.to_file_map({key: nib.FileHolder(fileobj=file) for key, file in parts.items()})
    files = {"scan.hdr": parts["header"].getvalue(), "scan.img": parts["image"].getvalue()}
    yield Seed("NIfTI", "header and image", files, openers.scan("scan.hdr"), _NIFTI, whole=frozenset(files))


def _nifti(kind: Any, values: Array, slope: float | None = None, order: str = "<") -> bytes:
    image = kind(values, AFFINE)
    image.header.set_data_dtype(values.dtype)
    image.header.set_xyzt_units("mm")
    if slope is not None:
        image.header.set_slope_inter(slope, 1.0)
    header = image.header.as_byteswapped(order)
    header["vox_offset"] = header.single_vox_offset
    return bytes(header.binaryblock + bytes(4) + values.astype(values.dtype.newbyteorder(order)).tobytes(order="F"))


def _file(name: str, file: str, content: bytes, edits: Mapping[str, Any], roles: tuple[str, ...] = ("FLAIR",)) -> Seed:
    checked = {file: ((0, len(content)),)} if content.startswith(b"\x1f\x8b") else {}
    return Seed("NIfTI", name, {file: content}, openers.scan(file, roles), edits, checked, frozenset([file]))


def nrrd_seeds() -> Iterator[Seed]:
    """NRRD with its voxels in the same file or beside the header, plain, gzip, bzip2 and as text."""
    values = noise(11).tobytes(order="F")
    packed = {"raw": values, "gzip": gzip.compress(values, mtime=0), "bzip2": bz2.compress(values)}
    for encoding, body in packed.items():
        head = _nrrd_header(encoding)
        content = head + b"\n" + body
        checked = {"scan.nrrd": ((len(head) + 1, len(content)),)} if encoding != "raw" else {}
        files = {"scan.nrrd": content}
        yield Seed("NRRD", encoding, files, openers.scan("scan.nrrd"), _HEADER, checked, frozenset(files))
        files = {"scan.nhdr": head + b"data file: scan.raw\n", "scan.raw": body}
        checked = {"scan.raw": ((0, len(body)),)} if encoding != "raw" else {}
        yield Seed(
            "NRRD", f"{encoding}, beside", files, openers.scan("scan.nhdr"), _HEADER, checked, frozenset(["scan.raw"])
        )
    text = " ".join(map(str, noise(11).ravel(order="F"))).encode()
    yield Seed("NRRD", "text", {"scan.nrrd": _nrrd_header("ascii") + b"\n" + text}, openers.scan("scan.nrrd"), _HEADER)


def _nrrd_header(encoding: str) -> bytes:
    directions = " ".join(f"({-c[0]},{-c[1]},{c[2]})" for c in AFFINE[:3, :3].T)
    lines = (
        *("NRRD0004", "# made for a test", "type: int16", "dimension: 3", f"sizes: {' '.join(map(str, SHAPE))}"),
        *("space: left-posterior-superior", f"space directions: {directions}", "kinds: domain domain domain"),
        *("endian: little", f"encoding: {encoding}", "space origin: (4,-5,10)", "modality:=MR"),
    )
    return ("\n".join(lines) + "\n").encode()


def metaimage_seeds() -> Iterator[Seed]:
    """MetaImage with its voxels in the same file or beside the header, plain and compressed."""
    values = noise(12).tobytes(order="F")
    for compressed, body in ((False, values), (True, zlib.compress(values))):
        name = "compressed" if compressed else "raw"
        head = _meta_header(len(body) if compressed else None)
        content = head + b"ElementDataFile = LOCAL\n" + body
        checked = {"scan.mha": ((len(content) - len(body), len(content)),)} if compressed else {}
        files = {"scan.mha": content}
        yield Seed("MetaImage", name, files, openers.scan("scan.mha"), _HEADER, checked, frozenset(files))
        data = "scan.zraw" if compressed else "scan.raw"
        files = {"scan.mhd": head + f"ElementDataFile = {data}\n".encode(), data: body}
        checked = {data: ((0, len(body)),)} if compressed else {}
        yield Seed("MetaImage", f"{name}, beside", files, openers.scan("scan.mhd"), _HEADER, checked, frozenset([data]))


def _meta_header(compressed: int | None) -> bytes:
    size = [f"CompressedDataSize = {compressed}"] if compressed is not None else []
    lines = (
        *("ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"),
        *(f"CompressedData = {compressed is not None}", *size, "TransformMatrix = 1 0 0 0 1 0 0 0 1"),
        *("Offset = 4 -5 10", "CenterOfRotation = 0 0 0", "AnatomicalOrientation = RAI", "ElementSpacing = 0.9 1.1 3"),
        *(f"DimSize = {' '.join(map(str, SHAPE))}", "ElementType = MET_SHORT"),
    )
    return ("\n".join(lines) + "\n").encode()


def tiff_seeds() -> Iterator[Seed]:
    """A stack in several compressions, and a patient as in the Kaggle LGG set."""
    edits = {".tif": (editors.tiff_tag,)}
    for compression in ("none", "zlib", "lzw", "packbits", "jpeg", "lzma", "zstd"):
        content = _tiff(noise(13, (5, 32, 24), "u1"), None if compression == "none" else compression)
        checked = {"stack.tif": _strips(content)} if compression in ("zlib", "lzma") else {}
        files = {"stack.tif": content}
        yield Seed("TIFF", compression, files, openers.scan("stack.tif"), edits, checked, frozenset(files))
    tiled = _tiff(noise(15, (4, 32, 32), "<u2"), "zlib", tile=(16, 16))
    yield Seed("TIFF", "tiles", {"stack.tif": tiled}, openers.scan("stack.tif"), edits, {"stack.tif": _strips(tiled)})
    pages, masks = noise(14, (5, 12, 10, 3), "u1"), np.zeros((5, 12, 10), np.uint8)
    masks[:, 3:7, 2:6] = 255
    slices = {f"TCGA_AA_0001_20000101_{k + 1}.tif": _tiff(page, None) for k, page in enumerate(pages)}
    truth = {name.replace(".tif", "_mask.tif"): _tiff(masks[k], None) for k, name in enumerate(slices)}
    files = {**slices, **truth}
    yield Seed("TIFF", "slices of a patient", files, openers.scan(""), edits, whole=frozenset(slices))
    yield Seed("TIFF", "masks of a patient", files, openers.labels(""), edits, whole=frozenset(truth))


def _tiff(values: Array, compression: str | None, tile: tuple[int, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    photometric = "rgb" if values.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(buffer, values, compression=compression, photometric=photometric, tile=tile, metadata=None)
    return buffer.getvalue()


def _strips(content: bytes) -> tuple[tuple[int, int], ...]:
    """The bytes of the compressed pixels."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        return tuple(
            (start, start + count)
            for page in file.pages
            for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)  # type: ignore[union-attr]
        )


def label_seeds() -> Iterator[Seed]:
    """Labels whose meaning a sidecar, a `dataset.json` or the file's name tells."""
    content = gzip.compress(_nifti(nib.Nifti1Image, tumour()), mtime=0)
    edits = {**_NIFTI_GZ, **_JSON}
    sidecar = {
        **{"program": "napari-brain-tumor", "format": 1, "version": "0.1", "notice": "", "file": "result.nii.gz"},
        **{"schema": "BraTS2023", "values": {"1": "necrosis", "2": "edema", "3": "enhancing"}},
        **{"known_regions": ["WT", "TC", "ET"], "provenance": {"task": "segment", "case": "x", "inputs": {}}},
    }
    files = {"result.nii.gz": content, "result.json": json.dumps(sidecar).encode()}
    checked = {"result.nii.gz": ((0, len(content)),)}
    yield Seed("labels", "with a sidecar", files, openers.labels("result.nii.gz"), edits, checked)
    table = {
        "name": "x",
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
    }
    files = {"labelsTr/a.nii.gz": content, "dataset.json": json.dumps(table).encode()}
    checked = {"labelsTr/a.nii.gz": ((0, len(content)),)}
    yield Seed("labels", "with dataset.json", files, openers.labels("labelsTr/a.nii.gz"), edits, checked)
    name = "BraTS-GLI-00001-000-seg.nii.gz"
    yield Seed(
        "labels", "named as in BraTS", {name: content}, openers.labels(name), edits, {name: ((0, len(content)),)}
    )
