"""Write segmentations as BIDS derivatives: labels, sidecar JSON, label table, and data set description.

Names follow the Brain Imaging Data Structure 1.9 (doi:10.1038/sdata.2016.44), common derivatives, discrete
segmentations: `sub-<label>[_ses-<label>][_...]_space-orig_desc-tumor_dseg.nii.gz`, where `orig` is the scan's own grid.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.atomic import Part
from napari_brain_tumor.io.bids import data_set_root, entities_of
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.meaning import Meaning
from napari_brain_tumor.io.origin import Record, origin_of, record_of
from napari_brain_tumor.io.output import Output, SaveOptions
from napari_brain_tumor.io.write_nifti import nifti_output, require
from napari_brain_tumor.labels import CLASS_COLORS
from napari_brain_tumor.study import Segmentation

_PIPELINE: Final = "napari-brain-tumor"
_BIDS_VERSION: Final = "1.9.0"
_PREFERRED: Final = ("T1c", "FLAIR", "T2", "T1")
_OF_SCAN: Final = ("acq", "ce", "rec", "dir", "run", "echo", "part", "chunk")
"""Entities that distinguish the scans of a session, in the order of the standard."""
_ABBREVIATIONS: Final = {
    "edema": "ED",
    "non-enhancing": "NET",
    "necrosis": "NCR",
    "necrosis and non-enhancing": "NCR",
    "enhancing": "ET",
    "whole tumour": "WT",
    "tumour core": "TC",
    "edema and non-enhancing": "EDNET",
    "resection cavity": "RC",
}
_LABEL: Final = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class _Case:
    """Subject and session of the labels, and the scan they belong to if it is in a BIDS data set."""

    entities: Mapping[str, str]
    scan: Path | None = None
    scans: tuple[Path, ...] = ()
    root: Path | None = None


def bids_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return the labels as files within `derivatives/napari-brain-tumor` of a data set.

    `target` is the folder of the data set or of its derivatives; it need not be a BIDS data set yet.

    Raises
    ------
    SaveError
        If neither the file names of the scans nor the caller give the subject.
    """
    case = _case_of(segmentation, record_of(segmentation), options)
    home = _home(target)
    folder = home / f"sub-{case.entities['sub']}"
    if "ses" in case.entities:
        folder /= f"ses-{case.entities['ses']}"
    stem = "_".join(f"{key}-{value}" for key, value in case.entities.items()) + "_space-orig_desc-tumor_dseg"
    labels = folder / "anat" / f"{stem}.nii.gz"
    output = nifti_output(segmentation, labels, options)
    parts = [*output.parts, _text_part(labels.with_name(f"{stem}.tsv"), _table(output.meaning))]
    description = home / "dataset_description.json"
    if not description.exists():
        parts.append(_text_part(description, _description(home, case)))
    return Output(parts, labels, output.meaning, labels, _entries(segmentation, case, home))


def _home(target: Path) -> Path:
    """Return the folder of this package's derivatives at or below a folder."""
    if target.name == _PIPELINE:
        return target
    return target / _PIPELINE if target.name == "derivatives" else target / "derivatives" / _PIPELINE


def names_subject(segmentation: Segmentation) -> bool:
    """Whether the names of the scans or of the case contain a BIDS subject."""
    return "sub" in _entities(segmentation, _scans(record_of(segmentation)))


# Subject and session ------------------------------------------------------------------------------------------------


def _case_of(segmentation: Segmentation, record: Record, options: SaveOptions) -> _Case:
    scans = _scans(record)
    first = scans[0] if scans else None
    known = _entities(segmentation, scans)
    named = {"sub": _label(options.subject, "sub"), "ses": _label(options.session, "ses")}
    subject, session = named["sub"] or known.get("sub"), named["ses"] or known.get("ses")
    if not subject:
        raise SaveError(
            f"{segmentation.name} is not from a BIDS data set, so its subject is not known. Name it: "
            "--subject 01 in the shell, subject='01' in Python; --session and session where there are several."
        )
    entities = {"sub": subject} | ({"ses": session} if session else {})
    entities |= {key: known[key] for key in _OF_SCAN if key in known}
    return _Case(entities, first, scans, None if first is None else data_set_root(first))


def _entities(segmentation: Segmentation, scans: Sequence[Path]) -> dict[str, str]:
    """Return the entities of the scan, or else subject and session from the name of the case."""
    if scans:
        return entities_of(scans[0])
    return {key: value for key, value in entities_of(Path(segmentation.name)).items() if key in ("sub", "ses")}


def _scans(record: Record) -> tuple[Path, ...]:
    """Return the scans that lie in a BIDS data set, starting with the one whose grid the labels share."""
    inputs = record.provenance.get("inputs")
    if not isinstance(inputs, Mapping):
        return ()
    resampled = record.provenance.get("resampled", ())
    roles = sorted(inputs, key=lambda role: (role in resampled, _PREFERRED.index(role) if role in _PREFERRED else 9))
    paths = [Path(str(inputs[role]["path"])) for role in roles if isinstance(inputs[role], Mapping)]
    return tuple(record.folder / path for path in dict.fromkeys(paths) if "sub" in entities_of(path))


def _label(text: str | None, key: str) -> str:
    """Return `01` from `01` or `sub-01`."""
    if not text:
        return ""
    label = text.strip().removeprefix(f"{key}-")
    if not _LABEL.fullmatch(label):
        msg = f"{text!r} is not a BIDS label: only letters and digits, such as {key}-01 or 01. Choose another one."
        raise SaveError(msg)
    return label


# Documents ----------------------------------------------------------------------------------------------------------


def _entries(segmentation: Segmentation, case: _Case, home: Path) -> dict[str, Any]:
    origin = origin_of(segmentation)
    more: dict[str, Any] = {
        "Description": "Parts of a brain tumour on the grid of the scan. For research only, not for clinical use.",
        "Manual": origin.maker == "MANUAL",
        "SpatialReference": {"orig": "the grid of the scan that was segmented"},
    }
    if case.scan is not None:
        more["SpatialReference"] = {"orig": _uri(case.scan, case, home)}
        more["Sources"] = [_uri(path, case, home) for path in case.scans]
    return more


def _uri(path: Path, case: _Case, home: Path) -> str:
    """Return a scan as a BIDS URI if it lies in the data set that the derivatives belong to; otherwise its name."""
    if case.root is not None and _is_within(home, case.root):
        return f"bids:raw:{path.absolute().relative_to(case.root.absolute()).as_posix()}"
    return path.name


def _is_within(home: Path, root: Path) -> bool:
    return home.absolute().is_relative_to(root.absolute())


def _table(meaning: Meaning) -> str:
    rows = ["index\tname\tabbreviation\tcolor", "0\tbackground\tBG\t#000000"]
    for value, name in meaning.values.items():
        colour = CLASS_COLORS[meaning.schema.to_class[value]]
        rows.append(f"{value}\t{name}\t{_ABBREVIATIONS.get(name, name[:3].upper())}\t{colour}")
    return "\n".join(rows) + "\n"


def _description(home: Path, case: _Case) -> str:
    document: dict[str, Any] = {
        "Name": "Brain tumour segmentations",
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": _PIPELINE, "Version": __version__}],
    }
    if case.root is not None and _is_within(home, case.root):
        document |= {"DatasetLinks": {"raw": "../.."}, "SourceDatasets": [{"URL": "../.."}]}
    return json.dumps(document, indent=2) + "\n"


def _text_part(path: Path, text: str) -> Part:
    def check(temporary: Path) -> None:
        require(temporary.read_text(encoding="utf-8") == text, "its text differs")
        if path.suffix == ".json":
            read_json(temporary)

    return Part(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"), check)
