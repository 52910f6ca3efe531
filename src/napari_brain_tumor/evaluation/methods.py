"""The methods to compare: models to run, and folders of existing segmentations, each with a name."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_brain_tumor.catalogue import find_model
from napari_brain_tumor.errors import ModelNotFoundError, OptionError, UnreadableFileError
from napari_brain_tumor.io.reading import AnyPath, existing
from napari_brain_tumor.requests.segment import SegmentRequest

Models = Iterable[AnyPath] | Mapping[str, AnyPath]


@dataclass(frozen=True, slots=True)
class ComparedMethod:
    """A named method: a model to run, or a folder of segmentations."""

    name: str
    model: str | None = None
    folder: Path | None = None

    def absolute(self) -> "ComparedMethod":
        """Return a copy with absolute paths, for a process that runs in another folder."""
        folder = None if self.folder is None else self.folder.absolute()
        model = self.model
        return replace(self, folder=folder, model=os.path.abspath(model) if model and os.path.isdir(model) else model)


def compared_methods(models: Models, predictions: Mapping[str, AnyPath]) -> tuple[ComparedMethod, ...]:
    pairs = models.items() if isinstance(models, Mapping) else [(None, where) for where in models]
    methods = [ComparedMethod(name or find_model(where).name, model=os.fspath(where)) for name, where in pairs]
    methods += [ComparedMethod(name, folder=_folder(where)) for name, where in predictions.items()]
    for method in methods:
        weights_of(method)  # a missing model is reported now, not after the first case
    names = [method.name for method in methods]
    if not methods:
        raise ModelNotFoundError("There is nothing to evaluate. Name models, or folders of predictions.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"Several models are called {', '.join(twice)}. Give them names of their own, for example new=FOLDER."
        raise ModelNotFoundError(msg)
    return tuple(methods)


def check_fits(methods: Sequence[ComparedMethod], request: SegmentRequest) -> None:
    """Raise `OptionError` for options that none of the methods accepts."""
    for name in ("seeds", "thresholds"):
        value = getattr(request, name)
        if value and not any(getattr(fitting_request(method, request), name) for method in methods if method.model):
            raise OptionError(f"None of {', '.join(method.name for method in methods)} takes {name}. Leave them out.")


def fitting_request(method: ComparedMethod, request: SegmentRequest) -> SegmentRequest:
    """Return the request without options that the method does not accept, so that methods can be compared."""
    if not (request.seeds or request.thresholds):
        return request
    info = find_model(method.model)
    seeds = request.seeds if info.takes_seeds else ()
    return request.with_options(seeds=seeds, thresholds=None if info.is_baseline else request.thresholds)


def _folder(where: AnyPath) -> Path:
    place = existing(where)
    if not place.is_dir():
        msg = f"{place} is a file. Predictions are a folder with one segmentation for each case, named after it."
        raise UnreadableFileError(msg)
    return place


def weights_of(method: ComparedMethod) -> str:
    card = None if method.model is None else getattr(find_model(method.model), "card", None)
    return getattr(card, "weights_sha256", "")
