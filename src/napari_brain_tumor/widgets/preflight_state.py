"""Logic of the pre-flight table, without Qt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from napari.layers import Layer

from napari_brain_tumor.catalogue import Method
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.inference.memory import DeviceMemory
from napari_brain_tumor.plugin import from_layers
from napari_brain_tumor.plugin.layers import LayerView, SequenceTag
from napari_brain_tumor.preflight.check import check_facts, expected_of, plan_of
from napari_brain_tumor.preflight.costs import Expected
from napari_brain_tumor.preflight.questions import LABELS
from napari_brain_tumor.preflight.rows import Row, Verdict
from napari_brain_tumor.preflight.scans import Facts, Scans, facts_of
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Role, Segmentation
from napari_brain_tumor.widgets.scan_layers import Candidate, is_single

ICONS: Final[dict[Verdict, str]] = {"pass": "✓", "warn": "⚠", "fail": "✗"}


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Everything that the table depends on, gathered at once in napari's thread.

    Parameters
    ----------
    views : mapping of role to LayerView
        The chosen scans.
    elsewhere : mapping of role to LayerView
        Other open scans that might belong to them, on other grids.
    request : SegmentRequest
        Settings of the run.
    devices : sequence of DeviceMemory
        Empty while they are unknown.
    models : sequence of Method
        Methods that can be suggested.
    labels : LayerView or None
        A selected segmentation of these scans.
    """

    views: Mapping[Role, LayerView]
    elsewhere: Mapping[Role, LayerView] = field(default_factory=dict)
    method: Method | None = None
    request: SegmentRequest = field(default_factory=SegmentRequest)
    devices: Sequence[DeviceMemory] = ()
    models: Sequence[Method] = ()
    labels: LayerView | None = None

    def same_scans(self, other: "Question") -> bool:
        """Return whether both are about the same images, so that they need not be examined again."""
        return all(
            list(own) == list(others) and all(_same(own[role], others[role]) for role in own)
            for own, others in ((self.views, other.views), (self.elsewhere, other.elsewhere))
        )


def _same(first: LayerView, second: LayerView) -> bool:
    return first.data is second.data and first.tag is second.tag and first.grid == second.grid


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The rows, the findings in the images that they are based on, and the expected cost of a run."""

    question: Question
    facts: Facts
    rows: tuple[Row, ...]
    expected: Expected | None = None

    @property
    def failure(self) -> str:
        """The first problem that would make a run fail; empty if there is none. Problems of labels do not count."""
        failing = (row for row in self.rows if row.verdict == "fail" and row.question != LABELS)
        return next((f"{row.question}: {row.words}" for row in failing), "")

    def answers(self, question: Question) -> bool:
        """Return whether this answers that question, even if the question was asked again."""
        own, others = ((either.method, either.request) for either in (self.question, question))
        return own == others and self.question.same_scans(question)

    @property
    def traits(self) -> Traits | None:
        """Traits of the scans; None if there are no scans."""
        return self.facts.traits if self.facts.reference is not None else None


def answer(question: Question, before: Answer | None = None) -> Answer:
    """Answer every question; the images are examined only if they differ from those of the previous answer."""
    known = before is not None and before.question.same_scans(question)
    facts = before.facts if before is not None and known else facts_of(_scans(question))
    rows = check_facts(
        facts, question.method, question.request, _labels(question), devices=question.devices, models=question.models
    )
    facts = replace(facts, brain=plan_of(question.request.brain))
    expected = expected_of(facts, question.method, question.request, question.devices)
    return Answer(question, facts, rows, expected)


def _scans(question: Question) -> Scans:
    on_grid = from_layers.intensities_of_all(question.views)
    tags = {
        role: layer_view.tag for role, layer_view in question.views.items() if isinstance(layer_view.tag, SequenceTag)
    }
    cases = list(dict.fromkeys(tag.case for tag in tags.values()))
    return Scans(
        cases[0] if cases else "",
        {role: array for role, (array, _) in on_grid.items()},
        {role: grid for role, (_, grid) in on_grid.items()},
        {role: tag.layout for role, tag in tags.items()},
        from_layers.notes_of(question.views),
        tuple(role for role, tag in tags.items() if tag.resampled),
        {role: grid for role, (_, grid) in from_layers.intensities_of_all(question.elsewhere).items()},
    )


def _labels(question: Question) -> Segmentation | BrainTumorError | None:
    if question.labels is None:
        return None
    try:
        return from_layers.segmentation_from_layer(question.labels, list(question.views.values()))
    except BrainTumorError as error:
        return error


def left_out(candidates: Sequence[Candidate], selected: Mapping[Role, Layer]) -> dict[Role, Layer]:
    """Return scans that may belong to the chosen ones but are on other grids, if all of them were opened one by one."""
    telling = [candidate for candidate in candidates if candidate.role is not None]
    anchors = [candidate for candidate in telling if candidate.layer in selected.values()]
    if not anchors or not all(is_single(candidate, telling) for candidate in anchors):
        return {}
    others: dict[Role, Layer] = {}
    for candidate in telling:
        apart = not any(candidate.grid.same_place(anchor.grid) for anchor in anchors)
        if candidate.role is not None and candidate.role not in selected and is_single(candidate, telling) and apart:
            others.setdefault(candidate.role, candidate.layer)
    return others


def header_text(rows: Sequence[Row]) -> str:
    """Summarise all rows in one line: how many pass, or which do not."""
    count = f"{len(rows)} check{'s'[: len(rows) != 1]}"
    if all(row.verdict == "pass" for row in rows):
        return f"{ICONS['pass']} {count} pass{'es'[: 2 * (len(rows) == 1)]}"
    failing, warning = ([row.question for row in rows if row.verdict == verdict] for verdict in ("fail", "warn"))
    parts = [_sentence_part(failing, "fail")] if failing else []
    parts += [_sentence_part(warning, "warn")] if warning else []
    parts[0] = parts[0].replace(" ", f" of {count} ", 1)
    return f"{ICONS['fail' if failing else 'warn']} {'; '.join(parts)}"


def _sentence_part(questions: Sequence[str], verb: str) -> str:
    return f"{len(questions)} {verb}{'s'[: len(questions) == 1]}: {', '.join(questions)}"


def summary(rows: Sequence[Row]) -> str:
    """Return the rows as lines of text, for a tooltip and for screen readers."""
    return "\n".join(f"{ICONS[row.verdict]} {row.question}: {row.words}" for row in rows)
