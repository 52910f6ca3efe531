"""Prepare many examinations, each into a folder of its own, in whatever process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.case_names import distinct_names
from napari_brain_tumor.preparation.folder import is_prepared, require_free
from napari_brain_tumor.preparation.pipeline import PreparationReport, prepare_folder_job
from napari_brain_tumor.progress import Job
from napari_brain_tumor.requests.prepare import PrepareOptions


@dataclass(frozen=True, slots=True)
class PreparationTask:
    """An examination, and the folder for its study."""

    case: Path
    folder: Path

    def absolute(self) -> "PreparationTask":
        """The same for a process that runs in another folder."""
        return PreparationTask(self.case.absolute(), self.folder.absolute())


@dataclass(frozen=True, slots=True)
class PrepareWork:
    """How every examination of a batch is prepared; see `executors.CaseWork`.

    Parameters
    ----------
    overwrite, skip_existing : bool
        Whether earlier prepared studies are replaced, or passed over.
    """

    options: PrepareOptions
    overwrite: bool = False
    skip_existing: bool = False

    def absolute(self) -> "PrepareWork":
        """The same for a process that runs in another folder."""
        brain = self.options.brain
        if not isinstance(brain, str | Path) or str(brain) in ("auto", "keep"):
            return self
        return replace(self, options=self.options.with_options(brain=str(Path(brain).absolute())))

    def place(self, task: PreparationTask) -> Path:
        """Return where the examination is."""
        return task.case

    def read(self, task: PreparationTask) -> bool:
        """Return whether there is something to do; settle at once that it can be written."""
        if self.skip_existing and is_prepared(task.folder):
            return False
        require_free(task.folder, overwrite=self.overwrite)
        return True

    def compute(self, task: PreparationTask, opened: bool) -> Job[PreparationReport | None]:
        """Prepare and save; None where an earlier study is passed over."""
        if not opened:
            return None
        options = self.options.changed() | {"overwrite": self.overwrite}
        return (yield from prepare_folder_job(task.case, task.folder, options))


def preparation_tasks(cases: Sequence[Path], output: Path) -> list[PreparationTask]:
    """The folder of each study: `output` itself for one examination, else one in it for each.

    Raises
    ------
    SaveError
        If `output` is a file.
    """
    if output.is_file():
        raise SaveError(f"{output} is a file; prepared studies are folders. Choose another name.")
    if len(cases) == 1:
        return [PreparationTask(cases[0], output)]
    names = distinct_names(cases)
    return [PreparationTask(case, output / name) for case, name in zip(cases, names, strict=True)]
