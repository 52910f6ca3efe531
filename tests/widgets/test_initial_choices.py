import pytest

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
from panel_cases import make_model

from napari_brain_tumor.autosave.sessions import Session
from napari_brain_tumor.plugin.preferences import Preferences
from napari_brain_tumor.study import TifSlices
from napari_brain_tumor.widgets import initial_choices, label_journal, result_files, segment

pytestmark = pytest.mark.gui


@pytest.fixture
def prefer(monkeypatch):
    """Sets the preferences for the test."""

    def set_to(**sections):
        wanted = Preferences.model_validate(sections)
        for module in (initial_choices, label_journal, result_files, segment):
            monkeypatch.setattr(module, "read_preferences", lambda: wanted)

    return set_to


def named(name):
    model = make_model(title=name)
    return type(model)(name=name, folder=model.folder / name, card=model.card, bundled=True)


@pytest.fixture
def panel(make_napari_viewer, worker):
    from napari_brain_tumor.widgets.segment import SegmentWidget

    def make():
        models = [named("first"), named("second")]
        return SegmentWidget(make_napari_viewer(), worker, target="worker_tasks:segment_phantom", models=models)

    return make


def test_the_panel_starts_as_preferred(panel, prefer, qtbot):
    prefer(segment={"device": "cpu", "model": "second"}, saving={"label_numbers": "BraTS2023"})
    made = panel()
    qtbot.addWidget(made)
    assert made.choices.model.name == "second"
    assert made.schema_box.currentData() == "BraTS2023"
    with qtbot.waitSignal(made.devices.runner.finished, timeout=15_000):
        made.devices.ask("worker_tasks:devices")
    assert made.choices.options.device == "cpu"


def test_what_is_not_to_be_had_leaves_the_usual_choice(panel, prefer, qtbot):
    prefer(segment={"device": "cuda", "model": "gone"})
    made = panel()
    qtbot.addWidget(made)
    with qtbot.waitSignal(made.devices.runner.finished, timeout=15_000):
        made.devices.ask("worker_tasks:devices")
    assert (made.choices.model.name, made.choices.options.device) == ("first", "auto")


def test_the_preferred_format_goes_before_that_of_the_scans(prefer):
    slices = TifSlices("patient", ())
    assert result_files.default_format(slices).suffix == ".tif"
    prefer(saving={"file_format": ".nrrd"})
    assert result_files.default_format(slices).suffix == ".nrrd"
    assert result_files.default_format(None).suffix == ".nrrd"


@pytest.mark.parametrize("keep", [True, False])
def test_the_journal_is_kept_where_and_if_it_is_wanted(prefer, tmp_path, keep):
    import numpy as np

    prefer(journal={"keep": keep, "folder": str(tmp_path / "mine")})
    session = label_journal.current_session.__wrapped__()
    assert isinstance(session, Session)
    journal = session.open(np.zeros((3, 4, 5), np.uint8), {})
    session.flush()
    assert (journal is not None) is keep
    assert (tmp_path / "mine").is_dir() is keep
    session.finish()
