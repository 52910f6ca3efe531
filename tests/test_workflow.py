import numpy as np
import pytest
import torch

from models_for_tests import tiny_model
from napari_brain_tumor import measure_volumes, open_segmentation, open_study, save_segmentation, segment
from napari_brain_tumor.errors import DeviceError, MissingRolesError, ModelNotFoundError
from napari_brain_tumor.geometry import Grid, resample, to_ras
from napari_brain_tumor.inference.device import check_bfloat16
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.labels import CLASS_NAMES, classes_from_regions
from napari_brain_tumor.metrics.overlap import region_dice
from napari_brain_tumor.models.cards import find_model
from napari_brain_tumor.models.checkpoint import load_network, save_checkpoint
from napari_brain_tumor.models.neighbours import neighbours_of, stacked_slices
from napari_brain_tumor.preprocessing.pipeline import prepare, restore
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.sample import sample_truth_path
from napari_brain_tumor.study import ROLES, Segmentation, Study, TifSlices
from napari_brain_tumor.workflow import segment_job
from phantoms import affine, axis_orders, tilt
from small_sample import sample_slab


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path))
    return tiny_model(tmp_path / "models" / "tiny")[0]


STRAIGHT = np.eye(3)


def study(directions=STRAIGHT, roles=ROLES, unit="mm", layout=None):
    random = np.random.default_rng(0)
    shape = (28, 30, 12)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum(a**2 for a in axes) < 0.8
    sequences = {role: np.where(inside, random.normal(100, 20, shape), 0).astype(np.float32) for role in roles}
    return Study(sequences, Grid(shape, affine(directions), unit), name="case", layout=layout)


def test_the_result_lies_on_the_studys_grid_with_our_classes(tiny):
    case = study(tilt(8))
    result = segment(case, "tiny", "cpu", min_lesion_mm3=0)
    assert result.grid == case.grid
    assert result.data.dtype == np.uint8
    assert set(np.unique(result.data)) <= {0, 1, 2, 3}
    assert result.data.any()
    assert dict(result.class_names) == CLASS_NAMES
    assert not result.data[case.sequences["T1"] == 0].any()


def in_file_order(straight, directions):
    """The same head, stored with its axes along other directions, and the way back to RAS."""
    axes = to_ras(Grid((1, 2, 3), affine(directions))).axes
    shape = [0, 0, 0]
    for ras_axis, file_axis in enumerate(axes):
        shape[file_axis] = straight.grid.shape[ras_axis]
    turn = to_ras(Grid(tuple(shape), affine(directions)))
    return Study({role: turn.undo(array) for role, array in straight.sequences.items()}, turn.source), turn


@pytest.mark.parametrize("directions", axis_orders()[::13])
def test_the_axis_order_of_the_file_does_not_change_what_is_found(tiny, directions):
    straight = study()
    other, turn = in_file_order(straight, directions)
    expected = segment(straight, "tiny", "cpu", min_lesion_mm3=0).data
    found = segment(other, "tiny", "cpu", min_lesion_mm3=0).data
    # Percentiles are taken from a sample in memory order, hence not one hundred percent.
    assert np.mean(turn.apply(found) == expected) > 0.999


@pytest.mark.parametrize("roles", [("FLAIR",), ("T1c", "FLAIR"), ("T1", "T1c", "T2")])
def test_any_subset_of_roles_is_accepted_and_the_missing_are_noted(tiny, roles):
    result = segment(study(roles=roles), "tiny", "cpu")
    notes = " ".join(result.provenance["notes"])
    assert ("Without T1c the enhancing" in notes) == ("T1c" not in roles)
    assert all(role in notes for role in ROLES if role not in roles)


def test_a_model_that_needs_all_its_roles_says_which_are_missing(tiny):
    tiny_model(tiny.folder.parent / "strict", name="strict", optional_roles=False)
    with pytest.raises(MissingRolesError, match="needs T1, T2, FLAIR: it was trained for"):
        segment(study(roles=("T1c",)), "strict", "cpu")


def test_a_model_without_a_role_in_common_is_refused(tiny):
    tiny_model(tiny.folder.parent / "flair", name="flair", roles=["FLAIR"])
    with pytest.raises(MissingRolesError, match="at least one of FLAIR"):
        segment(study(roles=("T1c",)), "flair", "cpu")


def test_unknown_models_and_devices_are_refused(tiny):
    with pytest.raises(ModelNotFoundError):
        segment(study(), "nothing")
    with pytest.raises(DeviceError):
        segment(study(), "tiny", "cuda:99")


def test_the_smallest_lesion_is_in_cubic_millimetres(tiny):
    everything = segment(study(), "tiny", "cpu", min_lesion_mm3=0)
    nothing = segment(study(), "tiny", "cpu", min_lesion_mm3=1e9)
    assert everything.data.any()
    assert not nothing.data.any()


def test_a_study_of_unknown_spacing_is_segmented_and_not_filtered(tiny):
    case = study(unit="voxel", layout=TifSlices("p", tuple(range(12))))
    result = segment(case, "tiny", "cpu", min_lesion_mm3=1e9)
    assert result.data.any()
    assert result.grid.unit == "voxel"
    assert result.layout == case.layout


def test_the_job_reports_rising_progress_and_returns_the_same(tiny):
    job, fractions = segment_job(study(), "tiny", "cpu"), []
    while True:
        try:
            fractions.append(next(job).fraction)
        except StopIteration as finished:
            result = finished.value
            break
    assert fractions == sorted(fractions)
    assert 0.95 < fractions[-1] < 1  # done is what has returned its result
    np.testing.assert_array_equal(result.data, segment(study(), "tiny", "cpu").data)


def test_the_study_is_not_altered(tiny):
    case = study()
    before = {role: array.copy() for role, array in case.sequences.items()}
    segment(case, "tiny", "cpu", flips=True)
    for role, array in case.sequences.items():
        np.testing.assert_array_equal(array, before[role])


def test_provenance_is_enough_to_run_it_again(tiny, small_sample):
    case = open_study(small_sample)
    found = segment(case, "tiny", "cpu").provenance
    assert found["model"]["weights_sha256"] == tiny.card.weights_sha256
    assert set(found["inputs"]) == set(ROLES)
    assert all(len(entry["sha256"]) == 64 for entry in found["inputs"].values())
    assert found["settings"]["flips"] is False
    assert "not for clinical use" in found["warning"]
    assert {"python", "torch", "numpy"} <= set(found["versions"])


def agreement(one, two):
    tumour = (one > 0) | (two > 0)
    assert tumour.sum() > 1000
    return np.mean(one[tumour] == two[tumour])


@pytest.mark.slow
def test_the_quick_path_labels_as_plain_float32_does():
    """The speed contract of the shipped network: 99.9 % of tumour voxels as without folding, batches or layout."""
    case, info = sample_slab(16), find_model("unet")
    quick = segment(case, "unet", "cpu", min_lesion_mm3=0, precision="float32").data
    prepared = prepare(case, info.roles, info.card.preprocessing)
    network = load_network(info)
    slices = torch.from_numpy(prepared.channels).movedim(1, 0)
    with torch.inference_mode():
        seen = (stacked_slices(slices, [z], neighbours_of(network)) for z in range(len(slices)))
        regions = torch.cat([torch.sigmoid(network(one)) for one in seen]).movedim(1, 0)
    plain = restore(classes_from_regions((regions >= 0.5).numpy()) * prepared.mask, prepared)
    assert agreement(quick, plain) >= 0.97  # the margin around the head moves border voxels: here whole slices
    every = run_job(Engine.plain(network, 2).probabilities(prepared.channels)) >= 0.5
    assert agreement(quick, restore(classes_from_regions(every) * prepared.mask, prepared)) >= 0.97
    same_parts = run_job(Engine.plain(network, 2).probabilities(prepared.channels, thin=True)) >= 0.5
    assert agreement(quick, restore(classes_from_regions(same_parts) * prepared.mask, prepared)) >= 0.999


@pytest.mark.slow
def test_the_quick_path_of_the_ensemble_labels_as_plain_float32_does():
    case, info = sample_slab(24), find_model("ensemble")
    quick = segment(case, "ensemble", "cpu", min_lesion_mm3=0, precision="float32").data
    prepared = prepare(case, info.roles, info.card.preprocessing)
    plain = Engine.plain(load_network(info), info.card.dims)
    for thin, least in ((True, 0.999), (False, 0.96)):
        regions = run_job(plain.probabilities(prepared.channels, thin=thin)) >= 0.5
        assert agreement(quick, restore(classes_from_regions(regions) * prepared.mask, prepared)) >= least


@pytest.mark.slow
def test_bfloat16_on_request_changes_less_than_half_a_percent():
    try:
        check_bfloat16(torch.device("cpu"))
    except DeviceError:
        with pytest.raises(DeviceError, match="bfloat16"):
            segment(sample_slab(2), device="cpu", precision="bfloat16")
        return
    case = sample_slab(16)
    quick = segment(case, device="cpu", precision="bfloat16")
    assert quick.provenance["settings"]["precision"] == "bfloat16"
    assert agreement(quick.data, segment(case, device="cpu", precision="float32").data) >= 0.995


def test_the_shipped_network_finds_the_tumour_of_the_sample():
    case = sample_slab(24)
    whole = open_segmentation(sample_truth_path())
    truth = Segmentation(resample(whole.data, whole.grid, case.grid, nearest=True), case.grid)
    assert region_dice(truth, segment(case, device="cpu"))["WT"] > 0.7


def test_a_model_that_tells_the_whole_tumour_alone_gives_that_alone(tmp_path):
    changes = {"regions": ["WT"], "roles": ["FLAIR", "FLAIR"], "optional_roles": False, "thresholds": {"WT": 0.4}}
    model = tiny_model(tmp_path / "whole", **changes)[0]
    result = segment(study(), model.folder, "cpu", min_lesion_mm3=0)
    assert result.known_regions == ("WT",)
    assert dict(result.class_names) == {1: "whole tumour"}
    assert set(np.unique(result.data)) == {0, 1}
    assert [row.key for row in measure_volumes(result).rows] == ["WT"]
    saved = save_segmentation(result, tmp_path / "whole.nii.gz")
    np.testing.assert_array_equal(open_segmentation(saved).data, result.data)
    with pytest.raises(MissingRolesError, match="needs at least one of FLAIR\\."):
        segment(study(roles=["T1"]), model.folder, "cpu")


def test_the_order_in_which_a_model_tells_its_regions_does_not_matter(tmp_path):
    straight, network = tiny_model(tmp_path / "straight", thresholds={"WT": 0.1, "TC": 0.1, "ET": 0.431})
    weights = network.state_dict()
    for name in ("head.weight", "head.bias"):
        weights[name] = weights[name].flip(0)
    reverse = save_checkpoint(
        tmp_path / "reverse", weights, straight.card.model_copy(update={"regions": ["ET", "TC", "WT"]})
    )
    expected = segment(study(), straight.folder, "cpu")
    np.testing.assert_array_equal(segment(study(), reverse.folder, "cpu").data, expected.data)
    assert len(np.unique(expected.data)) > 2
