"""Read TIFF slices and stacks, mainly of the Kaggle LGG set: `<patient>_<k>.tif` with `<patient>_<k>_mask.tif`.

TIFF files state neither spacing nor orientation. The convention of the LGG set is assumed: columns run to the
patient's left, rows to the back, slices to the head; channels are pre-contrast, FLAIR, post-contrast (Buda 2019,
doi:10.1016/j.compbiomed.2019.05.002). If no spacing is given, the grid is in voxels, not millimetres.
"""

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile

from napari_brain_tumor.errors import DimensionError, GridMismatchError, UnreadableFileError, translated
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.volume import Volume, file_bytes, short_name
from napari_brain_tumor.study import Role, TifSlices
from napari_brain_tumor.types import Array

Spacing = tuple[float, float, float]

LGG_CHANNELS: Final[tuple[Role, Role, Role]] = ("T1", "FLAIR", "T1c")
"""Roles of the red, green and blue channels in the Kaggle LGG set."""

ORIENTATION_NOTE: Final = (
    "A TIFF does not state its orientation: columns are taken to run to the patient's left, rows to the back, "
    "slices to the head, as in the Kaggle LGG set."
)
SPACING_NOTE: Final = "A TIFF does not state the voxel size: sizes are in voxels until spacing_mm=(x, y, z) is given."

REPEAT_LEVELS: Final = 3.0
"""Two channels are the same sequence if their mean difference in bright voxels is below this (in 1/255 of the range).

Measured on all slices of 88 patients of the LGG set, re-encoded: 12 repeated channels differ by at most 1.3, the
other 164 by at least 8.6 (JPEG 2000 at 46 dB changes a value by about 1).
"""
_BRIGHT: Final = 20.0
"""Grey level, in 1/255 of the range, above which voxels are compared; including air would hide any difference."""

_LARGEST_SIDE: Final = 1 << 20
_MOST_PER_BYTE: Final = 1 << 14
"""Maximum expansion of one byte of a TIFF; deflate and LZW stay far below, single-colour images come close."""

_SLICE_NAME: Final = re.compile(r"^(?P<patient>.+)_(?P<number>\d+)(?P<mask>_mask)?\.tiff?$", re.IGNORECASE)
_TIFFFILE_LOG: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class SliceFiles:
    """The numbered slices of one patient: image files and mask files by number, in numeric order."""

    patient: str
    images: dict[int, Path]
    masks: dict[int, Path]


def find_slices(names: Sequence[Path]) -> tuple[SliceFiles, ...]:
    """Return the patients that have `<patient>_<k>.tif` and `<patient>_<k>_mask.tif` files among the paths.

    Raises
    ------
    UnreadableFileError
        If two files claim the same number, such as `p_1.tif` and `p_01.tif`.
    """
    patients: dict[str, SliceFiles] = {}
    for path in names:
        match = _SLICE_NAME.match(path.name)
        if match is None:
            continue
        slices = patients.setdefault(match["patient"], SliceFiles(match["patient"], {}, {}))
        files = slices.masks if match["mask"] else slices.images
        number = int(match["number"])
        if number in files:
            raise UnreadableFileError(
                f"Two files claim to be slice {number} of {match['patient']}: {files[number].name} and {path.name}. "
                "Remove one of them from the folder."
            )
        files[number] = path
    return tuple(
        SliceFiles(s.patient, dict(sorted(s.images.items())), dict(sorted(s.masks.items())))
        for _, s in sorted(patients.items())
    )


def read_slices(slices: SliceFiles, spacing_mm: Spacing | None = None) -> list[Volume]:
    """Read the channels of a patient's slices, each stacked to `(X, Y, Z)` = (column, row, slice).

    Raises
    ------
    UnreadableFileError
        If a slice cannot be opened or is damaged.
    DimensionError
        If slices differ in size or number of channels.
    """
    stack = _stack(slices.images)
    layout = TifSlices(slices.patient, tuple(slices.images))
    folder = next(iter(slices.images.values())).parent
    notes = (*_gap_notes(tuple(slices.images)), *_assumption_notes(spacing_mm))
    return _channels(stack, slices.patient, folder, spacing_mm, layout, notes)


def read_mask_slices(slices: SliceFiles, spacing_mm: Spacing | None = None) -> Volume:
    """Read a patient's masks stacked to `(X, Y, Z)`, one slice for every image slice.

    Raises
    ------
    UnreadableFileError
        If a mask is missing, cannot be opened or is damaged.
    GridMismatchError
        If the masks differ in size from each other or from the first image slice.
    """
    numbers = tuple(slices.images) or tuple(slices.masks)
    missing = [k for k in numbers if k not in slices.masks]
    if missing:
        raise UnreadableFileError(
            f"{slices.patient} has no mask for slice {', '.join(map(str, missing[:8]))}"
            f"{' ...' if len(missing) > 8 else ''}: {len(numbers)} slices, {len(slices.masks)} masks. "
            f"Add {slices.patient}_{missing[0]}_mask.tif, or open the slices alone."
        )
    stack = _stack({k: slices.masks[k] for k in numbers})
    if stack.ndim != 3:
        raise DimensionError(f"The masks of {slices.patient} have {stack.shape[-1]} channels; a mask has one.")
    if slices.images:
        _check_same_size(stack, next(iter(slices.images.values())), slices.patient)
    folder = next(iter(slices.masks.values())).parent
    notes = (*_gap_notes(numbers), *_assumption_notes(spacing_mm))
    return _channels(stack, slices.patient, folder, spacing_mm, TifSlices(slices.patient, numbers), notes)[0]


def read_tif(path: Path, spacing_mm: Spacing | None = None) -> list[Volume]:
    """Read the channels of one `.tif`, a slice `(Y, X[, C])` or a stack `(Z, Y, X[, C])`, as `(X, Y, Z)` arrays.

    Raises
    ------
    UnreadableFileError
        If the file cannot be opened or is damaged.
    DimensionError
        If it is neither a slice nor a stack.
    """
    values = _read_page_stack(path)
    match = _SLICE_NAME.match(path.name)
    single = match is not None and len(values) == 1
    patient = match["patient"] if match is not None and single else short_name(path)
    numbers = (int(match["number"]),) if match is not None and single else tuple(range(1, len(values) + 1))
    notes = _assumption_notes(spacing_mm)
    return _channels(values, short_name(path), path, spacing_mm, TifSlices(patient, numbers), notes)


def tif_grid(shape: tuple[int, int, int], spacing_mm: Spacing | None) -> Grid:
    """Return the grid of a TIFF, with axes to the left, back and head; in voxels if no spacing is given."""
    if spacing_mm is None:
        return Grid(shape, np.diag([-1.0, -1.0, 1.0, 1.0]), "voxel")
    x, y, z = checked_spacing(spacing_mm)
    return Grid(shape, np.diag([-x, -y, z, 1.0]), "mm")


def checked_spacing(spacing_mm: Sequence[float]) -> Spacing:
    """Return three positive values in millimetres, or raise `DimensionError`."""
    values = tuple(float(s) for s in spacing_mm)
    if len(values) != 3 or not all(np.isfinite(s) and s > 0 for s in values):
        msg = f"spacing_mm needs three positive numbers (x, y, z) in millimetres, got {tuple(spacing_mm)}."
        raise DimensionError(msg)
    return values


def repeats(channel: Array, other: Array) -> bool:
    """Whether two channels are the same sequence, apart from losses due to image compression."""
    if np.array_equal(channel, other):
        return True
    top = float(max(channel.max(), other.max(), 1))
    bright = np.maximum(channel, other) > _BRIGHT / 255 * top
    if not bright.any():
        return False
    difference = np.abs(channel[bright].astype(np.float32) - other[bright].astype(np.float32))
    return float(difference.mean()) * 255 / top < REPEAT_LEVELS


def _stack(files: dict[int, Path]) -> Array:
    """Read slices of equal size, stacked to `(Z, Y, X[, C])`."""
    pages: list[Array] = []
    for path in files.values():
        page = _read_page_stack(path)
        if len(page) != 1:
            msg = f"{path.name} holds {len(page)} pages; a slice holds one. Open the stack as a single file."
            raise DimensionError(msg)
        if pages and page[0].shape != pages[0].shape:
            first = next(iter(files.values())).name
            raise GridMismatchError(
                f"{path.name} is {_size(page[0])}, {first} is {_size(pages[0])}. "
                "The slices of one patient have one size: remove or export the odd one again."
            )
        pages.append(page[0])
    return np.stack(pages)


def _check_same_size(masks: Array, image: Path, patient: str) -> None:
    rows, columns = _read_page_stack(image).shape[1:3]
    if masks.shape[1:3] != (rows, columns):
        raise GridMismatchError(
            f"The masks of {patient} have {masks.shape[2]}x{masks.shape[1]} pixels, its slices {columns}x{rows}. "
            "A mask lies on its slice: export it again at the slice's size."
        )


def _channels(
    stack: Array, name: str, path: Path, spacing_mm: Spacing | None, layout: TifSlices, notes: tuple[str, ...]
) -> list[Volume]:
    grid = tif_grid((stack.shape[2], stack.shape[1], stack.shape[0]), spacing_mm)
    if stack.ndim == 3:
        return [Volume(name, stack.transpose(2, 1, 0), grid, path, None, layout, notes)]
    return [
        Volume(
            f"{name} channel {c}", np.ascontiguousarray(stack[..., c]).transpose(2, 1, 0), grid, path, c, layout, notes
        )
        for c in range(stack.shape[3])
    ]


def _gap_notes(numbers: tuple[int, ...]) -> tuple[str, ...]:
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
    if not missing:
        return ()
    listed = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
    return (f"Slices {listed} are missing between {numbers[0]} and {numbers[-1]}: the others lie as if adjacent.",)


def _assumption_notes(spacing_mm: Spacing | None) -> tuple[str, ...]:
    return (ORIENTATION_NOTE,) if spacing_mm is not None else (ORIENTATION_NOTE, SPACING_NOTE)


def _size(page: Array) -> str:
    channels = f" with {page.shape[2]} channels" if page.ndim == 3 else ""
    return f"{page.shape[1]}x{page.shape[0]} pixels{channels}"


def _read_page_stack(path: Path) -> Array:
    """Read the values of one file as `(Z, Y, X[, C])`; raises the package's errors for any damage."""
    content = _checked_bytes(path)
    with (
        _captured_tifffile_errors() as errors,
        translated(partial(_damaged, path)),
        tifffile.TiffFile(BytesIO(content), _multifile=False) as file,  # do not open other files
    ):
        _check_pages([page for series in file.series for page in series.pages], len(content))
        values, axes = _all_series(file, path)
    if errors or values.size == 0:
        raise _damaged(path, errors[0] if errors else "no pixels in it")
    return _as_stack(values, axes, path)


def _all_series(file: Any, path: Path) -> tuple[Array, str]:
    """Return values and axes of a file; pages written one by one are combined into a stack."""
    shapes = {(series.shape, series.axes) for series in file.series}
    if len(shapes) != 1:
        sizes = ", ".join(str(series.shape) for series in file.series) or "none"
        msg = f"{path.name} holds images of different shapes ({sizes}). Expected one slice or one stack."
        raise DimensionError(msg)
    first = file.series[0]
    if len(file.series) == 1:
        return first.asarray(), first.axes
    return np.stack([series.asarray() for series in file.series]), f"Z{first.axes}"


def _as_stack(values: Array, axes: str, path: Path) -> Array:
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    if values.dtype.kind not in "iuf":
        msg = f"{path.name} holds {values.dtype} values; MRI slices are plain integer or real numbers."
        raise UnreadableFileError(msg)
    has_channels = axes.endswith("S")
    plain = values.ndim - has_channels
    if plain == 2:
        return values[np.newaxis]
    if plain == 3 and not (axes.startswith("S") or axes[0] in "C"):
        return values
    raise DimensionError(
        f"{path.name} has axes {axes} with shape {values.shape}. Expected a slice (Y, X), a colour slice "
        "(Y, X, 3) or a stack of such slices (Z first)."
    )


def _checked_bytes(path: Path) -> bytes:
    """Read a file, but refuse it if empty or corrupted by conversion as text, which silently gives wrong pixels."""
    content = file_bytes(path)
    if b"\xef\xbf\xbd" in content and _is_text(content):
        why = "its bytes were replaced by a program that took it for text (UTF-8 replacement characters)"
        raise _damaged(path, why)
    return content


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _check_pages(pages: Sequence[Any], size: int) -> None:
    """Check that every strip lies inside the file and can hold as many bytes as the image needs."""
    needed = 0
    for page in pages:
        if page is None:
            continue
        page = page.aspage()
        if not all(1 <= side <= _LARGEST_SIDE for side in page.shape):
            raise ValueError(f"its picture is {'x'.join(map(str, page.shape))}")
        ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not ends or max(ends) > size:
            raise ValueError(f"its pixels should reach byte {max(ends, default=0)}, the file ends at {size}")
        here = int(np.prod(page.shape, dtype=object)) * page.bitspersample // 8
        if page.compression == 1 and sum(page.databytecounts) < here:
            raise ValueError(f"it holds {sum(page.databytecounts)} of {here} bytes of pixels")
        needed += here
    if needed > _MOST_PER_BYTE * size:
        raise ValueError(f"its tags promise {needed} bytes of pixels, more than {size} bytes can hold")


def _damaged(path: Path, why: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"{path.name} is damaged: {why}. Copy it again from its source; it must not be sent or converted as text."
    )


class _Recorder(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def _captured_tifffile_errors() -> Iterator[list[str]]:
    """Collect errors that tifffile merely logs for damaged tags or strips, and keep them off the terminal."""
    logger = logging.getLogger("tifffile")
    recorder = _Recorder()
    with _TIFFFILE_LOG:
        propagate = logger.propagate
        logger.addHandler(recorder)
        logger.propagate = False
        try:
            yield recorder.messages
        finally:
            logger.removeHandler(recorder)
            logger.propagate = propagate
