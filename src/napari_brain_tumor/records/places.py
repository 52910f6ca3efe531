"""Find the files of a record again and verify by SHA-256 that they are unchanged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.io.source_files import combined_sha256, file_sha256, labels_files_sha256, source_files
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.records.records import InputRecord
from napari_brain_tumor.study import Role, Source


@dataclass(frozen=True)
class Places:
    """Where to look for files that have moved: next to the record, or anywhere in a given folder.

    Parameters
    ----------
    beside : Path
        Folder that contains the record.
    data : Path or None
        Folder searched recursively, first by file name and then by content.
    """

    beside: Path
    data: Path | None = None
    _known: dict[Path, str] = field(default_factory=dict, repr=False)

    def sha256(self, path: Path) -> str:
        """SHA-256 of a file, computed only once."""
        if path not in self._known:
            self._known[path] = file_sha256(path)
        return self._known[path]

    def candidates(self, path: Path) -> Iterator[Path]:
        """Yield existing paths at which a file of that name may be found, most likely first."""
        near = [self.beside / path, path, self.beside / path.name]
        same_name = (candidate for candidate in self._within if candidate.name == path.name)
        yield from (candidate for candidate in dict.fromkeys((*near, *same_name)) if _can_hold(candidate))

    def alike(self, path: Path) -> Iterator[Path]:
        """Yield paths that may hold the same data under another name: files of the same type, or folders."""
        kind = path.name[len(short_name(path)) :].lower()
        return (
            candidate
            for candidate in self._within
            if (candidate.name.lower().endswith(kind) if kind else candidate.is_dir())
        )

    def labels(self, path: Path, sha256: str | None, what: str) -> Path:
        """Find the label file or folder of masks with the given hash; without a hash, the first one of that name.

        Raises
        ------
        RecordError
            If it is missing or has changed.
        """
        there = list(self.candidates(path))
        if sha256 is None and there:
            return there[0]
        for place in (*there, *self.alike(path)):
            if labels_files_sha256(place) == sha256:
                return place
        now = labels_files_sha256(there[0]) if there else ""
        raise RecordError(_not_found(what, path, there, self.data, now, sha256))

    @cached_property
    def _within(self) -> Sequence[Path]:
        if self.data is None:
            return ()
        if not self.data.is_dir():
            raise RecordError(f"{self.data} is not a folder. Name the folder that holds the scans now.")
        return sorted(filter(_can_hold, self.data.rglob("*")))


def _can_hold(place: Path) -> bool:
    """Whether the path is a file or a folder; a pipe or device cannot be hashed, as it has no end."""
    return place.is_file() or place.is_dir()


def find_sources(inputs: Mapping[Role, InputRecord], places: Places, case: str) -> dict[Role, Source]:
    """Find the current locations of the sequences in a record and verify those that have a hash.

    Raises
    ------
    RecordError
        If the record names no files, or a file (named in the message) is missing or has changed.
    """
    if not inputs:
        raise RecordError(
            f"The scans of {case} came from memory, not from files, so they cannot be opened again. Save them as files "
            "and segment those."
        )
    listed = {(recorded.path, recorded.series): recorded.files for recorded in inputs.values() if recorded.files}
    places_of_files: dict[tuple[Path, str | None], Path] = {}
    for role, recorded in inputs.items():
        place = recorded.path, recorded.series
        if place not in places_of_files:
            places_of_files[place] = _find(recorded, listed.get(place, {}), places, f"{role} of {case}")
    return {
        role: replace(recorded.source, path=places_of_files[recorded.path, recorded.series])
        for role, recorded in inputs.items()
    }


def _find(recorded: InputRecord, files: Mapping[str, str], places: Places, what: str) -> Path:
    there = list(places.candidates(recorded.path))
    if recorded.sha256 is None and there:
        return there[0]
    for place in there:
        if recorded.sha256 in (_hash(recorded, place, places), _hash_of_format_1(place, places)):
            return place
    for place in places.alike(recorded.path):
        if recorded.sha256 == _hash(recorded, place, places):
            return place
    now = _hash(recorded, there[0], places) if there else ""
    differing = _differing(replace(recorded.source, path=there[0]), files, places) if there and files else ""
    raise RecordError(_not_found(what, recorded.path, there, places.data, now, recorded.sha256, differing))


def _hash(recorded: InputRecord, place: Path, places: Places) -> str:
    return combined_sha256([places.sha256(file) for file in source_files(replace(recorded.source, path=place))])


def _hash_of_format_1(place: Path, places: Places) -> str:
    """Return the hash used by format 1: of the single file, or of all files in the folder, of any kind."""
    files = [place] if place.is_file() else [p for p in sorted(place.rglob("*")) if p.is_file()]
    return combined_sha256([places.sha256(file) for file in files])


def _differing(source: Source, files: Mapping[str, str], places: Places) -> str:
    """Describe which files of a folder have changed."""
    now = {file.name: places.sha256(file) for file in source_files(source)}
    groups = {
        "missing": sorted(set(files) - set(now)),
        "new": sorted(set(now) - set(files)),
        "changed": sorted(name for name in set(now) & set(files) if now[name] != files[name]),
    }
    return "; ".join(f"{word}: {', '.join(names[:5])}" for word, names in groups.items() if names)


def _not_found(
    what: str, path: Path, there: Sequence[Path], data: Path | None, now: str, sha256: str | None, differing: str = ""
) -> str:
    searched = f" nor anywhere in {data}" if data is not None else ""
    help_text = "Restore the original, or name the folder that holds it: --data FOLDER (data=FOLDER)."
    if not there:
        return f"{what} is missing: {path} is not there{searched}. {help_text}"
    difference = f" ({differing})" if differing else ""
    hashes = f"its SHA-256 is {now[:12]}, recorded is {(sha256 or '')[:12]}"
    elsewhere = f", and the original is not in {data}" if data is not None else ""
    return f"{what} was changed: {there[0]}{difference}: {hashes}{elsewhere}. {help_text}"
