import os

import pytest
from test_preferences import in_napari, manifest  # noqa: F401

from napari_brain_tumor.plugin import default_reader
from napari_brain_tumor.plugin.default_reader import (
    FOLDERS,
    OUR_PATTERNS,
    is_chosen,
    make_default_reader,
    may_offer,
    remember_offer,
)


@pytest.fixture
def preferred(monkeypatch):
    """Sets which plugins napari prefers, for the test alone."""
    from napari.settings import get_settings

    plugins = get_settings().plugins
    monkeypatch.setattr(plugins, "extension2reader", {})
    return plugins


@pytest.fixture
def napari_too(in_napari, npe2pm):  # noqa: F811
    """napari's own reader is there, which claims .nii.gz as well."""
    from npe2 import PluginManifest

    npe2pm.register(PluginManifest.from_distribution("napari"))


def test_default_reader_keeps_the_users_other_choices(preferred):
    preferred.extension2reader = {"*.czi": "other"}
    make_default_reader()
    assert preferred.extension2reader == {"*.czi": "other", **dict.fromkeys(OUR_PATTERNS, "napari-brain-tumor")}


def test_folders_are_chosen_only_where_asked_for(preferred):
    make_default_reader(folders=True)
    assert preferred.extension2reader[FOLDERS] == "napari-brain-tumor"


def test_it_is_offered_where_naparis_reader_claims_the_files_too(napari_too, preferred):
    assert may_offer()


def test_it_is_not_offered_where_nobody_else_claims_them(in_napari, preferred):  # noqa: F811
    assert not may_offer()


def test_it_is_offered_once(napari_too, preferred):
    remember_offer()
    assert not may_offer()


def test_it_is_not_offered_to_who_has_chosen(napari_too, preferred):
    preferred.extension2reader = {"*.gz": "somebody"}
    assert not may_offer()


@pytest.mark.parametrize(
    ("pattern", "decides"),
    [("*.nii.gz", True), ("*.gz", True), ("*", True), ("*.tif", False), (f"{os.sep}data{os.sep}*", False)],
)
def test_only_a_preference_for_nii_gz_is_a_choice(pattern, decides):
    assert is_chosen({pattern: "somebody"}) is decides


def test_napari_prefers_us_afterwards(napari_too, preferred, tmp_path):
    from napari.plugins.utils import get_preferred_reader

    make_default_reader(folders=True)
    assert get_preferred_reader(str(tmp_path)) == default_reader.PLUGIN
    assert get_preferred_reader(str(tmp_path / "case_flair.nii.gz")) == default_reader.PLUGIN
    assert get_preferred_reader(str(tmp_path / "photo.png")) is None
