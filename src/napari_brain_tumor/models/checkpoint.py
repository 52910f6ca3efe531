"""Save and load checkpoints as safetensors with a card, never as pickle."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from napari_brain_tumor.errors import CheckpointError, SaveError
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.io.scratch import scratch_beside, swap_in
from napari_brain_tumor.models.bounds import MOST_PARAMETERS
from napari_brain_tumor.models.card_parts import Member
from napari_brain_tumor.models.cards import CARD_FILE, Card, ModelInfo, models_folder, read_card
from napari_brain_tumor.models.combination import Calibrated, Ensemble, SliceBySlice
from napari_brain_tumor.models.manifest import BUNDLED, WEIGHTS_FILE, ShippedFile, read_manifest
from napari_brain_tumor.models.registry import build_network
from napari_brain_tumor.models.tensor_shapes import check_shapes, largest_file, read_shapes


def load_network(model: ModelInfo, *, calibrated: bool = True) -> nn.Module:
    """Load the network of a checkpoint in float32 on the CPU, ready for inference.

    Parameters
    ----------
    model : ModelInfo
        A single network, or an ensemble, which becomes a single network.
    calibrated : bool
        Whether logits are calibrated by the temperatures in the card; if not, the network is as trained.

    Raises
    ------
    CheckpointError
        If the weights are not those the card was written for, cannot be read, or do not fit the network.
    """
    card = model.card
    _check_file(model)
    tensors = read_weights(model)
    network = _network(card)
    try:
        network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    except RuntimeError as error:
        msg = f"The weights of {model.name} do not fit {card.architecture} with {card.arguments}: {error}"
        raise CheckpointError(msg) from error
    if not calibrated:
        return network.eval()
    if isinstance(network, Ensemble):
        for place, (member, entry) in enumerate(zip(network.members, card.members, strict=True)):
            network.members[place] = _calibrated(member, card, entry)
    return _calibrated(network, card, card).eval()


def read_weights(model: ModelInfo) -> dict[str, torch.Tensor]:
    """Read the tensors of a checkpoint by name, as stored.

    Raises
    ------
    CheckpointError
        If they are not those the card was written for, or cannot be read.
    """
    content = (model.folder / WEIGHTS_FILE).read_bytes()
    file = ShippedFile.of(content)
    digest = file.sha256
    if digest != model.card.weights_sha256:
        raise CheckpointError(
            f"The weights of {model.name} are not the ones its card was written for (SHA-256 {digest[:12]}..., "
            f"the card says {model.card.weights_sha256[:12]}...). The file was changed or damaged: install the model "
            "again."
        )
    if model.bundled:
        read_manifest().check(model.name, file)
    try:
        return load_tensors(content) | _shipped_weights(model.card)
    except SafetensorError as error:
        msg = f"The weights of {model.name} cannot be read as safetensors: {error}. Install the model again."
        raise CheckpointError(msg) from error


def _shipped_weights(card: Card) -> dict[str, torch.Tensor]:
    """Return the weights of members that are other bundled models, under the names used in `Ensemble`."""
    weights: dict[str, torch.Tensor] = {}
    for number, member in enumerate(card.members):
        if member.shipped:
            inner = "network." if member.dims == 2 and card.dims == 3 else ""
            tensors = read_weights(_shipped_model(card, member))
            weights |= {f"members.{number}.{inner}{name}": tensor for name, tensor in tensors.items()}
    return weights


def _shipped_model(card: Card, member: Member) -> ModelInfo:
    folder = BUNDLED / member.shipped
    model = ModelInfo(name=member.shipped, folder=folder, card=read_card(folder), bundled=True)
    if model.card.weights_sha256 != member.weights_sha256:
        raise CheckpointError(
            f"{card.name} was made with other weights of {member.shipped} (SHA-256 {member.weights_sha256[:12]}...) "
            f"than are installed ({model.card.weights_sha256[:12]}...). Install the package again, or build the "
            "ensemble again."
        )
    return model


def _check_file(model: ModelInfo) -> None:
    """Refuse a weights file that does not match the card's network, before reading it."""
    path, needed = model.folder / WEIGHTS_FILE, shapes_of(model.card)
    if (size := path.stat().st_size) > largest_file(needed):
        msg = f"The weights {path} have {size:,} bytes, more than the network of their card: get the model again."
        raise CheckpointError(msg)
    check_shapes(model.name, needed, read_shapes(path))


def shapes_of(card: Card) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a checkpoint with that card, without allocating memory for them.

    Raises
    ------
    CheckpointError
        If there is no such network, or it exceeds the size limits.
    """
    with torch.device("meta"):
        network = _network(card)
    if sum(parameter.numel() for parameter in network.parameters()) > MOST_PARAMETERS:
        raise CheckpointError(
            f"The card of {card.name} describes a network with more than {MOST_PARAMETERS:,} parameters: it is not "
            "built. Get the model again."
        )
    elsewhere = tuple(f"members.{number}." for number, member in enumerate(card.members) if member.shipped)
    state = network.state_dict()
    return {name: tuple(t.shape) for name, t in state.items() if not elsewhere or not name.startswith(elsewhere)}


def _network(card: Card) -> nn.Module:
    """Build the network described by a card, with fresh weights."""
    if card.members:
        shares = [[member.shares.get(region, 1.0) for region in card.regions] for member in card.members]
        return Ensemble([_member(card, member) for member in card.members], shares, cascade=card.cascade)
    return build_network(card.architecture, len(card.roles), len(card.regions), card.dims, card.arguments)


def _member(card: Card, member: Member) -> nn.Module:
    dims = member.dims or card.dims
    network = build_network(member.architecture, len(card.roles), len(card.regions), dims, member.arguments)
    return network if dims == card.dims else SliceBySlice(network)


def _calibrated(network: nn.Module, card: Card, entry: Card | Member) -> nn.Module:
    """Return the network with the temperatures of its entry; unchanged if there are none."""
    if not set(entry.calibration) & set(card.regions):
        return network
    return Calibrated(network, [entry.temperature(region) for region in card.regions])


def save_checkpoint(folder: Path, weights: dict[str, torch.Tensor], card: Card, *, half: bool = True) -> ModelInfo:
    """Write a checkpoint folder, completely or not at all.

    Parameters
    ----------
    folder : Path
        Target folder; replaced if it exists.
    weights : dict of str to Tensor
        State dict of the network.
    card : Card
        Card of the checkpoint; its `weights_sha256` is set to match the written file.
    half : bool
        Whether to store floating-point tensors as float16, which halves the file size; a tensor with values beyond
        the range of float16, as running variances may have, is stored unchanged.
    """
    stored = {name: _stored(tensor.detach().cpu(), half=half) for name, tensor in weights.items()}
    # Distinguishes the file hashes of ensembles whose weights are stored with other models.
    members = {"members": " ".join(member.weights_sha256 for member in card.members)} if card.members else None
    content = save_tensors(stored, members)
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
    with scratch_beside(folder) as scratch:
        new = scratch / "new"
        new.mkdir()
        (new / WEIGHTS_FILE).write_bytes(content)
        (new / CARD_FILE).write_text(_card_text(card), encoding="utf-8")
        swap_in(new, folder, scratch)
    return ModelInfo(name=card.name, folder=folder, card=card, bundled=False)


def _stored(tensor: torch.Tensor, *, half: bool) -> torch.Tensor:
    if not half or not tensor.is_floating_point():
        return tensor.contiguous()
    small = tensor.half()
    fits = torch.equal(torch.isfinite(small), torch.isfinite(tensor))
    return (small if fits else tensor).contiguous()


def write_card(model: ModelInfo, card: Card) -> ModelInfo:
    """Replace the card of a checkpoint, for values measured after training; the weights are unchanged.

    Raises
    ------
    CheckpointError
        If the card belongs to other weights.
    SaveError
        If it cannot be written; the earlier card is then still in place.
    """
    if card.weights_sha256 != model.card.weights_sha256:
        raise CheckpointError(
            f"The new card of {model.name} is of other weights (SHA-256 {card.weights_sha256[:12]}... instead of "
            f"{model.card.weights_sha256[:12]}...). Save weights and card together: save_checkpoint."
        )

    def check(part: Path) -> None:
        if Card.model_validate_json(part.read_text(encoding="utf-8")) != card:
            raise SaveError("the card did not read back the same")

    write_atomically(model.folder / CARD_FILE, lambda part: part.write_text(_card_text(card), encoding="utf-8"), check)
    return model.model_copy(update={"card": card})


def _card_text(card: Card) -> str:
    return json.dumps(card.model_dump(mode="json"), indent=1) + "\n"


def remove_checkpoint(model: ModelInfo) -> None:
    """Delete one of the user's own models: its card and weights, and the folder if nothing else is in it.

    Raises
    ------
    CheckpointError
        If the model is bundled with the package, or is not in `models_folder()`.
    """
    if model.bundled or model.folder.parent != models_folder():
        where = "ships with the package" if model.bundled else f"lies in {model.folder}, not in {models_folder()}"
        raise CheckpointError(
            f"{model.name} {where} and is not removed. Only models that were trained or imported into that folder are."
        )
    if model.folder.is_symlink():
        model.folder.unlink()
        return
    # The card is deleted first: without it, the folder is no longer a model, even if the next step fails.
    (model.folder / CARD_FILE).unlink()
    (model.folder / WEIGHTS_FILE).unlink()
    with suppress(OSError):
        model.folder.rmdir()
