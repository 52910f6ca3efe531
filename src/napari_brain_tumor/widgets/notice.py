"""An offer shown above the tabs, which does not block anything."""

from qtpy.QtWidgets import QFrame, QPushButton, QVBoxLayout

from napari_brain_tumor.widgets.parts import add_to, button, flow, wrapped


class Notice(QFrame):
    """A framed text with a button that accepts and one that declines; hidden until there is something to offer.

    Parameters
    ----------
    name : str
        Accessible name.
    accept_button : QPushButton
        Like the other button, without an Alt+letter shortcut, as the tabs below use those.
    later_tip : str
        Tooltip that says what happens if the offer is declined.
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
