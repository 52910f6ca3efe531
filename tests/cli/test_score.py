import numpy as np
import pytest

from models_for_tests import tiny_model
from napari_brain_tumor import cli
from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Segmentation, Study
from phantoms import noise, tumour

SHAPE = (32, 30, 6)


def add(dataset, name, seed, roles=("T1", "T1c", "T2", "FLAIR")):
    grid = Grid(SHAPE, np.diag([1.0, 1, 2, 1]))
    study = Study({role: noise(SHAPE, seed=10 * seed + at) for at, role in enumerate(roles)}, grid, name)
    dataset.add(study, Segmentation(tumour(SHAPE), grid, name))


def test_scores_are_listed_and_a_refused_case_is_told_at_the_end(tmp_path, capsys):
    dataset = CuratedDataset.create(tmp_path / "set")
    add(dataset, "p1", 1)
    add(dataset, "p2", 2, roles=("T2",))
    model, _ = tiny_model(tmp_path / "model", optional_roles=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", "score", str(dataset.folder), "--model", str(model.folder), "--device", "cpu"])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "on 1 of 2 cases" in said.out
    assert "p1" in said.out
    assert "p2: p2 has T2; Tiny needs T1, T1c, FLAIR" in " ".join(said.err.split())


def test_unknown_case_is_refused_before_anything_is_computed(tmp_path, capsys):
    dataset = CuratedDataset.create(tmp_path / "set")
    model, _ = tiny_model(tmp_path / "model")
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", "score", str(dataset.folder), "p9", "--model", str(model.folder)])
    assert ended.value.code == 1
    assert "no case 'p9'" in capsys.readouterr().err
