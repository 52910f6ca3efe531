"""Read access to a curated data set on disk, without a lock; a reader always sees a complete data set."""

from collections.abc import Collection
from os import PathLike
from pathlib import Path

from napari_brain_tumor.dataset.duplicates import voxels_sha256
from napari_brain_tumor.dataset.files import read_study, read_truth
from napari_brain_tumor.dataset.index import CaseRecord, DatasetIndex
from napari_brain_tumor.dataset.records import case_of
from napari_brain_tumor.dataset.transaction import INDEX_FILE, read_index
from napari_brain_tumor.dataset.truth import Truth
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.io.volume import named_path
from napari_brain_tumor.study import Study

AnyPath = str | PathLike[str]
OneOrMore = str | Collection[str]


class StoredCases:
    """Cases with their reference labels, the labels' authors and reviews, and the side of the split, as on disk.

    Parameters
    ----------
    folder : path-like
        Folder of a data set.

    Raises
    ------
    DatasetError
        If there is no data set, or its index is inconsistent.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._folder = named_path(folder)
        self._stamp: tuple[int, ...] = ()
        self._index: DatasetIndex = self.index

    @property
    def folder(self) -> Path:
        """Folder of the data set."""
        return self._folder

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.index.name

    @property
    def index(self) -> DatasetIndex:
        """Everything except the voxels, as currently on disk."""
        stamp = self._stamp_on_disk()
        if not stamp or stamp != self._stamp:
            # If the index is replaced in between, the older stamp makes the next access read it again.
            self._index = read_index(self._folder)
            self._stamp = stamp
        return self._index

    def __len__(self) -> int:
        return len(self.index.cases)

    def __contains__(self, case_id: object) -> bool:
        return any(case.id == case_id for case in self.index.cases)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._folder)!r}, {len(self)} cases)"

    def cases(self, *, state: OneOrMore | None = None, split: OneOrMore | None = None) -> tuple[CaseRecord, ...]:
        """Return the cases in the order in which they were added, optionally only of certain states or sides."""
        states, sides = _several(state), _several(split)
        return tuple(
            case
            for case in self.index.cases
            if (states is None or case.state in states) and (sides is None or case.split in sides)
        )

    def case(self, case_id: str) -> CaseRecord:
        """Return the record of a case; raises `CaseNotFoundError` if there is none with that id."""
        return case_of(self.index, case_id)

    def study(self, case_id: str) -> Study:
        """Return the sequences of a case on its own grid, as from `open_study`.

        Raises
        ------
        CaseNotFoundError
            If there is no case with that id.
        UnreadableFileError, DatasetError
            If its file is missing, damaged, or not the one described in the index.
        """
        return read_study(self._folder, self.case(case_id))

    def truth(self, case_id: str) -> Truth:
        """Return the label of a case, and which of its regions and voxels are known.

        Raises
        ------
        CaseNotFoundError
            If there is no case with that id.
        UnreadableFileError, DatasetError
            If its file is missing, damaged, or not the one described in the index.
        """
        while True:
            case, stamp = self.case(case_id), self._stamp
            try:
                return read_truth(self._folder, case)
            except BrainTumorError:
                # If another process has replaced the label meanwhile, the new index refers to the new file.
                if self._stamp_on_disk() == stamp:
                    raise

    def image_path(self, case_id: str) -> Path:
        """Return the file with the sequences of a case."""
        return self._folder / self.case(case_id).image

    def label_path(self, case_id: str) -> Path:
        """Return the file with the label of a case; it changes when the case is relabelled."""
        return self._folder / self.case(case_id).label.file

    def check_files(self, *, voxels: bool = False) -> dict[str, str]:
        """Return the problems with files by case id; empty if there are none.

        Parameters
        ----------
        voxels : bool
            Whether to read every image and label and compare it with its hash, which takes about a second per case.
        """
        problems = {}
        for case in self.index.cases:
            problem = self._missing(case) or (self._changed(case) if voxels else None)
            if problem is not None:
                problems[case.id] = problem
        return problems

    def _stamp_on_disk(self) -> tuple[int, ...]:
        try:
            status = (self._folder / INDEX_FILE).stat()
        except OSError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _missing(self, case: CaseRecord) -> str | None:
        missing = [file for file in (case.image, case.label.file) if not (self._folder / file).is_file()]
        return f"{' and '.join(missing)} is missing: restore it, or remove the case." if missing else None

    def _changed(self, case: CaseRecord) -> str | None:
        try:
            read_truth(self._folder, case)
            study = read_study(self._folder, case)
        except (BrainTumorError, OSError) as error:
            return str(error)
        for role, array in study.sequences.items():
            if voxels_sha256(array) != case.sequences[role].sha256:
                return (
                    f"{role} in {case.image} is not the image that was added: restore the original, or remove the case."
                )
        return None


def _several(choice: OneOrMore | None) -> Collection[str] | None:
    return (choice,) if isinstance(choice, str) else choice
