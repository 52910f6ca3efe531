"""Every option of every action in every form: shell, Python, record, panel; and every way to do an action has them."""

import ast
import inspect
import json
import shlex
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types
import numpy as np
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import napari_brain_tumor
from napari_brain_tumor import CuratedDataset, workflow
from napari_brain_tumor.cli import app
from napari_brain_tumor.errors import BoxError, OptionError, ProbabilityError, SeedError
from napari_brain_tumor.evaluation import evaluate_job
from napari_brain_tumor.requests.compare import CompareRequest, EvaluateRequest
from napari_brain_tumor.requests.computing import ComputeRequest
from napari_brain_tumor.requests.dataset import AddCaseRequest, ImportRequest, RelabelRequest
from napari_brain_tumor.requests.export import ExportRequest
from napari_brain_tumor.requests.lines import call
from napari_brain_tumor.requests.measure import MeasureRequest
from napari_brain_tumor.requests.opening import OpenOptions, OpenRequest, ViewRequest
from napari_brain_tumor.requests.prepare import PrepareOptions, PrepareRequest, RawSeriesRequest
from napari_brain_tumor.requests.quoting import quoted
from napari_brain_tumor.requests.reporting import FigureRequest, FollowUpRequest, ReportRequest
from napari_brain_tumor.requests.reproduce import ReproduceRequest
from napari_brain_tumor.requests.request import option_of
from napari_brain_tumor.requests.segment import BrainRequest, ScoreRequest, SegmentOptions, SegmentRequest
from napari_brain_tumor.requests.shell import request_from, with_requests, words_of
from napari_brain_tumor.requests.train import TrainRequest

REQUESTS = [
    *(SegmentRequest, OpenRequest, ViewRequest, MeasureRequest, BrainRequest, ScoreRequest, CompareRequest),
    *(ComputeRequest, EvaluateRequest, AddCaseRequest, RelabelRequest, TrainRequest, ReportRequest, FollowUpRequest),
    *(PrepareRequest, RawSeriesRequest, ExportRequest, FigureRequest, ReproduceRequest, ImportRequest),
]
WORDS = st.text("abcXYZ09 ._/'\"$é-%", min_size=1, max_size=9).filter(
    lambda text: text.strip() == text and text != "-" and not text.isdecimal()
)


def values_of(annotation, bounds=()):
    """Any value that a field may have, in the form that the request keeps; a mask in memory has no other form."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return values_of(inner, [part for one in more for part in getattr(one, "metadata", [one])])
    if get_origin(annotation) in (Union, UnionType):
        arms = [arm for arm in get_args(annotation) if arm not in (NoneType, Path, np.ndarray)]
        return st.one_of([values_of(arm, bounds) for arm in arms if np.ndarray not in get_args(arm)])
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if get_origin(annotation) is tuple:
        first, *others = get_args(annotation)
        if others == [...]:
            return st.lists(values_of(first), min_size=1, max_size=3).map(tuple)
        return st.tuples(*(values_of(one) for one in (first, *others)))
    if get_origin(annotation) is dict:
        key, value = get_args(annotation)
        return st.dictionaries(values_of(key), values_of(value), min_size=1, max_size=3).filter(
            lambda found: len({name.lower() for name in found}) == len(found)
        )
    return plain_values_of(annotation, {type(part): part for part in bounds})


def plain_values_of(annotation, limits):
    simple = {str: WORDS, Path: WORDS.map(Path), bool: st.booleans()}
    if annotation in simple:
        return simple[annotation]
    low = next((getattr(part, "ge", getattr(part, "gt", None)) for part in limits.values() if is_low(part)), -1000)
    high = next((getattr(part, "le", getattr(part, "lt", None)) for part in limits.values() if is_high(part)), 1000)
    if annotation is int:
        return st.integers(low + (annotated_types.Gt in limits), high - (annotated_types.Lt in limits))
    assert annotation is float
    return st.floats(low, high, exclude_min=annotated_types.Gt in limits, exclude_max=annotated_types.Lt in limits)


def is_low(bound):
    return isinstance(bound, annotated_types.Ge | annotated_types.Gt)


def is_high(bound):
    return isinstance(bound, annotated_types.Le | annotated_types.Lt)


def any_request(request):
    fields = request.model_fields
    required = {n: values_of(f.annotation, f.metadata) for n, f in fields.items() if f.is_required()}
    others = {n: values_of(f.annotation, f.metadata) for n, f in fields.items() if not f.is_required()}
    return st.fixed_dictionaries(required, optional=others).map(lambda options: request(**options))


def command_of(request):
    def action(one: request):
        return one

    made = typer.Typer()
    made.command()(with_requests(action))
    return typer.main.get_command(made)


COMMANDS = {request: command_of(request) for request in REQUESTS}
FORMS = settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("request_type", REQUESTS)
@FORMS
@given(st.data())
def test_every_option_comes_back_from_the_shell_from_python_and_from_the_record(request_type, data):
    request = data.draw(any_request(request_type))
    words = shlex.split(quoted(words_of(request), "posix"))
    assert COMMANDS[request_type].main(words, standalone_mode=False) == request
    line = ast.parse(call("action", [], request.changed()))
    (expression,) = (node for node in ast.walk(line) if isinstance(node, ast.Call))
    assert request_type(**{one.arg: ast.literal_eval(one.value) for one in expression.keywords}) == request
    again = request_type.recorded_in(json.loads(json.dumps(request.recorded())) | required_of(request))
    elsewhere = {name: request_type.model_fields[name].default for name in request.not_recorded}
    assert again == request.with_options(**elsewhere)


def required_of(request):
    return {n: getattr(request, n) for n, field in type(request).model_fields.items() if field.is_required()}


# Every way to do an action ------------------------------------------------------------------------------------------


def options_of_command(*names):
    command = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]
    return {parameter.name for parameter in command.params}


WAYS_TO_SEGMENT = {
    "segment": inspect.signature(napari_brain_tumor.segment).parameters,
    "segment_job": inspect.signature(napari_brain_tumor.segment_job).parameters,
    "segment_with_probabilities": inspect.signature(napari_brain_tumor.segment_with_probabilities).parameters,
    "segment_with_probabilities_job": inspect.signature(workflow.segment_with_probabilities_job).parameters,
    "check_study": inspect.signature(napari_brain_tumor.check_study).parameters,
    "evaluate": {*inspect.signature(napari_brain_tumor.evaluate).parameters, "model"},
    "evaluate_job": {*inspect.signature(evaluate_job).parameters, "model"},
    "brain-tumor segment": options_of_command("segment"),
    "brain-tumor evaluate": {*options_of_command("evaluate"), "model"},
    "brain-tumor refine": options_of_command("refine"),
    "brain-tumor check": options_of_command("check"),
    "brain-tumor demo": options_of_command("demo"),
}


@pytest.mark.parametrize("way", WAYS_TO_SEGMENT)
def test_every_way_to_segment_has_every_option(way):
    assert set(SegmentRequest.model_fields) <= set(WAYS_TO_SEGMENT[way])


def test_every_option_of_segmenting_has_a_control_in_the_panel():
    from napari_brain_tumor.widgets.request_controls import has_control
    from napari_brain_tumor.widgets.segment_state import CHOSEN_APART

    made = {name for name, field in SegmentRequest.model_fields.items() if has_control(field)}
    assert made | set(CHOSEN_APART) == set(SegmentRequest.model_fields)
    assert "flips" in made


@pytest.mark.parametrize("command", ["segment", "check", "refine", "report", "brain", ("data", "add"), "measure"])
def test_every_way_to_open_a_case_has_every_option(command):
    names = (command,) if isinstance(command, str) else command
    assert set(OpenOptions.model_fields) <= options_of_command(*names)


@pytest.mark.parametrize(
    ("request_type", "command"),
    [
        (MeasureRequest, "measure"),
        (CompareRequest, "compare"),
        (EvaluateRequest, "evaluate"),
        (AddCaseRequest, "data add"),
        (RelabelRequest, "data relabel"),
        (ReportRequest, "report"),
        (FollowUpRequest, "follow-up"),
        (FigureRequest, "figure"),
        (BrainRequest, "brain"),
        (ScoreRequest, "data score"),
        (PrepareOptions, "prepare"),
        (ExportRequest, "export"),
        (RawSeriesRequest, "segment"),
    ],
)
def test_the_command_of_an_action_has_every_option(request_type, command):
    assert set(request_type.model_fields) <= options_of_command(*command.split())


def test_python_adds_a_case_and_compares_with_every_option():
    add = set(inspect.signature(CuratedDataset.add).parameters) | {"model", "side"}
    assert set(AddCaseRequest.model_fields) <= add
    assert {"reference", "resample"} <= set(inspect.signature(napari_brain_tumor.compare_segmentations).parameters)
    evaluated = set(inspect.signature(napari_brain_tumor.evaluate).parameters) | {"schema_name"}
    assert set(EvaluateRequest.model_fields) <= evaluated


def test_training_in_the_shell_has_every_option():
    from napari_brain_tumor_training.__main__ import app as training

    names = {parameter.name for parameter in typer.main.get_command(training).params}
    assert set(TrainRequest.model_fields) <= names


def test_where_something_is_segmented_the_precision_can_be_chosen():
    for command in ("segment", "evaluate", "refine", "check", "demo", ("data", "score")):
        assert "precision" in options_of_command(*([command] if isinstance(command, str) else command)), command


def test_the_typed_options_of_the_signature_are_those_of_the_request():
    typed = get_type_hints(SegmentOptions)
    assert {"model", "device", *typed} == set(SegmentRequest.model_fields)
    assert SegmentRequest(flips=True, box=range(6)).options() == {"flips": True, "box": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)}


def test_help_of_the_shell_and_of_python_has_the_words_of_every_option():
    document = napari_brain_tumor.segment.__doc__
    for name, field in SegmentRequest.model_fields.items():
        assert option_of(field).help
        assert option_of(field).label
        if name not in ("model", "device"):
            assert option_of(field).help in document


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"flip": True}, OptionError, "no option flip. The options are model, device, flips"),
        ({"flips": "perhaps"}, OptionError, "flips is 'perhaps'"),
        ({"min_lesion_mm3": -1}, OptionError, "a size of at least 0 mm3"),
        ({"precision": "half"}, OptionError, "'auto', 'float32' or 'bfloat16'"),
        ({"box": (1, 2, 3)}, BoxError, "six world coordinates"),
        ({"seeds": [(1, 2, float("nan"))]}, SeedError, "three numbers"),
        ({"thresholds": {"WT": 1.5}}, ProbabilityError, "between 0 and 1"),
    ],
)
def test_what_python_is_refused_says_what_was_expected(options, error, why):
    with pytest.raises(error, match=why):
        SegmentRequest(**options)
    with pytest.raises(TypeError if error is OptionError else error):
        SegmentRequest(**options)


def test_what_the_shell_is_refused_names_the_option_and_an_example():
    with pytest.raises(typer.BadParameter) as caught:
        request_from(SegmentRequest, {"seeds": ["1,2"]})
    assert caught.value.param_hint == "--seed"
    assert "'1,2' is not three numbers" in caught.value.message
    assert "--seed=12.5,-30,41" in caught.value.message


# Records of earlier versions ----------------------------------------------------------------------------------------


def test_settings_that_earlier_versions_wrote_are_still_the_request():
    """As 0.1 wrote them beside results: of a network on a GPU, within a box, and of a method without weights."""
    network = {
        "flips": True,
        "min_lesion_mm3": 20.0,
        "min_lesion_share": 0.1,
        "min_enhancing_mm3": 30.0,
        "thresholds": {"WT": 0.45, "TC": 0.5, "ET": 0.5},
        "temperatures": {"WT": 1.2, "TC": 1.0, "ET": 1.0},
        "precision": "float16",
        "box": [-20.0, 30.0, -10.0, 40.0, 0.0, 50.0],
        "brain": "auto",
    }
    assert SegmentRequest.recorded_in(network) == SegmentRequest(
        flips=True,
        min_lesion_mm3=20,
        thresholds={"WT": 0.45, "TC": 0.5, "ET": 0.5},
        box=(-20, 30, -10, 40, 0, 50),
    )
    method = {"min_lesion_mm3": 10.0, "seeds": [[1.0, 2.0, 3.0]]}
    assert SegmentRequest.recorded_in(method) == SegmentRequest(min_lesion_mm3=10, seeds=((1, 2, 3),))
