"""Running jobs, whichever tab started them: a progress bar with the time left and a button to cancel."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QBoxLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_brain_tumor.progress import Progress
from napari_brain_tumor.widgets.dock.state import JobFacts, job_text
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.parts import add_to, button, progress_bar, wrapped
from napari_brain_tumor.widgets.worker import JobRunner, time_left_text

_SHOW_MS: Final = 250
"""Shorter jobs show no bar, which would only flash up."""


@dataclass(slots=True)
class _Entry:
    facts: JobFacts
    tab: str
    cancel: Callable[[], None]


class RunningJobs(QObject):
    """The jobs that are running in a viewer's dock."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: dict[str, _Entry] = {}

    def follow(self, title: str, runner: JobRunner, tab: str = "", cancel: Callable[[], None] | None = None) -> None:
        """Show the jobs of a runner from now on.

        Parameters
        ----------
        title : str
            Name of its jobs.
        tab : str, optional
            The tab that shows progress and a cancel button itself.
        cancel : callable, optional
            Cancels the jobs, if that takes more than cancelling the runner.
        """
        act = cancel or runner.cancel

        def on_progress(progress: Progress, seconds_left: float | None) -> None:
            fraction = progress.fraction if progress.total else None
            self.put(JobFacts(title, progress.message, fraction, time_left_text(seconds_left)), tab, act)

        runner.progressed.connect(on_progress)
        for ended in (runner.finished, runner.failed, runner.cancelled):
            ended.connect(lambda *_: self.end(title))

    def begin(self, title: str, tab: str, cancel: Callable[[], None]) -> None:
        """Show a job that has started but has not reported progress yet."""
        if title not in self._entries:
            self.put(JobFacts(title), tab, cancel)

    def end(self, title: str) -> None:
        if self._entries.pop(title, None) is not None:
            self.changed.emit()

    def put(self, facts: JobFacts, tab: str, cancel: Callable[[], None]) -> None:
        """Update the state of a job."""
        self._entries[facts.title] = _Entry(facts, tab, cancel)
        self.changed.emit()

    def seen_from(self, tab: str) -> list[JobFacts]:
        """Return the jobs that a tab does not show itself."""
        return [entry.facts for entry in self._entries.values() if not tab or entry.tab != tab]

    def cancel(self, title: str) -> None:
        entry = self._entries.get(title)
        if entry is not None:
            entry.cancel()


class JobRow(QWidget):
    """Current step of a job, its progress, and a button to cancel it.

    Parameters
    ----------
    flat : bool
        Whether everything is laid out in one line.
    """

    cancel_requested = Signal()

    def __init__(self, *, flat: bool = False) -> None:
        super().__init__()
        column = QHBoxLayout(self) if flat else QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        self.label = wrapped("", "What is running")
        row = QHBoxLayout()
        self.bar = progress_bar("Progress of the work.")
        self.cancel_button = button("Cancel", "Stop this within a second.")
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        add_to(column, self.label, row)
        self.cancel_button.clicked.connect(lambda _: self.cancel_requested.emit())

    def show_job(self, job: JobFacts) -> None:
        """Show the current progress."""
        self.label.setText(job_text(job))
        self.cancel_button.setAccessibleName(f"Cancel {job.title[:1].lower()}{job.title[1:]}")
        self.bar.setRange(0, 0 if job.fraction is None else 1000)
        self.bar.setValue(0 if job.fraction is None else round(1000 * job.fraction))


class RunBar(QWidget):
    """Shows the running jobs, each with a button to cancel it; hidden if there are none.

    Parameters
    ----------
    tab : callable
        Returns the current tab, which shows its own jobs itself; empty if there is none.
    flat : bool
        Whether everything is laid out in one line.
    """

    def __init__(self, jobs: RunningJobs, tab: Callable[[], str], *, flat: bool = False) -> None:
        super().__init__()
        self._jobs, self._tab, self._flat = jobs, tab, flat
        self.rows: dict[str, JobRow] = {}
        self._layout: QBoxLayout = QHBoxLayout(self) if flat else QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._timer = single_shot(self, self._show_jobs)
        jobs.changed.connect(self.refresh)
        self.hide()

    def refresh(self) -> None:
        """Show what is running now; a bar appears after a short delay, so that it does not flash up for short jobs."""
        jobs = self._jobs.seen_from(self._tab())
        self._drop_ended({job.title for job in jobs})
        if not jobs:
            self._timer.stop()
            self.hide()
            return
        for job in jobs:
            if job.title in self.rows:
                self.rows[job.title].show_job(job)
        if len(self.rows) < len(jobs) and not self._timer.isActive():
            self._timer.start(_SHOW_MS)

    def _show_jobs(self) -> None:
        for job in self._jobs.seen_from(self._tab()):
            row = self.rows.get(job.title) or self._add(job.title)
            row.show_job(job)
        self.setVisible(bool(self.rows))

    def _add(self, title: str) -> JobRow:
        row = self.rows[title] = JobRow(flat=self._flat)
        row.cancel_requested.connect(partial(self._jobs.cancel, title))
        self._layout.addWidget(row)
        return row

    def _drop_ended(self, running: set[str]) -> None:
        for title in [title for title in self.rows if title not in running]:
            row = self.rows.pop(title)
            row.hide()
            self._layout.removeWidget(row)
            row.deleteLater()
