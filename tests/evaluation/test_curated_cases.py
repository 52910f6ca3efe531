"""A curated data set brings its truth, its patients and its split to an evaluation."""

from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.evaluation import evaluate
from napari_brain_tumor.evaluation.cases import find_cases, is_curated
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Role, Segmentation, Study
from phantoms import affine, noise, write_nifti

SHAPE = (24, 20, 12)


def tumour(moved: int = 0) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[4 + moved : 14 + moved, 5:15, 3:9] = 1
    labels[6 + moved : 12 + moved, 7:13, 4:8] = 2
    labels[7 + moved : 10 + moved, 8:11, 5:7] = 3
    return labels


def add(dataset: CuratedDataset, name: str, seed: int, roles: tuple[Role, ...] = ("T1", "FLAIR"), **options) -> None:
    grid = Grid(SHAPE, affine(spacing=(1, 1, 2)))
    study = Study({role: noise(SHAPE, 10 * seed + i) for i, role in enumerate(roles)}, grid, name=name)
    regions = options.pop("regions", ("WT", "TC", "ET"))
    label = (tumour() > 0).astype(np.uint8) if regions == ("WT",) else tumour()
    dataset.add(study, Segmentation(label, grid, name=name, known_regions=regions), **options)


@pytest.fixture
def dataset(tmp_path: Path) -> CuratedDataset:
    dataset = CuratedDataset.create(tmp_path / "set")
    add(dataset, "anna", 1, split="train")
    add(dataset, "bert", 2, split="test")
    add(dataset, "cora", 3, roles=("FLAIR",), split="test", regions=("WT",))
    add(dataset, "dora", 4, split="test", state="rejected")
    return dataset


def test_side_is_that_of_the_data_set_without_a_table(dataset: CuratedDataset) -> None:
    assert is_curated(dataset.folder)
    assert [case.name for case in find_cases(dataset.folder, side="test")] == ["bert", "cora"]
    assert [case.name for case in find_cases(dataset.folder, side="training")] == ["anna"]
    assert [case.name for case in find_cases(dataset.folder)] == ["anna", "bert", "cora"]
    assert {case.patient for case in find_cases(dataset.folder)} == {"ANNA", "BERT", "CORA"}


def test_side_without_cases_says_what_there_is(dataset: CuratedDataset) -> None:
    with pytest.raises(UnreadableFileError, match="2 in test"):
        find_cases(dataset.folder, side="val")


def test_label_is_the_present_one_in_its_own_meaning(dataset: CuratedDataset, tmp_path: Path) -> None:
    grid = Grid(SHAPE, affine(spacing=(1, 1, 2)))
    dataset.relabel("bert", Segmentation(tumour(2), grid, name="bert"))
    for name in ("bert", "cora"):
        write_nifti(tmp_path / "tool" / f"{name}.nii.gz", tumour(2), affine(spacing=(1, 1, 2)))
    result = evaluate(
        dataset.folder, [], predictions={"tool": tmp_path / "tool"}, side="test", predictions_schema="MSD"
    )
    assert result.refused == ()
    dice = {(row.case, row.region): row.scores.dice for row in result.rows}
    # The label that was replaced would give less.
    assert dice["bert", "ET"] == 1
    # Of a whole-tumour label nothing else is scored.
    assert dice["cora", "WT"] < 1
    assert ("cora", "ET") not in dice
