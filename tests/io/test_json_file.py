import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import phantoms
from napari_brain_tumor.errors import LabelSchemaError, PromptError, RecordError
from napari_brain_tumor.followup.visits import date_of_sources
from napari_brain_tumor.interactive.prompts import read_prompts
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.io.json_file import parse_json, read_json
from napari_brain_tumor.io.sidecar import PROGRAM, read_sidecar
from napari_brain_tumor.io.study_folder import dataset_json
from napari_brain_tumor.records.records import read_record
from napari_brain_tumor.study import Source

DEEP = "[" * 100_000 + "]" * 100_000
RATHER_DEEP = '{"a":' * 400 + "1" + "}" * 400
LONG_NUMBER = '{"version": 1' + "0" * 6000 + "}"
NO_JSON = (DEEP, RATHER_DEEP, LONG_NUMBER, "", "{", "\xff", '{"a": 1} x', "\0")


@pytest.mark.parametrize("text", NO_JSON, ids=range(len(NO_JSON)))
def test_every_problem_with_json_is_one_error(tmp_path, text):
    (tmp_path / "x.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r".+"):
        read_json(tmp_path / "x.json")


def test_json_of_every_kind_is_read():
    document = {"a": [1, 2.5, None, {"b": "ü"}], "c": [[[[]]]]}
    assert parse_json(json.dumps(document)) == document
    assert parse_json(json.dumps(document).encode("utf-8-sig")) == document


@pytest.mark.parametrize("text", NO_JSON, ids=range(len(NO_JSON)))
def test_what_lies_beside_a_scan_does_not_keep_it_from_opening(tmp_path, text):
    path = phantoms.write_nifti(tmp_path / "x_flair.nii.gz", phantoms.noise())
    labels = phantoms.write_nifti(tmp_path / "x_seg.nii.gz", phantoms.tumour())
    for name in ("x_flair.json", "x_seg.json", "dataset.json"):
        (tmp_path / name).write_text(text, encoding="latin-1")
    assert open_study(path).roles == ("FLAIR",)
    assert open_segmentation(labels, "MSD").data.any()
    assert read_sidecar(labels) == {}
    assert dataset_json(path) is None
    with pytest.raises(RecordError):
        read_record(tmp_path / "x_seg.json")
    with pytest.raises(PromptError):
        read_prompts(tmp_path / "x_seg.json")


@pytest.mark.parametrize("name", ["", ".", "..", "../x_seg.nii.gz", "/etc/passwd", "C:x.nii.gz", "a/b", "\0"])
def test_a_record_names_a_file_beside_it(tmp_path, name):
    record = {"program": PROGRAM, "file": name, "schema": "MSD", "provenance": {"task": "segment"}}
    (tmp_path / "x_seg.json").write_text(json.dumps(record))
    with pytest.raises(RecordError, match="file"):
        read_record(tmp_path / "x_seg.json")
    assert read_sidecar(tmp_path / "x_seg.nii.gz") == {}


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "point", "label": "edema", "at": [1e300, 0, 0]},
        {"kind": "point", "label": "edema", "at": [10**400, 0, 0]},
        {"kind": "point", "label": "edema", "at": [-2e5, 0, 0]},
        {"kind": "stroke", "label": "edema", "points": [[0, 0, 0]], "radius": 1e12},
        {"kind": "propagate", "axis": 0, "start": 0, "stop": 10**30},
        {"kind": "interpolate", "axis": 0, "slices": [0, 10**12]},
        {"kind": "box", "label": "edema", "corners": [[0, 0, 0], [0, 0, 1e99]]},
    ],
)
def test_prompts_beyond_any_scan_are_refused(tmp_path, step):
    (tmp_path / "p.json").write_text(json.dumps({"steps": [step]}))
    with pytest.raises(PromptError, match=r"steps\.0"):
        read_prompts(tmp_path / "p.json")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
keys = st.sampled_from(
    ["file", "schema", "provenance", "notes", "known_regions", "labels", "modality", "channel_names"]
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(keys, anything, max_size=5))
def test_a_sidecar_or_dataset_json_with_anything_in_it_never_ends_in_a_traceback(tmp_path, content):
    labels = phantoms.write_nifti(tmp_path / "x_seg.nii", phantoms.tumour())
    for name in ("x_seg.json", "dataset.json"):
        document = {"file": "x_seg.nii", **content, "program": PROGRAM}
        (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    assert open_segmentation(labels, "MSD").data.any()
    with suppress(LabelSchemaError):
        assert open_segmentation(labels).data.any()
    assert date_of_sources([Source(labels)]) is None
