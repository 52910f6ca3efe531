"""An offer above the tabs that blocks nothing."""

from qtpy.QtWidgets import QFrame, QPushButton, QVBoxLayout

from napari_brain_tumor.widgets.parts import add_to, button, flow, wrapped


class Notice(QFrame):
    """A framed text with a button that accepts and one that declines; hidden until there is something to offer.

    Parameters
    ----------
    name : str
        For screen readers.
    accept_button : QPushButton
        Without a letter for Alt, like the other one: the tabs below have theirs.
    later_tip : str
        What happens if it is declined.
    """

    def __init__(self, name: str, accept_button: QPushButton, later_tip: str) -> None:
        super().__init__()
        self.setObjectName("notice")
        self.setStyleSheet("#notice { border: 1px solid gray; }")  # napari's themes draw no frames
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        self.text_label = wrapped("", name)
        self.later_button = button("Not now", later_tip)
        add_to(column, self.text_label, flow(accept_button, self.later_button))
        self.hide()
