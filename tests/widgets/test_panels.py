"""What holds for every part of the dock: tooltips, names, keyboard, size, and contrast in each theme."""

import re

import numpy as np
import pytest
from panel_cases import make_study

from napari_brain_tumor.plugin import to_layers, viewers

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QImage, QWheelEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QScrollBar,
    QSpinBox,
    QStackedWidget,
    QTabBar,
    QTabWidget,
    QVBoxLayout,
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
    """Every part of the dock, all its tabs made, and what it opens beside it, in one viewer with a study."""
    from napari_brain_tumor.requests.segment import SegmentRequest
    from napari_brain_tumor.widgets.batch import BatchWidget
    from napari_brain_tumor.widgets.batch_state import BatchSettings
    from napari_brain_tumor.widgets.dock.state import TABS
    from napari_brain_tumor.widgets.dock.widget import BrainTumorWidget
    from napari_brain_tumor.widgets.open_case import OpenCaseWidget
    from napari_brain_tumor.widgets.prepare import PrepareWidget
    from napari_brain_tumor.widgets.restore import RestoreWidget

    viewer = make_napari_viewer()
    viewers.add_layers(viewer, to_layers.study_to_layers(make_study()))
    widget = BrainTumorWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Brain Tumor", area="right")
    dock = widget.dock
    made = {"head": dock.head, "tabs": dock.tab_row, "foot": dock.foot}
    made |= {tab: dock.page(tab).panel for tab in TABS}
    made |= {"over time": dock.page("measure").over_time(), "train": dock.page("data").training()}
    batch = BatchWidget(viewer, lambda: BatchSettings(SegmentRequest()))
    for panel in (OpenCaseWidget(viewer), PrepareWidget(viewer), RestoreWidget(viewer), batch):
        name = type(panel).__name__
        made[name] = panel
        viewer.window.add_dock_widget(panel, name=name, area="right", tabify=True)
    return viewer, made


FIXED = ("head", "tabs", "foot")
"""Above and below what scrolls."""


def bring_up(panel):
    """Bring a panel into sight: its dock, and its tab there."""
    inner, above = panel, panel.parentWidget()
    while above is not None:
        if isinstance(above, QStackedWidget) and above.indexOf(inner) >= 0:
            above.setCurrentWidget(inner)
        if isinstance(above, QDockWidget):
            above.raise_()
        inner, above = above, above.parentWidget()


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
    assert [f"{name}: {fault}" for name, panel in made.items() for fault in faults(panel)] == []
    least = {name: panel.minimumSizeHint().expandedTo(panel.minimumSize()) for name, panel in made.items()}
    assert {name: size.width() for name, size in least.items() if size.width() > WIDEST} == {}
    assert {name: size.height() for name, size in least.items() if size.height() > HIGHEST} == {}
    assert [name for name, panel in made.items() if name not in FIXED and not scrolls(panel)] == []
    assert sum(least[name].height() for name in FIXED) < HIGHEST / 2
    always = [letter for name in FIXED for letter, _ in mnemonics(made[name])]
    assert len(always) == len(set(always))
    pages = {name: panel for name, panel in made.items() if made["foot"].window().isAncestorOf(panel)}
    twice = {n: [letter for letter, _ in mnemonics(p) if letter in always] for n, p in pages.items() if n not in FIXED}
    assert {name: letters for name, letters in twice.items() if letters and not name.endswith("Widget")} == {}
    inside = {n: p.widget().minimumSizeHint().width() for n, p in made.items() if isinstance(p, QScrollArea)}
    assert {name: width for name, width in inside.items() if width > WIDEST} == {}  # nothing is cut off at the side


# The wheel ----------------------------------------------------------------------------------------------------------


def turn_wheel(widget, steps=-1):
    """Turn the mouse's wheel over a widget: whoever does not take it hands it to its parent.

    Qt does so with the mouse's own events, and not with those that a program sends.
    """
    button, modifier = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    receiver = widget
    while receiver is not None:
        at, there = receiver.rect().center(), receiver.mapToGlobal(receiver.rect().center())
        turned = QPoint(), QPoint(0, 120 * steps)
        event = QWheelEvent(QPointF(at), QPointF(there), *turned, button, modifier, Qt.ScrollPhase.NoScrollPhase, False)
        QApplication.sendEvent(receiver, event)
        if event.isAccepted() or receiver.isWindow():
            return
        receiver = receiver.parentWidget()


def boxes_of(panel):
    """What takes the wheel to change its value, also where it is hidden now."""
    kinds = (QComboBox, QAbstractSpinBox, QAbstractSlider)
    found = [one for kind in kinds for one in panel.findChildren(kind)]
    return [one for one in found if not isinstance(one, QScrollBar)]


def value_of(box):
    if isinstance(box, QComboBox):
        return box.currentIndex()
    return box.text() if isinstance(box, QAbstractSpinBox) else box.value()


def prepare(box):
    """Put the box where the wheel could move it both ways, without anybody being told."""
    box.blockSignals(True)
    if isinstance(box, QComboBox):
        box.addItems(["one", "two", "three"])
        box.setCurrentIndex(1)
    elif isinstance(box, QAbstractSpinBox):
        box.setValue((box.minimum() + box.maximum()) / 2 if hasattr(box, "decimals") else box.minimum() + 1)


def unprotected(panel):
    """Boxes of a panel that the wheel changes, or gives the focus."""
    for box in boxes_of(panel):
        prepare(box)
        before = value_of(box)
        turn_wheel(box, -1)
        turn_wheel(box, -1)
        what = f"{type(box).__name__} {name_of(box, panel)!r}"
        if value_of(box) != before:
            yield f"{what} is changed by the wheel"
        if box.focusPolicy() == Qt.FocusPolicy.WheelFocus:
            yield f"{what} takes the focus with the wheel"


def test_the_wheel_over_a_panel_changes_no_box(panels):
    _, made = panels
    assert sum(len(boxes_of(panel)) for panel in made.values()) > 30
    assert [f"{name}: {fault}" for name, panel in made.items() for fault in unprotected(panel)] == []


@pytest.fixture
def guarded(qtbot):
    """A panel that scrolls, as the panels are made, with a box in it."""
    from napari_brain_tumor.widgets.parts import column_in

    panel = QScrollArea()
    qtbot.addWidget(panel)
    column = column_in(panel)
    box = QSpinBox()
    column.addWidget(box)
    column.addSpacing(2000)
    panel.resize(320, 200)
    with qtbot.waitExposed(panel):
        panel.show()
    qtbot.waitUntil(lambda: panel.verticalScrollBar().maximum() > 0, timeout=5000)
    box.clearFocus()  # as the first one of the window it may have been given it
    return panel, column, box


def test_the_wheel_over_a_box_scrolls_until_the_box_has_the_focus(guarded, qtbot):
    panel, _, box = guarded
    box.setValue(50)
    turn_wheel(box)
    assert box.value() == 50
    assert panel.verticalScrollBar().value() > 0
    panel.activateWindow()
    box.setFocus()
    qtbot.waitUntil(box.hasFocus, timeout=5000)
    turn_wheel(box)
    assert box.value() == 49


def test_boxes_that_are_added_later_are_guarded_too(guarded, qtbot):
    _, column, _ = guarded
    part = QWidget()
    column.addWidget(part)
    inner = QVBoxLayout(part)
    qtbot.wait(10)
    late, unguarded = QComboBox(), QComboBox()
    inner.addWidget(late)
    qtbot.addWidget(unguarded)
    qtbot.waitUntil(lambda: late.focusPolicy() == Qt.FocusPolicy.StrongFocus, timeout=5000)
    for box in (late, unguarded):
        prepare(box)
        turn_wheel(box)
    assert late.currentIndex() == 1
    assert unguarded.currentIndex() == 2  # else this test could not fail


# The width ----------------------------------------------------------------------------------------------------------


def cut(panel):
    """Controls that are seen, and of which a part is not: beyond the panel's side, or narrower than they must be."""
    area = next((one for one in [panel, *panel.findChildren(QScrollArea)] if isinstance(one, QScrollArea)), None)
    for one in controls(panel):
        if not one.isVisibleTo(panel) or isinstance(one, QAbstractItemView | QPlainTextEdit):
            continue
        holder = area.viewport() if area is not None and area.widget().isAncestorOf(one) else panel
        right = one.mapTo(holder, QPoint(one.width(), 0)).x()
        what = f"{type(one).__name__} {name_of(one, panel)!r}"
        if right > holder.width() or one.mapTo(holder, QPoint(0, 0)).x() < 0:
            yield f"{what} ends at {right} of {holder.width()}"
        if isinstance(one, QAbstractButton) and one.width() < one.minimumSizeHint().width():
            yield f"{what} is {one.width()} wide and needs {one.minimumSizeHint().width()}"


def below(panel):
    """Controls of what does not scroll that lie below the end of the dock."""
    holder = panel.parentWidget()
    for one in controls(panel):
        bottom = one.mapTo(holder, QPoint(0, one.height())).y()
        if one.isVisibleTo(panel) and bottom > holder.height():
            yield f"{type(one).__name__} {name_of(one, panel)!r} ends at {bottom} of {holder.height()}"


def test_what_is_cut_off_is_found(qtbot):
    panel, area = QWidget(), QScrollArea()
    qtbot.addWidget(panel)
    QVBoxLayout(panel).addWidget(area)
    inside = QWidget()
    area.setWidget(inside)
    squeezed, beyond = QPushButton("A long text on a button", inside), QPushButton("Beyond", inside)
    squeezed.setGeometry(0, 0, 40, 20)
    beyond.setGeometry(500, 0, 200, 20)
    inside.resize(800, 100)
    panel.resize(300, 100)
    with qtbot.waitExposed(panel):
        panel.show()
    assert len([fault for fault in cut(panel) if "Beyond" in fault and "ends at 700" in fault]) == 1
    assert len([fault for fault in cut(panel) if "A long text" in fault and "40 wide" in fault]) == 1


@pytest.mark.parametrize(("size", "points"), [((1366, 768), 9), ((1920, 1080), 9), ((1366, 768), 16)])
def test_no_control_is_cut_off_on_a_small_screen(panels, size, points, qtbot):
    from napari.settings import get_settings

    from napari_brain_tumor.widgets.parts import FoldToggle

    viewer, made = panels
    window = viewer.window._qt_window
    usual = get_settings().appearance.font_size
    get_settings().appearance.font_size = points
    window.show()
    window.resize(*size)
    try:
        found = []
        for name, panel in made.items():
            bring_up(panel)
            for fold in panel.findChildren(FoldToggle):
                fold.setChecked(True)
            qtbot.wait(50)
            found += [f"{name}: {fault}" for fault in cut(panel)]
            if name in FIXED:
                found += [f"{name}: {fault}" for fault in below(panel)]
        assert found == []
        assert window.width() <= size[0]
        assert window.height() <= size[1]
    finally:
        get_settings().appearance.font_size = usual  # themes keep it beyond the settings' own reset
        window.hide()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_contrasts_with_what_is_behind_it(panels, theme):
    viewer, made = panels
    viewer.theme = theme
    weak = {name: list(_weak_texts(panel)) for name, panel in made.items()}
    assert {name: found for name, found in weak.items() if found} == {}


def _weak_texts(panel):
    shown = panel.widget() if isinstance(panel, QScrollArea) else panel
    shown.resize(
        max(360, shown.minimumSizeHint().width(), shown.sizeHint().width()), max(shown.sizeHint().height(), 200)
    )
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
    from qtpy.QtWidgets import QTableWidget

    panel = QWidget()
    qtbot.addWidget(panel)
    column = QVBoxLayout(panel)
    for made in (QPushButton("&One"), QPushButton("F&our"), QTableWidget(1, 1)):
        column.addWidget(made)
    panel.findChildren(QPushButton)[1].setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    found = "\n".join(faults(panel))
    for words in ("'&One' has no tooltip", "'F&our' is not reached", "has no name", "not left", "Alt+o means"):
        assert words in found
