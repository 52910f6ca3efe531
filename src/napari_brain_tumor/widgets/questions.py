"""Questions that wait for an answer."""

from collections.abc import Callable, Mapping

from qtpy.QtWidgets import QMessageBox, QWidget

Ask = Callable[[QWidget, str, Mapping[str, str]], str]
"""Asks a question with those answers, key to text, and returns the key of the one that was given."""


def ask(parent: QWidget, question: str, answers: Mapping[str, str]) -> str:
    """Ask with a button for each answer; the first is the default, the last is what Escape and closing mean."""
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
