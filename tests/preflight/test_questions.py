"""Every row of the table in every verdict that it can have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import phantoms
from models_for_tests import card
from napari_brain_tumor.classical.registry import BASELINES
from napari_brain_tumor.errors import BrainMaskError, LabelSchemaError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.inference.memory import DeviceMemory, free_host_bytes
from napari_brain_tumor.io.volume import ORIENTATION_NOTE
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.preflight import Fix, Scans, check_scans, check_study, worst
from napari_brain_tumor.preflight.costs import MeasuredCost, key_of
from napari_brain_tumor.preparation.together import Togetherness
from napari_brain_tumor.study import ROLES, NiftiForms, Segmentation, Study, TifSlices

SHAPE = (40, 48, 36)
GRID = Grid(SHAPE, phantoms.affine(spacing=(4, 4, 4)))
CPU = DeviceMemory("cpu", "Processor (cpu)", 8 * 2**30)
GPU = DeviceMemory("cuda:0", "A card (cuda:0)", 20 * 2**30)


def model(name="unet", **changes) -> ModelInfo:
    return ModelInfo(name=name, folder=Path(name), card=card(name=name, **changes), bundled=True)


def scans(roles=ROLES, *, skull=(), grid=GRID, **changes) -> Scans:
    images = {role: phantoms.brain(grid.shape, seed, skull=role in skull) for seed, role in enumerate(roles)}
    return replace(Scans("case", images, dict.fromkeys(roles, grid)), **changes)


def rows(found: Scans, method=None, device="cpu", labels=None, *, devices=(CPU,), models=(), brain="keep", **options):
    method = model() if method is None else method
    return {
        row.question: row
        for row in check_scans(found, method, device, labels, devices=devices, models=models, brain=brain, **options)
    }


@pytest.fixture(autouse=True)
def costs(monkeypatch):
    """Measured costs that the tests know."""
    found: list[MeasuredCost] = []
    monkeypatch.setattr("napari_brain_tumor.preflight.check.known_costs", lambda **_: found)
    return found


@pytest.fixture(autouse=True)
def no_search(monkeypatch):
    """Whether sequences fit is what `test_together.py` is about."""
    monkeypatch.setattr("napari_brain_tumor.preflight.scans.judge_together", lambda sequences, grids: Togetherness())


def cost(method, **changes) -> MeasuredCost:
    key, family = key_of(method)
    values = {
        "method": key,
        "family": family,
        "parameters": 1,
        "device": "cpu",
        "machine": "a test",
        "voxels": 1_000_000,
        "seconds": 1.0,
        "network_seconds": 10.0,
        "memory_mb": 1024.0,
    }
    return MeasuredCost(**(values | changes))


def test_a_good_case_passes_everything(costs):
    costs.append(cost(model()))
    found = rows(scans())
    assert {row.verdict for row in found.values()} == {"pass"}, found
    assert list(found) == [
        "Sequences",
        "One grid",
        "Fit",
        "Coverage",
        "Spacing",
        "Orientation",
        "Brain or head",
        "Intensities",
        "Model",
        "Time, memory",
    ]


# Sequences and grids ------------------------------------------------------------------------------------------------


def test_without_scans_that_alone_is_told():
    (row,) = rows(Scans("case", {}, {})).values()
    assert (row.question, row.verdict, row.fix) == ("Sequences", "fail", Fix("roles", "Choose roles"))


def test_what_the_reader_noticed_stands_in_the_row_that_it_is_about():
    notes = (
        "b.nii was not opened: its name names no known sequence.",
        "The header's sform and qform disagree by up to 3.0 mm; the sform is used.",
        "The header's voxel size of 1x1x1 mm makes the scan only 24 mm thick: it may be false.",
    )
    found = rows(scans(notes=notes))
    told = {question: row.words for question, row in found.items() if row.verdict != "pass"}
    assert set(told) == {"Sequences", "Orientation", "Spacing"}
    assert "b.nii" in told["Sequences"]
    assert "disagree" in told["Orientation"]
    assert "24 mm thick" in told["Spacing"]


def test_different_grids_fail_and_can_be_brought_together():
    thick = Grid((40, 48, 12), phantoms.affine(spacing=(4, 4, 12)))
    one = scans(("T1", "T1c"))
    images = {**one.sequences, "FLAIR": phantoms.brain(thick.shape, 7)}
    row = rows(replace(one, sequences=images, grids={**one.grids, "FLAIR": thick}))["One grid"]
    assert row.verdict == "fail"
    assert "T1, T1c: 40x48x36 voxels of 4 x 4 x 4 mm; FLAIR: 40x48x12" in row.words
    assert row.fix == Fix("resample", "Bring onto one grid", "finest")


def test_grids_of_unknown_voxel_size_cannot_be_brought_together():
    one = scans(("T1", "T1c"))
    row = rows(replace(one, grids={**one.grids, "T1c": replace(GRID, unit="voxel")}))["One grid"]
    assert (row.verdict, row.fix) == ("fail", None)
    assert "voxel size" in row.words


def test_open_scans_that_are_left_out_for_their_grid_are_told():
    row = rows(scans(("T1",), elsewhere={"FLAIR": Grid((9, 9, 9), GRID.affine)}))["One grid"]
    assert (row.verdict, row.fix and row.fix.kind) == ("warn", "resample")
    assert "FLAIR" in row.words


def test_resampling_is_told():
    row = rows(scans(notes=("T2 was resampled onto the grid of T1c (...), linearly.",)))["One grid"]
    assert row.verdict == "warn"
    assert "resampled" in row.words


# Spacing and orientation --------------------------------------------------------------------------------------------


def test_unknown_voxel_size_and_odd_heads_are_told():
    assert "do not state the voxel size" in rows(scans(grid=replace(GRID, unit="voxel")))["Spacing"].words
    fist = rows(scans(grid=Grid(SHAPE, phantoms.affine(spacing=(1, 1, 1)))))["Spacing"]
    assert fist.verdict == "warn"
    assert "By it the head measures" in fist.words


def test_slices_too_thick_for_the_model_lead_to_one_that_takes_them():
    deep = model("unet3d", thickest_slices_mm=2.0)
    row = rows(scans(), deep, models=[deep, BASELINES["threshold"], model("flat")])["Spacing"]
    assert row.verdict == "warn"
    assert "unet3d is for slices of up to 2 mm" in row.words
    assert row.fix == Fix("model", "Use threshold", "threshold")
    assert rows(scans(), deep, models=[deep, model("unet")])["Spacing"].fix == Fix("model", "Use unet", "unet")
    assert rows(scans(), deep, models=[deep])["Spacing"].fix is None


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (TifSlices("p", (1, 2)), "TIFF states no orientation"),
        (NiftiForms(np.eye(4), 0, None, 0), "left and right are a guess"),
    ],
)
def test_files_that_tell_no_orientation_are_doubted(layout, words):
    row = rows(scans(layouts=dict.fromkeys(ROLES, layout)))["Orientation"]
    assert row.verdict == "warn"
    assert words in row.words


def test_known_orientation_passes_and_a_tilted_scan_says_so():
    sure = NiftiForms(np.eye(4), 1, None, 0)
    assert rows(scans(layouts=dict.fromkeys(ROLES, sure)))["Orientation"].words == (
        "The axes run to right, front, head (RAS)."
    )
    tilted = Grid(SHAPE, phantoms.affine(phantoms.tilt(17), (4, 4, 4)))
    row = rows(scans(grid=tilted))["Orientation"]
    assert row.verdict == "pass"
    assert "shown resampled" in row.words
    assert "Tilted by 16 degrees" in row.words


def test_a_guessed_orientation_is_doubted():
    row = rows(scans(notes=(ORIENTATION_NOTE,)))["Orientation"]
    assert row.verdict == "warn"
    assert row.words.startswith("The axes run to right")
    assert ORIENTATION_NOTE in row.words


# Brain, intensities -------------------------------------------------------------------------------------------------


def test_brain_whole_head_and_a_mixture_are_told_apart():
    brain, head = rows(scans())["Brain or head"], rows(scans(skull=ROLES))["Brain or head"]
    assert (brain.verdict, brain.words) == ("pass", "Brain, the skull was removed.")
    assert (head.verdict, head.words) == ("pass", "Whole head, with the skull.")
    mixed = rows(scans(skull=("T1",)))["Brain or head"]
    assert mixed.verdict == "warn"
    assert mixed.words.startswith("T1 with the skull, T1c, T2, FLAIR without")


@pytest.mark.parametrize(
    ("share", "words", "verdict"), [(0.3, "1327 mL", "pass"), (0.1, "700 to 2200 mL", "warn"), (0, "No brain", "warn")]
)
def test_the_brain_of_a_whole_head_is_extracted_and_told_how_large_it_is(monkeypatch, share, words, verdict):
    mask = np.zeros(SHAPE, bool)
    mask.flat[: round(share * mask.size)] = True

    def found(study, device="auto"):
        if not share:
            raise BrainMaskError("nothing")
        return mask

    monkeypatch.setattr("napari_brain_tumor.preflight.scans.brain_mask", found)
    brains = model("brains", brain_only=True)
    row = rows(scans(skull=ROLES), brains, brain="auto")["Brain or head"]
    assert row.words.startswith("Whole head, with the skull: the brain is extracted before it is segmented.")
    assert words in row.words
    assert (row.verdict, row.fix) == (verdict, Fix("brain", "Show the brain's outline"))
    assert "trained on skull-stripped brains only" not in row.words
    assert rows(scans(), brains, brain="auto")["Brain or head"].words == "Brain, the skull was removed."


def test_a_mask_of_ones_own_is_named():
    row = rows(scans(skull=ROLES), brain="mask.nii.gz")["Brain or head"]
    assert (row.verdict, row.words) == ("pass", "Whole head, with the skull: the brain is taken from the given mask.")


def test_a_whole_head_is_not_for_a_model_of_brains():
    brains = model("brains", brain_only=True)
    row = rows(scans(skull=ROLES), brains, models=[brains, model("unet")])["Brain or head"]
    assert (row.verdict, row.fix) == ("warn", Fix("model", "Use unet", "unet"))
    assert "trained on skull-stripped brains only" in row.words
    assert rows(scans(), brains)["Brain or head"].verdict == "pass"


def with_image(role, image) -> Scans:
    one = scans()
    return replace(one, sequences={**one.sequences, role: image})


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full(SHAPE, np.nan, np.float32), "NaN"),
        (np.zeros(SHAPE, np.float32), "is empty"),
        (phantoms.tumour(SHAPE), "looks like labels"),
        (phantoms.brain(SHAPE, 0) * 2 + 5, "T1 and FLAIR are the same image"),
    ],
)
def test_images_of_no_use_fail(image, words):
    row = rows(with_image("FLAIR", image))["Intensities"]
    assert (row.verdict, row.fix and row.fix.kind) == ("fail", "roles")
    assert words in row.words


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (phantoms.brain(SHAPE, 3).clip(0, 430), "FLAIR is cut off at the top"),
        (np.rint(phantoms.brain(SHAPE, 3) / 90) * 90, "grey levels"),
    ],
)
def test_odd_images_are_told(image, words):
    row = rows(with_image("FLAIR", image))["Intensities"]
    assert row.verdict == "warn"
    assert words in row.words


# Model --------------------------------------------------------------------------------------------------------------


def test_missing_sequences_are_told_with_what_they_cost():
    kind = {"whole_head": False, "thickness_mm": 4.0}
    told = [
        Metrics(dataset="d", roles=list(roles), cases=8, mean_dice={"WT": dice}, **kind)
        for roles, dice in ((ROLES, 0.9), (("T1c", "FLAIR"), 0.8))
    ]
    row = rows(scans(("T1c", "FLAIR")), model(metrics=told))["Model"]
    assert row.verdict == "warn"
    assert "Without T1, T2" in row.words
    assert "WT 0.80 instead of 0.90" in row.words
    heads = rows(scans(("T1c", "FLAIR"), skull=ROLES), model(metrics=told))["Model"]
    assert "Without T1, T2" in heads.words
    assert "instead" not in heads.words


def test_a_model_that_cannot_do_without_fails_and_another_is_offered():
    strict = model("strict", optional_roles=False)
    row = rows(scans(("T1c", "FLAIR")), strict, models=[strict, model("unet")])["Model"]
    assert (row.verdict, row.fix) == ("fail", Fix("model", "Use unet", "unet"))
    assert "needs T1, T2" in row.words


# Time and memory ----------------------------------------------------------------------------------------------------


def test_time_and_memory_follow_the_size_of_the_head_and_mirrored_copies(costs):
    costs.append(cost(model()))
    row = rows(scans())["Time, memory"]
    # About 34 x 40 voxels of 4 mm with a margin of 8 mm are seen at 1 mm, in 30 slices: 0.8 million voxels.
    assert row.verdict == "pass"
    assert row.words.startswith("About 9 s on Processor (cpu), measured on a test.")
    assert "8.0 GiB are free" in row.words
    mirrored = rows(scans(), flips=True)["Time, memory"].words
    assert mirrored.startswith("About 30 s")


def test_a_network_of_the_same_family_is_scaled_by_its_parameters(costs):
    costs.append(cost(model(arguments={"width": 9}), parameters=2, seconds=0.001))
    row = rows(scans(), model(parameters=8))["Time, memory"]
    assert "from a similar network" in row.words
    assert row.words.startswith("About 30 s")


def test_what_was_not_measured_is_not_guessed():
    row = rows(scans(), device="cuda", devices=[GPU, CPU])["Time, memory"]
    assert (row.verdict, row.words.startswith("Not known on A card")) == ("pass", True)
    assert rows(scans(), device="auto", devices=[])["Time, memory"].words.startswith("Not known until")


def test_too_little_memory_and_long_runs_warn_and_offer_a_device(costs):
    costs.append(cost(model()))
    little = CPU._replace(free_bytes=2**29)
    short = rows(scans(), devices=[little])["Time, memory"]
    assert (short.verdict, short.fix) == ("warn", None)
    assert "close other programs" in short.words
    costs[0] = cost(model(), network_seconds=9000)
    slow = rows(scans(), devices=[GPU, CPU])["Time, memory"]
    assert (slow.verdict, slow.fix) == ("warn", Fix("device", "Use cuda:0", "cuda:0"))


def test_an_absent_device_fails():
    row = rows(scans(), device="mps")["Time, memory"]
    assert (row.verdict, row.fix) == ("fail", Fix("device", "Use automatic", "auto"))


def test_methods_without_weights_are_expected_on_the_processor(costs):
    costs.append(cost(BASELINES["edges"], network_seconds=0))
    row = rows(scans(), BASELINES["edges"], device="cuda:0", devices=[GPU, CPU])["Time, memory"]
    assert "on Processor (cpu)" in row.words


# Labels -------------------------------------------------------------------------------------------------------------


def labels(data=None, grid=GRID, **changes) -> Segmentation:
    return Segmentation(phantoms.tumour(SHAPE) if data is None else data, grid, **changes)


def test_labels_are_named_with_their_schema():
    row = rows(scans(), labels=labels(provenance={"schema": "BraTS2023"}))["Labels"]
    assert (row.verdict, row.words) == ("pass", "Read as BraTS2023: 1 edema, 2 non-enhancing, 3 enhancing.")


@pytest.mark.parametrize(
    ("given", "verdict", "words"),
    [
        (labels(np.zeros(SHAPE, np.uint8)), "warn", "nothing is marked"),
        (labels(np.full(SHAPE, 7, np.uint8)), "fail", "[7]"),
        (labels(grid=Grid(SHAPE, phantoms.affine(spacing=(1, 1, 1)))), "fail", "belong to another"),
        (LabelSchemaError("What they mean is not certain."), "fail", "not certain"),
    ],
)
def test_labels_that_are_empty_strange_or_elsewhere_are_told(given, verdict, words):
    row = rows(scans(), labels=given)["Labels"]
    assert row.verdict == verdict
    assert words in row.words


# All together -------------------------------------------------------------------------------------------------------


def test_a_study_is_checked_like_its_scans(monkeypatch):
    monkeypatch.setattr("napari_brain_tumor.preflight.check.list_memory", lambda: [CPU])
    one = scans()
    found = check_study(Study(one.sequences, GRID), model())
    assert {row.question: row.verdict for row in found} == {q: row.verdict for q, row in rows(one).items()}
    assert worst(found) == "pass"
    assert worst(check_study(Study({"T1": one.sequences["T1"]}, GRID), model(roles=["FLAIR"]))) == "fail"


def test_free_memory_is_read_where_the_system_tells(tmp_path):
    told = tmp_path / "meminfo"
    assert free_host_bytes(told) is None
    told.write_text("MemTotal: 9 kB\nMemAvailable:       5 kB\n")
    assert free_host_bytes(told) == 5 * 1024
