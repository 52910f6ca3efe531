"""Measuring models with tiny networks on phantoms: what is measured, kept, told to cards, and refused."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from results_phantoms import ROLES, write_bench
from typer.testing import CliRunner

from measure_models import app
from models_for_tests import tiny_model
from napari_brain_tumor.errors import CheckpointError, TrainingError
from napari_brain_tumor.io import open_study
from napari_brain_tumor.models.card_parts import TrainingRecord
from napari_brain_tumor.models.cards import find_model, read_card
from napari_brain_tumor.models.checkpoint import read_weights, save_checkpoint
from napari_brain_tumor.models.ensemble import save_ensemble
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.workflow import segment
from napari_brain_tumor_training.synthetic import SyntheticSpec
from results import measure
from results.bench import open_bench
from results.document import BLOCKS, read_results
from results.run import measured_results, subjects_named

pytest.importorskip("nilearn", reason="nilearn, whose tissue maps the heads are made from, is not installed")

COARSE = SyntheticSpec(resolution_mm=5)
QUICK_COST = {
    "case": "c", "shape": [4, 4, 4], "load_seconds": 0.1, "imported_mb": 100.0, "memory_from": "VmHWM",
    "plain": {"seconds": 1.0, "peak_mb": 150.0}, "flipped": {"seconds": 3.0, "peak_mb": 151.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_bench(tmp_path_factory.mktemp("bench") / "data")


@pytest.fixture
def no_process(monkeypatch):
    """Time and memory are measured by a process of its own in one test alone."""
    monkeypatch.setattr(measure, "measure_cost", lambda *_: QUICK_COST)


@pytest.fixture(scope="module")
def measured(data, tmp_path_factory):
    """A tiny model and a baseline, measured once, cards told."""
    folder = tmp_path_factory.mktemp("docs")
    model, _ = tiny_model(folder / "tiny", min_lesion_mm3=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "measure_cost", lambda *_: QUICK_COST)
        run(data, folder, [str(model.folder), "threshold"], update_cards=True)
    return folder


def run(data, folder, names, *, update_cards=False, **changes):
    bench = open_bench(data, device="cpu", spec=COARSE, **changes)
    return run_job(measured_results(subjects_named(names), bench, folder, update_cards=update_cards))


def test_every_block_of_a_model_is_measured_and_kept(measured):
    results = read_results(measured / "results.json")
    tiny, threshold = results.models["tiny"], results.models["threshold"]
    assert all(tiny.block(name) is not None for name in BLOCKS)
    assert [name for name in BLOCKS if threshold.block(name)] == ["scores", "controls", "cost"]
    assert [case.case for case in tiny.scores.cases] == ["volume_1", "volume_2", "TCGA_AA_0002_19990101"]
    assert results.split.together == {"train": 3, "val": 3}


def test_subsets_are_all_fourteen_of_volumes_and_those_that_slices_have(measured):
    cases = read_results(measured / "results.json").models["tiny"].subsets.cases
    counts = {name: len([c for c in cases if c.case == name]) for name in {c.case for c in cases}}
    assert counts == {"volume_1": 14, "volume_2": 14, "TCGA_AA_0002_19990101": 6}
    assert not any(c.roles == ROLES for c in cases)
    assert all("T2" not in c.roles and list(c.dice) == ["WT"] for c in cases if c.dataset == "lgg_tif")


def test_a_subset_gives_what_a_user_with_those_sequences_gets(measured, data):
    from napari_brain_tumor.io import open_segmentation
    from napari_brain_tumor.metrics.overlap import region_dice

    block = read_results(measured / "results.json").models["tiny"].subsets
    cases = block.cases
    kept = next(c for c in cases if c.case == "volume_2" and c.roles == ["T1c", "FLAIR"])
    study = open_study(data / "glioma3d" / "imagesTr" / "volume_2.nii.gz").only(("T1c", "FLAIR"))
    truth = open_segmentation(data / "glioma3d" / "labelsTr" / "volume_2.nii.gz")
    assert kept.dice == pytest.approx(
        region_dice(truth, segment(study, measured / "tiny", "cpu", precision=block.precision))
    )


def test_cards_get_temperatures_and_metrics_of_all_subsets(measured):
    card, entry = read_card(measured / "tiny"), read_results(measured / "results.json").models["tiny"]
    told = {(m.dataset, tuple(m.roles), m.flips): m for m in card.metrics}
    assert len([key for key in told if key[0] == "glioma3d" and not key[2]]) == 15
    whole = told["glioma3d", tuple(ROLES), False]
    dice = [case.scores["WT"].dice for case in entry.scores.cases if case.dataset == "glioma3d"]
    assert whole.mean_dice["WT"] == pytest.approx(sum(dice) / 2, abs=1e-4)
    assert set(whole.mean_hd95_mm) == {"WT", "TC", "ET"}
    assert "dropped before" in whole.definition
    fitted = {region: found.temperature for region, found in entry.calibration.regions.items()}
    assert {r: card.temperature(r) for r in fitted} == pytest.approx(fitted)


def test_what_was_measured_is_not_measured_again(measured, data, monkeypatch):
    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr("results.run.block_job", refuse)
    before = (measured / "results.json").read_bytes()
    run(data, measured, [str(measured / "tiny"), "threshold"], update_cards=True)
    assert (measured / "results.json").read_bytes() == before


@pytest.mark.slow
def test_a_run_that_is_cut_off_goes_on_with_the_next_block(data, tmp_path, no_process):
    model, _ = tiny_model(tmp_path / "tiny", 3)
    bench = open_bench(data, device="cpu", spec=COARSE)
    job = measured_results(subjects_named([str(model.folder)]), bench, tmp_path)
    while not (tmp_path / "results.json").exists():
        next(job)
    job.close()
    first = read_results(tmp_path / "results.json").models["tiny"]
    assert first.calibration is not None
    assert first.scores is None
    second = run(data, tmp_path, [str(model.folder)]).models["tiny"]
    assert second.calibration == first.calibration
    assert second.cost is not None


@pytest.fixture
def ship_model():
    """The script that ships models."""
    path = Path(__file__).parents[2] / "scripts" / "ship_model.py"
    spec = importlib.util.spec_from_file_location("ship_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_weights_that_were_fitted_on_the_validation_patients_are_not_measured_on_them(tmp_path, ship_model):
    """As `ship_model.py --refit` ships them: card and scores of before, weights of after."""
    measured, refit = (tiny_model(tmp_path / name / "tiny", seed)[0] for name, seed in (("before", 1), ("after", 2)))
    record = TrainingRecord(datasets=["d"], cases=9, split_sha256="0" * 64, epochs=3, seed=1)
    earlier = measured.card.model_copy(update={"min_sure_enhancing": 0.4, "notes": ["A note."]})
    card = ship_model.refitted(earlier, refit.card.model_copy(update={"training": record}))
    assert (card.min_sure_enhancing, card.notes, card.training.cases) == (0.4, ["A note."], 9)
    assert card.training.refit_of == measured.card.weights_sha256
    again = ship_model.refitted(card, refit.card.model_copy(update={"training": record}))
    assert again.training.refit_of == measured.card.weights_sha256
    save_checkpoint(refit.folder, read_weights(refit), card)
    with pytest.raises(CheckpointError, match=measured.card.weights_sha256):
        subjects_named([str(refit.folder)])
    assert subjects_named([str(measured.folder)])[0].method.name == "tiny"
    joined = save_ensemble(tmp_path / "joined", [measured, find_model(refit.folder)], "Both")
    assert joined.card.refit_of == measured.card.weights_sha256
    other = refit.card.model_copy(update={"training": record, "arguments": {"width": 99}})
    with pytest.raises(CheckpointError, match="other networks"):
        ship_model.refitted(earlier, other)


def test_only_the_named_blocks_are_measured(data, tmp_path, no_process):
    bench = open_bench(data, device="cpu", spec=COARSE, limit=1)
    model, _ = tiny_model(tmp_path / "tiny", 4)
    results = run_job(measured_results(subjects_named([str(model.folder)]), bench, tmp_path, blocks=["cost", "scores"]))
    assert [name for name in BLOCKS if results.models["tiny"].block(name)] == ["scores", "cost"]


@pytest.mark.slow
def test_only_the_named_models_are_replaced(measured, data, tmp_path, no_process):
    shutil.copytree(measured, tmp_path / "docs")
    before = read_results(tmp_path / "docs" / "results.json")
    model, _ = tiny_model(tmp_path / "other" / "tiny", 5, min_lesion_mm3=0.0)
    after = run(data, tmp_path / "docs", [str(model.folder)])
    assert after.models["threshold"] == before.models["threshold"]
    assert after.models["tiny"].scores.key != before.models["tiny"].scores.key


def test_another_choice_of_cases_does_not_mix_with_what_is_there(measured, data, tmp_path):
    shutil.copytree(measured, tmp_path / "docs")
    with pytest.raises(TrainingError, match=r"holds tiny on all cases.*this is 1 cases"):
        run(data, tmp_path / "docs", ["threshold"], limit=1)


def test_cards_are_not_told_of_some_cases_or_moved_thresholds(data, tmp_path):
    model, _ = tiny_model(tmp_path / "tiny", thresholds={"TC": 0.4})
    with pytest.raises(TrainingError, match="--limit"):
        run(data, tmp_path, [str(model.folder)], update_cards=True, limit=1)
    with pytest.raises(CheckpointError, match=r"TC from 0\.4"):
        run(data, tmp_path, [str(model.folder)], update_cards=True)


def test_a_temperature_does_not_change_what_is_called_tumour(data, tmp_path):
    from napari_brain_tumor.models.card_parts import Calibration
    from napari_brain_tumor.models.checkpoint import write_card

    model, _ = tiny_model(tmp_path / "tiny")
    study = open_study(data / "glioma3d" / "imagesTr" / "volume_2.nii.gz")
    before = segment(study, model.folder, "cpu").data
    hot = {r: Calibration(temperature=3, error_before=0.2, error_after=0.1, voxels=9) for r in ("WT", "TC", "ET")}
    write_card(model, model.card.model_copy(update={"calibration": hot}))
    after = segment(study, model.folder, "cpu").data
    assert before.any()
    # Logits within half a float16 of 0 may round to a probability of exactly 0.5.
    assert (before != after).mean() < 1e-3


def test_wrong_use_of_the_command_is_told(data, tmp_path):
    def told(*arguments):
        result = CliRunner().invoke(app, [*map(str, arguments), "-o", str(tmp_path / "docs"), "--device", "cpu"])
        assert "Traceback" not in result.output
        return result.exit_code, " ".join(result.output.split())

    assert told()[0] == 2
    assert told(data, "--blocks", "beauty")[0] == 2
    code, text = told(tmp_path / "absent", "--models", "threshold")
    assert (code, "is not a folder" in text) == (1, True)
    code, text = told(data, "--models", "unheard-of")
    assert (code, "No model is called 'unheard-of'" in text) == (1, True)
    code, text = told("--render")
    assert (code, "Measure first" in text) == (1, True)
    incomplete = tmp_path / "incomplete"
    shutil.copytree(data, incomplete)
    shutil.rmtree(incomplete / "cases" / "brats2021_no_enhancing")
    code, text = told(incomplete, "--models", "threshold")
    assert (code, "brats2021_no_enhancing holds no case" in text) == (1, True)
    (incomplete / "subjects.csv").write_text("dataset,case,patient,split\nglioma3d,volume_0,p,val\n")
    code, text = told(incomplete, "--models", "threshold")
    assert (code, "is not in the split" in text) == (1, True)
    assert not (tmp_path / "docs").exists()


def test_the_command_renders_again_without_data(measured, tmp_path):
    shutil.copy(measured / "results.json", tmp_path)
    result = CliRunner().invoke(app, ["--render", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "results.md").read_text(encoding="utf-8").startswith("# Results of the shipped models")
    calibrated = read_results(tmp_path / "results.json").models["tiny"].calibration.regions
    assert (tmp_path / "images" / "reliability_tiny.png").exists() == bool(calibrated)


@pytest.mark.slow
def test_time_and_memory_come_from_a_process_of_its_own(data):
    from results.cost import measure_cost

    case = data / "cases" / "brats2021_no_enhancing" / "BraTS2021_00001"
    found = measure_cost("threshold", case, "cpu")
    assert found["shape"] == [40, 44, 6]
    assert found["flipped"] is None
    assert 0 < found["plain"]["seconds"] < 60
    assert 50 < found["imported_mb"] <= found["plain"]["peak_mb"]
    with pytest.raises(TrainingError, match="process of its own failed"):
        measure_cost("unheard-of", case, "cpu")
    json.dumps(found)
