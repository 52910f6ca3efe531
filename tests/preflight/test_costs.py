from pathlib import Path

import pytest

from models_for_tests import card
from napari_brain_tumor.classical.registry import BASELINES
from napari_brain_tumor.models.cards import ModelInfo, list_models
from napari_brain_tumor.preflight.costs import _slowdown, expected_cost, key_of, known_costs, remember
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.requests.segment import SegmentRequest


def provenance(**changes):
    made = {
        "model": {"name": "threshold"},
        "device": "cpu",
        "settings": {"min_lesion_mm3": 0},
        "seconds": {"prepare": 1.0, "method": 2.0, "finish": 0.5, "load": 9.0},
        "working_shape": [10, 100, 100],
    }
    return made | changes


def test_a_run_of_here_is_what_the_next_one_is_expected_to_take(tmp_path):
    remember(provenance(), tmp_path)
    found = expected_cost(BASELINES["threshold"], "cpu", 200_000, known_costs(tmp_path), SegmentRequest())
    assert found.seconds == pytest.approx(7.0)  # twice the voxels; loading does not count
    assert found.basis == "measured on this machine"


def test_a_busy_machine_prolongs_what_was_measured_elsewhere_alone(tmp_path):
    remember(provenance(), tmp_path)
    idle, busy = known_costs(tmp_path), known_costs(tmp_path, slowdown=3.0)
    assert busy[0] == idle[0]
    assert busy[1].seconds == pytest.approx(3 * idle[1].seconds)
    assert busy[1].network_seconds == pytest.approx(3 * idle[1].network_seconds)


def test_the_slowdown_is_that_of_threads_that_share_the_cores():
    assert _slowdown(0.3, 2) == 1.0  # napari itself
    assert _slowdown(5.0, 2) == 3.0
    assert _slowdown(5.0, 16) == 1.25


def test_the_latest_run_counts(tmp_path):
    remember(provenance(), tmp_path)
    remember(provenance(seconds={"method": 1.0}), tmp_path)
    own = [one for one in known_costs(tmp_path) if one.machine == "this machine"]
    assert [one.seconds for one in own] == [1.0]


def test_mirrored_copies_do_not_count_twice(tmp_path):
    model = next(one for one in list_models() if one.card.dims == 2)
    made = {"model": {"name": model.name}, "seconds": {"prepare": 1.0, "network": 40.0}, "settings": {"flips": True}}
    remember(provenance(**made), tmp_path)
    known = known_costs(tmp_path)
    assert expected_cost(model, "cpu", 100_000, known, SegmentRequest()).seconds == pytest.approx(11.0)
    assert expected_cost(model, "cpu", 100_000, known, SegmentRequest(flips=True)).seconds == pytest.approx(41.0)
    assert expected_cost(model, "cuda:0", 100_000, known, SegmentRequest()) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": None},
        {"working_shape": None},
        {"device": "a quantum computer"},
        {"settings": {"precision": "bfloat16"}},
        {"model": {"name": "unknown"}},
    ],
)
def test_runs_that_tell_too_little_are_not_kept(tmp_path, changes):
    remember(provenance(**changes), tmp_path)
    assert not (tmp_path / "costs.json").exists()


def test_a_file_of_another_version_costs_only_the_estimate(tmp_path):
    (tmp_path / "costs.json").write_text('{"format": 9}')
    assert len(known_costs(tmp_path)) == len(known_costs(tmp_path / "none"))
    remember(provenance(), tmp_path)
    assert known_costs(tmp_path)[0].machine == "this machine"


def test_the_cost_is_that_of_the_network_not_of_its_weights():
    first, second = (ModelInfo(name=n, folder=Path(n), card=card(name=n, parameters=5), bundled=True) for n in "ab")
    assert key_of(first) == key_of(second)
    wider = first.model_copy(update={"card": card(arguments={"width": 8})})
    assert key_of(wider) != key_of(first)
    assert key_of(wider)[1] == key_of(first)[1]


def test_every_shipped_model_and_method_has_a_measured_cost():
    shipped = [*(one for one in list_models() if one.bundled), *BASELINES.values()]
    missing = [one.name for one in shipped if expected_cost(one, "cpu", 10**6, known_costs(), SegmentRequest()) is None]
    assert missing == [], "run: python benchmarks/measure_costs.py --model NAME"


@pytest.mark.slow
def test_the_stages_of_a_run_are_those_that_a_network_tells(small_sample):
    from napari_brain_tumor.io import open_study
    from napari_brain_tumor.preflight.costs import NETWORK_PROGRESS
    from napari_brain_tumor.workflow import segment_job

    steps = []
    run_job(segment_job(open_study(small_sample), "unet", "cpu"), steps.append)
    before = [step.fraction for step in steps if step.message == "finding the brain"]
    after = [step.fraction for step in steps if "grid" in step.message]
    network = [step.fraction for step in steps if before[-1] < step.fraction < after[0]]
    assert NETWORK_PROGRESS[0] <= network[0] < 0.5 < network[-1] <= NETWORK_PROGRESS[1] == after[0]
    assert max(step.fraction for step in steps) < 1  # the result is not there yet


def test_the_network_is_a_stage_of_its_own(tmp_path):
    model = next(one for one in list_models() if one.card.dims == 2)
    seconds = {"prepare": 1.0, "network": 8.0, "finish": 1.0}
    remember(provenance(model={"name": model.name}, seconds=seconds), tmp_path)
    found = expected_cost(model, "cpu", 100_000, known_costs(tmp_path), SegmentRequest())
    assert found.network_seconds == pytest.approx(8.0)
    assert [share for _, share in found.stages] == pytest.approx([0.0, 0.1, 0.9, 0.99, 1.0])
    baseline = expected_cost(BASELINES["threshold"], "cpu", 200_000, known_costs(tmp_path), SegmentRequest())
    assert baseline.stages == ((0.0, 0.0), (1.0, 1.0))
