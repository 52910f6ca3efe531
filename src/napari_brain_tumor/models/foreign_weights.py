"""Convert weights trained with an architecture's original code into a checkpoint of this package."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Final

import torch

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.io.study_folder import role_named
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.models.cards import Card, ModelInfo, list_models, models_folder
from napari_brain_tumor.models.checkpoint import save_checkpoint
from napari_brain_tumor.models.registry import build_network
from napari_brain_tumor.models.tensor_file import few, read_tensors
from napari_brain_tumor.models.upstream import UPSTREAM, Upstream, tensor_names
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec
from napari_brain_tumor.study import Role

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_COUNTER: Final = "num_batches_tracked"
"""Tensors that files from before 2018 lack and that inference does not use."""


@dataclass(frozen=True, slots=True, eq=False)
class Translated:
    """Weights under this package's names, and the network they belong to."""

    weights: dict[str, torch.Tensor]
    in_channels: int
    out_channels: int
    width: int


def import_weights(
    file: str | PathLike[str],
    architecture: str,
    *,
    name: str,
    roles: Sequence[str],
    regions: Sequence[str],
    licence: str,
    origin: str,
    title: str = "",
    preprocessing: PreprocessingSpec | None = None,
    replace: bool = False,
) -> ModelInfo:
    """Install a network that was trained with its authors' own code.

    Parameters
    ----------
    file : str or path
        File with the state dict: `.safetensors`, or `.pth`, `.pt`, `.tar`, `.ckpt`, from which only tensors are read.
    architecture : str
        A key of `UPSTREAM`: `"u2net"`, `"u2netp"`, `"resunet_plus_plus"` (any width) or `"unet_brain"`.
    name : str
        Name for the model, as used in `segment(study, name)`.
    roles : sequence of str
        The sequence for each input channel, in order; one sequence may be used for several channels.
    regions : sequence of {"WT", "TC", "ET"}
        The region predicted by each output channel, in order.
    licence, origin : str
        Terms of use of the weights; and who trained them on what data, or the address they were obtained from.
    title : str
        Name displayed to users.
    preprocessing : PreprocessingSpec, optional
        How intensities were scaled when the network was trained.
    replace : bool
        Whether an installed model of that name may be replaced.

    Returns
    -------
    ModelInfo
        The checkpoint in `models_folder()`. All roles are required, as the network was not trained with missing ones.

    Raises
    ------
    UnreadableFileError
        If the file is missing or damaged.
    CheckpointError
        If it contains anything but tensors, they do not match the architecture, or the given information does not fit.
    RoleError
        If a role is unknown.

    Examples
    --------
    >>> import_weights(
    ...     "unet.pt",
    ...     "unet_brain",
    ...     name="buda",
    ...     roles=["T1", "FLAIR", "T1c"],
    ...     regions=["WT"],
    ...     licence="MIT",
    ...     origin="github.com/mateuszbuda/brain-segmentation-pytorch",
    ...     preprocessing=PreprocessingSpec(clip_percentiles=(10, 99), statistics="box", margin_voxels=0),
    ... )  # doctest: +SKIP
    """
    upstream = _upstream(architecture)
    folder = _free_folder(name, replace=replace)
    _check_told(licence=licence, origin=origin)
    path = Path(file)
    translated = translate(read_tensors(path), upstream, path.name)
    card = Card(
        name=name,
        title=title or f"{upstream.title}, imported",
        architecture=upstream.architecture,
        arguments={"width": translated.width},
        dims=2,
        roles=_roles(roles, translated.in_channels),
        optional_roles=False,
        regions=_regions(regions, translated.out_channels),
        preprocessing=preprocessing or PreprocessingSpec(),
        parameters=_count(translated, upstream),
        notes=[f"Imported from {path.name}: not trained and not measured here."],
        licence=licence.strip(),
        origin=origin.strip(),
        source_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        created=datetime.now(UTC),
        software={"napari-brain-tumor": __version__, "torch": torch.__version__},
        weights_sha256="0" * 64,
    )
    return save_checkpoint(folder, translated.weights, card, half=False)


def translate(tensors: Mapping[str, torch.Tensor], upstream: Upstream, what: str = "The file") -> Translated:
    """Convert a state dict from its authors' names to ours, in float32, checking every name and shape.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Tensors with the names used in the authors' code.
    upstream : Upstream
        Entry of the table `UPSTREAM`. Numbers of channels and width are determined from the shapes.
    what : str
        How messages refer to the tensors.

    Raises
    ------
    CheckpointError
        If a tensor is missing, unknown, of the wrong shape, or not finite.
    """
    sizes = _sizes(tensors, upstream)
    expected = _expected(upstream, *sizes)
    names = tensor_names(upstream, expected)
    problems = _misfits(tensors, {foreign: expected[own] for foreign, own in names.items()})
    if problems:
        msg = f"{what} does not hold the weights of {upstream.title}: {'; '.join(problems)}. {_hint(tensors)}"
        raise CheckpointError(msg)
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        msg = f"{what} holds NaN or infinite weights in {few(broken)}. Its training failed: take an earlier file."
        raise CheckpointError(msg)
    weights = {
        own: upstream.adapted(foreign, tensors[foreign]).float().contiguous()
        if expected[own].is_floating_point()
        else tensors.get(foreign, torch.zeros((), dtype=torch.long)).long()
        for foreign, own in names.items()
    }
    return Translated(weights, *sizes)


def _sizes(tensors: Mapping[str, torch.Tensor], upstream: Upstream) -> tuple[int, int, int]:
    """Return input channels, output channels and width from the shapes; 1 if the tensor in question is missing."""
    first, last = tensors.get(upstream.first), tensors.get(upstream.last)
    width, inputs = first.shape[:2] if first is not None and first.ndim == 4 and first.numel() else (1, 1)
    outputs = last.shape[0] if last is not None and last.ndim == 4 and last.numel() else 1
    return int(inputs), int(outputs), int(width)


def _expected(upstream: Upstream, inputs: int, outputs: int, width: int) -> dict[str, torch.Tensor]:
    """Return the state dict of our network without allocating memory for it."""
    with torch.device("meta"):
        return build_network(upstream.architecture, inputs, outputs, 2, {"width": width}).state_dict()


def _misfits(tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> list[str]:
    """Describe tensors that are missing, unknown, or of the wrong shape or type."""
    missing = [name for name in expected if name not in tensors and not name.endswith(_COUNTER)]
    unknown = [name for name in tensors if name not in expected]
    if missing or unknown:
        counted = ((missing, "are missing"), (unknown, "are not known"))
        return [f"{len(names)} of {len(expected)} tensors {how} ({few(names)})" for names, how in counted if names]
    wrong = [
        f"{name} is {_described(tensor)}, expected {_described(expected[name])}"
        for name, tensor in tensors.items()
        if tensor.shape != expected[name].shape or tensor.is_floating_point() != expected[name].is_floating_point()
    ]
    return [*wrong[:3], f"and {len(wrong) - 3} more"] if len(wrong) > 3 else wrong


def _hint(tensors: Mapping[str, torch.Tensor]) -> str:
    fitting = [name for name, upstream in UPSTREAM.items() if _fits(tensors, upstream)]
    if fitting:
        return f"They are those of {' or '.join(fitting)}: give that as architecture."
    return (
        f"Weights can be imported for {', '.join(f'{name}: {u.title}' for name, u in UPSTREAM.items())}, with the "
        "tensor names of that code, and for no other network."
    )


def _fits(tensors: Mapping[str, torch.Tensor], upstream: Upstream) -> bool:
    expected = _expected(upstream, *_sizes(tensors, upstream))
    names = tensor_names(upstream, expected)
    return not _misfits(tensors, {foreign: expected[own] for foreign, own in names.items()})


def _count(translated: Translated, upstream: Upstream) -> int:
    with torch.device("meta"):
        network = build_network(
            upstream.architecture, translated.in_channels, translated.out_channels, 2, {"width": translated.width}
        )
    return sum(parameter.numel() for parameter in network.parameters())


def _upstream(architecture: str) -> Upstream:
    if architecture not in UPSTREAM:
        raise CheckpointError(f"Weights of {architecture!r} cannot be imported. Choose one of: {', '.join(UPSTREAM)}.")
    return UPSTREAM[architecture]


def _free_folder(name: str, *, replace: bool) -> Path:
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be the name of a model. Use letters, digits, '_', '-' and '.', such as 'u2net-mine'."
        raise CheckpointError(msg)
    folder = models_folder() / name
    existing = next((model for model in list_models() if model.name == name), None)
    if existing is not None and existing.bundled:
        raise CheckpointError(f"A model that ships with this package is called {name!r}. Choose another name.")
    if (existing is not None or folder.exists()) and not replace:
        msg = f"A model called {name!r} is installed already. Choose another name, or ask to replace it."
        raise CheckpointError(msg)
    return folder if existing is None else existing.folder


def _check_told(**texts: str) -> None:
    for what, text in texts.items():
        if not text.strip():
            msg = f"The {what} of the weights is empty. Give it in words: it is kept in the card and shown to users."
            raise CheckpointError(msg)


def _roles(roles: Sequence[str], channels: int) -> list[Role]:
    if len(roles) != channels:
        raise CheckpointError(
            f"The network takes {channels} channels, but {len(roles)} roles are given ({', '.join(roles) or 'none'}). "
            "Give one for each channel, in order, such as T1,FLAIR,T1c; one that fills several is given several times."
        )
    return [role_named(role) for role in roles]


def _regions(regions: Sequence[str], channels: int) -> list[Region]:
    known: dict[str, Region] = {region.lower(): region for region in REGIONS}
    recognised = [known[text.strip().lower()] for text in regions if text.strip().lower() in known]
    if len(recognised) != len(regions) or len(set(recognised)) != len(recognised) or len(recognised) != channels:
        raise CheckpointError(
            f"The network predicts {channels} regions, but given are {', '.join(regions) or 'none'}. "
            f"Give a different one of {', '.join(REGIONS)} for each output channel, in order."
        )
    return recognised


def _described(tensor: torch.Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{'x'.join(map(str, tensor.shape)) or 'a number'} {kind}"
