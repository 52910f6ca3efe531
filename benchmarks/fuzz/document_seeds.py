"""Small valid documents, data sets, models and journals."""

import io
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import editors
import nibabel as nib
import numpy as np
import openers
import torch
from cases import Seed
from safetensors.torch import save as save_tensors

from napari_brain_tumor import CuratedDataset, open_study, save_segmentation, segment
from napari_brain_tumor.autosave.changes import change_between
from napari_brain_tumor.autosave.layer_journal import LayerJournal
from napari_brain_tumor.followup.document import VisitEntry, VisitsDocument
from napari_brain_tumor.interactive.prompts import (
    Box3D,
    Interpolate,
    Lasso,
    Painted,
    Point,
    PromptFile,
    Propagate,
    Stroke,
)
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.cards import Card
from napari_brain_tumor.models.checkpoint import save_checkpoint
from napari_brain_tumor.models.packages import export_package
from napari_brain_tumor.models.registry import build_network
from napari_brain_tumor.study import ROLES, Segmentation, Study

_JSON: Final = {".json": (editors.json_node,)}
_RECIPES: Final = Path(__file__).parents[2] / "training" / "recipes"


def document_seeds() -> Iterator[Seed]:
    """Prompts, visits, a recipe, the record of a result and the labels that it tells of."""
    yield Seed("prompts", "all kinds", {"p.json": _prompts()}, openers.prompts("p.json"), _JSON)
    bare = json.dumps(json.loads(_prompts())["steps"]).encode()
    yield Seed("prompts", "a list of steps", {"p.json": bare}, openers.prompts("p.json"), _JSON)
    visits = VisitsDocument(visits=tuple(VisitEntry(case=f"v{k}", segmentation=f"v{k}.nii.gz") for k in range(3)))
    files = {"visits.json": visits.model_dump_json().encode()}
    yield Seed("visits", "three visits", files, openers.visits("visits.json"), _JSON)
    for recipe in ("unet.toml", "unet3d.toml"):
        files = {recipe: (_RECIPES / recipe).read_bytes()}
        yield Seed("recipe", recipe, files, openers.recipe(recipe), {".toml": (editors.toml_line,)})
    files = _saved_result()
    yield Seed("record", "of a result", files, openers.record("result.nii.gz"), _JSON)
    covered = {"result.nii.gz": ((0, len(files["result.nii.gz"])),)}
    yield Seed("labels", "as saved", files, openers.labels("result.nii.gz"), _JSON, covered)


def _prompts() -> bytes:
    middle, beside = (0.0, 0.0, 0.0), (3.0, 1.0, 0.0)
    steps: tuple[Any, ...] = (
        Point(label="edema", at=middle),
        Stroke(label="enhancing", points=(middle, beside), radius=1.5),
        Painted(label="non-enhancing", points=(middle, beside)),
        Lasso(label="whole tumour", points=((-4, -4, 2), (4, -4, 2), (4, 4, 2)), border=True),
        Lasso(label="whole tumour", points=((-3, -4, -2), (4, -3, -2), (3, 4, -2)), border=True),
        Box3D(label="whole tumour", corners=((-6, -6, -6), (6, 6, 6))),
        Interpolate(axis=2, slices=(5, 7)),
        Propagate(axis=2, start=7, stop=9),
    )
    return PromptFile(case="small", steps=steps).model_dump_json().encode()


def _saved_result() -> dict[str, bytes]:
    """A scan and what a method without weights made of it."""
    study = openers.small_study()
    with tempfile.TemporaryDirectory() as folder:
        image = nib.Nifti1Image(study.sequences["FLAIR"], study.grid.affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, Path(folder) / "flair.nii.gz")
        result = segment(open_study(folder), "threshold")
        save_segmentation(result, Path(folder) / "result.nii.gz", schema="BraTS2018-2022")
        return _files(Path(folder))


def _labelled(study: Study) -> Segmentation:
    classes = np.zeros(study.grid.shape, np.uint8)
    classes[4:12, 4:11, 3:9], classes[6:10, 6:9, 4:8], classes[7:9, 7, 5] = 1, 2, 3
    return Segmentation(classes, study.grid, name=study.name)


def dataset_seeds() -> Iterator[Seed]:
    """A curated data set of two cases; and one whose last change was killed."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = CuratedDataset.create(Path(folder) / "set", val_fraction=0.5)
        for number in range(2):
            study = openers.small_study()
            values = study.sequences["FLAIR"] + np.random.default_rng(number).normal(0, 30, study.grid.shape)
            study = Study({"FLAIR": values.astype(np.float32)}, study.grid, name=f"case{number}")
            dataset.add(study, _labelled(study), patient=f"P{number}")
        files = {name: content for name, content in _files(dataset.folder).items() if name != ".lock"}
    checked = {name: ((0, len(content)),) for name, content in files.items() if name.endswith(".gz")}
    yield Seed("data set", "two cases", files, openers.dataset, _JSON, checked, promised=100_000)
    journal = {".changes.json": json.dumps({"files": ["imagesTr/left.nii.gz", "labelsTr/left.nii.gz"]}).encode()}
    killed = {**files, "imagesTr/left.nii.gz": b"half", **journal}
    yield Seed("data set", "after a kill", killed, openers.dataset, _JSON, checked, promised=100_000)


def model_seeds() -> Iterator[Seed]:
    """A model's package, and weights as `torch.save` and safetensors write them."""
    torch.manual_seed(0)
    arguments = {"width": 4, "levels": 2}
    network = build_network("unet", len(ROLES), len(REGIONS), 2, arguments)
    card = Card(
        name="tiny", title="Tiny", architecture="unet", arguments=arguments, dims=2, roles=list(ROLES),
        regions=list(REGIONS), parameters=sum(p.numel() for p in network.parameters()), licence="test",
        created=datetime(2026, 1, 1, tzinfo=UTC), weights_sha256="0" * 64,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        model = save_checkpoint(Path(folder) / "tiny", network.state_dict(), card)
        content = export_package(model, Path(folder) / "tiny.zip").read_bytes()
    edits = {".zip": (editors.package_card, editors.package_card, editors.zip_members, editors.zip_bomb)}
    # The archive's own entries are outside of every hash, but nothing of them can become another value.
    covered = {"tiny.zip": ((0, len(content)),)}
    yield Seed(
        "model package", "tiny", {"tiny.zip": content}, openers.package("tiny.zip"), edits, covered, promised=10**6
    )
    state = {"a.weight": torch.randn(8, 3, 3, 3), "a.bias": torch.randn(8), "n": torch.tensor(7)}
    for name, wrapped in (
        ("state dict", state),
        ("wrapped", {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}),
    ):
        buffer = io.BytesIO()
        torch.save(wrapped, buffer)
        content = buffer.getvalue()
        files, covered = {"w.pth": content}, {"w.pth": ((0, len(content)),)}
        yield Seed(
            "weights", name, files, openers.weights("w.pth"), {".pth": (editors.zip_members, editors.zip_bomb)}, covered
        )
    yield Seed("weights", "safetensors", {"w.safetensors": save_tensors(state)}, openers.weights("w.safetensors"))


def journal_seeds() -> Iterator[Seed]:
    """The journal of a layer that was painted on."""
    labels = np.zeros((6, 7, 8), np.uint8)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        journal = LayerJournal(Path(folder) / "layer", labels, {"name": "x"}, thread)
        for k in range(6):
            after = labels.copy()
            after[k % 5, 1:4, k : k + 2] = k % 4 + 1
            change = change_between(labels, after)
            assert change is not None
            journal.change(change)
            labels = after
        journal.close(labels)
        files = _files(Path(folder) / "layer")
    base = {name: ((0, len(content)),) for name, content in files.items() if name.endswith(".npz")}
    yield Seed("journal", "six changes", files, openers.journal, checked=base)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder).as_posix()): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
