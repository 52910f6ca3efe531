"""The errors a user can meet. Each is also the builtin that scripts would expect to catch.

Every message says what was found, what was expected and what to do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class BrainTumorError(Exception):
    """Anything this package refuses to do, with the reason."""


class OptionError(BrainTumorError, ValueError, TypeError):
    """An action was given an option that it does not have, or a value that the option cannot take."""


class UnreadableFileError(BrainTumorError, ValueError):
    """A file is missing, empty, truncated, ruined or of a format that is not read."""


class DimensionError(BrainTumorError, ValueError):
    """An image has the wrong number of dimensions."""


class IntensityError(BrainTumorError, ValueError):
    """An image has values that cannot be used: NaN, infinite, or all the same."""


class GridMismatchError(BrainTumorError, ValueError):
    """Two images that must lie on one grid do not."""


class RoleError(BrainTumorError, ValueError):
    """The role of a sequence (T1, T1c, T2, FLAIR) is not recognised or not valid."""


class DuplicateRoleError(RoleError):
    """Two images claim the same role."""


class MissingRolesError(RoleError):
    """The chosen model was not trained for the sequences that the study has."""


class RegistrationError(BrainTumorError, ValueError):
    """Two examinations could not be brought onto one another, or not so that one may trust it."""


class VisitError(BrainTumorError, ValueError):
    """Visits of a patient cannot be put in an order, or lack what a comparison needs."""


class SpacingUnknownError(BrainTumorError, ValueError):
    """Millimetres were asked of a study whose files do not state the voxel size."""


class SeedError(BrainTumorError, ValueError):
    """A seed point lies outside the brain, or a model was given seeds that takes none."""


class BoxError(BrainTumorError, ValueError):
    """A box is not six world coordinates, or holds nothing of the scan or of the brain."""


class BrainMaskError(BrainTumorError, ValueError):
    """No brain was found in a head, or a brain mask cannot be used."""


class ProbabilityError(BrainTumorError, ValueError):
    """A threshold is not one of the model's, or probabilities were asked of a method that has none."""


class PromptError(BrainTumorError, ValueError):
    """A prompt lies outside the scan, has no voxel, or a file of prompts cannot be read."""


class LabelSchemaError(BrainTumorError, ValueError):
    """What the integers of a segmentation mean is ambiguous, unknown or contradicted by its values."""


class CheckpointError(BrainTumorError, ValueError):
    """A checkpoint is incomplete, changed, or does not fit its network."""


class ModelNotFoundError(BrainTumorError, KeyError):
    """No model of that name is installed."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ComparisonError(BrainTumorError, ValueError):
    """Segmentations cannot be compared or joined as it was asked: too few, unnamed, or a name that is not there."""


class DeviceError(BrainTumorError, RuntimeError):
    """The asked-for device is not present or cannot be used."""


class ClusterError(BrainTumorError, RuntimeError):
    """A cluster cannot be reached or started, or its workers cannot do the work."""


class OutOfMemoryError(BrainTumorError, MemoryError):
    """Memory ran out even after every smaller setting was tried."""


class SaveError(BrainTumorError, OSError):
    """A file could not be written, or what was written did not read back the same."""


class SourceSeriesError(BrainTumorError, ValueError):
    """The DICOM series that a result has to refer to is not DICOM, not known, not at hand, or has another grid."""


class MeasureError(BrainTumorError, ValueError):
    """A segmentation cannot be measured in the way that was asked for."""


class DatasetError(BrainTumorError, ValueError):
    """A curated data set is absent, damaged, or refuses a change that would make it wrong."""


class OutsideFolderError(DatasetError, UnreadableFileError):
    """A file names another one that does not lie in its own folder, so it is neither opened nor changed."""


class CaseNotFoundError(DatasetError, KeyError):
    """The curated data set has no case of that id."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class SplitError(DatasetError):
    """A change would put one patient, or two pictures of one patient, on both sides of the split."""


class LabelChangedError(DatasetError):
    """The label of a case is not the one that the change was made from."""


class DatasetBusyError(DatasetError, TimeoutError):
    """Another process is writing to the curated data set and did not finish in time."""


class RecordError(BrainTumorError, ValueError):
    """The record of a result does not suffice to compute it again, or scans or model are not what they were."""


class TrainingError(BrainTumorError, RuntimeError):
    """Training cannot start or go on; what was reached so far is kept."""


class WorkerDiedError(BrainTumorError, RuntimeError):
    """The process that computes ended unexpectedly; the window and its layers are untouched."""


class CancelledError(BrainTumorError, RuntimeError):
    """The user stopped the job."""


@dataclass(slots=True)
class Attempt:
    """How something ended that may fail without ending what surrounds it."""

    error: Exception | None = None


@contextmanager
def attempted() -> Iterator[Attempt]:
    """Keep an error in the `Attempt` instead of raising it: for one case of many, whatever is wrong with it."""
    attempt = Attempt()
    try:
        yield attempt
    except Exception as error:  # noqa: BLE001 - the other cases go on
        attempt.error = error


@contextmanager
def translated(refusal: Callable[[str], BrainTumorError]) -> Iterator[None]:
    """Turn whatever a library raises, mostly over a damaged file, into one error of ours.

    Parameters
    ----------
    refusal : callable
        Makes the error from the library's reason. Errors of ours pass as they are.
    """
    try:
        yield
    except BrainTumorError:
        raise
    except Exception as error:
        raise refusal(str(error) or type(error).__name__) from error
