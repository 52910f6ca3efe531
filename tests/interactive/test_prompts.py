"""The document of prompts: what it accepts, refuses and keeps."""

import json
import math

import pytest
from pydantic import ValidationError

from napari_brain_tumor.errors import PromptError, SaveError
from napari_brain_tumor.interactive import (
    Box3D,
    Interpolate,
    Lasso,
    Painted,
    Point,
    PromptFile,
    Propagate,
    Stroke,
    read_prompts,
    save_prompts,
)
from napari_brain_tumor.interactive.prompts import PROMPT_LABELS
from napari_brain_tumor.labels import REGIONS

STEPS = (
    Point(label="edema", at=(1.5, -2, 3)),
    Stroke(label="enhancing", points=((0, 0, 0), (1, 2, 3)), radius=2.5),
    Painted(label="whole tumour", add=False, points=((0.1, 0.2, 0.3),)),
    Lasso(label="tumour core", points=((0, 0, 0), (4, 0, 0), (4, 4, 0)), border=True),
    Box3D(label="non-enhancing", corners=((5, 5, 5), (0, 0, 0))),
    Interpolate(axis=1, slices=(9, 3, 6)),
    Propagate(axis=2, start=7, stop=1),
)


def test_a_correction_reads_back_as_it_was_saved(tmp_path):
    record = PromptFile(case="c", unit="voxel", labels_sha256="ab", model="unet", edited_by_hand=2, steps=STEPS)
    path = save_prompts(record, tmp_path / "p.json")
    assert read_prompts(path) == record
    assert json.loads(path.read_text())["format"] == "napari-brain-tumor prompts"


def test_a_bare_list_of_steps_is_read_too(tmp_path):
    save_prompts(STEPS, tmp_path / "p.json")
    content = json.loads((tmp_path / "p.json").read_text())
    (tmp_path / "list.json").write_text(json.dumps(content["steps"]))
    assert read_prompts(tmp_path / "list.json") == PromptFile(steps=STEPS)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_places_that_are_no_numbers_are_refused(bad, tmp_path):
    for make in (
        lambda: Point(label="edema", at=(0, bad, 0)),
        lambda: Stroke(label="edema", points=((0, 0, bad),)),
        lambda: Stroke(label="edema", points=((0, 0, 0),), radius=bad),
        lambda: Painted(label="edema", points=((bad, 0, 0),)),
        lambda: Lasso(label="edema", points=((0, 0, 0), (1, 0, 0), (1, bad, 0))),
        lambda: Box3D(label="edema", corners=((0, 0, 0), (1, 1, bad))),
    ):
        with pytest.raises(ValidationError):
            make()
    path = tmp_path / "p.json"
    path.write_text(json.dumps([{"kind": "point", "label": "edema", "at": [0, bad, 0]}]))
    with pytest.raises(PromptError, match=r"0\.point\.at\.1.*finite"):
        read_prompts(path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"kind": "circle"}, "circle"),
        ({"kind": "point", "label": "edema", "at": [0, 0]}, "at"),
        ({"kind": "point", "label": "oedema", "at": [0, 0, 0]}, "label"),
        ({"kind": "point", "label": "edema", "at": [0, 0, 0], "radius": 3}, "radius"),
        ({"kind": "stroke", "label": "edema", "points": [], "radius": 3}, "points"),
        ({"kind": "stroke", "label": "edema", "points": [[0, 0, 0]], "radius": -1}, "radius"),
        ({"kind": "interpolate", "axis": 0, "slices": [3, 3]}, "two different"),
        ({"kind": "interpolate", "axis": 0, "slices": [3, -1]}, "slices"),
        ({"kind": "interpolate", "axis": 3, "slices": [1, 2]}, "axis"),
        ({"kind": "propagate", "axis": 0, "start": 4, "stop": 4}, "two different slices"),
        ({"kind": "lasso", "label": "edema", "border": True, "points": [[0, 0, 0]] * 3}, "border"),
    ],
)
def test_a_wrong_step_is_refused_and_named(entry, words, tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"steps": [STEPS[0].model_dump(), entry]}))
    with pytest.raises(PromptError, match=words) as told:
        read_prompts(path)
    assert "steps.1" in str(told.value)


@pytest.mark.parametrize("content", ["", "{", "3", '{"format": "another"}', '{"version": 7}', '{"more": 1}'])
def test_what_is_no_file_of_prompts_is_refused(content, tmp_path):
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(PromptError, match=r"p\.json"):
        read_prompts(path)


def test_a_file_that_is_not_there_or_cannot_be_written_is_told(tmp_path):
    with pytest.raises(PromptError, match="cannot be read"):
        read_prompts(tmp_path / "none.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(SaveError):
        save_prompts(STEPS, tmp_path / "folder.json")


@pytest.mark.parametrize("label", PROMPT_LABELS)
@pytest.mark.parametrize("add", [True, False])
def test_what_a_prompt_leaves_possible_and_says_of_each_region(label, add):
    prompt = Point(label=label, at=(0, 0, 0), add=add)
    named = set(PROMPT_LABELS[label])
    assert set(prompt.allowed) == (named if add else {0, 1, 2, 3} - named)
    for region, classes in REGIONS.items():
        hits = set(prompt.allowed) & set(classes)
        told = None if hits and set(prompt.allowed) - hits else bool(hits)
        assert prompt.inside(region) is told
