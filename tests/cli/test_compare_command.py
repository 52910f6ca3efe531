"""`brain-tumor compare` as people call it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_brain_tumor import cli, open_segmentation
from phantoms import affine, write_nifti

SHAPE = (24, 20, 12)
AXES = affine()
Run = Callable[..., tuple[int, str, str]]


def block(moved: int = 0) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[4 + moved : 14 + moved, 5:15, 3:9] = 1
    labels[6 + moved : 12 + moved, 7:13, 4:8] = 3
    return labels


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process, in the temporary folder with three files: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    for name, moved in (("truth", 0), ("near", 1), ("far", 4)):
        write_nifti(tmp_path / f"{name}.nii.gz", block(moved), AXES)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["compare", *map(str, arguments)])
        out, err = capfd.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


FILES = ("truth.nii.gz", "near.nii.gz", "far.nii.gz", "--schema", "MSD")


def line(out: str, start: str, after: str = "") -> list[str]:
    return next(text for text in out[out.index(after) :].splitlines() if text.startswith(start)).split()


def test_against_a_reference_tables_tell_scores_volumes_and_slices(run: Run) -> None:
    code, out, err = run(*FILES, "--reference", "truth")
    assert (code, err) == (0, "")
    assert line(out, "near", "Whole tumour (WT): against truth")[1] == "0.900"
    assert line(out, "far", "Enhancing tumour")[1] == "0.333"
    assert line(out, "truth", "volumes:") == ["truth", "0.60", "+0.00", "+0.0"]
    assert "6 axial slices differ" in out
    assert line(out, "    3", "Slice")[:2] == ["3", "80"]
    assert "\x1b" not in out


def test_without_a_reference_all_pairs_are_told(run: Run) -> None:
    code, out, _ = run(*FILES, "--names", "a,b,[c]", "--axis", "sagittal")
    assert code == 0
    pairs = [text.split()[:3] for text in out.splitlines()[2:5]]
    assert pairs == [["a", "b", "0.900"], ["a", "[c]", "0.600"], ["b", "[c]", "0.700"]]
    assert "sagittal slices differ" in out
    assert "Name the truth with --reference" in out


def test_consensus_maps_and_tables_are_written_and_earlier_ones_kept(tmp_path: Path, run: Run) -> None:
    options = (*FILES, "--consensus", "majority", "-o", "joined.nii.gz", "--csv", "scores.csv", "--maps", "maps")
    code, out, _ = run(*options)
    assert code == 0
    joined = open_segmentation(tmp_path / "joined.nii.gz")
    np.testing.assert_array_equal(joined.data, block(1))  # what two of three say
    assert line(out, "near", "Consensus by majority")[:3] == ["near", "WT", "1.000"]
    with (tmp_path / "scores.csv").open() as file:
        assert [row["second"] for row in csv.DictReader(file) if row["region"] == "WT"] == ["near", "far", "far"]
    legend = json.loads((tmp_path / "maps" / "maps.json").read_text())
    assert legend["count_WT.nii.gz"] == {"1": "1 of 3 say WT", "2": "2 of 3 say WT", "3": "3 of 3 say WT"}
    counts = np.asarray(nib.load(tmp_path / "maps" / "count_WT.nii.gz").dataobj)
    assert counts[:, 5, 3].tolist() == [0] * 4 + [1] + [2] * 3 + [3] * 6 + [2] + [1] * 3 + [0] * 6
    pair = np.asarray(nib.load(tmp_path / "maps" / "agreement_WT_1_truth_near.nii.gz").dataobj)
    assert (pair[4, 5, 3], pair[5, 5, 3], pair[14, 5, 3]) == (2, 1, 3)
    assert set(legend) == {path.name for path in (tmp_path / "maps").glob("*.nii.gz")}
    code, _, err = run(*options)
    assert code == 1
    assert "--overwrite" in err
    (tmp_path / "joined.nii.gz").unlink()
    (tmp_path / "scores.csv").unlink()
    code, _, err = run(*options)
    assert (code, "maps.json already exists" in err) == (1, True)
    assert not (tmp_path / "joined.nii.gz").exists()  # nothing is written if not all may be
    assert run(*options, "--overwrite")[0] == 0


def test_the_reference_takes_no_part_in_the_consensus(tmp_path: Path, run: Run) -> None:
    code, out, _ = run(*FILES, "--reference", "truth", "--consensus", "majority", "-o", "joined.nii.gz")
    assert code == 0
    joined = open_segmentation(tmp_path / "joined.nii.gz")
    np.testing.assert_array_equal(joined.data > 0, (block(1) > 0) & (block(4) > 0))
    assert "against truth: WT 0.7" in out
    code, _, err = run(
        *FILES[:2], "--schema", "MSD", "--reference", "truth", "--consensus", "majority", "-o", "k.nii.gz"
    )
    assert (code, "is not part of the consensus" in err) == (1, True)


def test_json_alone_is_printed_and_holds_the_consensus(run: Run) -> None:
    code, out, _ = run(*FILES, "--json", "--consensus", "staple", "-o", "joined.nii.gz")
    told = json.loads(out)
    assert code == 0
    assert told["names"] == ["truth", "near", "far"]
    assert told["inputs"]["near"]["path"].endswith("near.nii.gz")
    assert set(told["consensus"]["qualities"]["WT"]) == {"truth", "near", "far"}


def test_each_file_may_have_a_schema_of_its_own(tmp_path: Path, run: Run) -> None:
    numbers = np.array([0, 2, 1, 4], np.uint8)[block()]
    write_nifti(tmp_path / "brats.nii.gz", numbers, AXES)
    code, out, _ = run("truth.nii.gz", "brats.nii.gz", "--schema", "MSD,BraTS", "--reference", "truth")
    assert code == 0
    assert [line(out, "brats", f"({region})")[1] for region in ("WT", "TC", "ET")] == ["1.000"] * 3
    code, _, err = run("truth.nii.gz", "brats.nii.gz")
    assert (code, "--schema NAME,NAME" in err) == (1, True)


def test_other_grids_are_refused_with_the_option_that_helps(tmp_path: Path, run: Run) -> None:
    write_nifti(tmp_path / "moved.nii.gz", block(), affine(origin=(-9.5, 20, 5)))
    code, _, err = run("truth.nii.gz", "moved.nii.gz", "--schema", "MSD")
    assert code == 1
    assert "use --resample" in err
    assert "finest" not in err
    code, _, err = run("truth.nii.gz", "moved.nii.gz", "--schema", "MSD", "--resample")
    assert (code, "moved resampled" in err) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (FILES[:1], 1, "Two or more"),
        (("truth.nii.gz", "truth.nii.gz", "--schema", "MSD"), 1, "--names"),
        ((*FILES, "--names", "a,b"), 2, "2 names for 3"),
        ((*FILES, "--reference", "nobody"), 1, "truth, near, far"),
        ((*FILES, "--consensus", "mean", "-o", "x.nii.gz"), 2, "'majority', 'staple'"),
        ((*FILES, "--consensus", "staple"), 2, "needs an output file"),
        ((*FILES, "--axis", "oblique"), 2, "axial"),
        ((*FILES[:3], "--schema", "MSD,BraTS"), 2, "2 schemas for 3"),
        ((*FILES, "--consensus", "staple", "-o", "near.nii.gz", "--overwrite"), 1, "never overwritten"),
        (("truth.nii.gz", "nowhere.nii.gz", "--schema", "MSD"), 1, "nowhere"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_to_do(
    run: Run, arguments: tuple[str, ...], code: int, told: str
) -> None:
    found, out, err = run(*(arguments if len(arguments) > 1 else (*arguments, "--schema", "MSD")))
    assert (found, out) == (code, "")
    assert told in " ".join(err.replace("│", " ").split())
