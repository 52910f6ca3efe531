"""A method gives the same from Python, in the worker process and from the shell."""

import json

import numpy as np
import pytest

from napari_brain_tumor import cli, open_segmentation, open_study, segment
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.sample import sample_truth_path

METHOD = "region_growing"


@pytest.fixture(scope="module")
def seed(small_sample):
    truth = open_segmentation(small_sample / sample_truth_path().name)
    inside = np.argwhere(truth.data > 0)
    return tuple(np.round(truth.grid.world(inside[len(inside) // 2]), 1))


@pytest.fixture(scope="module")
def expected(seed, small_sample):
    return segment(open_study(small_sample), METHOD, seeds=[seed])


@pytest.mark.slow
def test_in_the_worker_process(seed, expected, small_sample):
    with WorkerProcess() as worker:
        job = worker.run("napari_brain_tumor.workflow:segment_job", open_study(small_sample), METHOD, seeds=[seed])
        found = run_job(job)
    np.testing.assert_array_equal(found.data, expected.data)
    assert found.provenance["settings"] == expected.provenance["settings"]


def test_from_the_shell(seed, expected, tmp_path, capsys, small_sample):
    target = tmp_path / "found.nii.gz"
    words = ["segment", small_sample, "--model", METHOD, "--seed", ",".join(map(str, seed)), "-o", target]
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(word) for word in words])
    assert not stopped.value.code
    np.testing.assert_array_equal(open_segmentation(target).data, expected.data)
    provenance = json.loads((tmp_path / "found.json").read_text())["provenance"]
    assert provenance["settings"]["seeds"] == [list(seed)]
    assert provenance["model"]["name"] == METHOD
    assert "baseline without training" in capsys.readouterr().err


def test_a_seed_outside_the_brain_ends_the_command_with_a_message(tmp_path, capsys, small_sample):
    words = ["segment", small_sample, "--model", METHOD, "--seed", "-500,0,0", "-o", tmp_path / "x.nii.gz"]
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(word) for word in words])
    assert stopped.value.code == 1
    assert "-500,0,0 does not lie in the brain" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_list_tells_methods_from_models(capsys):
    with pytest.raises(SystemExit):
        cli.main(["models"])
    out = capsys.readouterr().out
    assert "Methods without weights (baselines)" in out
    assert out.index("unet") < out.index(METHOD)
