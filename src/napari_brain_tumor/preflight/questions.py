"""The preflight questions: one function each, which turns facts into a row."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from napari_brain_tumor.brain.extraction import volume_doubt
from napari_brain_tumor.catalogue import Method, ModelInfo
from napari_brain_tumor.dataset.plausibility import is_size_of_a_head, same_picture
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.inference.memory import DeviceMemory
from napari_brain_tumor.io import FINEST
from napari_brain_tumor.labels import CLASS_NAMES, RESECTION_CAVITY, label_values, looks_like_labels
from napari_brain_tumor.models.cards import default_model
from napari_brain_tumor.preflight.costs import Expected
from napari_brain_tumor.preflight.rows import Fix, Row
from napari_brain_tumor.preflight.scans import Facts
from napari_brain_tumor.preparation.together import Mirrored
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.study import NiftiForms, Role, Segmentation, TifSlices

_CLIPPED_SHARE: Final = 0.05
"""Share of the head's voxels at the maximum value from which the image counts as clipped."""
_FEW_LEVELS: Final = 16
_SLOW_SECONDS: Final = 180.0
"""Run time from which a warning is given."""
_AXES: Final = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "head", "I": "feet"}

LABELS: Final = "Labels"
"""The question about existing labels, on which a run does not depend."""
_CHOOSE_ROLES: Final = Fix("roles", "Choose roles")
_LOOK_AT_BRAIN: Final = Fix("brain", "Show the brain's outline")
_BRING_TOGETHER: Final = Fix("resample", "Bring onto one grid", FINEST)


# Notes of the reader are shown in the row of their subject; notes on neither subject are shown with the sequences.
def _notes_on(facts: Facts, *subjects: str) -> list[str]:
    return [note for note in facts.scans.notes if any(word in note for word in subjects)]


_OF_GRID: Final = ("resampled onto", "of that grid")
_OF_SPACING: Final = ("voxel size", "spacing")
_OF_ORIENTATION: Final = ("orientation", "sform", "which way it lies")


def sequences(facts: Facts) -> Row:
    if not facts.scans.roles:
        return Row("Sequences", "fail", "No scan is chosen. Open a case and say which scan is which.", _CHOOSE_ROLES)
    said_elsewhere = set(_notes_on(facts, *_OF_GRID, *_OF_SPACING, *_OF_ORIENTATION))
    notes = [note for note in facts.scans.notes if note not in said_elsewhere]
    summary = f"Found {', '.join(facts.scans.roles)}."
    if notes:
        return Row("Sequences", "warn", " ".join([summary, *notes]), _CHOOSE_ROLES)
    return Row("Sequences", "pass", summary)


def grids(facts: Facts) -> Row:
    if len(facts.groups) > 1:
        listed = "; ".join(f"{', '.join(roles)}: {text}" for (roles, _), text in _distinct_grids(facts))
        units = {grid.unit for _, grid in facts.groups}
        todo = "Resample them onto one" if len(units) == 1 else "Give the voxel size of those that do not state it"
        words = f"The sequences lie on {len(facts.groups)} different grids. {listed}. {todo}."
        return Row("One grid", "fail", words, _BRING_TOGETHER if len(units) == 1 else None)
    if facts.scans.elsewhere:
        others, single = ", ".join(facts.scans.elsewhere), len(facts.scans.elsewhere) == 1
        so = "is open too, but on another grid, so it is" if single else "are open too, but on other grids, so they are"
        words = f"{others} {so} left out."
        return Row("One grid", "warn", words, _BRING_TOGETHER)
    notes = _notes_on(facts, *_OF_GRID)
    if notes:
        return Row("One grid", "warn", " ".join(notes))
    all_on = "All on" if len(facts.scans.roles) > 1 else "On"
    return Row("One grid", "pass", f"{all_on} {'x'.join(map(str, facts.grid.shape))} voxels.")


def _distinct_grids(facts: Facts) -> list[tuple[tuple[tuple[Role, ...], Grid], str]]:
    """Describe each grid in as few words as distinguish it from the others."""
    short = [f"{'x'.join(map(str, grid.shape))} voxels of {_size(grid)}" for _, grid in facts.groups]
    texts = short if len(set(short)) == len(short) else [grid.describe() for _, grid in facts.groups]
    return list(zip(facts.groups, texts, strict=True))


def _size(grid: Grid) -> str:
    return " x ".join(f"{side:.3g}" for side in grid.spacing) + (" mm" if grid.unit == "mm" else " voxels")


def fit(facts: Facts) -> Row:
    """Check whether the sequences are aligned."""
    question, judged = "Fit", facts.alignment
    if judged.unjudged:
        return Row(question, "pass", f"Not judged: {judged.unjudged}.")
    if judged.mirrored:
        return Row(question, "warn", " ".join(map(_mirrored_words, judged.mirrored)), _CHOOSE_ROLES)
    if not judged.misfits:
        return Row(question, "pass", "The sequences are aligned.")
    sentences = [
        f"{misfit.role} is not aligned with {misfit.onto}: it is rotated by {misfit.degrees:.1f} degrees and shifted "
        f"by {misfit.shift_mm:.1f} mm."
        for misfit in judged.misfits
    ]
    which = "it" if len(sentences) == 1 else "them"
    words = f"{' '.join(sentences)} Register {which} rigidly to {judged.misfits[0].onto} first, or leave {which} out."
    return Row(question, "warn", words, _CHOOSE_ROLES)


def _mirrored_words(mirrored: Mirrored) -> str:
    exchanged = ", ".join(mirrored.sides)
    return (
        f"{mirrored.role} is not aligned with {mirrored.onto}, but would be with {exchanged} exchanged: its header is "
        "wrong, or the file was flipped. Export it again, or leave it out."
    )


def coverage(facts: Facts) -> Row:
    """Check whether each sequence covers the brain that the others show."""
    if not facts.gaps:
        return Row("Coverage", "pass", "No sequence cuts off part of the brain that another one shows.")
    sentences = [
        f"{role} shows only {1 - gap.share:.0%} of the brain: its {gap.place} part was not scanned."
        for role, gap in facts.gaps.items()
    ]
    which = "it" if len(sentences) == 1 else "them"
    words = (
        f"{' '.join(sentences)} The result is not reliable there; leave {which} out, or have the whole brain scanned."
    )
    return Row("Coverage", "warn", words, _CHOOSE_ROLES)


def spacing(facts: Facts, method: Method | None, others: Sequence[Method]) -> Row:
    """Check whether the voxel size is known, plausible and suitable for the model."""
    grid, notes = facts.grid, _notes_on(facts, *_OF_SPACING)
    if grid.unit != "mm":
        unknown = (
            "The files do not state the voxel size: sizes are counted in voxels, and the network sees them as "
            "they are. "
            "Open the case again with its voxel size."
        )
        return _of_model("Spacing", facts, method, others, Traits(None, False), [unknown, *notes])
    head = facts.head_mm
    if head is not None and not is_size_of_a_head(head):
        sides = " x ".join(f"{side:.0f}" for side in head)
        notes.append(
            f"By it the head measures {sides} mm: is the header correct, or was only part of the head scanned?"
        )
    traits = Traits(max(grid.spacing), False, facts.traits.extent_mm)
    return _of_model("Spacing", facts, method, others, traits, notes, f"{_size(grid)}.")


def _of_model(
    question: str,
    facts: Facts,
    method: Method | None,
    others: Sequence[Method],
    traits: Traits,
    notes: Sequence[str],
    summary: str = "",
) -> Row:
    """Return a row with findings, notes and what the model is unsuitable for; another model may be suggested."""
    unfit = method.notes_on(traits) if method is not None else []
    words = " ".join(filter(None, (summary, *notes, *unfit)))
    if not unfit and not notes:
        return Row(question, "pass", words)
    return Row(question, "warn", words, suggested_model(facts, method, others) if unfit else None)


def orientation(facts: Facts) -> Row:
    """Check whether left and right are known."""
    grid, layout = facts.grid, facts.scans.layouts.get(facts.reference) if facts.reference is not None else None
    way = ", ".join(_AXES.get(code, "?") for code in grid.axis_codes)
    words = f"The axes run to {way} ({grid.axis_codes})."
    if grid.is_oblique:
        words += f" Tilted by {_tilt(grid):.0f} degrees: shown resampled, saved on the scan's own grid."
    doubts = _notes_on(facts, *_OF_ORIENTATION)
    if isinstance(layout, TifSlices) and not doubts:
        doubts.append(
            "TIFF states no orientation: slices are taken from feet to head, the patient's left on the right."
        )
    if isinstance(layout, NiftiForms) and not doubts and not (layout.sform_code or layout.qform_code):
        doubts.append("The header states no orientation: left and right are a guess.")
    return Row("Orientation", "warn" if doubts else "pass", " ".join([words, *doubts]))


def _tilt(grid: Grid) -> float:
    directions = np.abs(grid.affine[:3, :3] / np.asarray(grid.spacing))
    return float(np.degrees(np.arccos(np.clip(directions.max(axis=0).min(), -1, 1))))


def brain_or_head(facts: Facts, method: Method | None, others: Sequence[Method]) -> Row:
    """Check whether all sequences are skull-stripped or none is, and whether the model is suitable for that."""
    question, heads = "Brain or head", [role for role, whole in facts.whole_head.items() if whole]
    if not facts.whole_head:
        return Row(question, "fail", "No sequence can be checked.")
    notes = []
    if heads and len(heads) < len(facts.whole_head):
        stripped = ", ".join(role for role in facts.whole_head if role not in heads)
        notes.append(f"{', '.join(heads)} with the skull, {stripped} without: mask all of them, or leave some out.")
    if heads and facts.brain != "keep":
        return _extraction(question, facts, notes)
    summary = "Whole head, with the skull." if heads else "Brain, the skull was removed."
    return _of_model(question, facts, method, others, Traits(0.0, bool(heads)), notes, "" if notes else summary)


def _extraction(question: str, facts: Facts, notes: list[str]) -> Row:
    """Report that the brain will be extracted, and whether the extracted volume is plausible."""
    if facts.brain == "mask":
        words = "Whole head, with the skull: the brain is taken from the given mask."
        return Row(question, "warn" if notes else "pass", " ".join([words, *notes]))
    words, outline = "Whole head, with the skull: the brain is extracted before it is segmented.", facts.outline
    if outline is not None and outline.mask is None:
        notes.append("No brain was found: provide your own mask, or keep the whole head.")
    elif outline is not None and outline.volume_ml is not None:
        words += f" It has {outline.volume_ml:.0f} mL."
        notes += filter(None, [volume_doubt(outline.volume_ml)])
    return Row(question, "warn" if notes else "pass", " ".join([words, *notes]), _LOOK_AT_BRAIN)


def intensities(facts: Facts) -> Row:
    """Check whether the images have intensities that a network can use."""
    if facts.broken:
        return Row("Intensities", "fail", " ".join(facts.broken.values()), _CHOOSE_ROLES)
    wrong = [*_labels_among(facts), *_repeats(facts)]
    if wrong:
        return Row("Intensities", "fail", " ".join(wrong), _CHOOSE_ROLES)
    odd = [*_cut_off(facts), *_coarse(facts)]
    if odd:
        return Row("Intensities", "warn", " ".join(odd))
    return Row("Intensities", "pass", "Finite, varied, and no two sequences are the same image.")


def _labels_among(facts: Facts) -> list[str]:
    suspects = [role for role, sample in facts.samples.items() if looks_like_labels(sample)]
    return [f"{role} looks like labels, not like a scan: choose the scan." for role in suspects]


def _repeats(facts: Facts) -> list[str]:
    head = facts.head
    if head is None:
        return []
    pairs = combinations(facts.samples, 2)
    same = [pair for pair in pairs if same_picture(facts.samples[pair[0]], facts.samples[pair[1]], head)]
    return [f"{first} and {second} are the same image: choose the right one, or none." for first, second in same]


def _cut_off(facts: Facts) -> list[str]:
    sentences = []
    for role, sample in facts.samples.items():
        inside = sample[facts.head] if facts.head is not None else sample.ravel()
        share = float(np.mean(inside == inside.max())) if inside.size else 0.0
        if share > _CLIPPED_SHARE:
            sentences.append(f"{role} is cut off at the top: {share:.0%} of the head has the largest value.")
    return sentences


def _coarse(facts: Facts) -> list[str]:
    levels = {role: len(np.unique(sample[::2, ::2, ::2])) for role, sample in facts.samples.items()}
    return [f"{role} has only {count} grey levels." for role, count in levels.items() if count < _FEW_LEVELS]


def missing_sequences(facts: Facts, method: Method | None, others: Sequence[Method]) -> Row:
    """Report which sequences the model lacks, and how much accuracy that costs."""
    question = "Model"
    if method is None:
        return Row(question, "fail", "No model is installed. Train one with: brain-tumor train")
    obstacle = method.obstacle(facts.scans.roles)
    if obstacle:
        return Row(question, "fail", obstacle, suggested_model(facts, method, others))
    notes = method.notes_without(facts.scans.roles, facts.traits)
    if notes:
        return Row(question, "warn", f"{method.name}. {' '.join(notes)}")
    return Row(question, "pass", f"{method.name} has every sequence that it is meant for.")


def suggested_model(facts: Facts, method: Method | None, others: Sequence[Method]) -> Fix | None:
    """Suggest another model that takes these sequences and suits such scans; None if there is none."""
    able = [candidate for candidate in others if not candidate.obstacle(facts.scans.roles) and candidate != method]
    fitting = [candidate for candidate in able if not candidate.notes_on(facts.traits)]
    default = default_model([candidate for candidate in fitting if isinstance(candidate, ModelInfo)])
    model = default or next(iter(fitting), None)
    return Fix("model", f"Use {model.name}", model.name) if model is not None else None


def time_and_memory(expected: Expected | None, device: str, devices: Sequence[DeviceMemory]) -> Row:
    """Report the expected cost of a run on a device.

    Parameters
    ----------
    device : str
        As chosen by the user.
    devices : sequence of DeviceMemory
        The first is the one that `"auto"` selects; empty while they are unknown.
    """
    question, known = "Time, memory", {device_memory.name: device_memory for device_memory in devices}
    run_device = _resolved(device, devices)
    if devices and run_device not in known:
        words = f"The device {device} is not present; this machine has {', '.join(known)}."
        return Row(question, "fail", words, Fix("device", "Use automatic", "auto"))
    if not run_device:
        return Row(question, "pass", "Not known until the devices of this machine are.")
    label = known[run_device].label if run_device in known else run_device
    free = known[run_device].free_bytes if run_device in known else None
    if expected is None:
        words = f"Not known on {label}: no run of this method was measured on it. After the first one it is."
        return Row(question, "pass", words)
    sentences = [f"About {seconds_text(expected.seconds)} on {label}, {expected.basis}."]
    short, sentence = _memory(expected, free, run_device)
    sentences += [sentence] if sentence else []
    slow = expected.seconds > _SLOW_SECONDS and run_device == "cpu"
    elsewhere = (
        next((device_memory for device_memory in devices if device_memory.name != "cpu"), None)
        if run_device == "cpu"
        else None
    )
    fix = Fix("device", f"Use {elsewhere.name}", elsewhere.name) if elsewhere is not None and (slow or short) else None
    return Row(question, "warn" if short or slow else "pass", " ".join(sentences), fix)


def _resolved(device: str, devices: Sequence[DeviceMemory]) -> str:
    if device == "auto":
        return devices[0].name if devices else ""
    return "cuda:0" if device == "cuda" else device


def _memory(expected: Expected, free: int | None, device: str) -> tuple[bool, str]:
    """Return whether memory may be insufficient, and a description."""
    there = f"{_bytes_text(free)} are free" if free is not None else "free memory is not known"
    if expected.memory_mb is None or device != "cpu":
        return False, f"Memory not known; {there}." if free is not None else "Memory not known."
    needed = expected.memory_mb * 2**20
    short = free is not None and needed > free
    sentence = f"About {_bytes_text(needed)} of memory, {there}."
    return (
        short,
        f"{sentence} It continues in smaller steps if memory runs out; close other programs." if short else sentence,
    )


def _bytes_text(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**29 else f"{max(10, round(count / 2**20, -1)):.0f} MiB"


def seconds_text(seconds: float) -> str:
    """Format a duration for display: `"2 s"`, `"40 s"`, `"3 min"`."""
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{max(1, round(seconds, -1 if seconds > 30 else 0)):.0f} s"


def labels(segmentation: Segmentation, grid: Grid) -> Row:
    """Check whether the label schema of an existing segmentation is known, and whether it lies on the scan."""
    question = LABELS
    if not segmentation.grid.same_place(grid):
        words = (
            f"They lie on {segmentation.grid.describe()}, the scan on {grid.describe()}: they belong to another one."
        )
        return Row(question, "fail", words)
    values = label_values(segmentation.data) - {0}
    strange = sorted(values - set(CLASS_NAMES) - {RESECTION_CAVITY})
    if strange:
        return Row(question, "fail", f"They hold {strange}; classes are {_listed(CLASS_NAMES)}. Relabel those.")
    schema = segmentation.provenance.get("schema")
    prefix = f"Read as {schema}: " if isinstance(schema, str) else ""
    if not values:
        return Row(question, "warn", f"{prefix}nothing is marked.")
    return Row(question, "pass", f"{prefix}{_listed(segmentation.class_names, values)}.")


def refused_labels(error: BrainTumorError) -> Row:
    """Return the row of an existing segmentation that cannot be interpreted."""
    return Row(LABELS, "fail", str(error))


def _listed(names: Mapping[int, str], values: Iterable[int] | None = None) -> str:
    listed = sorted(names) if values is None else sorted(values)
    return ", ".join(f"{value} {names.get(value, 'without a name')}" for value in listed)
