import json
from pathlib import Path

import pytest
from npe2 import PluginManifest
from pydantic import ValidationError

import napari_brain_tumor
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.plugin import preferences as module
from napari_brain_tumor.plugin.preferences import (
    DEVICES,
    FILE_FORMATS,
    PLUGIN,
    Preferences,
    preferences_file,
    read_preferences,
    write_preference,
)

MANIFEST = Path(napari_brain_tumor.__file__).with_name("napari.yaml")


@pytest.fixture
def manifest():
    return PluginManifest.from_file(MANIFEST)


@pytest.fixture
def in_napari(manifest, npe2pm, plugin_settings):
    """napari knows the plugin, and keeps its settings in a folder of the test."""
    from napari.settings import get_plugin_settings

    npe2pm.register(manifest)
    return get_plugin_settings(PLUGIN)


@pytest.fixture
def without_napari(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_napari_settings", lambda: None)
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path))


def test_the_manifest_declares_every_preference_with_its_default(manifest):
    declared = {
        section: {name: entry.default for name, entry in configuration.properties.items()}
        for section, configuration in manifest.contributions.configurations.items()
    }
    assert declared == Preferences().model_dump()


def test_the_manifest_offers_exactly_the_values_that_are_understood(manifest):
    sections = manifest.contributions.configurations
    assert sections["saving"].properties["label_numbers"].enum == list(SCHEMAS)
    assert sections["saving"].properties["file_format"].enum == list(FILE_FORMATS)
    assert sections["segment"].properties["device"].enum == list(DEVICES)
    for value in sections["segment"].properties["results"].enum:
        Preferences.model_validate({"segment": {"results": value}})


def test_every_preference_is_explained(manifest):
    for section in manifest.contributions.configurations.values():
        assert all(entry.description for entry in section.properties.values())


def test_what_is_set_in_napari_is_read(in_napari):
    assert read_preferences() == Preferences()
    in_napari.saving.label_numbers = "BraTS2023"
    in_napari.journal.keep = False
    read = read_preferences()
    assert (read.saving.label_numbers, read.journal.keep) == ("BraTS2023", False)


def test_what_is_written_lands_in_naparis_file_and_nowhere_else(in_napari):
    write_preference("opening", "offer_default_reader", False)
    assert "offer_default_reader: false" in in_napari.config_path.read_text()
    assert not read_preferences().opening.offer_default_reader
    assert not preferences_file().exists()


@pytest.mark.gui
def test_naparis_preferences_dialog_shows_and_changes_them(in_napari, qtbot):
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog
    from qtpy.QtWidgets import QCheckBox, QComboBox

    dialog = PreferencesDialog()
    qtbot.addWidget(dialog)
    pages = [dialog._list.item(row).text() for row in range(dialog._list.count())]
    page = dialog._stack.widget(pages.index("Brain Tumor"))
    schemas = next(box for box in page.findChildren(QComboBox) if box.findText("GliODIL") >= 0)
    schemas.setCurrentText("GliODIL")
    schemas.textActivated.emit("GliODIL")
    offer = next(box for box in page.findChildren(QCheckBox) if "offer" in box.toolTip())
    assert offer.isChecked()
    offer.click()
    read = read_preferences()
    assert (read.saving.label_numbers, read.opening.offer_default_reader) == ("GliODIL", False)


def test_without_naparis_settings_they_are_kept_in_our_home(without_napari):
    assert read_preferences() == Preferences()
    write_preference("segment", "device", "cpu")
    assert json.loads(preferences_file().read_text())["segment"]["device"] == "cpu"
    assert read_preferences().segment.device == "cpu"


@pytest.mark.parametrize("text", ["no json", "[]", '{"segment": 3}'])
def test_a_ruined_file_counts_as_not_set(without_napari, text):
    preferences_file().write_text(text)
    assert read_preferences() == Preferences()


def test_an_entry_that_cannot_be_used_leaves_the_others(without_napari, caplog):
    preferences_file().write_text(
        '{"segment": {"device": "abacus", "model": "unet"}, "saving": {"file_format": ".png", "label_numbers": "MSD"}}'
    )
    read = read_preferences()
    assert (read.segment.device, read.segment.model, read.saving.file_format) == ("auto", "unet", "as the scans")
    assert "abacus" in caplog.text


def test_values_and_names_that_do_not_exist_are_refused(without_napari):
    with pytest.raises(ValidationError, match="abacus"):
        write_preference("segment", "device", "abacus")
    with pytest.raises(KeyError, match=r"segment\.colour"):
        write_preference("segment", "colour", "red")
    assert not preferences_file().exists()


def test_the_folder_of_the_journal_is_the_usual_one_where_none_is_given():
    assert Preferences().journal.place is None
    chosen = Preferences.model_validate({"journal": {"folder": "~/mine"}}).journal.place
    assert chosen == Path.home() / "mine"
