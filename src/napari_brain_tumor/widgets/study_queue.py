"""A queue of studies to segment, with their outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from napari.layers import Layer

from napari_brain_tumor.plugin.layers import LayerView, case_of, view
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets.worker import Expectation


@dataclass(frozen=True, slots=True, eq=False)
class OpenStudy:
    """A study among the layers: its name, and the layer of each role."""

    name: str
    sequences: Mapping[Role, Layer]

    @classmethod
    def of(cls, sequences: Mapping[Role, Layer]) -> "OpenStudy":
        """Return the study of these layers, named after their case."""
        return cls(case_of(next(iter(sequences.values()))), dict(sequences))

    @property
    def views(self) -> dict[Role, LayerView]:
        """Data of its layers; raises what `layers.view` raises."""
        return {role: view(layer) for role, layer in self.sequences.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One study to segment.

    Parameters
    ----------
    views : mapping of role to LayerView
        Data of its layers.
    expectation : Expectation, optional
        Expected duration, if known.
    """

    name: str
    views: Mapping[Role, LayerView]
    request: SegmentRequest
    expectation: Expectation | None = None


@dataclass(slots=True)
class RunQueue:
    """Waiting and finished runs, with their outcomes."""

    runs: Sequence[Run]
    done: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    stopped: bool = False

    @property
    def is_single(self) -> bool:
        """Whether there is only one study."""
        return len(self.runs) == 1

    @property
    def current(self) -> Run | None:
        """The current run; None if all are done or the user has stopped."""
        at = len(self.done) + len(self.failed)
        return None if self.stopped or at >= len(self.runs) else self.runs[at]

    @property
    def place(self) -> str:
        """Position of the current run, for messages: `"2 of 3, anna: "`; empty for a single study."""
        at, current = len(self.done) + len(self.failed), self.current
        return "" if self.is_single or current is None else f"{at + 1} of {len(self.runs)}, {current.name}: "

    def finish(self) -> None:
        """Mark the current study as done."""
        if self.current is not None:
            self.done.append(self.current.name)

    def fail(self, reason: str) -> None:
        """Mark the current study as failed; the others continue."""
        if self.current is not None:
            self.failed.append((self.current.name, reason))

    def stop(self) -> None:
        """Start no further run."""
        self.stopped = True

    def let_go_of_scans(self) -> None:
        """Keep only the names of the runs, and not the data of their layers."""
        self.runs = [replace(run, views={}) for run in self.runs]

    @property
    def summary(self) -> str:
        """Summary of all outcomes."""
        lines = [f"Segmented {len(self.done)} of {len(self.runs)} studies."]
        lines += [f"{name} was refused: {reason}" for name, reason in self.failed]
        return "\n".join([*lines, *(["The others were not started or were cancelled."] if self.stopped else [])])
