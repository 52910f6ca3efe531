"""Read DICOM with pydicom: list the series of an examination, check them and read their pixels."""

from napari_brain_tumor.io.dicom.choice import candidates, describe, listing, pick, size_words, slice_words, time_words
from napari_brain_tumor.io.dicom.contents import (
    Contents,
    contents_of,
    dates_at,
    hidden_key,
    read_series,
    read_volumes,
    series_of_source,
    stamp_of,
)
from napari_brain_tumor.io.dicom.files import holds_dicom, is_dicom
from napari_brain_tumor.io.dicom.kinds import holds_results, is_seg, seg_in
from napari_brain_tumor.io.dicom.series import Series

__all__ = [
    "Contents",
    "Series",
    "candidates",
    "contents_of",
    "dates_at",
    "describe",
    "hidden_key",
    "holds_dicom",
    "holds_results",
    "is_dicom",
    "is_seg",
    "listing",
    "pick",
    "read_series",
    "read_volumes",
    "seg_in",
    "series_of_source",
    "size_words",
    "slice_words",
    "stamp_of",
    "time_words",
]
