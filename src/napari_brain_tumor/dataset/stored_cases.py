"""What a curated data set on disk holds. Reading needs no lock and always sees a whole data set."""

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
    """Cases with their truth, who made it, what was decided about it and the side of the split, as they are on disk.

    Parameters
    ----------
    folder : path-like
        Of a data set.

    Raises
    ------
    DatasetError
        If there is no data set, or its index contradicts itself.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._folder = named_path(folder)
        self._stamp: tuple[int, ...] = ()
        self._index: DatasetIndex = self.index

    @property
    def folder(self) -> Path:
        """Where the data set is."""
        return self._folder

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.index.name

    @property
    def index(self) -> DatasetIndex:
        """Everything but the voxels, as it is on disk now."""
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
        """The cases in the order in which they were added, of a state or side, or of several."""
        states, sides = _several(state), _several(split)
        return tuple(
            case
            for case in self.index.cases
            if (states is None or case.state in states) and (sides is None or case.split in sides)
        )

    def case(self, case_id: str) -> CaseRecord:
        """The record of a case; raises `CaseNotFoundError` where there is none of that id."""
        return case_of(self.index, case_id)

    def study(self, case_id: str) -> Study:
        """The sequences of a case on its own grid, as `open_study` gives them.

        Raises
        ------
        CaseNotFoundError
            If there is no case of that id.
        UnreadableFileError, DatasetError
            If its file is missing, damaged, or not the one that the index tells.
        """
        return read_study(self._folder, self.case(case_id))

    def truth(self, case_id: str) -> Truth:
        """The label of a case, and which regions and voxels of it are known.

        Raises
        ------
        CaseNotFoundError
            If there is no case of that id.
        UnreadableFileError, DatasetError
            If its file is missing, damaged, or not the one that the index tells.
        """
        while True:
            case, stamp = self.case(case_id), self._stamp
            try:
                return read_truth(self._folder, case)
            except BrainTumorError:
                # Another process may have replaced the label meanwhile: then the new index knows the new file.
                if self._stamp_on_disk() == stamp:
                    raise

    def image_path(self, case_id: str) -> Path:
        """The file with the sequences of a case."""
        return self._folder / self.case(case_id).image

    def label_path(self, case_id: str) -> Path:
        """The file with the label of a case; another one after the case was relabelled."""
        return self._folder / self.case(case_id).label.file

    def check_files(self, *, voxels: bool = False) -> dict[str, str]:
        """What is wrong with the files, by case id; empty where all is well.

        Parameters
        ----------
        voxels : bool
            Whether every image and label is read and compared with its hash, which takes a second a case.
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
