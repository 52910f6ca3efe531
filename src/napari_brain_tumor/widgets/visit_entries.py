"""A patient's visits as listed in the panel, and the viewer's layers that belong to each; without Qt."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from napari.layers import Labels, Layer

from napari_brain_tumor.followup.document import USER, VisitEntry
from napari_brain_tumor.followup.facts import VisitFacts
from napari_brain_tumor.followup.registration import Registration
from napari_brain_tumor.followup.visits import FoundDate, Visit, date_of_sources, parse_date
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin import from_layers, layers
from napari_brain_tumor.plugin.layers import LayerView, SequenceTag
from napari_brain_tumor.study import Role, Source
from napari_brain_tumor.widgets.diameter_lines import DrawnLines, drawn_lines, remembered_lines_of
from napari_brain_tumor.widgets.examinations import Identity, identity_of_labels, identity_of_sources

_UNUSED: Final = (
    "{}: the diameters of {} that were moved by hand are not used: the labels were changed since, or were measured "
    "with other settings."
)


@dataclass(slots=True, eq=False)
class Entry:
    """A visit in the list: an examination with its labels, from layers or from a document.

    Parameters
    ----------
    layer : Labels or None
        The labels that are measured, out of all results of this examination.
    visit : Visit or None
        The opened visit, if it is from a document.
    told : VisitEntry or None
        Its entry in the document.
    used : bool
        Whether it is included.
    registration : Registration or None
        Its registration to the baseline, if computed.
    accepted : bool
        Whether the user has accepted the registration after viewing the checkerboard.
    centre : (x, y, z)
        Centre of the baseline's scan in world coordinates, for reporting how far it moved.
    results : list of Labels
        All layers with labels of this examination.
    identity : Identity
        Facts that identify the examination.
    """

    name: str
    layer: Labels | None = None
    visit: Visit | None = None
    recorded: VisitEntry | None = None
    date: FoundDate | None = None
    facts: VisitFacts = field(default_factory=VisitFacts)
    used: bool = True
    registration: Registration | None = None
    accepted: bool = False
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    results: list[Labels] = field(default_factory=list)
    identity: Identity = frozenset()

    def tell_date(self, text: str) -> None:
        """Set the date that the user typed; empty for none. Raises `VisitError` if it is not a date."""
        self.date = FoundDate(parse_date(text), USER) if text.strip() else None

    @property
    def date_text(self) -> str:
        """The date as it is displayed and edited."""
        return "" if self.date is None else self.date.day.isoformat()

    @property
    def place_text(self) -> str:
        """State of its registration to the baseline, in a word or two."""
        if self.facts.baseline:
            return "baseline"
        if self.registration is None:
            return "not yet"
        return "accepted" if self.accepted else "check it"


@dataclass(frozen=True, slots=True, eq=False)
class OpenEntry:
    """The data of an entry, gathered in napari's thread so that the rest can run in another."""

    entry_name: str
    date: FoundDate | None
    facts: VisitFacts
    labels: LayerView | None
    scans: Mapping[Role, LayerView]
    references: tuple[LayerView, ...]
    visit: Visit | None
    lines: DrawnLines | None = None
    """Current diameters of these labels in the viewer, if they were measured there."""

    def opened(self) -> Visit:
        """Return the visit, on its own grid."""
        if self.visit is not None:
            return replace(self.visit, name=self.entry_name, date=self.date, facts=self.facts)
        assert self.labels is not None
        segmentation = from_layers.segmentation_from_layer(self.labels, self.references)
        study = from_layers.study_from_layers(self.scans) if self.scans else None
        if study is not None and not study.grid.same_place(segmentation.grid):
            study = None
        return Visit(self.entry_name, segmentation, study, self.date, self.facts)


def with_layers(entries: Sequence[Entry], all_layers: Iterable[Layer]) -> list[Entry]:
    """Update the list after layers were added, removed or renamed; the user's entries for an examination are kept.

    Several labels of one examination form one visit; it is measured with the same labels while they exist.
    """
    opened = list(all_layers)
    identities = {
        layer: identity_of_labels(layer, scans_of(layer, opened).values()) for layer in opened if _is_visit(layer)
    }
    listed = list(entries)
    for entry in listed:
        entry.results = [layer for layer in entry.results if layer in identities]
        entry.identity = _identity_of_entry(entry, identities)
    for layer, identity in identities.items():
        known = _entry_of(layer, identity, listed)
        entry = known or Entry(_free_name(layers.case_of(layer), {listed_entry.name for listed_entry in listed}), layer)
        if known is None:
            listed.append(entry)
        if layer not in entry.results:
            entry.results.append(layer)
        entry.identity |= identity
    for entry in listed:
        if entry.layer is not None and entry.layer not in entry.results:
            entry.layer = entry.results[0] if entry.results else None
    return [entry for entry in listed if entry.layer is not None or entry.visit is not None]


def _identity_of_entry(entry: Entry, identities: Mapping[Layer, Identity]) -> Identity:
    study = entry.visit.study if entry.visit is not None else None
    identity = identity_of_sources(study.sources.values(), study.name) if study is not None else frozenset()
    return identity.union(*(identities[layer] for layer in entry.results))


def _entry_of(layer: Labels, identity: Identity, listed: Sequence[Entry]) -> Entry | None:
    """Return the visit that labels belong to: the one that has them already, or the first of the same examination."""
    there = next((entry for entry in listed if layer in entry.results), None)
    return there or next((entry for entry in listed if entry.identity & identity), None)


def _is_visit(layer: Layer) -> bool:
    tag = layers.segmentation_tag(layer)
    return isinstance(layer, Labels) and layer.ndim == 3 and (tag is None or tag.understood)


def _free_name(name: str, used: set[str]) -> str:
    number = 2
    free = name
    while free in used:
        free, number = f"{name} {number}", number + 1
    return free


def scans_of(labels: Layer, all_layers: Iterable[Layer]) -> dict[Role, Layer]:
    """Return the scans of labels: those of their case, else of the only case on their grid that has no labels."""
    tag = layers.segmentation_tag(labels)
    if tag is None:
        return {}
    opened = list(all_layers)
    there = list(_scans_on(tag.grid, opened))
    own = [(layer, tag_of_scan) for layer, tag_of_scan in there if tag_of_scan.case == tag.case]
    cases_with_labels = {other.case for other in map(layers.segmentation_tag, opened) if other is not None}
    free = [(layer, tag_of_scan) for layer, tag_of_scan in there if tag_of_scan.case not in cases_with_labels]
    matching = own or (free if len({tag_of_scan.case for _, tag_of_scan in free}) == 1 else [])
    scans: dict[Role, Layer] = {}
    for layer, tag_of_scan in matching:
        if tag_of_scan.role is not None:
            scans.setdefault(tag_of_scan.role, layer)
    return scans


def _scans_on(grid: Grid, all_layers: Iterable[Layer]) -> Iterator[tuple[Layer, SequenceTag]]:
    for layer in all_layers:
        tag = layers.sequence_tag(layer)
        if tag is not None and tag.role and tag.grid.same_place(grid):
            yield layer, tag


def gather(entry: Entry, all_layers: Iterable[Layer]) -> OpenEntry:
    """Gather the data of an entry from the viewer."""
    opened = list(all_layers)
    if entry.layer is None:
        return OpenEntry(entry.name, entry.date, entry.facts, None, {}, (), entry.visit)
    scans = {role: layers.view(layer) for role, layer in scans_of(entry.layer, opened).items()}
    references = tuple(layers.readable_views(opened))
    shapes = remembered_lines_of(entry.layer, opened)
    tag = layers.segmentation_tag(entry.layer)
    grid = layers.view(entry.layer).grid if tag is None else tag.grid
    lines = drawn_lines(shapes, entry.layer, grid) if shapes is not None else None
    return OpenEntry(entry.name, entry.date, entry.facts, layers.view(entry.layer), scans, references, None, lines)


def sources_of(entry: Entry, all_layers: Iterable[Layer]) -> tuple[Source, ...]:
    """Return where the scans of a visit were read from."""
    if entry.layer is None:
        return ()
    tags = map(layers.sequence_tag, scans_of(entry.layer, all_layers).values())
    return tuple(tag.source for tag in tags if tag is not None and tag.source is not None)


def dates_of(sources: Mapping[str, Sequence[Source]]) -> dict[str, FoundDate]:
    """Return the dates in file headers, by the visits' names; reads the files."""
    dates = {name: date_of_sources(places) for name, places in sources.items()}
    return {name: date for name, date in dates.items() if date is not None}


def baseline_of(entries: Sequence[Entry]) -> Entry | None:
    """Return the entry marked as baseline, or the first that is included."""
    used = [entry for entry in entries if entry.used]
    return next((entry for entry in used if entry.facts.baseline), used[0] if used else None)
