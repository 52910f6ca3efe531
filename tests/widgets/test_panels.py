"""What holds for every panel of the manifest: tooltips, names, keyboard, size, and contrast in each theme."""

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest
from panel_cases import make_study

import napari_brain_tumor
from napari_brain_tumor.plugin import layers

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QTabBar,
    QTabWidget,
    QWidget,
)

pytestmark = pytest.mark.gui

WIDEST, HIGHEST = 420, 560
"""Of a panel beside a canvas on a screen of 1366 x 768, less the window's own bars."""
CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QPlainTextEdit, QAbstractItemView)
INSIDES = (QComboBox, QAbstractSpinBox, QAbstractItemView, QTabBar)
"""Their parts are no controls of their own."""
CONTRAST = 4.5
"""That WCAG asks of text, as a ratio of luminances."""


@pytest.fixture
def panels(make_napari_viewer):
    """Every panel of the manifest, by its name in the menu, docked in one viewer with a study."""
    viewer = make_napari_viewer()
    layers.add_layers(viewer, layers.study_to_layers(make_study()))
    manifest = PluginManifest.from_file(Path(napari_brain_tumor.__file__).with_name("napari.yaml"))
    commands = {one.id: one.python_name for one in manifest.contributions.commands}
    made = {}
    for widget in manifest.contributions.widgets:
        module, _, name = commands[widget.command].partition(":")
        made[widget.display_name] = getattr(import_module(module), name)(viewer)
        viewer.window.add_dock_widget(made[widget.display_name], name=widget.display_name, area="right", tabify=True)
    return viewer, made


def controls(panel):
    """What can be operated, also where it is hidden now."""
    found = [one for one in panel.findChildren(QWidget) if isinstance(one, CONTROLS) and _is_own(one, panel)]
    return [one for one in found if not isinstance(one, QHeaderView | QTabBar)]


def _is_own(widget, panel):
    if widget.objectName().startswith("qt_") or widget.metaObject().className() == "QTableCornerButton":
        return False
    around = ancestors(widget, panel)
    return not any(isinstance(one, INSIDES) or "napari" in type(one).__module__.split(".") for one in around)


def ancestors(widget, panel):
    """What holds a widget, from the inside to the outside, without the panel."""
    found, above = [], widget.parentWidget()
    while above is not None and above is not panel:
        found.append(above)
        above = above.parentWidget()
    return found


def name_of(control, panel):
    """What a screen reader says."""
    buddies = [label.text() for label in panel.findChildren(QLabel) if label.buddy() is control]
    text = control.text() if isinstance(control, QAbstractButton) else ""
    return control.accessibleName() or text or "".join(buddies)


def page_of(widget, panel):
    """The page of tabs that a widget is on: pages are never seen together."""
    around = ancestors(widget, panel)
    tabs = next((one for one in around if isinstance(one, QTabWidget)), None)
    pages = [tabs.indexOf(one) for one in around] if tabs is not None else []
    return next((page for page in pages if page >= 0), None)


def mnemonics(panel):
    """Letter and page of everything that Alt and a letter reach."""
    told = [one for one in panel.findChildren(QAbstractButton) if _is_own(one, panel)]
    told += [one for one in panel.findChildren(QLabel) if one.buddy() is not None]
    letters = [(re.search(r"(?<!&)&([^&\s])", one.text()), page_of(one, panel)) for one in told]
    return [(match[1].lower(), page) for match, page in letters if match]


def clashes(panel):
    found = mnemonics(panel)
    pages = {page for _, page in found}
    seen_together = [[letter for letter, on in found if on in (None, page)] for page in pages | {None}]
    return {letter for letters in seen_together for letter in letters if letters.count(letter) > 1}


def keeps_tab(control):
    """Whether the key Tab does not leave it."""
    if isinstance(control, QPlainTextEdit):
        return not control.tabChangesFocus()
    return isinstance(control, QAbstractItemView) and control.tabKeyNavigation()


def faults(panel):
    """What is wrong with a panel's controls, in words."""
    for one in controls(panel):
        what = f"{type(one).__name__} {name_of(one, panel)!r}"
        if not one.toolTip():
            yield f"{what} has no tooltip"
        if not name_of(one, panel):
            yield f"{what} ({one.toolTip()}) has no name"
        if not one.focusPolicy() & Qt.FocusPolicy.TabFocus:
            yield f"{what} is not reached by Tab"
        if keeps_tab(one):
            yield f"{what} is not left by Tab"
    yield from (f"Alt+{letter} means two things" for letter in sorted(clashes(panel)))


def scrolls(panel):
    areas = [panel] if isinstance(panel, QScrollArea) else panel.findChildren(QScrollArea)
    return any(area.verticalScrollBarPolicy() != Qt.ScrollBarPolicy.ScrollBarAlwaysOff for area in areas)


def test_every_control_is_told_and_reached_and_every_panel_fits_a_small_screen(panels):
    _, made = panels
    assert len(made) >= 6
    assert [f"{name}: {fault}" for name, panel in made.items() for fault in faults(panel)] == []
    least = {name: panel.minimumSizeHint().expandedTo(panel.minimumSize()) for name, panel in made.items()}
    assert {name: size.width() for name, size in least.items() if size.width() > WIDEST} == {}
    assert {name: size.height() for name, size in least.items() if size.height() > HIGHEST} == {}
    assert [name for name, panel in made.items() if not scrolls(panel)] == []
    inside = {n: p.widget().minimumSizeHint().width() for n, p in made.items() if isinstance(p, QScrollArea)}
    assert {name: width for name, width in inside.items() if width > WIDEST} == {}  # nothing is cut off at the side


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_contrasts_with_what_is_behind_it(panels, theme):
    viewer, made = panels
    viewer.theme = theme
    weak = {name: list(_weak_texts(panel)) for name, panel in made.items()}
    assert {name: found for name, found in weak.items() if found} == {}


def _weak_texts(panel):
    shown = panel.widget() if isinstance(panel, QScrollArea) else panel
    shown.resize(360, max(shown.sizeHint().height(), 200))
    image = shown.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    ratio = image.devicePixelRatio()
    for one in shown.findChildren(QWidget):
        if _is_text(one) and one.isVisibleTo(shown) and one.isEnabledTo(shown):
            at = one.mapTo(shown, QPoint(0, 0))
            part = image.copy(*(round(ratio * n) for n in (at.x(), at.y(), one.width(), one.height())))
            contrast = contrast_of(part)
            if contrast < CONTRAST:
                yield f"{one.text()!r}: {contrast:.1f}"


def _is_text(widget):
    return isinstance(widget, QLabel | QAbstractButton) and bool(widget.text().strip()) and widget.width() > 8


def contrast_of(image):
    """Of the lightest to the darkest pixel, as WCAG counts it."""
    if image.width() == 0 or image.height() == 0:
        return np.inf
    bits = image.constBits()
    raw = bits.asstring(image.sizeInBytes()) if hasattr(bits, "asstring") else bytes(bits)
    pixels = np.frombuffer(raw, np.uint8).reshape(image.height(), -1, 4)[:, : image.width(), 2::-1] / 255
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return float((luminance.max() + 0.05) / (luminance.min() + 0.05))


def test_the_measure_of_contrast_knows_black_on_white_and_gray_on_gray():
    image = QImage(2, 1, QImage.Format.Format_RGB32)
    image.setPixel(0, 0, 0xFF000000)
    image.setPixel(1, 0, 0xFFFFFFFF)
    assert contrast_of(image) == pytest.approx(21)
    image.setPixel(0, 0, 0xFF777777)
    assert contrast_of(image) == pytest.approx(4.48, abs=0.01)
    image.setPixel(1, 0, 0xFF888888)
    assert contrast_of(image) < 1.4


def test_faults_are_found(qtbot):
    from qtpy.QtWidgets import QPushButton, QTableWidget, QVBoxLayout

    panel = QWidget()
    qtbot.addWidget(panel)
    column = QVBoxLayout(panel)
    for made in (QPushButton("&One"), QPushButton("F&our"), QTableWidget(1, 1)):
        column.addWidget(made)
    panel.findChildren(QPushButton)[1].setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    found = "\n".join(faults(panel))
    for words in ("'&One' has no tooltip", "'F&our' is not reached", "has no name", "not left", "Alt+o means"):
        assert words in found
