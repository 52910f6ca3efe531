"""Controls for the fields of a request, made by magicgui from their types, bounds and descriptions."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from magicgui.widgets import create_widget
from magicgui.widgets.bases import ValueWidget
from pydantic.fields import FieldInfo
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout

from napari_brain_tumor.requests.request import Request, arms_of, option_of

_LARGEST = 100_000
_CHOICE_WORDS = {"auto": "automatic"}


def has_control(field: FieldInfo) -> bool:
    """Return whether magicgui can make a control for the field: a switch, a number or a choice."""
    arms = arms_of(field.annotation)
    return len(arms) == 1 and (arms[0] in (bool, int, float) or get_origin(arms[0]) is Literal or _is_set(arms[0]))


class RequestControls(QObject):
    """Controls for some fields of a request, each with label, tooltip and accessible name.

    Parameters
    ----------
    names : sequence of str
        Names of the fields, in row order.
    rows : QFormLayout
        Form that they are added to.
    """

    changed = Signal()

    def __init__(self, request: type[Request], names: Sequence[str], rows: QFormLayout) -> None:
        super().__init__()
        self._request = request
        self.widgets: dict[str, ValueWidget[Any]] = {}
        for name in names:
            field = request.model_fields[name]
            widget = _widget(name, field)
            native = widget.native
            native.setAccessibleName(option_of(field).label.replace("&", ""))
            if isinstance(native, QCheckBox):
                native.setText(option_of(field).label)
            rows.addRow("" if isinstance(native, QCheckBox) else option_of(field).label, native)
            widget.changed.connect(self._on_changed)
            self.widgets[name] = widget
        self._usual = self.values

    def control(self, name: str) -> Any:
        """Return the Qt widget of a field."""
        return self.widgets[name].native

    @property
    def values(self) -> dict[str, Any]:
        """The current values, in the form that the request takes."""
        values = {name: widget.value for name, widget in self.widgets.items()}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}

    def choose(self, **values: Any) -> None:
        """Set these fields."""
        for name, value in values.items():
            self.widgets[name].value = value

    def set_usual(self, **values: Any) -> None:
        """Set fields to their defaults; only what the user changes from there is reported."""
        self.choose(**values)
        self._usual |= {name: self.values[name] for name in values}

    @property
    def changed_words(self) -> list[str]:
        """Description of the values that differ from the defaults."""
        changed = {name: value for name, value in self.values.items() if value != self._usual[name]}
        return [self._words(name, value) for name, value in changed.items() if self.control(name).isEnabled()]

    def enable(self, names: Sequence[str], on: bool) -> None:
        """Enable or disable the controls of these fields."""
        for name in names:
            if name in self.widgets:
                self.control(name).setEnabled(on)

    def _words(self, name: str, value: Any) -> str:
        option = option_of(self._request.model_fields[name])
        label = option.label.replace("&", "")
        if isinstance(value, bool):
            return label.lower()
        if isinstance(value, tuple):
            text = ", ".join(map(str, value))
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
        return f"{label.lower()} {text} {option.unit}".rstrip()

    def _on_changed(self, *_: Any) -> None:
        self.changed.emit()


def _is_set(arm: Any) -> bool:
    """Return whether a type is a tuple of any length whose members are from a list of words."""
    inner = get_args(arm)
    many = get_origin(arm) is tuple and len(inner) == 2 and inner[1] is ...
    return many and get_origin(arms_of(inner[0])[0]) is Literal


def _widget(name: str, field: FieldInfo) -> ValueWidget[Any]:
    (arm,), option = arms_of(field.annotation), option_of(field)
    options: dict[str, Any] = {"tooltip": fill(option.help, 90)}
    default = field.get_default()
    if arm in (int, float):
        least: Any = next((part.ge for part in field.metadata if isinstance(part, Ge)), 0)
        most: Any = next((part.le for part in field.metadata if isinstance(part, Le)), _LARGEST)
        options |= {"min": least, "max": most, "step": 10 if most > 1000 else 1}
        default = least if default is None else default
    elif get_origin(arm) is Literal:
        options["choices"] = [(_CHOICE_WORDS.get(choice, choice), choice) for choice in get_args(arm)]
    elif _is_set(arm):
        arm, options["choices"] = list[str], list(get_args(arms_of(get_args(arm)[0])[0]))
        options["widget_type"] = "Select"
        default = options["choices"] if default is None else list(default)
    widget = create_widget(name=name, annotation=arm, value=default, options=options)
    assert isinstance(widget, ValueWidget)
    if isinstance(widget.native, QDoubleSpinBox):
        widget.native.setDecimals(0 if option.unit == "mm³" else 2)
        widget.native.setSuffix(f" {option.unit}" if option.unit else "")
    return widget
