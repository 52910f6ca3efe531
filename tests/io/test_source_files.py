import hashlib
import os

import numpy as np
import SimpleITK as sitk

from dicom_phantoms import write_series
from napari_brain_tumor.io import open_sources, open_study
from napari_brain_tumor.io.source_files import (
    changes_since_read,
    combined_sha256,
    describe_sources,
    labels_files_sha256,
    source_files,
)
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.study import Source
from phantoms import noise, write_brats_case, write_lgg_patient


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_described_by_its_own_hash(tmp_path):
    study = open_study(write_brats_case(tmp_path / "case"))
    described = describe_sources(study.sources)
    assert set(described) == {"T1", "T1c", "T2", "FLAIR"}
    for role, entry in described.items():
        assert entry == {"path": str(study.sources[role].path), "sha256": sha256(study.sources[role].path)}


def test_slices_are_described_without_their_masks_and_file_by_file_once(tmp_path):
    write_lgg_patient(tmp_path / "p", range(1, 4))
    study = open_study(tmp_path / "p")
    described = describe_sources(study.sources)
    names = [f"p_{k}.tif" for k in (1, 2, 3)]
    assert described["T1"]["files"] == {name: sha256(tmp_path / "p" / name) for name in names}
    assert "files" not in described["FLAIR"]
    assert described["FLAIR"] == {"path": str(tmp_path / "p"), "sha256": described["T1"]["sha256"], "channel": 1}
    (tmp_path / "p" / "p_1_mask.tif").write_bytes(b"other")
    (tmp_path / "p" / "notes.txt").write_text("more")
    assert describe_sources(study.sources) == described
    assert labels_files_sha256(tmp_path / "p") == combined_sha256(
        sha256(tmp_path / "p" / f"p_{k}_mask.tif") for k in (1, 2, 3)
    )


def test_series_of_one_folder_are_told_apart_and_opened_again(tmp_path):
    flair = write_series(tmp_path / "s", "AX FLAIR", uid="1")
    for path in (tmp_path / "s").iterdir():
        path.rename(path.with_name(f"a{path.name}"))
    write_series(tmp_path / "s", "AX T2", seed=4, uid="2")
    study = open_study(tmp_path / "s")
    described = describe_sources(study.sources)
    assert described["FLAIR"]["series"] != described["T2"]["series"]
    assert set(described["FLAIR"]["files"]) == {f"aIM{k:04d}.dcm" for k in range(5)}
    assert described["FLAIR"]["sha256"] != described["T2"]["sha256"]
    again = open_sources(study.sources, "s")
    np.testing.assert_array_equal(again.sequences["FLAIR"], flair)
    np.testing.assert_array_equal(again.sequences["T2"], study.sequences["T2"])


def test_the_file_of_the_voxels_belongs_to_a_header(tmp_path):
    for name in ("x_t1.mhd", "y_t1.nhdr"):
        sitk.WriteImage(sitk.GetImageFromArray(noise()), str(tmp_path / name))
        header, voxels = source_files(Source(tmp_path / name))
        assert (header.name, voxels.suffix) in ((name, ".raw"), (name, ".gz"))
        before = describe_sources({"T1": Source(tmp_path / name)})["T1"]["sha256"]
        voxels.write_bytes(voxels.read_bytes()[:-1] + b"z")
        assert describe_sources({"T1": Source(tmp_path / name)})["T1"]["sha256"] != before


def test_what_is_not_there_has_no_files(tmp_path):
    assert source_files(Source(tmp_path / "gone")) == ()
    assert describe_sources({"T1": Source(tmp_path / "gone")}) == {"T1": {"path": str(tmp_path / "gone")}}


def test_labels_have_one_hash_in_every_type_and_memory_order():
    labels = noise(dtype=np.uint8)
    assert labels_sha256(labels) == labels_sha256(np.asfortranarray(labels.astype(np.int64)))
    assert labels_sha256(labels) != labels_sha256(labels.reshape(6, 7, 5))


def test_file_that_was_changed_after_reading_has_no_hash_and_is_told(tmp_path):
    study = open_study(write_brats_case(tmp_path / "case"))
    assert changes_since_read(study.sources) == ()
    flair = study.sources["FLAIR"].path
    flair.write_bytes(flair.read_bytes() + b"\0")
    (note,) = changes_since_read(study.sources)
    assert flair.name in note
    assert "changed after it was read" in note
    described = describe_sources(study.sources)
    assert "sha256" not in described["FLAIR"]
    assert described["T1"]["sha256"] == sha256(study.sources["T1"].path)
    flair.unlink()
    assert len(changes_since_read(study.sources)) == 1


def test_file_that_was_replaced_by_one_of_the_same_size_is_noticed(tmp_path):
    study = open_study(write_brats_case(tmp_path / "case"))
    path = study.sources["T2"].path
    content = path.read_bytes()
    other = tmp_path / "other"
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(other, (1_000_000_000, 1_000_000_000))
    os.replace(other, path)
    assert "sha256" not in describe_sources(study.sources)["T2"]


def test_stamp_is_no_part_of_what_a_source_is(tmp_path):
    study = open_study(write_brats_case(tmp_path / "case"))
    source = study.sources["T1"]
    assert source.stamp is not None
    assert source == Source(source.path)
