"""Cases with a truth, scored through the same calls that users make; the networks are tiny and untrained."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import napari_brain_tumor
from models_for_tests import tiny_model
from napari_brain_tumor.errors import (
    CancelledError,
    GridMismatchError,
    LabelSchemaError,
    MissingRolesError,
    ModelNotFoundError,
    OptionError,
    SaveError,
    SpacingUnknownError,
    UnreadableFileError,
)
from napari_brain_tumor.evaluation import evaluate, evaluate_job
from napari_brain_tumor.evaluation.methods import ComparedMethod, check_fits, fitting_request
from napari_brain_tumor.evaluation.result import FILES
from napari_brain_tumor.evaluation.tables import read_scores
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.metrics.one_grid import on_grid
from napari_brain_tumor.metrics.scores import score_segmentations
from napari_brain_tumor.progress import Job, Progress, run_job
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.workflow import segment
from phantoms import affine, write_brats_case, write_lgg_patient, write_nifti

SHAPE = (24, 20, 12)
AXES = affine(spacing=(1, 1, 2))
TARGETS = ("WT", "TC", "ET", "edema", "non-enhancing", "enhancing")


def big_tumour(moved: int = 0) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[4 + moved : 14 + moved, 5:15, 3:9] = 1
    labels[6 + moved : 12 + moved, 7:13, 4:8] = 2
    labels[7 + moved : 10 + moved, 8:11, 5:7] = 3
    return labels


def write_case(folder: Path, labels: np.ndarray | None = None) -> Path:
    return write_brats_case(folder, big_tumour() if labels is None else labels, SHAPE, AXES)


def write_prediction(folder: Path, name: str, labels: np.ndarray, matrix: np.ndarray = AXES) -> Path:
    write_nifti(folder / f"{name}.nii.gz", labels, matrix)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: tiny_model(folder / name, seed)[0].folder for seed, name in enumerate(("first", "second"))}


def test_scores_are_those_of_segmenting_and_comparing_by_hand(tmp_path: Path, models: dict[str, Path]) -> None:
    case = write_case(tmp_path / "case")
    result = evaluate(case, models, schema="MSD", device="cpu")
    study, truth = open_study(case), open_segmentation(case / "case_seg.nii.gz", "MSD")
    for name, folder in models.items():
        predicted = segment(study, folder, "cpu")
        expected = score_segmentations(truth, predicted)
        found = {row.region: row for row in result.rows if row.model == name}
        assert tuple(found) == TARGETS
        assert {target: row.scores for target, row in found.items()} == expected
        assert found["WT"].truth_voxels == 600
        assert found["edema"].truth_voxels == 600 - 144
        assert found["WT"].predicted_voxels == np.count_nonzero(predicted.data)
        assert found["WT"].seconds > 0
    assert result.models == ("first", "second")
    assert {d.model for d in result.differences} == {"second"}
    assert not result.refused


def test_the_public_names_are_these() -> None:
    assert napari_brain_tumor.evaluate is evaluate
    assert napari_brain_tumor.evaluate_job is evaluate_job


def test_segmentations_of_any_tool_are_scored_in_whatever_order_their_axes_lie(tmp_path: Path) -> None:
    case = write_case(tmp_path / "case")
    mirror = np.diag([-1.0, -1.0, 1.0, 1.0])
    mirror[:2, 3] = SHAPE[0] - 1, SHAPE[1] - 1
    predictions = {
        "same": write_prediction(tmp_path / "same", "case", big_tumour()),
        "moved": write_prediction(tmp_path / "moved", "case_seg", big_tumour(1)),
        "turned": write_prediction(tmp_path / "turned", "case", big_tumour(1)[::-1, ::-1], AXES @ mirror),
        "elsewhere": write_prediction(tmp_path / "elsewhere", "case", big_tumour(), affine()),
    }
    result = evaluate(case, predictions=predictions, schema="MSD", predictions_schema="MSD")
    dice = {(row.model, row.region): row.scores.dice for row in result.rows}
    assert dice["same", "WT"] == dice["same", "ET"] == 1
    assert dice["moved", "WT"] == pytest.approx(0.9)
    assert dice["moved", "ET"] == pytest.approx(2 / 3)
    assert dice["turned", "WT"] == dice["moved", "WT"]
    assert [one.model for one in result.refused] == ["elsewhere"]
    assert isinstance(result.refused[0].error, GridMismatchError)
    assert all(row.seconds is None for row in result.rows)


def test_axes_are_turned_to_the_grid_of_the_scans() -> None:
    from napari_brain_tumor.geometry import Grid, to_ras

    grid = Grid((12, 20, 24), AXES @ np.array([[0, 0, -1, 23], [0, -1, 0, 19], [1, 0, 0, 0], [0, 0, 0, 1.0]]))
    straight = Segmentation(big_tumour(), Grid(SHAPE, AXES))
    turned = on_grid(straight, grid)
    assert turned.grid is grid
    np.testing.assert_array_equal(to_ras(grid).apply(turned.data), straight.data)
    assert on_grid(straight, straight.grid) is straight


def test_a_doubtful_schema_is_a_question_for_truth_and_predictions(tmp_path: Path) -> None:
    case = write_case(tmp_path / "case")
    folder = write_prediction(tmp_path / "p", "case", big_tumour())
    with pytest.raises(LabelSchemaError, match="case_seg"):
        evaluate(case, predictions={"p": folder})
    with pytest.raises(LabelSchemaError, match="Name the schema"):
        evaluate(case, predictions={"p": folder}, schema="MSD")


def test_whole_tumour_truth_is_scored_for_that_alone_and_without_millimetres_where_none_are_told(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    write_lgg_patient(tmp_path / "TCGA_A", range(1, 9), size=(24, 20))
    plain = evaluate(tmp_path / "TCGA_A", models, device="cpu")
    assert {row.region for row in plain.rows} == {"WT"}
    assert plain.rows[0].scores.hd95_mm is None
    told = evaluate(tmp_path / "TCGA_A", models, device="cpu", spacing_mm=(1, 1, 5))
    assert told.rows[0].scores.hd95_mm >= 0
    assert told.rows[0].scores.volume_truth_ml == pytest.approx(8 * 5 / 1000)


def test_the_given_voxel_size_is_for_the_cases_that_do_not_tell_theirs(tmp_path: Path) -> None:
    write_lgg_patient(tmp_path / "TCGA_A", range(1, 9), size=(24, 20))
    case = write_case(tmp_path / "case")
    folder = write_prediction(tmp_path / "p", "case", big_tumour())
    write_lgg_patient(folder / "TCGA_A", range(1, 9), size=(24, 20))
    result = evaluate(
        [case, tmp_path / "TCGA_A"],
        predictions={"p": folder},
        schema="MSD",
        predictions_schema="MSD",
        spacing_mm=(1, 1, 5),
    )
    assert [one.what for one in result.refused] == ["TCGA_A"]  # 255 is not MSD's: the schema was named for all
    result = evaluate(tmp_path / "TCGA_A", predictions={"p": folder}, spacing_mm=(1, 1, 5))
    assert (result.rows[0].scores.dice, result.rows[0].scores.volume_truth_ml) == (1, pytest.approx(0.04))


def test_voxels_and_millimetres_are_not_compared() -> None:
    from napari_brain_tumor.geometry import Grid

    labels = Segmentation(big_tumour(), Grid(SHAPE, AXES))
    with pytest.raises(SpacingUnknownError, match="spacing_mm"):
        on_grid(labels, Grid(SHAPE, AXES, "voxel"))


def test_the_truth_may_lie_elsewhere(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_brats_case(tmp_path / "scans" / name, None, SHAPE, AXES)
        write_prediction(tmp_path / "truth", f"{name}_seg", big_tumour())
        write_prediction(tmp_path / "p", name, big_tumour())
    options = {"predictions": {"p": tmp_path / "p"}, "predictions_schema": "MSD", "schema": "MSD"}
    result = evaluate(tmp_path / "scans", truth=tmp_path / "truth", **options)
    assert [row.case for row in result.rows if row.region == "WT"] == ["one", "two"]
    with pytest.raises(UnreadableFileError, match="No truth was found for one"):
        evaluate(tmp_path / "scans" / "one", **options)
    (tmp_path / "truth" / "two_seg.nii.gz").unlink()
    partly = evaluate(tmp_path / "scans", truth=tmp_path / "truth", **options)
    assert [(one.case, one.model) for one in partly.refused] == [("two", None)]
    assert "no segmentation of two" in str(partly.refused[0].error)
    assert {row.case for row in partly.rows} == {"one"}


def test_what_a_model_cannot_take_is_refused_for_that_model_alone(tmp_path: Path, models: dict[str, Path]) -> None:
    picky, _ = tiny_model(tmp_path / "picky", optional_roles=False)
    cases = [write_case(tmp_path / "set" / name) for name in ("one", "two")]
    (cases[1] / "two_t2.nii.gz").unlink()
    asked = {"first": models["first"], "picky": picky.folder}
    result = evaluate(tmp_path / "set", asked, schema="MSD", device="cpu")
    assert [(one.what, type(one.error)) for one in result.refused] == [("two by picky", MissingRolesError)]
    assert {(row.case, row.model) for row in result.rows} == {("one", "first"), ("one", "picky"), ("two", "first")}
    assert {d.cases for d in result.differences} == {1}


def test_patients_of_the_table_are_counted_once(tmp_path: Path) -> None:
    for name, moved in (("one", 0), ("two", 2), ("three", 1)):
        write_case(tmp_path / "set" / name)
        write_prediction(tmp_path / "p", name, big_tumour(moved))
    csv = tmp_path / "split.csv"
    csv.write_text("case,patient,split\none,ann,val\ntwo,ann,val\nthree,bob,train\n")
    options = {"predictions": {"p": tmp_path / "p"}, "predictions_schema": "MSD", "schema": "MSD", "split": csv}
    everybody = evaluate(tmp_path / "set", **options)
    dice = next(s for s in everybody.summary if (s.metric, s.region) == ("dice", "WT"))
    assert (dice.cases, dice.patients, dice.mean) == (3, 2, pytest.approx(0.9))
    val = evaluate(tmp_path / "set", **options, side="val")
    dice = next(s for s in val.summary if (s.metric, s.region) == ("dice", "WT"))
    assert (dice.cases, dice.patients, dice.low) == (2, 1, None)
    assert val.about["split"]["side"] == "val"


@pytest.mark.parametrize(
    ("models", "predictions", "error"),
    [
        ([], {}, ModelNotFoundError),
        (["no-such-model"], {}, ModelNotFoundError),
        (["unet", "unet"], {}, ModelNotFoundError),
        ([], {"p": "nowhere"}, UnreadableFileError),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_a_case_is_opened(
    models: list[str], predictions: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        evaluate("no-such-case", models, predictions=predictions)


def test_predictions_are_kept_where_asked(tmp_path: Path, models: dict[str, Path]) -> None:
    case = write_case(tmp_path / "case")
    evaluate(case, models, schema="MSD", device="cpu", save_predictions=tmp_path / "kept")
    kept = open_segmentation(tmp_path / "kept" / "second" / "case_segmentation.nii.gz")
    np.testing.assert_array_equal(kept.data, segment(open_study(case), models["second"], "cpu").data)
    again = evaluate(case, predictions={"kept": tmp_path / "kept" / "second"}, schema="MSD")
    assert len(again.rows) == 6


class Cut(BaseException):
    pass


@pytest.fixture
def segmented(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cases that a stand-in for the network was called with; it is cut off at a case named "cut"."""
    names: list[str] = []

    def fake_job(study: Study, model: str, device: str, **options: object) -> Job[Segmentation]:
        yield Progress(1, 2, "halfway")
        names.append(study.name)
        if (study.sources["T1"].path.parent / "cut").exists():
            raise Cut
        return Segmentation(big_tumour(1), study.grid, study.name, provenance={"seconds": {"load": 0.0}})

    monkeypatch.setattr("napari_brain_tumor.evaluation.case_work.segment_job", fake_job)
    return names


def test_an_evaluation_that_was_cut_off_goes_on(tmp_path: Path, models: dict[str, Path], segmented: list[str]) -> None:
    for name in ("one", "three", "two"):
        write_case(tmp_path / "set" / name)
    (tmp_path / "set" / "three" / "cut").touch()
    asked = {"first": models["first"]}
    options = {"schema": "MSD", "unfinished": tmp_path / "unfinished"}
    with pytest.raises(Cut):
        evaluate(tmp_path / "set", asked, **options)
    (tmp_path / "set" / "three" / "cut").unlink()
    resumed = evaluate(tmp_path / "set", asked, **options)
    assert segmented == ["one", "three", "three", "two"]
    fresh = evaluate(tmp_path / "set", asked, schema="MSD")
    assert [(r.case, r.region, r.scores) for r in resumed.rows] == [(r.case, r.region, r.scores) for r in fresh.rows]
    np.testing.assert_array_equal(resumed.views["set", "one"].image, fresh.views["set", "one"].image)
    segmented.clear()
    evaluate(tmp_path / "set", asked, **options, flips=True)
    assert segmented == ["one", "three", "two"]  # other settings, other scores
    segmented.clear()
    os.utime(next((tmp_path / "set" / "one").glob("*seg*")), (1, 1))
    evaluate(tmp_path / "set", asked, **options)
    assert segmented == ["one"]  # its truth is another file now


def test_cases_of_one_name_in_two_sets_keep_their_own_predictions(
    tmp_path: Path, models: dict[str, Path], segmented: list[str]
) -> None:
    for name in ("a", "b"):
        write_case(tmp_path / name / "one")
    sets = [tmp_path / "a", tmp_path / "b"]
    kept = tmp_path / "kept"
    evaluate(sets, {"first": models["first"]}, schema="MSD", save_predictions=kept)
    assert sorted(path.parent.name for path in kept.rglob("*.nii.gz")) == ["a", "b"]
    again = evaluate(sets, predictions={"kept": kept / "first"}, schema="MSD")
    assert {row.dataset for row in again.rows} == {"a", "b"}


def test_stopping_is_not_taken_for_a_refused_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> Iterator[Progress]:
        raise CancelledError("stopped")
        yield Progress(0, 1)

    monkeypatch.setattr("napari_brain_tumor.evaluation.case_work.segment_job", stopped)
    with pytest.raises(CancelledError):
        evaluate(write_case(tmp_path / "case"), ["unet"], schema="MSD")


def test_progress_rises_to_the_end_and_names_case_and_method(
    tmp_path: Path, models: dict[str, Path], segmented: list[str]
) -> None:
    for name in ("one", "two"):
        write_case(tmp_path / "set" / name)
    steps: list[Progress] = []
    run_job(evaluate_job(tmp_path / "set", models, schema="MSD"), steps.append)
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert "two (2 of 2): second: halfway" in [step.message for step in steps]
    assert segmented == ["one", "one", "two", "two"]


def test_result_is_written_with_definitions_and_provenance(tmp_path: Path, models: dict[str, Path]) -> None:
    case = write_case(tmp_path / "case")
    result = evaluate(case, models, schema="MSD", device="cpu")
    written = result.write(tmp_path / "out")
    assert tuple(path.name for path in written) == FILES
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(FILES)
    assert read_scores(tmp_path / "out" / "scores.csv") == result.rows
    document = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert set(document["definitions"]) == set(result.rows[0].scores.__dataclass_fields__) | {"seconds"}
    assert [m["name"] for m in document["methods"]] == ["first", "second"]
    assert all(len(m["weights_sha256"]) == 64 for m in document["methods"])
    assert document["cases"][0]["truth"]["schema"] == "MSD"
    assert document["settings"]["device"] == "cpu"
    assert len(document["summary"]) == len(result.summary)
    assert document["bootstrap"]["samples"] > 0
    for name in ("boxes.png", "montage.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_earlier_results_are_kept_unless_asked(tmp_path: Path, segmented: list[str]) -> None:
    result = evaluate(write_case(tmp_path / "case"), ["unet"], schema="MSD")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.csv").write_text("precious")
    with pytest.raises(SaveError, match="overwrite"):
        result.write(tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["scores.csv"]
    assert (tmp_path / "out" / "scores.csv").read_text() == "precious"
    result.write(tmp_path / "out", overwrite=True)
    assert read_scores(tmp_path / "out" / "scores.csv") == result.rows


@pytest.mark.slow
@pytest.mark.real_data
def test_both_real_data_sets_are_found_with_their_patients(real_data: Path) -> None:
    from napari_brain_tumor.evaluation.cases import find_cases

    places = [real_data / "glioma3d", real_data / "lgg_tif"]
    found = find_cases(places, split=real_data / "subjects.csv", side="val")
    assert [sum(case.dataset == name for case in found) for name in ("glioma3d", "lgg_tif")] == [8, 16]
    assert len({case.patient for case in found}) == 21


@pytest.mark.real_data
def test_truths_of_real_cases_are_found_and_read(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(study: Study, *_: object, **__: object) -> Job[Segmentation]:
        yield Progress(0, 1)
        return Segmentation(np.zeros(study.grid.shape, np.uint8), study.grid)

    monkeypatch.setattr("napari_brain_tumor.evaluation.case_work.segment_job", empty)
    cases = [
        real_data / "glioma3d" / "imagesTr" / "BraTS2021_01483.nii.gz",
        real_data / "lgg_tif" / "TCGA_CS_6665_20010817",
        real_data / "cases" / "brats2018" / "Brats18_TCIA02_135_1",
        real_data / "cases" / "brats2023_ras_no_truth" / "BraTS-MET-00110-000",
    ]
    result = evaluate(cases, ["unet"])
    assert [one.case for one in result.refused] == ["BraTS-MET-00110-000"]
    assert {row.case: row.truth_voxels > 0 for row in result.rows if row.region == "WT"} == dict.fromkeys(
        [row.case for row in result.rows], True
    )
    assert {row.scores.dice for row in result.rows if row.region == "WT"} == {0.0}


def test_of_several_methods_each_gets_the_options_that_it_takes_and_what_none_takes_is_refused() -> None:
    methods = [ComparedMethod(name, model=name) for name in ("unet", "region_growing", "threshold")]
    request = SegmentRequest(seeds=[(1, 2, 3)], thresholds={"ET": 0.4}, precision="float32")
    check_fits(methods, request)
    unet, growing, threshold = (fitting_request(method, request) for method in methods)
    assert (unet.seeds, unet.thresholds) == ((), {"ET": 0.4})
    assert (growing.seeds, growing.thresholds) == (((1, 2, 3),), None)
    assert (threshold.seeds, threshold.thresholds, threshold.precision) == ((), None, "float32")
    with pytest.raises(OptionError, match="None of threshold takes seeds"):
        check_fits(methods[2:], request)
