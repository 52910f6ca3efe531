"""Lines that users copy: quoting that shells undo, and calls that open, add and train the very same."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dicom_phantoms import write_series
from napari_brain_tumor import CuratedDataset, open_segmentation, open_study
from napari_brain_tumor.cli import app
from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.requests.actions import (
    LabelFile,
    ModelRun,
    compare_lines,
    measure_study_lines,
    refine_lines,
    rerun_lines,
    segment_lines,
    view_lines,
)
from napari_brain_tumor.requests.compare import CompareRequest
from napari_brain_tumor.requests.dataset import AddCaseRequest
from napari_brain_tumor.requests.dataset_actions import (
    add_case_lines,
    create_dataset_lines,
    relabel_lines,
    reproduce_lines,
    review_lines,
    score_dataset_lines,
    train_lines,
)
from napari_brain_tumor.requests.lines import CommandLines, open_line
from napari_brain_tumor.requests.measure import MeasureRequest
from napari_brain_tumor.requests.opening import OpenRequest, ViewRequest
from napari_brain_tumor.requests.quoting import quoted
from napari_brain_tumor.requests.reopening import opening_of
from napari_brain_tumor.requests.reproduce import ReproduceRequest
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.requests.shell import request_from, words_of
from napari_brain_tumor.requests.train import TrainRequest
from napari_brain_tumor.study import Source
from phantoms import BRATS_ROLES, affine, noise, tumour, write_brats_case, write_lgg_patient, write_nifti

RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "unet.toml"
WORDS = st.lists(
    st.text("ab 'x\"\\$`*?;&|<>()%!^#~,=-.:/@{}[]\u2019é", min_size=0, max_size=12), min_size=1, max_size=4
)


# Quoting ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
def test_a_posix_shell_splits_the_line_into_the_same_words():
    words = ["it's", 'a "b"', "$HOME `x` \\ *", "", "a;b&c|d", "~", "é,=%!", "-x", "{a,b}"]
    script = f"for word in {quoted(words, 'posix')}; do printf '%s\\n' \"$word\"; done"
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == words


def words_of_powershell(line):
    """Its rules for words and quotations in single quotes; a bare word may hold nothing that it would take apart."""
    words, at = [], 0
    while at < len(line):
        if line[at] == "'":
            match = re.compile("'((?:[^'\u2018\u2019\u201a\u201b]|['\u2018\u2019\u201a\u201b]{2})*)'").match(line, at)
            words.append(re.sub("(['\u2018\u2019\u201a\u201b])\\1", r"\1", match[1]))
        else:
            match = re.compile(r"[^ ]+").match(line, at)
            assert not set(match[0]) & set("'\"`$,;|&<>(){}@#*?[]%!^~"), match[0]
            assert not (match[0].startswith("-") and set(match[0]) & set(".:")), match[0]
            words.append(match[0])
        at = match.end() + 1
    return words


@given(WORDS)
def test_powershell_splits_the_line_into_the_same_words(words):
    assert words_of_powershell(quoted(words, "powershell")) == words


def line_after_cmd(line):
    """What cmd hands on as it is typed: carets outside quotes escape, and no bare special character may be left."""
    handed, in_quotes, at = "", False, 0
    while at < len(line):
        letter = line[at]
        if letter == "^" and not in_quotes:
            at += 1
            handed += line[at]
        else:
            in_quotes ^= letter == '"'
            assert in_quotes or letter not in "&|<>()%!"
            assert not (in_quotes and letter in "%!")
            handed += letter
        at += 1
    assert not in_quotes
    return handed


def words_of_windows_programs(line):
    """The rules of CommandLineToArgvW: 2n backslashes and a quote are n and a border, 2n + 1 are n and a quote."""
    words, word, in_quotes, begun, at = [], "", False, False, 0
    while at < len(line):
        match = re.compile(r'(\\*)"').match(line, at)
        if match:
            count = len(match[1])
            word += "\\" * (count // 2)
            if count % 2:
                word += '"'
            else:
                in_quotes = not in_quotes
            begun, at = True, match.end()
        elif line[at] in " \t" and not in_quotes:
            words += [word] if begun else []
            word, begun, at = "", False, at + 1
        else:
            word, begun, at = word + line[at], True, at + 1
    return words + ([word] if begun else [])


@given(WORDS)
def test_cmd_and_the_program_take_the_line_apart_into_the_same_words(words):
    assert words_of_windows_programs(line_after_cmd(quoted(words, "cmd"))) == words


def test_usual_paths_stay_readable():
    assert quoted(["brain-tumor", "segment", "/data/case_1"], "posix") == "brain-tumor segment /data/case_1"
    windows = ["segment", r"C:\my data\case", "--min-lesion-mm3", "50.0", "--seed=1.5,-2.0,3.0"]
    assert quoted(windows, "cmd") == r'segment "C:\my data\case" --min-lesion-mm3 50.0 "--seed=1.5,-2.0,3.0"'
    assert quoted(windows, "powershell") == r"segment 'C:\my data\case' --min-lesion-mm3 50.0 '--seed=1.5,-2.0,3.0'"


# Openings -----------------------------------------------------------------------------------------------------------


def opened_as_told(study, roles=None):
    """The opening of a study, and the study that it opens: in Python, and by the words for the shell."""
    chosen = study if roles is None else study.only(roles)
    opening = opening_of(chosen.sources, chosen.roles, chosen.grid)
    scope = {}
    exec(f"from napari_brain_tumor import open_study\n{open_line(opening)}", scope)
    told = request_from(OpenRequest, parsed(["view", *words_of(opening)]))
    assert told == opening
    by_shell = open_study(told.path, **{k: v for k, v in told.changed().items() if k != "path"})
    for again in (scope["study"], by_shell):
        assert again.roles == chosen.roles
        assert again.grid == chosen.grid
        assert again.sources == chosen.sources
        for role in chosen.roles:
            np.testing.assert_array_equal(again.sequences[role], chosen.sequences[role])
    return opening


def test_a_case_whose_names_tell_its_roles_is_opened_by_its_folder_alone(tmp_path):
    study = open_study(write_brats_case(tmp_path / "case"))
    assert opened_as_told(study) == OpenRequest(path=tmp_path / "case")


def test_some_sequences_of_a_case_are_named(tmp_path):
    study = open_study(write_brats_case(tmp_path / "case"))
    opening = opened_as_told(study, ("T1c", "FLAIR"))
    assert opening == OpenRequest(
        path=tmp_path / "case", roles={"T1c": "case_t1ce.nii.gz", "FLAIR": "case_flair.nii.gz"}
    )


def test_sequences_of_several_folders_are_named_from_the_one_above(tmp_path):
    for seed, name in enumerate(("first/1.nii.gz", "second/2.nii.gz")):
        write_nifti(tmp_path / "all" / name, noise(seed=seed))
    roles = {"T1": "first/1.nii.gz", "T2": "second/2.nii.gz"}
    assert opened_as_told(open_study(tmp_path / "all", roles)) == OpenRequest(path=tmp_path / "all", roles=roles)


def test_volumes_of_one_file_are_told_by_number(tmp_path):
    write_nifti(tmp_path / "scan.nii.gz", np.stack([noise(seed=k) for k in range(4)], axis=-1))
    study = open_study(tmp_path / "scan.nii.gz", ("FLAIR", None, "T1c", "T2"))
    assert opened_as_told(study).roles == {"T1c": 2, "T2": 3, "FLAIR": 0}


def test_slices_keep_their_channels_and_their_given_voxel_size(tmp_path):
    write_lgg_patient(tmp_path / "p", range(1, 6), repeats=(0,))
    opening = opened_as_told(open_study(tmp_path / "p", spacing_mm=(1, 1, 5)))
    assert opening == OpenRequest(path=tmp_path / "p", roles={"T1c": 2, "FLAIR": 1}, spacing_mm=(1, 1, 5))
    assert opened_as_told(open_study(tmp_path / "p")).spacing_mm is None


def test_single_files_are_opened_alone_or_with_their_role(tmp_path):
    write_nifti(tmp_path / "x_t1.nii.gz", noise())
    assert opened_as_told(open_study(tmp_path / "x_t1.nii.gz")) == OpenRequest(path=tmp_path / "x_t1.nii.gz")
    write_nifti(tmp_path / "y" / "1.nii.gz", noise())
    study = open_study(tmp_path / "y" / "1.nii.gz", {"T2": "1.nii.gz"})
    assert opened_as_told(study) == OpenRequest(path=tmp_path / "y", roles={"T2": "1.nii.gz"})


def test_dicom_series_are_told_by_one_of_their_files(tmp_path):
    write_series(tmp_path / "s" / "10", "unnamed", uid="1")
    write_series(tmp_path / "s" / "11", "T2", seed=1, uid="2")
    study = open_study(tmp_path / "s", roles={"T1": "10", "T2": "11"})
    opening = opened_as_told(study)
    assert list(opening.roles) == ["T1", "T2"]
    assert all(str(value).endswith(".dcm") for value in opening.roles.values())


def test_what_is_in_memory_or_gone_or_spread_is_told(tmp_path):
    study = open_study(write_brats_case(tmp_path / "case"))
    with pytest.raises(RecordError, match="T1 is not from a file: save the layer first"):
        opening_of({}, ["T1"], study.grid)
    write_nifti(tmp_path / "scan.nii.gz", np.stack([noise(seed=k) for k in range(2)], axis=-1))
    mixed = {"T1": study.sources["T1"], "T2": Source(tmp_path / "scan.nii.gz", 1)}
    with pytest.raises(RecordError, match="no one call opens them together"):
        opening_of(mixed, mixed, study.grid)
    shutil.rmtree(tmp_path / "case")
    with pytest.raises(RecordError, match="is no longer there: save the layer first"):
        opening_of(study.sources, study.roles, study.grid)


def test_names_that_the_shell_has_no_words_for_are_left_to_python(tmp_path):
    for suffix in ("t1", "t2"):
        write_nifti(tmp_path / "c" / f"a,b_{suffix}.nii.gz", noise())
    write_nifti(tmp_path / "c" / "a,b_flair.nii.gz", noise())
    study = open_study(tmp_path / "c")
    opening = opening_of(study.only(("T1", "T2")).sources, ("T1", "T2"), study.grid)
    lines = segment_lines(opening, SegmentRequest(model="unet"), "out.nii.gz")
    assert lines.shell("posix") == ""
    assert "comma" in lines.notes[0]
    ast.parse(lines.python)


# Actions ------------------------------------------------------------------------------------------------------------


def test_segment_leaves_out_what_is_usual_and_keeps_the_rest(tmp_path):
    plain = segment_lines(
        OpenRequest(path="case"), SegmentRequest(model="unet", device="auto", flips=False), "x.nii.gz"
    )
    assert plain.shell("posix") == "brain-tumor segment case --model unet --output x.nii.gz"
    assert 'segmentation = segment(study, "unet")'.replace('"', "'") in plain.python
    every = {"model": Path("m"), "device": "cpu", "flips": True, "min_lesion_mm3": 50.0, "seeds": ((1, -2, 3.5),)}
    lines = segment_lines(OpenRequest(path="case"), SegmentRequest(**every), "x.nii", "LGG-binary")
    assert lines.arguments == (
        *("segment", "case", "--model", "m", "--device", "cpu", "--flips", "--min-lesion-mm3", "50.0"),
        *("--seed=1.0,-2.0,3.5", "--output", "x.nii", "--schema", "LGG-binary"),
    )
    assert "seeds=((1.0, -2.0, 3.5),)" in lines.python


def test_masks_slice_by_slice_are_written_by_the_shell_for_slices_alone(tmp_path):
    write_lgg_patient(tmp_path / "p")
    lines = segment_lines(OpenRequest(path=tmp_path / "p"), SegmentRequest(), tmp_path / "masks")
    assert lines.arguments[-1] == f"{tmp_path / 'masks'}/"
    write_brats_case(tmp_path / "case")
    assert segment_lines(OpenRequest(path=tmp_path / "case"), SegmentRequest(), "masks").arguments == ()


EVERY_ACTION = {
    "segment": segment_lines(
        OpenRequest(path="-case", roles={"T1": 0}, spacing_mm=(1, 1, 5)),
        SegmentRequest(
            model="unet",
            device="cpu",
            flips=True,
            min_lesion_mm3=3.0,
            seeds=((1, 2, 3), (4, 5, 6)),
            precision="bfloat16",
        ),
        Path("-x.nii"),
        "BraTS2018-2022",
    ),
    "view": view_lines(ViewRequest(path="-case", roles={"T1": 0}, spacing_mm=(1, 1, 5), schema_name="MSD")),
    "measure": measure_study_lines(
        LabelFile(Path("x.nii"), "MSD"), None, MeasureRequest(plane="axial", fill_cavities=True, least_mm3=2.5)
    ),
    "compare": compare_lines(
        {"a b": LabelFile(Path("-x.nii"), "MSD"), "c": LabelFile(Path("y.nii"))},
        CompareRequest(reference="a b", resample=True, consensus="staple"),
        Path("-z.nii"),
    ),
    "refine a file": refine_lines(
        OpenRequest(path="-case"), LabelFile(Path("x.nii"), "MSD"), "prompts.json", "out.nii.gz"
    ),
    "refine a result": refine_lines(
        OpenRequest(path="-case"), ModelRun(SegmentRequest(model="unet")), "the prompts.json", "out.nii.gz"
    ),
    "refine from nothing": refine_lines(OpenRequest(path="-case"), None, "prompts.json", "out.nii.gz"),
    "rerun": rerun_lines("x.json"),
    "create": create_dataset_lines(Path("set")),
    "add": add_case_lines(
        Path("set"),
        OpenRequest(path="case"),
        LabelFile(Path("x.nii"), "MSD"),
        AddCaseRequest(
            patient="p",
            grade="2",
            note="-n",
            state="needs_second_look",
            not_same_as=("a", "b"),
            made_by="model",
            model="unet",
            known_slices=[4, 5],
        ),
    ),
    "review": review_lines(Path("set"), "case", "needs_second_look", "a 'note'"),
    "relabel": relabel_lines(Path("set"), "case", LabelFile(Path("x.nii"), "MSD"), "accepted", "-"),
    "score": score_dataset_lines(Path("set"), ["a", "b"], "unet", "cpu"),
    "train": train_lines(
        TrainRequest(source="set", model="u2netp", dims=3, device="cpu", epochs=2, batch=3, learning_rate=0.01),
        Path("runs/new"),
    ),
    "reproduce": reproduce_lines(
        ReproduceRequest(name="unet3d-patches", data="Task01", device="cpu", budget=5, epochs=2, split="sides.csv"),
        Path("out"),
    ),
}


@pytest.mark.parametrize("action", EVERY_ACTION)
def test_every_action_is_python_that_compiles_and_a_command_that_exists(action):
    """The parser of the command takes every word; the files are not there, so nothing is done."""
    lines: CommandLines = EVERY_ACTION[action]
    compile(lines.python, action, "exec")
    for kind in ("posix", "powershell", "cmd"):
        assert lines.shell(kind).startswith("brain-tumor ")
    told = parsed(lines.arguments)
    assert told is not None


def parsed(arguments):
    """What typer makes of the words of a command."""
    import typer

    words = list(arguments)
    if words[0] in ("train", "reproduce"):
        from napari_brain_tumor_training.__main__ import app as training
        from napari_brain_tumor_training.reproduce.command import app as reproduction

        command = typer.main.get_command(training if words[0] == "train" else reproduction)
        return command.make_context(words[0], words[1:]).params
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    return command.make_context("brain-tumor", words).params


def test_the_words_mean_what_the_python_lines_say():
    told = parsed(EVERY_ACTION["segment"].arguments)
    assert told["cases"] == [Path("./-case")] or list(told["cases"]) == [Path("-case")]
    assert (told["model"], told["device"], told["flips"], told["min_lesion_mm3"]) == ("unet", "cpu", True, 3.0)
    assert list(told["seeds"]) == ["1.0,2.0,3.0", "4.0,5.0,6.0"]
    assert (told["roles"], told["spacing_mm"], told["schema"]) == ("T1=0", "1.0,1.0,5.0", "BraTS2018-2022")
    told = parsed(EVERY_ACTION["add"].arguments)
    assert (told["patient"], told["note"], told["state"].name) == ("p", "-n", "needs_second_look")
    assert (told["made_by"].name, told["model"], list(told["not_same_as"])) == ("model", "unet", ["a", "b"])
    assert told["known_slices"] == "4,5"
    told = parsed(EVERY_ACTION["train"].arguments)
    assert (told["dims"], told["epochs"], told["batch"], told["learning_rate"]) == (3, 2, 3, 0.01)
    assert told["detach"]
    reproduced = parsed(EVERY_ACTION["reproduce"].arguments)
    assert (reproduced["name"], reproduced["data"], reproduced["budget"]) == ("unet3d-patches", Path("Task01"), 5.0)
    assert (reproduced["epochs"], reproduced["split"], reproduced["out"]) == (2, Path("sides.csv"), Path("out"))


def run_python(lines):
    scope = {"__name__": "lines"}
    exec(lines.python, scope)
    return scope


def run_shell(lines):
    result = CliRunner().invoke(app, list(lines.arguments))
    assert result.exit_code == 0, result.output
    return result.output


def facts_of(dataset):
    """What a data set holds, without times."""
    kept = ("id", "patient", "grade", "state", "split", "roles")
    return [
        {key: getattr(case, key) for key in kept}
        | {"label": case.label.sha256, "by": case.label.made_by, "note": case.review.note}
        | {"known": case.label.known_slices}
        for case in dataset.cases()
    ]


def test_lines_of_a_data_set_do_the_same_in_python_and_in_the_shell(tmp_path):
    """Made, filled, reviewed and relabelled by lines alone."""
    case = write_brats_case(tmp_path / "case", tumour())
    better = write_nifti(tmp_path / "better.nii.gz", np.where(tumour() == 3, 2, tumour()))
    other = write_brats_case(tmp_path / "other", tumour((7, 6, 5)), matrix=affine(spacing=(1, 1, 3)))
    for number, role in enumerate(BRATS_ROLES.values()):
        write_nifti(other / f"other_{role}.nii.gz", noise(seed=20 + number), affine(spacing=(1, 1, 3)))
    found = {}
    for name, run in (("python", run_python), ("shell", run_shell)):
        folder = tmp_path / name
        label = LabelFile(case / "case_seg.nii.gz", "MSD")
        run(create_dataset_lines(folder))
        facts = {
            "patient": "P-1",
            "grade": "HGG",
            "note": "it's",
            "state": "accepted",
            "made_by": "model",
            "model": "unet",
        }
        run(add_case_lines(folder, OpenRequest(path=case), label, AddCaseRequest(**facts)))
        run(
            add_case_lines(
                folder,
                OpenRequest(path=other),
                LabelFile(other / "other_seg.nii.gz", "MSD"),
                AddCaseRequest(patient="P-2", known_slices=[2]),
            )
        )
        run(review_lines(folder, "other", "needs_second_look", "why?"))
        run(relabel_lines(folder, "case", LabelFile(better, "MSD"), "accepted", "core"))
        found[name] = facts_of(CuratedDataset(folder))
    assert found["python"] == found["shell"]
    by_id = {case["id"]: case for case in found["python"]}
    assert (by_id["case"]["state"], by_id["case"]["note"], by_id["case"]["grade"]) == ("accepted", "core", "HGG")
    assert by_id["other"]["state"] == "needs_second_look"
    assert by_id["other"]["known"].numbers == (2,)


def test_labels_are_compared_and_joined_alike_in_python_and_in_the_shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    numbers = {"truth": tumour(), "a": np.roll(tumour(), 1, axis=0), "b": np.roll(tumour(), 1, axis=1)}
    files = {
        name: LabelFile(write_nifti(tmp_path / f"{name}.nii.gz", labels), "MSD") for name, labels in numbers.items()
    }
    majority = CompareRequest(reference="truth", consensus="majority")
    run_python(compare_lines(files, majority, Path("python.nii.gz")))
    python = [line.split()[1:] for line in capsys.readouterr().out.splitlines()]
    told = run_shell(compare_lines(files, majority, Path("shell.nii.gz")))
    shell = [re.search(rf"^{name} +([\d.]+)", told, re.M)[1] for name in ("a", "b")]
    assert [name for name, _ in python] == ["a", "b"]
    assert [f"{float(dice):.3f}" for _, dice in python] == shell
    one, other = (open_segmentation(tmp_path / f"{name}.nii.gz").data for name in ("python", "shell"))
    np.testing.assert_array_equal(one, other)
    assert one.any()


def test_names_with_commas_are_compared_in_python_alone():
    lines = compare_lines({"a,b": LabelFile(Path("x.nii")), "c": LabelFile(Path("y.nii"))}, CompareRequest())
    assert lines.arguments == ()
    assert "commas" in lines.notes[0]
    compile(lines.python, "compare", "exec")


@pytest.mark.parametrize("source", ["set", "recipe"])
def test_training_is_asked_for_alike_in_python_and_in_the_shell(tmp_path, monkeypatch, source):
    """No process is started; what it would be told is compared as the recipe that it comes to."""
    from napari_brain_tumor_training import detached
    from napari_brain_tumor_training.__main__ import app as training
    from napari_brain_tumor_training.run_process import config_of

    place = tmp_path / "set"
    CuratedDataset.create(place)
    if source == "recipe":
        place = Path(shutil.copy(RECIPE, tmp_path / "mine.toml"))
    started = []
    monkeypatch.setattr(detached, "_launch", lambda folder: started.append(folder))
    request = TrainRequest(source=place, dims=3, device="cpu", epochs=2, batch=3, learning_rate=0.02)
    run_python(train_lines(request, tmp_path / "a"))
    CliRunner().invoke(training, list(train_lines(request, tmp_path / "b").arguments[1:]))
    assert started == [tmp_path / "a", tmp_path / "b"]
    one, two = (config_of(detached.read_request(folder)) for folder in started)
    assert one == two
    assert (one[0].optimisation.batch, one[0].optimisation.learning_rate, one[0].model.dims) == (3, 0.02, 3)


def test_grids_of_unknown_voxel_size_are_not_given_one(tmp_path):
    write_lgg_patient(tmp_path / "p", range(1, 4))
    study = open_study(tmp_path / "p")
    assert isinstance(study.grid, Grid)
    assert opening_of(study.sources, study.roles, study.grid).spacing_mm is None


def test_a_result_that_is_corrected_keeps_every_setting_of_its_run():
    settings = {
        "flips": True,
        "min_lesion_mm3": 0.0,
        "precision": "float32",
        "thresholds": {"ET": 0.3},
        "box": (-20.0, 20.0, -10.0, 30.0, 0.0, 40.0),
    }
    lines = refine_lines(
        OpenRequest(path="case"), ModelRun(SegmentRequest(model="unet", **settings)), "prompts.json", "out.nii.gz"
    )
    told = parsed(lines.arguments)
    assert (told["model"], told["flips"], told["min_lesion_mm3"], told["precision"].value) == (
        "unet",
        True,
        0.0,
        "float32",
    )
    assert (told["thresholds"], told["box"]) == (["ET=0.3"], "-20.0,20.0,-10.0,30.0,0.0,40.0")
    assert "flips=True" in lines.python
    assert "thresholds={'ET': 0.3}" in lines.python
    assert "min_lesion_mm3=0.0" in lines.python
    assert "segment_with_probabilities" in lines.python
    growing = ModelRun(SegmentRequest(model="region_growing", seeds=((1.0, 2.0, 3.0),)), False)
    method = refine_lines(OpenRequest(path="case"), growing, "p.json", "out.nii.gz")
    assert "segment(study, 'region_growing', seeds=((1.0, 2.0, 3.0),))" in method.python
    assert "probabilities" not in method.python
    assert parsed(method.arguments)["seeds"] == ["1.0,2.0,3.0"]
