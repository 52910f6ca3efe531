"""The contents of the report as tables of plain text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from napari_brain_tumor.followup.facts import CLINICAL, STEROIDS, VisitFacts
from napari_brain_tumor.followup.followup import FollowUp
from napari_brain_tumor.followup.registration import describe
from napari_brain_tumor.followup.response import CATEGORY_NAMES, NOT_ASSESSABLE, Response
from napari_brain_tumor.followup.tables import track_rows
from napari_brain_tumor.followup.visits import Visit
from napari_brain_tumor.followup.wording import percent, size_text
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.measure.examination import Examination
from napari_brain_tumor.measure.lesion_numbers import LESION_NUMBERS


def volume_table(examination: Examination) -> Table:
    """Return the sizes of the classes, and of the regions with the classes they combine."""
    table = examination.volumes
    names = [*(row.name for row in table.classes), *(f"{row.name} ({row.key})" for row in table.regions)]
    sized = [*table.classes, *table.regions]
    counts = [f"{row.voxels:,}".replace(",", " ") for row in sized]
    if table.unit == "voxels":
        in_voxels = zip(names, counts, strict=True)
        right = frozenset({"Voxels"})
        return Table.of_cells(("Tissue or region", "Voxels"), in_voxels, right=right, title="Volumes")
    volumes = [f"{row.ml:.2f}" for row in sized]
    nested = "Regions are nested: the whole tumour holds the core, the core holds the enhancing tumour."
    note = nested if len(table.regions) > 1 else ""
    columns = ("Tissue or region", "mL", "Voxels")
    rows = zip(names, volumes, counts, strict=True)
    return Table.of_cells(columns, rows, right=frozenset({"mL", "Voxels"}), title="Volumes", note=note)


def lesion_table(examination: Examination) -> Table:
    """Return every lesion with its size, position, diameters and measurability."""
    numbers = [number.title for number in LESION_NUMBERS.values()]
    columns = (
        "Lesion",
        "Size",
        "Side",
        "To the midline",
        "Diameters",
        "Product",
        *numbers,
        "Measurable after RANO 2.0",
    )
    rows = map(_lesion_row, examination.lesions)
    right = frozenset({"Size", "To the midline", "Diameters", "Product", *numbers})
    return Table.of_cells(columns, rows, right=right, title="Lesions", note=" ".join(_left_out(examination)))


def _lesion_row(lesion: Any) -> tuple[str, ...]:
    diameters = lesion.diameters
    return (
        lesion.title,
        lesion.size,
        lesion.side or "not assessable",
        "–" if lesion.midline_mm is None else f"{lesion.midline_mm:.0f} mm",
        "–" if diameters is None else f"{diameters.long_mm:.1f} x {diameters.short_mm:.1f} mm",
        "–" if diameters is None else f"{diameters.product_mm2:.0f} mm²",
        *(number.text(lesion.numbers[n]) if n in lesion.numbers else "–" for n, number in LESION_NUMBERS.items()),
        lesion.reason,
    )


def _left_out(examination: Examination) -> Iterator[str]:
    yield f"Parts of less than {examination.settings.smallest(examination.grid)} are not listed."
    for region in REGIONS:
        small = examination.left_out.get(region)
        if small is not None and small.parts:
            yield f"{region}: {small.parts} left out."


def rim_rows(examination: Examination) -> Iterator[tuple[str, str]]:
    """Yield the thickness of the enhancing rim, and the midline."""
    rim = examination.rim
    if rim is None:
        yield "Enhancing rim", "none around a core, or not assessable"
    else:
        yield "Enhancing rim", f"median {rim.median_mm:.1f} mm, mean {rim.mean_mm:.1f} mm, at most {rim.max_mm:.1f} mm"
        yield "Covers", f"{rim.covered_fraction:.0%} of the core's surface"
    plane = examination.midline
    yield "Midline", "not assessable" if plane is None else "the plane of the brain's best symmetry"


def series_table(follow_up: FollowUp) -> Table:
    """Return the sizes at each visit, with their change since baseline and nadir."""
    columns = ("Size", *(_headed(result.visit) for result in follow_up.visits))
    rows = [
        (
            f"{series.name} ({series.key})" if series.key in REGIONS else series.name,
            *(
                "\n".join(
                    filter(
                        None,
                        (
                            size_text(change.value, series.unit),
                            _against("baseline", change.from_baseline),
                            _against("nadir", change.from_nadir),
                        ),
                    )
                )
                for change in series.changes
            ),
        )
        for series in follow_up.series
    ]
    targets = ", ".join(follow_up.targets) or "none, as no lesion is measurable there"
    note = (
        f"Baseline: {follow_up.visits[follow_up.baseline].visit.name}. Target lesions: {targets}. The nadir is "
        "the smallest "
        "value from the baseline up to the visit before. Each visit is measured on its own grid."
    )
    return Table.of_cells(columns, rows, right=frozenset(columns[1:]), title="Sizes over time", note=note)


def _headed(visit: Visit) -> str:
    """Return name and date on two lines."""
    return visit.name if visit.day is None else f"{visit.name}\n{visit.day.isoformat()}"


def _against(what: str, share: float | None) -> str:
    return "" if share is None else f"{percent(share)} to {what}"


def response_table(follow_up: FollowUp) -> Table:
    """Return the response category of each visit, by area and by volume side by side."""
    rows = tuple(
        (_headed(result.visit), *(_response(follow_up.responses[measure][at]) for measure in ("area", "volume")))
        for at, result in enumerate(follow_up.visits)
    )
    names = ", ".join(f"{short} {long}" for short, long in CATEGORY_NAMES.items())
    note = (
        f"After RANO 2.0 (Wen 2023, doi 10.1200/JCO.23.01059), for enhancing tumour: {names}. "
        "A category needs more than images; what is missing is listed, and nothing is guessed."
    )
    columns = ("Visit", "By sum of products (25 % and 50 %)", "By volume (40 % and 65 %)")
    return Table.of_cells(columns, rows, title="Response", note=note)


def _response(response: Response) -> str:
    if response.verdict != NOT_ASSESSABLE:
        return "\n".join((response.verdict, *response.reasons))
    alone = f"By imaging alone: {response.imaging}" if response.imaging else ""
    missing = [f"• {text}" for text in response.missing]
    return "\n".join(filter(None, ("Not assessable", alone, "Missing:", *missing)))


def track_table(follow_up: FollowUp) -> Table:
    """Return each enhancing lesion over time."""
    columns = ("Lesion", *(_headed(result.visit) for result in follow_up.visits))
    note = "Lesions that merge or split are followed as one; sizes are sums, on each visit's own grid."
    return Table.of_cells(columns, track_rows(follow_up), title="Enhancing lesions over time", note=note)


def registration_table(follow_up: FollowUp) -> Table:
    """Return how each visit was registered to the baseline."""
    rows: list[tuple[str, ...]] = []
    centre = follow_up.visits[follow_up.baseline].examination.grid
    middle = centre.world([(n - 1) / 2 for n in centre.shape])
    names: Sequence[str] = ()
    for at, result in enumerate(follow_up.visits):
        if at == follow_up.baseline or result.registration is None:
            continue
        described: Mapping[str, str] = describe(result.registration, middle)
        names = tuple(described)
        rows.append((_headed(result.visit), *described.values(), "no: " + result.problem if result.problem else "yes"))
    return Table.of_cells(("Visit", *names, "Used"), rows, title="Registration")


def facts_table(follow_up: FollowUp) -> Table:
    """Return the clinical facts entered for each visit; empty cells are unknown."""
    columns = ("Visit", "Date from", "Steroids", "Patient", "Radiotherapy ended", "New lesion", "Note")
    rows = tuple(
        (
            _headed(result.visit),
            "nobody" if result.visit.date is None else result.visit.date.told_by,
            *_facts(result.visit.facts),
        )
        for result in follow_up.visits
    )
    return Table.of_cells(columns, rows, title="Facts that were given")


def _facts(facts: VisitFacts) -> tuple[str, ...]:
    ended = facts.radiotherapy_end
    return (
        "not given" if facts.steroids is None else STEROIDS[facts.steroids],
        "not given" if facts.clinical_status is None else CLINICAL[facts.clinical_status],
        "not given" if ended is None else "there was none" if ended == "none" else ended.isoformat(),
        {None: "not given", True: "yes, according to the reader", False: "no, according to the reader"}[
            facts.new_lesion
        ],
        facts.note,
    )


def made_rows(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the model and settings of a segmentation from its record."""
    model = provenance.get("model")
    if isinstance(model, Mapping):
        yield "Model", " ".join(str(model[key]) for key in ("name", "version") if model.get(key))
        for key in ("weights_sha256", "licence", "license"):
            if model.get(key):
                yield key.replace("_", " ").capitalize(), str(model[key])
    elif model:
        yield "Model", str(model)
    for key, title in (("created", "Made"), ("device", "Device"), ("schema", "File labels"), ("task", "Task")):
        if provenance.get(key):
            yield title, _flat(provenance[key])
    for key in ("settings", "parameters"):
        if isinstance(provenance.get(key), Mapping):
            for name, value in provenance[key].items():
                yield f"Setting {name}", _flat(value)


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_flat(entry) for entry in value) or "none"
    return "none" if value is None else str(value)
