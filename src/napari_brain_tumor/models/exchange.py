"""Export networks to ONNX and `torch.export`, checking that the exported network gives the same results."""

import hashlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import BrainTumorError, CheckpointError, DimensionError, SaveError
from napari_brain_tumor.io.atomic import write_atomically, write_text
from napari_brain_tumor.io.sidecar import NOTICE
from napari_brain_tumor.models.cards import Card, ModelInfo
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.models.neighbours import neighbours_of, stacked_channels

Format = Literal["onnx", "torch-export"]
Runner = Callable[[torch.Tensor], torch.Tensor]

SUFFIXES: Final[dict[Format, str]] = {"onnx": ".onnx", "torch-export": ".pt2"}
"""File suffix by format."""

_INPUT: Final = "image"
_OUTPUT: Final = "logits"
_TOLERANCE: Final = 1e-4
"""Maximum difference of a logit, relative to the largest logit or to 1."""
_SIDES: Final = {2: (256, 256), 3: (96, 128, 128)}
"""Input sides for networks that cannot be exported with variable sides."""
_LARGEST_BATCH: Final = 1024
_LARGEST_ONNX_BYTES: Final = 2_000_000_000
"""Just below the maximum size of a protobuf file."""


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Sides accepted by the exported network: multiples of a number, or fixed ones."""

    multiple: int
    fixed: tuple[int, ...]

    def dynamic(self, dims: int) -> dict[int, Any]:
        """Return which axes of the input may vary, for `torch.export`."""
        axes: dict[int, Any] = {0: Dim("batch", min=1, max=_LARGEST_BATCH)}
        if not self.fixed:
            # From twice the multiple upwards: if the deepest map were one voxel wide, torch would behave differently.
            axes |= {i + 2: self.multiple * Dim(f"side_{i}", min=2, max=512) for i in range(dims)}
        return axes

    def images(self, channels: int, dims: int) -> list[torch.Tensor]:
        """Return two batches `(N, C, [Z,] Y, X)` of noise that differ in every variable size; the larger one first."""
        random = torch.Generator().manual_seed(0)
        small, large = 2 * self.multiple, 3 * self.multiple
        sides = [self.fixed] * 2 if self.fixed else [(*[small] * (dims - 1), large), (small,) * dims]
        return [torch.randn(n, channels, *s, generator=random) for n, s in zip((2, 1), sides, strict=True)]

    def described(self, channels: int, dims: int) -> list[int | str]:
        """Describe the shape of the input in words and numbers."""
        any_side = f"a multiple of {self.multiple}, {2 * self.multiple} or more"
        return ["any", channels, *(self.fixed or [any_side] * dims)]


def export_onnx(
    model: ModelInfo, path: Path, *, sides: Sequence[int] | None = None, overwrite: bool = False
) -> tuple[Path, Path]:
    """Write a model's network as ONNX, with its card as JSON beside it.

    Parameters
    ----------
    model : ModelInfo
        Model from `list_models()` or `find_model(name)`.
    path : Path
        Target file, ending in `.onnx`.
    sides : sequence of int, optional
        Fixed image size `([Z,] Y, X)`; any numbers. If not given, the network accepts sides that are multiples of the
        number stated in the JSON; ResUNet-a does not support this and gets 256x256 or 96x128x128.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    tuple of Path
        The network and the JSON. The latter describes the input `image` `(N, C, [Z,] Y, X)` float32, the output
        `logits`, the channels, how intensities are scaled, and the deviation of the outputs from the original network.

    Raises
    ------
    BrainTumorError
        If the extra `onnx` is not installed.
    CheckpointError
        If the model's files are invalid, or the exported network gives different results.
    DimensionError
        If `sides` does not suit the network.
    SaveError
        If a file already exists or cannot be written.
    """
    return _export(model, path, "onnx", sides, overwrite=overwrite)


def export_torch(
    model: ModelInfo, path: Path, *, sides: Sequence[int] | None = None, overwrite: bool = False
) -> tuple[Path, Path]:
    """Write a model's network as a `torch.export` program, with its card as JSON beside it.

    `torch.export.load(path).module()(images)` runs it without this package. Parameters, results and errors are as for
    `export_onnx`, except that `path` ends in `.pt2` and no extra is needed.
    """
    return _export(model, path, "torch-export", sides, overwrite=overwrite)


def _export(
    model: ModelInfo, path: Path, kind: Format, sides: Sequence[int] | None, *, overwrite: bool
) -> tuple[Path, Path]:
    card = model.card
    document_path = _free_place(path, SUFFIXES[kind], overwrite=overwrite)
    if kind == "onnx":
        _check_onnx_is_possible(card)
    network = load_network(model)
    shapes = _shapes(network, card.dims, sides)
    channels = stacked_channels(len(card.roles), neighbours_of(network))
    images = shapes.images(channels, card.dims)
    with _quiet():
        content, run = _exported(network, images[0], shapes.dynamic(card.dims), kind, model.name)
        difference = _largest_difference(network, run, images, model.name)
    document = _document(card, kind, path.name, content, shapes.described(channels, card.dims), difference)

    def check(written: Path) -> None:
        if written.read_bytes() != content:
            raise SaveError("what was written does not read back")
        # The network is renamed last, so that it never exists without its card.
        write_text(document_path, document)

    write_atomically(path, lambda temporary: temporary.write_bytes(content), check)
    return path, document_path


def _free_place(path: Path, suffix: str, *, overwrite: bool) -> Path:
    """Return the path of the JSON, after checking that it and the network can be written."""
    if path.suffix.lower() != suffix:
        raise SaveError(f"The network would be written as {path.name}; its name has to end with {suffix}.")
    document = path.with_suffix(".json")
    existing = [place for place in (path, document) if place.exists()]
    if existing and not overwrite:
        raise SaveError(f"{existing[0]} already exists. Choose another name, or ask to overwrite it.")
    return document


def _check_onnx_is_possible(card: Card) -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise BrainTumorError(
            f"Writing ONNX needs the package {error.name}, which is not installed. "
            'Install it with: pip install "napari-brain-tumor[onnx]"'
        ) from error
    if 4 * card.parameters > _LARGEST_ONNX_BYTES:
        raise CheckpointError(
            f"{card.name} has {card.parameters:,} parameters, more than one ONNX file can hold (about 500 million). "
            "Export it in the format torch-export."
        )


def _shapes(network: nn.Module, dims: int, sides: Sequence[int] | None) -> _Shapes:
    if sides is not None:
        if len(sides) != dims or min(sides) < 1:
            raise DimensionError(f"A {dims}D network takes images of {dims} sides above zero, got {tuple(sides)}.")
        return _Shapes(1, tuple(sides))
    multiple = getattr(network, "multiple", None)
    return _Shapes(multiple, ()) if isinstance(multiple, int) else _Shapes(1, _SIDES[dims])


def _exported(
    network: nn.Module, example: torch.Tensor, dynamic: dict[int, Any], kind: Format, name: str
) -> tuple[bytes, Runner]:
    """Return the contents of the file, and a function that runs it."""
    try:
        program = torch.export.export(network, (example,), dynamic_shapes=(dynamic,))
        return _as_onnx(program) if kind == "onnx" else _as_program(program)
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        msg = f"{name} cannot be exported as {kind}: {reason}. Try the other format, or give the sides of the images."
        raise CheckpointError(msg) from error


def _as_onnx(program: ExportedProgram) -> tuple[bytes, Runner]:
    import onnxruntime

    program_file = torch.onnx.export(
        program, dynamo=True, external_data=False, verbose=False, input_names=[_INPUT], output_names=[_OUTPUT]
    )
    assert program_file is not None
    content: bytes = program_file.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda images: torch.from_numpy(session.run([_OUTPUT], {_INPUT: images.numpy()})[0])


def _as_program(program: ExportedProgram) -> tuple[bytes, Runner]:
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    module = torch.export.load(buffer).module()
    return buffer.getvalue(), lambda images: module(images)


@torch.no_grad()
def _largest_difference(network: nn.Module, run: Runner, images: Sequence[torch.Tensor], name: str) -> float:
    """Return the largest difference of a logit over all images; raises `CheckpointError` if it exceeds rounding."""
    worst = 0.0
    for batch in images:
        expected, actual = network(batch), run(batch)
        scale = max(1.0, float(expected.abs().max()))
        difference = float((actual - expected).abs().max()) if actual.shape == expected.shape else float("inf")
        # Written so that NaN is refused as well.
        if not difference <= _TOLERANCE * scale:
            raise CheckpointError(
                f"The exported {name} does not agree with the model: logits differ by up to {difference:.2g}, "
                f"at most {_TOLERANCE * scale:.2g} is expected. Nothing was written; try the other format."
            )
        worst = max(worst, difference)
    return worst


def _document(
    card: Card, kind: Format, name: str, content: bytes, input_shape: list[int | str], difference: float
) -> str:
    axes = ["batch", "channel", *"zyx"[3 - card.dims :]]
    document = {
        "program": "napari-brain-tumor",
        "version": __version__,
        "notice": NOTICE,
        "file": name,
        "format": kind,
        "sha256": hashlib.sha256(content).hexdigest(),
        "input": {"name": _INPUT, "dtype": "float32", "axes": axes, "shape": input_shape, "channels": card.roles},
        "output": {
            "name": _OUTPUT,
            "dtype": "float32",
            "axes": axes,
            "channels": card.regions,
            "meaning": "logits: the sigmoid of each is the probability of its region; regions are nested",
        },
        "checked": {"torch": torch.__version__, "largest_difference_of_logits": difference},
        "card": card.model_dump(mode="json"),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the output of torch's exporters."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
