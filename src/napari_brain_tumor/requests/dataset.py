"""Curated data sets: what is known of a case that is added, of a label that is replaced, and what a review decides."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.requests.opening import SpacingChoice, Text, VolumeNumber
from napari_brain_tumor.requests.request import Option, Request

ImportFormat = Literal["decathlon", "lgg-tif", "lgg-1p19q", "brats"]

SliceNumber = Annotated[int, Field(ge=0)]

StateChoice = Annotated[
    Literal["draft", "accepted", "rejected", "needs_second_look"],
    Option(
        help="Review state.",
        label="State",
        expected="a review state: draft, accepted, rejected or needs_second_look",
        error=DatasetError,
    ),
]


def _numbers(text: Any) -> Any:
    """Numbers in order and each once, of numbers and of texts such as `40` and `52-60`."""
    if not isinstance(text, Iterable):
        return text
    numbers: set[int] = set()
    for part in text:
        first, _, last = str(part).partition("-")
        if int(last or first) < int(first):
            raise ValueError(f"{part!r} ends before it begins")
        numbers.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))


class RelabelRequest(Request):
    """Replace the label of a case: `CuratedDataset.relabel`, `brain-tumor data relabel`, the Curate panel."""

    known_slices: Annotated[
        Annotated[tuple[SliceNumber, ...], BeforeValidator(_numbers)] | None,
        Option(
            help="Slices whose label is known, counted from 0: 40,52-60. All others then count as unknown.",
            label="Labelled slices",
            metavar="K,K-K",
            example="40,52-60",
            expected="a list of slice numbers, for example 40,52-60",
            error=DatasetError,
        ),
    ] = None
    made_by: Annotated[
        Literal["model", "hand", "both", "imported"] | None,
        Option(help="Who made the label.", label="Made by", error=DatasetError),
    ] = None
    model: Annotated[str | None, Option(help="Name of the model that made the label.", label="Model")] = None
    state: StateChoice = "draft"
    note: Annotated[str, Option(help="Note on the review.", label="Note")] = ""


class AddCaseRequest(RelabelRequest):
    """Add an examination with its label: `CuratedDataset.add`, `brain-tumor data add`, the Curate panel."""

    patient: Annotated[
        str | None, Option(help="Name or number of the patient; by default the name of the scan.", label="Patient")
    ] = None
    case_id: Annotated[
        str | None, Option(help="Id of the case; by default made from the scan's name.", label="Id", flag="--id")
    ] = None
    source: Annotated[str, Option(help="The data set it came from.", label="From")] = ""
    grade: Annotated[str | None, Option(help="Grade of the tumour, such as HGG, LGG or 2.", label="Grade")] = None
    side: Annotated[
        str | None,
        Option(
            help="Side of the split for a new patient; by default by rule.",
            label="Side",
            metavar="train|val|test",
            error=DatasetError,
        ),
    ] = None
    not_same_as: Annotated[
        tuple[str, ...],
        Option(
            help="A case that looks the same but is of another person; repeatable.",
            label="Not the same as",
            metavar="CASE",
            repeats=True,
        ),
    ] = ()


class ImportRequest(Request):
    """Add all cases of a labelled folder: `import_folder`, `brain-tumor data import`, the Import page."""

    folder: Annotated[
        Path, Option(help="Folder of the data set to import cases from.", metavar="FOLDER", positional=True)
    ]
    kind: Annotated[
        ImportFormat | None,
        Option(help="Its format; by default recognised.", label="Format", flag="--format", error=DatasetError),
    ] = None
    images: Annotated[
        str | None,
        Option(
            help="Pattern of the images in any folder: '{case}/img.nii.gz', '*/{case}_{role}.nii'.",
            label="Images",
        ),
    ] = None
    labels: Annotated[
        str | None, Option(help="Pattern of their labels: '{case}/seg.nii.gz'.", label="Labels", metavar="PATTERN")
    ] = None
    roles: Annotated[
        dict[str, VolumeNumber | str] | tuple[Text | None, ...] | None,
        Option(
            help="Which file or volume of every case is which sequence, where names do not say: "
            "T1c={case}_3.nii.gz,FLAIR={case}_4.nii.gz (files), T1=0,FLAIR=1 (volumes) or FLAIR,T1,T1c,T2 (order).",
            label="Sequences",
            expected="role=file or role=volume pairs, each role once, nor an order like FLAIR,T1,T1c,T2",
            error=DatasetError,
        ),
    ] = None
    schema_name: Annotated[
        str | None,
        Option(
            help="What the integers of the labels mean: MSD, BraTS, LGG-binary ...",
            label="File labels",
            flag="--schema",
        ),
    ] = None
    spacing_mm: SpacingChoice = None
    table: Annotated[
        Path | None,
        Option(
            help="CSV with the columns patient and split, optionally dataset, case and grade.",
            label="Table",
            metavar="FILE.csv",
        ),
    ] = None
    source: Annotated[str | None, Option(help="Name of the data set; by default that of the folder.", label="Name")] = (
        None
    )
    state: StateChoice = "draft"
