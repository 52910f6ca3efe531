"""Save segmentations in any of the formats listed in `formats.py`."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from napari_brain_tumor.errors import BrainTumorError, SaveError
from napari_brain_tumor.io import dicom, tiff
from napari_brain_tumor.io.atomic import Part, write_together
from napari_brain_tumor.io.formats import format_to_write, load
from napari_brain_tumor.io.meaning import Meaning, meaning_inside
from napari_brain_tumor.io.output import Axes, Output, SaveOptions
from napari_brain_tumor.io.reading import read_volumes
from napari_brain_tumor.io.sidecar import read_sidecar, sidecar_part
from napari_brain_tumor.io.sidecar_paths import PathStyle
from napari_brain_tumor.io.volume import Volume, integral_labels, named_path
from napari_brain_tumor.label_schemas import schema_named
from napari_brain_tumor.labels import Region, looks_like_labels
from napari_brain_tumor.leftovers import finish_interrupted
from napari_brain_tumor.study import Segmentation


def save_segmentation(
    segmentation: Segmentation,
    path: str | PathLike[str],
    schema: str = "MSD",
    *,
    format: str | None = None,  # noqa: A002
    source: str | PathLike[str] | None = None,
    axes: Axes = "RAS",
    regions: Sequence[Region] = (),
    subject: str | None = None,
    session: str | None = None,
    sidecar: bool = True,
    overwrite: bool | None = None,
    paths: PathStyle = "auto",
) -> Path | list[Path]:
    """Save labels and their record, re-opening what was written before replacing existing files.

    The meaning of the integers is also stored inside each label file, so that a copy without its JSON opens correctly.

    Parameters
    ----------
    segmentation : Segmentation
        Labels in the package's classes on the source's grid. Its `layout` provides the matrices and codes of a NIfTI
        header, and the patient name and slice numbers of masks.
    path : path-like
        The suffix selects the format: `.nii.gz`, `.nii`, `.nrrd`, `.mha`, `.tif` (one `(Z, Y, X)` stack), `.dcm` (a
        DICOM segmentation), `.stl` and `.ply` (surfaces). In a folder, one `<patient>_<k>_mask.tif` is written per
        slice; existing masks not written by this package are not replaced.
    schema : str
        Label schema to write (`label_schemas.SCHEMAS`): `"MSD"` is the package's own, `"BraTS"` means BraTS2018-2022,
        `"LGG-binary"` writes 0 and 255. DICOM uses coded segments instead of integers; a schema with only the whole
        tumour merges them into one segment.
    format : str, optional
        Selects a format that the suffix does not imply: `"rtstruct"` (contours, `.dcm`), or `"bids"`, with `path` the
        folder of the data set (`formats.FORMATS`).
    source : path-like, optional
        For DICOM: folder or file of the series that the labels belong to, if the segmentation's record does not name
        it. It must have the same grid as the labels, although its axes may be ordered differently.
    axes : {"RAS", "LPS"}
        For surfaces: whether x and y point to the patient's right and front (RAS), or left and back (LPS).
    regions : sequence of {"WT", "TC", "ET"}
        Regions to write as surfaces or contours; by default all that the labels define.
    subject, session : str, optional
        For BIDS, if the file names of the scans do not contain them.
    sidecar : bool
        Whether to write the provenance and the meaning of the integers as a JSON file beside it.
    overwrite : bool, optional
        Whether an existing file may be replaced. By default, a result of this program is replaced unless it has been
        edited by hand since; an edited result and labels from elsewhere are replaced only if True. If False, nothing is
        replaced, and of two programs that save to the same name at the same time the second is refused.
    paths : {"auto", "relative", "absolute", "names"}
        How the JSON refers to scans and models: relative to itself (`"auto"`: relative for nearby files, otherwise
        absolute), absolute, or by file name without folders. Scans are found again by their hashes. UIDs of DICOM
        series are also replaced by hashes, except with `"absolute"`.

    Returns
    -------
    Path or list of Path
        The saved file; for masks in a folder, the files in slice order; for surfaces, one file per region.

    Raises
    ------
    LabelSchemaError
        If the schema is unknown or cannot express a class.
    SpacingUnknownError
        If the format always states millimetres but the voxel size is unknown.
    SourceSeriesError
        If a DICOM object is requested and the series that the labels belong to is not DICOM, unknown or unavailable.
    SaveError
        If the files cannot be written, do not read back the same, or exist and may not be replaced. No partly
        written file is left behind, and labels are never paired with another result's JSON.

    Examples
    --------
    >>> save_segmentation(result, "case_seg.nii.gz", schema="BraTS")  # doctest: +SKIP
    PosixPath('case_seg.nii.gz')
    """
    finish_interrupted()
    target = named_path(path)
    target_schema = format_to_write(target, format)
    options = SaveOptions(
        schema_named(schema),
        None if source is None else named_path(source),
        axes,
        tuple(regions),
        subject,
        session,
        paths,
    )
    if not target_schema.is_folder:
        _refuse_to_replace_scan(target)
    output: Output = load(target_schema.writer)(segmentation, target, options)
    # Created first, so that nothing is written if the provenance cannot be serialised.
    record = [_record(segmentation, output, paths)] if sidecar else []
    if overwrite is None:
        _refuse_to_replace_work(output.described)
    write_together([*output.parts, *record], overwrite=overwrite is not False)
    return output.saved


def _record(segmentation: Segmentation, output: Output, paths: PathStyle) -> Part:
    return sidecar_part(segmentation, output.meaning, output.described, paths=paths, more=output.more)


def _refuse_to_replace_scan(target: Path) -> None:
    """Raise if the target is a scan, so that a mistyped name cannot overwrite it."""
    if not target.exists():
        return
    if dicom.is_dicom(target):
        if not dicom.holds_results(target):
            msg = f"{target.name} exists and is a DICOM file that holds no segmentation. Choose another name."
            raise SaveError(msg)
        return
    try:
        volumes = read_volumes(target, None)
    except BrainTumorError:
        return
    if not all(looks_like_labels(volume.array, target.name) for volume in volumes):
        msg = f"{target.name} exists and holds an image, not labels. It is left unchanged: choose another name."
        raise SaveError(msg)


def _refuse_to_replace_work(target: Path) -> None:
    """Raise if the target contains labels that a person drew or corrected; they are replaced only on request."""
    try:
        volumes = read_volumes(target, None) if target.is_file() else _masks(target)
        values = [integral_labels(volume.array, target.name) for volume in volumes]
    except (BrainTumorError, OSError):
        return  # damaged, so there is nothing to lose
    if not values:
        return
    record = read_sidecar(target)
    provenance = record.get("provenance")
    told = [meaning for meaning in (meaning_inside(target), Meaning.read(record)) if meaning is not None]
    if not told:
        why = "holds labels that were not written by this program"
    elif not any(meaning.is_of(values[0]) for meaning in told):
        why = "was edited since it was saved"
    elif isinstance(provenance, Mapping) and provenance.get("edited_by_hand"):
        why = "was corrected by hand"
    else:
        return
    msg = f"{target} {why}. It is left unchanged: replace it on purpose with overwrite=True, or choose another name."
    raise SaveError(msg)


def _masks(folder: Path) -> list[Volume]:
    if not folder.is_dir():
        return []
    found = tiff.find_slices([path for path in sorted(folder.iterdir()) if path.is_file()])
    return [tiff.read_mask_slices(patient, None) for patient in found if patient.masks]
