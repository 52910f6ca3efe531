"""Prepare many examinations, each in its own folder."""

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
    """An examination, and the folder for its prepared study."""

    case: Path
    folder: Path

    def absolute(self) -> "PreparationTask":
        """Return a copy with absolute paths, for a process that runs in another folder."""
        return PreparationTask(self.case.absolute(), self.folder.absolute())


@dataclass(frozen=True, slots=True)
class PrepareWork:
    """Settings for preparing each examination of a batch; see `executors.CaseWork`.

    Parameters
    ----------
    overwrite, skip_existing : bool
        Whether existing prepared studies are replaced, or skipped.
    """

    options: PrepareOptions
    overwrite: bool = False
    skip_existing: bool = False

    def absolute(self) -> "PrepareWork":
        """Return a copy with absolute paths, for a process that runs in another folder."""
        brain = self.options.brain
        if not isinstance(brain, str | Path) or str(brain) in ("auto", "keep"):
            return self
        return replace(self, options=self.options.with_options(brain=str(Path(brain).absolute())))

    def place(self, task: PreparationTask) -> Path:
        """Return the path of the examination."""
        return task.case

    def read(self, task: PreparationTask) -> bool:
        """Return whether there is anything to do, after checking that the folder can be written."""
        if self.skip_existing and is_prepared(task.folder):
            return False
        require_free(task.folder, overwrite=self.overwrite)
        return True

    def compute(self, task: PreparationTask, opened: bool) -> Job[PreparationReport | None]:
        """Prepare and save the examination; None if an existing study is skipped."""
        if not opened:
            return None
        options = self.options.changed() | {"overwrite": self.overwrite}
        return (yield from prepare_folder_job(task.case, task.folder, options))


def preparation_tasks(cases: Sequence[Path], output: Path) -> list[PreparationTask]:
    """Choose the folder of each study: `output` itself for a single examination, otherwise a subfolder for each.

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
