import subprocess
import sys

import numpy as np
import pytest

from models_for_tests import tiny_model
from napari_brain_tumor import list_models, open_study, segment
from napari_brain_tumor.catalogue import Method, find_model
from napari_brain_tumor.classical.registry import BASELINES
from napari_brain_tumor.errors import MissingRolesError, ModelNotFoundError, SeedError
from napari_brain_tumor.io import open_segmentation
from napari_brain_tumor.metrics.overlap import region_dice
from napari_brain_tumor.sample import sample_truth_path
from small_sample import write_small_sample


@pytest.fixture(scope="module")
def sample_folder(tmp_path_factory):
    """Voxels of 2 mm, which the methods need an eighth of the time for."""
    return write_small_sample(tmp_path_factory.mktemp("sample"), every=2)


@pytest.fixture(scope="module")
def sample(sample_folder):
    return open_study(sample_folder)


@pytest.fixture(scope="module")
def truth(sample_folder):
    return open_segmentation(sample_folder / sample_truth_path().name)


def test_methods_without_weights_come_after_the_models_and_say_what_they_are():
    found = list_models()
    flags = [method.is_baseline for method in found]
    assert flags == sorted(flags)
    assert [method.name for method in found if method.is_baseline] == list(BASELINES)
    assert all(isinstance(method, Method) for method in found)
    assert all("baseline" in method.title for method in found if method.is_baseline)


def test_an_installed_model_goes_before_a_method_of_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path))
    assert find_model("threshold") is BASELINES["threshold"]
    tiny_model(tmp_path / "models" / "threshold", name="threshold")
    assert not find_model("threshold").is_baseline


def test_an_unknown_name_lists_models_and_methods():
    with pytest.raises(ModelNotFoundError, match=r"unet.*threshold.*region_growing"):
        find_model("nothing")


def test_listing_and_finding_do_not_load_torch_or_the_methods():
    code = (
        "import sys; from napari_brain_tumor.catalogue import find_model; find_model('edges');"
        "assert not {'torch', 'SimpleITK', 'skimage'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", BASELINES)
def test_every_method_finds_the_samples_tumour_on_its_own_grid(name, sample, truth):
    found = segment(sample, name)
    scores = region_dice(truth, found)
    assert found.known_regions == ("WT", "ET")
    assert scores["WT"] > 0.6
    assert scores["ET"] > 0.2
    assert found.provenance["model"]["name"] == name
    assert found.provenance["device"] == "cpu"


def test_without_t1_only_the_whole_tumour_is_told(sample):
    found = segment(sample.only(("T2", "FLAIR")), "threshold")
    assert found.known_regions == ("WT",)
    assert set(np.unique(found.data)) == {0, 1}


def test_a_method_without_flair_and_t2_says_what_it_needs(sample):
    with pytest.raises(MissingRolesError, match="needs FLAIR or T2"):
        segment(sample.only(("T1", "T1c")), "edges")


def test_seeds_are_refused_where_they_do_nothing(sample):
    for name in ("unet", "threshold"):
        with pytest.raises(SeedError, match="takes no seeds"):
            segment(sample, name, seeds=[(0, 0, 0)])


def test_region_growing_begins_at_the_given_seeds_and_remembers_them(sample, truth):
    inside = np.argwhere(truth.data > 0)
    seed = tuple(truth.grid.world(inside[len(inside) // 2]))
    found = segment(sample, "region_growing", seeds=[seed])
    assert found.provenance["settings"]["seeds"] == [list(seed)]
    assert region_dice(truth, found)["WT"] > 0.6
