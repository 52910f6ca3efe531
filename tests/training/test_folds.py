from collections import Counter
from dataclasses import replace

import pytest
from curated_phantoms import write_data
from training_cases import files

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor_training.config import read_config
from napari_brain_tumor_training.folds import FOLDS_FILE, Fold, deal, frozen_folds, with_fold

STRATA = {f"P{number:02d}": "high" if number % 3 else "low" for number in range(23)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def test_every_stratum_is_dealt_evenly_and_so_are_all():
    folds = deal(STRATA, 5, seed=1)
    assert set(folds) == set(STRATA)
    for stratum in ("high", "low"):
        counts = Counter(folds[key] for key in STRATA if STRATA[key] == stratum)
        assert max(counts.values()) - min(counts[fold] for fold in range(1, 6)) <= 1
    counts = Counter(folds.values())
    assert set(counts) == {1, 2, 3, 4, 5}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_seed_decides_and_the_order_of_patients_does_not():
    folds = deal(STRATA, 5, seed=1)
    assert deal(dict(reversed(STRATA.items())), 5, seed=1) == folds
    assert deal(STRATA, 5, seed=2) != folds


def test_who_was_dealt_stays_when_others_come_and_go():
    before = deal(STRATA, 5, seed=1)
    grown = {key: stratum for key, stratum in STRATA.items() if key != "P00"} | {"A": "low", "B": "high"}
    after = deal(grown, 5, seed=1, dealt=before)
    assert {key: after[key] for key in before} == before
    assert {"A", "B"} <= set(after)


def test_a_fold_validates_on_its_patients_and_no_fold_sees_the_validation_side():
    cases = [files("a", "PA"), files("b", "PB"), files("b2", "PB"), files("c", "PC", split="val"), files("s", "SYN")]
    sides = with_fold(cases, Fold(2, 2, {"PA": 1, "PB": 2}))
    assert [case.split for case in sides] == ["train", "val", "val", "held-out", "train"]
    assert [replace(case, split="") for case in sides] == [replace(case, split="") for case in cases]


def test_the_table_of_folds_is_written_once_and_obeyed(data, tmp_path):
    config = read_config(data / "recipe.toml")
    folds = frozen_folds(config, data, tmp_path, 2)
    assert sorted(folds) == ["TCGA-AA-0000", "TCGA-AA-0001", "VOLUME-0", "VOLUME-1"]
    # One patient of each data set in each fold.
    assert folds["TCGA-AA-0000"] != folds["TCGA-AA-0001"]
    assert folds["VOLUME-0"] != folds["VOLUME-1"]
    table = tmp_path / FOLDS_FILE
    swapped = table.read_text().replace(",1\n", ",x\n").replace(",2\n", ",1\n").replace(",x\n", ",2\n")
    table.write_text(swapped)
    assert frozen_folds(config, data, tmp_path, 2) == {key: 3 - fold for key, fold in folds.items()}
    assert table.read_text() == swapped
    with pytest.raises(TrainingError, match="table of 2 folds, and 3"):
        frozen_folds(config, data, tmp_path, 3)
    table.write_text("nothing")
    with pytest.raises(TrainingError, match="cannot be read"):
        frozen_folds(config, data, tmp_path, 2)


def test_more_folds_than_patients_are_refused(data, tmp_path):
    with pytest.raises(TrainingError, match="there are 4"):
        frozen_folds(read_config(data / "recipe.toml"), data, tmp_path, 5)
