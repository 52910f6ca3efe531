"""Modal questions to the user."""

from collections.abc import Callable, Mapping
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

Ask = Callable[[QWidget, str, Mapping[str, str]], str]
"""Asks a question with these answers (key to text), and returns the key of the chosen one."""


def ask(parent: QWidget, question: str, answers: Mapping[str, str]) -> str:
    """Ask with a button for each answer; the first is the default, the last is used for Escape and closing."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Brain Tumor")
    box.setText(question)
    buttons = {key: box.addButton(text, QMessageBox.ButtonRole.ActionRole) for key, text in answers.items()}
    keys = list(answers)
    box.setDefaultButton(buttons[keys[0]])
    box.setEscapeButton(buttons[keys[-1]])
    box.exec()
    clicked = box.clickedButton()
    return next((key for key, push_button in buttons.items() if push_button is clicked), keys[-1])


def ask_target(parent: QWidget, title: str, name: str, kinds: str, suffixes: tuple[str, ...] = ("",)) -> Path | None:
    """Ask where to save; a name without any of the suffixes gets the first. None if the user cancels.

    Parameters
    ----------
    name : str
        Proposed name, in the user's home folder.
    kinds : str
        File filter, as in Qt's dialogs.
    """
    path, _ = QFileDialog.getSaveFileName(parent, title, str(Path.home() / name), kinds)
    return target_of(path, suffixes) if path else None


def target_of(path: str, suffixes: tuple[str, ...]) -> Path:
    """Return the path to write, with the default suffix added if it has none of the possible ones."""
    return Path(path if path.lower().endswith(suffixes) else f"{path}{suffixes[0]}")
