"""What was guessed of a scan is said wherever its numbers are: layer, pre-flight, sidecar, measures, report, visits."""

import csv
import gzip
import io
import json

import numpy as np
import pytest
import tifffile
from napari.layers import Image

import phantoms
from napari_brain_tumor import open_segmentation, open_study, save_segmentation, segment
from napari_brain_tumor.followup.followup import follow_up
from napari_brain_tumor.followup.visits import Visit
from napari_brain_tumor.measure.examination import measure_study
from napari_brain_tumor.measure.tables import examinations_csv, examinations_json
from napari_brain_tumor.plugin import from_layers, layers, to_layers
from napari_brain_tumor.preflight import check_study
from napari_brain_tumor.reports import report
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets.preflight_state import Question, answer

MATRIX = phantoms.affine(spacing=(4, 4, 4))


def scan():
    """A brain with a bright lesion."""
    values = phantoms.brain()
    values[phantoms.ball(values.shape, (28, 30, 20), 5)] = 1400
    return values.astype(np.int16)


def tif(folder):
    stack = (scan() / 6).astype(np.uint8).transpose(2, 1, 0)
    tifffile.imwrite(folder / "x_flair.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    return open_study(folder / "x_flair.tif", spacing_mm=(4, 4, 4))


def nifti_without_codes(folder):
    return open_study(phantoms.write_nifti(folder / "x_flair.nii", scan(), MATRIX, sform_code=0, qform_code=0))


def nrrd_header(*lines):
    plain = ("NRRD0004", "type: short", "dimension: 3", "sizes: 40 48 36", "endian: little", "encoding: gzip")
    return "".join(f"{line}\n" for line in (*plain, *lines, "")).encode() + gzip.compress(scan().tobytes("F"))


def nrrd_without_space(folder):
    directions = ("space dimension: 3", "space directions: (4,0,0) (0,4,0) (0,0,4)", "space origin: (0,0,0)")
    (folder / "x_flair.nrrd").write_bytes(nrrd_header(*directions))
    return open_study(folder / "x_flair.nrrd")


def nrrd_with_spacings(folder):
    (folder / "x_flair.nrrd").write_bytes(nrrd_header("spacings: 4 4 4"))
    return open_study(folder / "x_flair.nrrd")


def metaimage_without_orientation(folder):
    lines = ("ObjectType = Image", "NDims = 3", "BinaryDataByteOrderMSB = False", "ElementSpacing = 4 4 4")
    lines += ("DimSize = 40 48 36", "ElementType = MET_SHORT", "ElementDataFile = LOCAL")
    (folder / "x_flair.mha").write_bytes("".join(f"{line}\n" for line in lines).encode() + scan().tobytes("F"))
    return open_study(folder / "x_flair.mha")


def layer_of_another_program(folder):
    layer = Image(scan().transpose(2, 1, 0), scale=(4, 4, 4), units=("mm",) * 3, name="some scan")
    return from_layers.study_from_layers({"FLAIR": layer})


ORIENTATION = (
    tif,
    nifti_without_codes,
    nrrd_without_space,
    nrrd_with_spacings,
    metaimage_without_orientation,
    layer_of_another_program,
)


def tif_without_size(folder):
    tif(folder)
    return open_study(folder / "x_flair.tif")


def nifti_without_size(folder):
    path = phantoms.write_nifti(folder / "x_flair.nii", scan(), MATRIX, sform_code=0)
    content = bytearray(path.read_bytes())
    content[80:92] = bytes(12)
    path.write_bytes(content)
    return open_study(path)


def nrrd_without_size(folder):
    (folder / "x_flair.nrrd").write_bytes(nrrd_header())
    return open_study(folder / "x_flair.nrrd")


def metaimage_without_size(folder):
    path = metaimage_without_orientation(folder).sources["FLAIR"].path
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 4 4 4\n", b""))
    return open_study(path)


SPACING = (tif_without_size, nifti_without_size, nrrd_without_size, metaimage_without_size)


def role_of_a_folder(folder):
    (folder / "FLAIR").mkdir()
    return open_study(phantoms.write_nifti(folder / "FLAIR" / "scan_001.nii.gz", scan(), MATRIX))


CASES = [
    *((made, ("orientation", "which way it lies")) for made in ORIENTATION),
    *((made, ("voxel size",)) for made in SPACING),
    (role_of_a_folder, ("by the name of its folder",)),
]

REPORTED = (tif, nrrd_without_size, role_of_a_folder)
"""One of each kind of guess: a page, which takes a second, shows the notes of a result whatever they are about."""


def in_words(text, note):
    """Whether a note stands in a text, whatever stands for its quotation marks there."""
    plain = text.replace("&#39;", "'").replace("&#34;", '"').replace("&amp;", "&")
    return note in plain or note in plain.replace("scan_001.nii.gz", "").replace("  ", " ")


@pytest.mark.parametrize(("made", "words"), CASES, ids=[made.__name__ for made, _ in CASES])
def test_a_guess_is_said_at_every_station(tmp_path, made, words):
    study = made(tmp_path)
    note = next(note for note in study.notes if any(word in note for word in words))

    row = next(row for row in check_study(study, "threshold", "cpu") if note in row.words)
    assert row.verdict == "warn"

    result = segment(study, "threshold")
    assert note in result.notes
    assert note in result.provenance["notes"]

    shown = {
        role: layers.layer_of(one) for role, one in zip(study.roles, to_layers.study_to_layers(study), strict=True)
    }
    assert note in from_layers.study_from_layers(shown).notes
    assert any(note in row.words for row in answer(Question({r: layers.view(one) for r, one in shown.items()})).rows)
    labels = layers.layer_of(to_layers.segmentation_to_layer(result))
    assert note in from_layers.segmentation_from_layer(labels).notes

    saved = save_segmentation(from_layers.segmentation_from_layer(labels), tmp_path / "out_seg.nii.gz")
    assert note in json.loads((tmp_path / "out_seg.json").read_text(encoding="utf-8"))["notes"]
    again = open_segmentation(saved)
    assert note in again.notes

    for measured in (measure_study(result, study), measure_study(again)):
        assert note in measured.notes
        assert note in json.loads(examinations_json([measured]))["examinations"][0]["notes"]
        assert all(note in line["notes"] for line in csv.DictReader(io.StringIO(examinations_csv([measured]))))

    if made in REPORTED:
        page = report(study, result, tmp_path / "page.html", with_paths=True).read_text(encoding="utf-8")
        assert in_words(page, note)
    visits = follow_up([Visit("first", again)])
    assert f"first: {note}" in visits.notes
    assert f"first: {note}" in visits.as_dict()["notes"]


def test_nothing_is_said_of_a_scan_that_tells_everything(tmp_path):
    study = open_study(phantoms.write_nifti(tmp_path / "x_flair.nii.gz", scan(), MATRIX))
    result = segment(study, "threshold")
    assert study.notes == result.notes == ()
    save_segmentation(result, tmp_path / "s.nii.gz")
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["notes"] == []
    assert open_segmentation(tmp_path / "s.nii.gz").notes == ()


def test_a_copy_without_its_json_keeps_the_doubt(tmp_path):
    study = nrrd_without_space(tmp_path)
    (note,) = study.notes
    labels = Segmentation(phantoms.tumour(study.grid.shape), study.grid, notes=study.notes)
    for name in ("a.nii.gz", "a.nrrd", "a.mha", "a.tif"):
        save_segmentation(labels, tmp_path / name, sidecar=False)
        assert note in open_segmentation(tmp_path / name, spacing_mm=(4, 4, 4) if name == "a.tif" else None).notes
    save_segmentation(labels, tmp_path / "masks", sidecar=False)
    assert note in open_segmentation(tmp_path / "masks", spacing_mm=(4, 4, 4)).notes


def test_a_schema_that_only_the_values_tell_is_a_guess(tmp_path):
    values = np.where(phantoms.tumour() > 0, 255, 0).astype(np.uint8)
    known = phantoms.write_nifti(tmp_path / "BraTS2021_00001_seg.nii.gz", np.minimum(phantoms.tumour(), 2))
    assert open_segmentation(known).notes == ()
    guessed = open_segmentation(phantoms.write_nifti(tmp_path / "some_labels.nii.gz", values))
    (note,) = guessed.notes
    assert guessed.provenance["schema"] in note
    assert note in measure_study(guessed).notes
