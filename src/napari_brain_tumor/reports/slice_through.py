"""A film through a tumour: all slices of a plane with outlines, letters and a scale bar, as MP4 or animated GIF."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.errors import OptionError, SaveError
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.labels import CLASS_COLORS
from napari_brain_tumor.measure.planes import LABELS, PLANES, Plane, View, cut, extent, grey_window
from napari_brain_tumor.progress import Job, Progress, action
from napari_brain_tumor.reports.figure import BAR_SHARE, scale_bar_length, shown_in
from napari_brain_tumor.study import Role, Segmentation, Study
from napari_brain_tumor.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image

FILM_SUFFIXES: Final = (".gif", ".mp4")
_LONGER_SIDE: Final = 480
"""Length in pixels of the picture's longer side, not including the strip below it."""
_STRIP: Final = 28
_MARGIN: Final = 6
_INK: Final = (255, 255, 255)
_GREY: Final = (187, 187, 187)
_NO_FFMPEG: Final = (
    'An MP4 needs imageio-ffmpeg, which is not installed: pip install "napari-brain-tumor[video]". '
    "Or end the name with .gif, which needs no package."
)

RGB = npt.NDArray[np.uint8]


@action
def save_slice_through(
    study: Study,
    segmentation: Segmentation,
    path: str | os.PathLike[str],
    *,
    plane: str = "axial",
    role: Role | None = None,
    frames_per_second: float = 12.0,
    overwrite: bool = False,
) -> Job[Path]:
    """Save a film through the head, slice by slice: from foot to head, from back to front, or from left to right.

    Parameters
    ----------
    study : Study
        The scans.
    segmentation : Segmentation
        A segmentation on the study's grid.
    path : path-like
        File to write, ending in .gif or .mp4; MP4 needs the extra `video`.
    plane : {"axial", "coronal", "sagittal"}
    role : {"T1", "T1c", "T2", "FLAIR"}, optional
        Scan to show; if not given, T1c, else FLAIR, T2 or T1.
    frames_per_second : float
        Slices per second, from 1 to 50.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    GridMismatchError
        If the study and the segmentation lie on different grids.
    RoleError
        If the study has no such scan.
    OptionError
        If there is no such plane, or the speed is out of range.
    SaveError
        If the file cannot be written, or imageio-ffmpeg is missing.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in FILM_SUFFIXES:
        raise SaveError(f"A film cannot be written as {target.name}. End its name with {' or '.join(FILM_SUFFIXES)}.")
    if not 1 <= frames_per_second <= 50:
        raise OptionError(f"{frames_per_second:g} slices per second cannot be shown. Give 1 to 50.")
    way = _plane(plane)
    ffmpeg = _ffmpeg() if suffix == ".mp4" else None
    shown, view = shown_in(study, segmentation, role)
    count = view.grid.shape[way.axis]
    frames: list[RGB] = []
    for frame in _frames(view, shown, way):
        yield Progress(len(frames), count, "Drawing slices")
        frames.append(frame)

    def write(temporary: Path) -> None:
        if ffmpeg is None:
            _write_gif(frames, temporary, frames_per_second)
        else:
            _write_mp4(ffmpeg, frames, temporary, frames_per_second)

    write_atomically(target, write, lambda _: None, overwrite=overwrite)
    return target


save_slice_through_job = save_slice_through.job
"""`save_slice_through` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


def _plane(name: str) -> Plane:
    plane = next((plane for plane in PLANES if plane.name == name.strip().lower()), None)
    if plane is None:
        raise OptionError(f"{name!r} is not a plane. Choose one of {', '.join(plane.name for plane in PLANES)}.")
    return plane


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise SaveError(_NO_FFMPEG) from error
    return imageio_ffmpeg


# Frames -------------------------------------------------------------------------------------------------------------


def _frames(view: View, role: Role, plane: Plane) -> Iterator[RGB]:
    """Yield one picture `(rows, columns, 3)` for each slice, all of the same size, with even side lengths."""
    from PIL import Image, ImageDraw, ImageFont

    width_mm, height_mm = extent(view.grid, plane)[1::2]
    scale = _LONGER_SIDE / max(width_mm, height_mm)
    # Video needs even sizes. Both directions have the same number of pixels per millimetre, to within half a pixel.
    size = _even(width_mm * scale), _even(height_mm * scale)
    low, high = grey_window(view.images[role])
    font = ImageFont.load_default(12)
    for index in range(view.grid.shape[plane.axis]):
        slice_2d = cut(view.images[role], plane, index).astype(np.float32)
        grey = np.clip((slice_2d - low) / (high - low or 1), 0, 1) * 255
        small = Image.fromarray(grey.astype(np.uint8))
        picture = Image.new("RGB", (size[0], size[1] + _STRIP))
        picture.paste(small.resize(size, Image.Resampling.BILINEAR).convert("RGB"), (0, 0))
        _outline(picture, cut(view.labels[LABELS], plane, index), size)
        where = np.zeros(3)
        where[plane.axis] = index
        position = float(view.grid.world(where[None])[0][plane.axis])
        text = f"{role}, {plane.name}, {'xyz'[plane.axis]} = {position:.0f} {view.grid.unit}"
        draw = ImageDraw.Draw(picture)
        draw.text((_MARGIN, _MARGIN), text, fill=_INK, font=font)
        _write_letters(draw, plane, size, font)
        _draw_bar(draw, size, scale, view.grid.unit, font)
        yield np.asarray(picture)


def _even(pixels: float) -> int:
    return 2 * max(1, round(pixels / 2))


def _outline(picture: "Image", labels: Array, size: tuple[int, int]) -> None:
    """Draw outlines of the classes 1.5 pixels wide, at display resolution so that their width is uniform."""
    from PIL import Image

    large = np.asarray(Image.fromarray(labels.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
    pixels = np.array(picture)
    for value, color in CLASS_COLORS.items():
        mask = large == value
        if mask.any():
            edge = mask & ~ndimage.binary_erosion(mask, iterations=2, border_value=0)
            pixels[: size[1]][edge] = _rgb(color)
    picture.paste(Image.fromarray(pixels))


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _write_letters(draw: Any, plane: Plane, size: tuple[int, int], font: Any) -> None:
    width, height = size
    for letter, at, anchor in (
        (plane.left, (_MARGIN, height / 2), "lm"),
        (plane.right, (width - _MARGIN, height / 2), "rm"),
        (plane.top, (width / 2, _MARGIN), "ma"),
        (plane.bottom, (width / 2, height - _MARGIN), "md"),
    ):
        draw.text(at, letter, fill=_GREY, font=font, anchor=anchor)


def _draw_bar(draw: Any, size: tuple[int, int], scale: float, unit: str, font: Any) -> None:
    """Draw the scale bar and the notice against clinical use in the strip below the picture."""
    width, height = size
    length = scale_bar_length(BAR_SHARE * width / scale)
    pixels = round(length * scale)
    y = height + _STRIP // 2
    draw.rectangle((_MARGIN, y - 1, _MARGIN + pixels - 1, y), fill=_INK)
    label = f"{length:g} {'mm' if unit == 'mm' else 'voxels'}"
    draw.text((_MARGIN + pixels + _MARGIN, y), label, fill=_INK, font=font, anchor="lm")
    draw.text((width - _MARGIN, y), "Not for clinical use", fill=_GREY, font=font, anchor="rm")


# Files --------------------------------------------------------------------------------------------------------------


def _write_gif(frames: list[RGB], path: Path, frames_per_second: float) -> None:
    from PIL import Image

    # GIF frame times are in hundredths of a second; viewers slow down frames shorter than two of them.
    milliseconds = 10 * max(2, math.floor(100 / frames_per_second + 0.5))
    palette = _palette()
    pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    pictures[0].save(
        path, format="GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, disposal=1
    )


def _palette() -> "Image":
    """Return a palette shared by all pictures of a GIF: the exact class colours, and greys."""
    from PIL import Image

    colors = [_rgb(color) for color in CLASS_COLORS.values()]
    greys = np.linspace(0, 255, 256 - len(colors)).round().astype(int).tolist()
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for color in colors + [(grey, grey, grey) for grey in greys] for part in color])
    return palette


def _write_mp4(ffmpeg: Any, frames: list[RGB], path: Path, frames_per_second: float) -> None:
    height, width = frames[0].shape[:2]
    writer = ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=frames_per_second,
        codec="libx264",
        quality=8,
        macro_block_size=2,
    )
    writer.send(None)
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()
