"""Errors that users can encounter; each also derives from the built-in exception that scripts would expect.

Every message states what was found, what was expected and what to do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class BrainTumorError(Exception):
    """Base class of all errors raised by this package."""


class OptionError(BrainTumorError, ValueError, TypeError):
    """An action was given an unknown option, or an option an invalid value."""


class UnreadableFileError(BrainTumorError, ValueError):
    """A file is missing, empty, truncated, damaged or of an unsupported format."""


class DimensionError(BrainTumorError, ValueError):
    """An image has the wrong number of dimensions."""


class IntensityError(BrainTumorError, ValueError):
    """An image has unusable values: NaN, infinite, or all the same."""


class GridMismatchError(BrainTumorError, ValueError):
    """Two images that must share a grid do not."""


class RoleError(BrainTumorError, ValueError):
    """The role of a sequence (T1, T1c, T2, FLAIR) is not recognised or not valid."""


class DuplicateRoleError(RoleError):
    """Two images claim the same role."""


class MissingRolesError(RoleError):
    """The chosen model was not trained for the sequences that the study has."""


class RegistrationError(BrainTumorError, ValueError):
    """Two examinations could not be registered, or not reliably."""


class VisitError(BrainTumorError, ValueError):
    """The visits of a patient cannot be put in order, or lack something that a comparison needs."""


class SpacingUnknownError(BrainTumorError, ValueError):
    """A millimetre value is needed for a study whose files do not state the voxel size."""


class SeedError(BrainTumorError, ValueError):
    """A seed point lies outside the brain, or seeds were given to a model that does not accept them."""


class BoxError(BrainTumorError, ValueError):
    """A box is not six world coordinates, or contains no part of the scan or brain."""


class BrainMaskError(BrainTumorError, ValueError):
    """No brain was found in a head, or a brain mask cannot be used."""


class ProbabilityError(BrainTumorError, ValueError):
    """A threshold is invalid for the model, or probabilities were requested from a method that has none."""


class PromptError(BrainTumorError, ValueError):
    """A prompt lies outside the scan or contains no voxel, or a file of prompts cannot be read."""


class LabelSchemaError(BrainTumorError, ValueError):
    """The label schema of a segmentation is ambiguous, unknown or contradicted by its values."""


class CheckpointError(BrainTumorError, ValueError):
    """A checkpoint is incomplete, was changed, or does not match its network."""


class ModelNotFoundError(BrainTumorError, KeyError):
    """No model with this name is installed."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ComparisonError(BrainTumorError, ValueError):
    """Segmentations cannot be compared or combined: there are too few, or a name is missing or unknown."""


class DeviceError(BrainTumorError, RuntimeError):
    """The requested device is not available or cannot be used."""


class ClusterError(BrainTumorError, RuntimeError):
    """A cluster cannot be reached or started, or its workers cannot process the cases."""


class OutOfMemoryError(BrainTumorError, MemoryError):
    """Memory ran out even with the smallest settings."""


class SaveError(BrainTumorError, OSError):
    """A file could not be written, or did not contain the same data when read back."""


class SourceSeriesError(BrainTumorError, ValueError):
    """The DICOM series to which a result must refer is not DICOM, unknown, not available, or on another grid."""


class MeasureError(BrainTumorError, ValueError):
    """A segmentation cannot be measured in the requested way."""


class DatasetError(BrainTumorError, ValueError):
    """A curated data set is missing or damaged, or rejects a change that would make it invalid."""


class OutsideFolderError(DatasetError, UnreadableFileError):
    """A file refers to another one outside its own folder, which is therefore neither opened nor changed."""


class CaseNotFoundError(DatasetError, KeyError):
    """The curated data set has no case with this ID."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class SplitError(DatasetError):
    """A change would put one patient, or two images of one patient, on both sides of the split."""


class LabelChangedError(DatasetError):
    """The label of a case has changed since the label on which an edit is based was read."""


class DatasetBusyError(DatasetError, TimeoutError):
    """Another process is writing to the curated data set and did not finish in time."""


class RecordError(BrainTumorError, ValueError):
    """The record of a result is not sufficient to compute it again, or scans or model have changed."""


class TrainingError(BrainTumorError, RuntimeError):
    """Training cannot start or continue; what was achieved so far is kept."""


class WorkerDiedError(BrainTumorError, RuntimeError):
    """The computing process ended unexpectedly; the window and its layers are not affected."""


class CancelledError(BrainTumorError, RuntimeError):
    """The user cancelled the job."""


@dataclass(slots=True)
class Attempt:
    """Outcome of a block in which an error must not stop the surrounding work."""

    error: Exception | None = None


@contextmanager
def attempted() -> Iterator[Attempt]:
    """Store an error in the `Attempt` instead of raising it, so that one faulty case does not stop the others."""
    attempt = Attempt()
    try:
        yield attempt
    except Exception as error:  # noqa: BLE001 - the other cases continue
        attempt.error = error


@contextmanager
def translated(refusal: Callable[[str], BrainTumorError]) -> Iterator[None]:
    """Convert any exception raised by a library, usually because of a damaged file, to an error of this package.

    Parameters
    ----------
    refusal : callable
        Creates the error from the library's message. Errors of this package are not converted.
    """
    try:
        yield
    except BrainTumorError:
        raise
    except Exception as error:
        raise refusal(str(error) or type(error).__name__) from error
