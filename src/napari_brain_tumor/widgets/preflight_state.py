"""What the pre-flight table asks and says, without Qt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from napari.layers import Layer

from napari_brain_tumor.catalogue import Method
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.inference.memory import DeviceMemory
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import LayerView, SequenceTag
from napari_brain_tumor.preflight.check import check_facts, expected_of, plan_of
from napari_brain_tumor.preflight.costs import Expected
from napari_brain_tumor.preflight.questions import LABELS
from napari_brain_tumor.preflight.rows import Row, Verdict
from napari_brain_tumor.preflight.scans import Facts, Scans, facts_of
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Role, Segmentation
from napari_brain_tumor.widgets.segment_state import Candidate, is_single

__all__ = ["ICONS", "Answer", "Asked", "answer", "header_text", "left_out", "summary"]

ICONS: Final[dict[Verdict, str]] = {"pass": "✓", "warn": "⚠", "fail": "✗"}


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Everything that the table depends on, taken at once in napari's thread.

    Parameters
    ----------
    views : mapping of role to LayerView
        The chosen scans.
    elsewhere : mapping of role to LayerView
        Scans that are open too and might belong to them, on other grids.
    method : Method or None
    request : SegmentRequest
        How it is run.
    devices : sequence of DeviceMemory
        Empty while they are not known.
    models : sequence of Method
        What can be suggested.
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

    def same_scans(self, other: "Asked") -> bool:
        """Whether both ask about the same pictures, so that they need not be looked at again."""
        return all(
            list(ours) == list(theirs) and all(_same(ours[role], theirs[role]) for role in ours)
            for ours, theirs in ((self.views, other.views), (self.elsewhere, other.elsewhere))
        )


def _same(one: LayerView, other: LayerView) -> bool:
    return one.data is other.data and one.tag is other.tag and one.grid == other.grid


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The rows, what was found in the pictures that they are about, and what a run is expected to take."""

    asked: Asked
    facts: Facts
    rows: tuple[Row, ...]
    expected: Expected | None = None

    @property
    def failure(self) -> str:
        """The first thing that would make a run fail, in words; empty where nothing would, as of labels."""
        failing = (row for row in self.rows if row.verdict == "fail" and row.question != LABELS)
        return next((f"{row.question}: {row.words}" for row in failing), "")

    def answers(self, asked: Asked) -> bool:
        """Whether this is the answer to that question, also where it was asked again."""
        ours, theirs = ((one.method, one.request) for one in (self.asked, asked))
        return ours == theirs and self.asked.same_scans(asked)

    @property
    def traits(self) -> Traits | None:
        """What the scans are like; None where there is none."""
        return self.facts.traits if self.facts.reference is not None else None


def answer(asked: Asked, before: Answer | None = None) -> Answer:
    """Answer every question; the pictures are looked at only if they are not those of the answer before."""
    known = before is not None and before.asked.same_scans(asked)
    facts = before.facts if before is not None and known else facts_of(_scans(asked))
    rows = check_facts(facts, asked.method, asked.request, _labels(asked), devices=asked.devices, models=asked.models)
    facts = replace(facts, brain=plan_of(asked.request.brain))
    expected = expected_of(facts, asked.method, asked.request, asked.devices)
    return Answer(asked, facts, rows, expected)


def _scans(asked: Asked) -> Scans:
    on_grid = layers.intensities_of_all(asked.views)
    tags = {role: seen.tag for role, seen in asked.views.items() if isinstance(seen.tag, SequenceTag)}
    cases = list(dict.fromkeys(tag.case for tag in tags.values()))
    return Scans(
        cases[0] if cases else "",
        {role: array for role, (array, _) in on_grid.items()},
        {role: grid for role, (_, grid) in on_grid.items()},
        {role: tag.layout for role, tag in tags.items()},
        layers.notes_of(asked.views),
        tuple(role for role, tag in tags.items() if tag.resampled),
        {role: grid for role, (_, grid) in layers.intensities_of_all(asked.elsewhere).items()},
    )


def _labels(asked: Asked) -> Segmentation | BrainTumorError | None:
    if asked.labels is None:
        return None
    try:
        return layers.segmentation_from_layer(asked.labels, list(asked.views.values()))
    except BrainTumorError as error:
        return error


def left_out(found: Sequence[Candidate], chosen: Mapping[Role, Layer]) -> dict[Role, Layer]:
    """Scans that may belong to the chosen ones but lie on other grids: all of them were opened one by one."""
    telling = [one for one in found if one.role is not None]
    anchors = [one for one in telling if one.layer in chosen.values()]
    if not anchors or not all(is_single(one, telling) for one in anchors):
        return {}
    others: dict[Role, Layer] = {}
    for one in telling:
        apart = not any(one.grid.same_place(anchor.grid) for anchor in anchors)
        if one.role is not None and one.role not in chosen and is_single(one, telling) and apart:
            others.setdefault(one.role, one.layer)
    return others


def header_text(rows: Sequence[Row]) -> str:
    """All rows in one line: how many pass, or which do not."""
    count = f"{len(rows)} check{'s'[: len(rows) != 1]}"
    if all(row.verdict == "pass" for row in rows):
        return f"{ICONS['pass']} {count} pass{'es'[: 2 * (len(rows) == 1)]}"
    failing, warning = ([row.question for row in rows if row.verdict == verdict] for verdict in ("fail", "warn"))
    told = [_told(failing, "fail")] if failing else []
    told += [_told(warning, "warn")] if warning else []
    told[0] = told[0].replace(" ", f" of {count} ", 1)
    return f"{ICONS['fail' if failing else 'warn']} {'; '.join(told)}"


def _told(questions: Sequence[str], verb: str) -> str:
    return f"{len(questions)} {verb}{'s'[: len(questions) == 1]}: {', '.join(questions)}"


def summary(rows: Sequence[Row]) -> str:
    """The rows as lines, for a tooltip and for screen readers."""
    return "\n".join(f"{ICONS[row.verdict]} {row.question}: {row.words}" for row in rows)
