"""Score a model on the cases of a curated data set: Dice of its labels, and uncertainty at their borders."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.dataset import CuratedDataset, Truth
from napari_brain_tumor.dataset.index import CaseRecord, now
from napari_brain_tumor.dataset.stored_scores import (
    StoredScore,
    images_sha256,
    read_prediction,
    read_score,
    store_score,
)
from napari_brain_tumor.errors import BrainTumorError, OutOfMemoryError
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.models.cards import ModelInfo, find_model
from napari_brain_tumor.postprocessing.uncertainty import binary_entropy
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.requests.segment import PrecisionName, SegmentRequest
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.workflow import Outcome, outcome_job

AnyPath = str | PathLike[str]

_BORDER_VOXELS = 2
"""Width of the border on either side of the outline, in voxels of the network's grid."""


def score_dataset_job(
    folder: AnyPath,
    case_ids: Sequence[str],
    model: AnyPath | None = None,
    device: str = "auto",
    precision: PrecisionName = "auto",
) -> Job[dict[str, str]]:
    """Score cases with a model, and store missing scores in the data set's folder.

    Parameters
    ----------
    folder : path-like
        Folder of a curated data set.
    model : str or path, optional
    device, precision
        As for `segment`.

    Returns
    -------
    dict of case id to str
        Reason why a case has no score; a case that fails does not stop the others.

    Raises
    ------
    DatasetError, ModelNotFoundError, CheckpointError, DeviceError, OutOfMemoryError
        If none of the cases can be scored.
    """
    dataset, info = CuratedDataset(folder), find_model(model)
    request = SegmentRequest(model=info.folder, device=device, precision=precision)
    problems: dict[str, str] = {}
    for at, case_id in enumerate(case_ids):
        job = score_case_job(dataset, case_id, info, request)
        where = f"case {at + 1} of {len(case_ids)}, {case_id}"
        try:
            while True:
                step = next(job)
                yield Progress(at + step.fraction, len(case_ids), where)
        except StopIteration:
            continue
        except OutOfMemoryError:
            raise
        except BrainTumorError as error:
            problems[case_id] = str(error)
    return problems


def score_case_job(
    dataset: CuratedDataset, case_id: str, model: ModelInfo, request: SegmentRequest
) -> Job[StoredScore]:
    """Return the score of a model on one case: a stored one if images and label are unchanged, otherwise a new one.

    Raises
    ------
    CaseNotFoundError, UnreadableFileError, DatasetError
        If the case cannot be read.
    MissingRolesError
        If the model cannot use its sequences.
    SaveError
        If the score cannot be stored.
    """
    case = dataset.case(case_id)
    stored = read_score(dataset.folder, case, model.card.weights_sha256)
    if stored is not None and stored.label_sha256 == case.label.sha256:
        return stored
    truth = dataset.truth(case_id)
    if stored is not None:
        predicted, uncertainty = read_prediction(dataset.folder, case, stored), stored.uncertainty
    else:
        outcome = yield from outcome_job(dataset.study(case_id), request)
        predicted, uncertainty = _as_trained(outcome.segmentation, model), border_entropy(*_whole(outcome, model))
    score = _stored_score(case, model, known_dice(truth, predicted), uncertainty)
    store_score(dataset.folder, score, predicted.data)
    return score


def known_dice(truth: Truth, predicted: Segmentation) -> dict[Region, float]:
    """Compute the Dice of each region that both define, over the voxels whose reference label is known."""
    return {
        region: dice(
            region_mask(truth.segmentation.data, region) & truth.known,
            region_mask(predicted.data, region) & truth.known,
        )
        for region in REGIONS
        if region in truth.segmentation.known_regions and region in predicted.known_regions
    }


def border_entropy(probability: npt.NDArray[Any], mask: npt.NDArray[np.bool_], threshold: float = 0.5) -> float:
    """Compute the uncertainty at an outline: the mean entropy in bits, 0 to 1, within two voxels of it.

    If no voxel reaches the threshold there is no outline. The mean is then over voxels with a probability of at least
    0.05, and 0 if there are none.

    Parameters
    ----------
    probability : (Z, Y, X) array
    mask : (Z, Y, X) array of bool
        Where the network predicts: the brain or head.
    threshold : float
        Threshold that defines the outline.
    """
    inside = (probability >= threshold) & mask
    if inside.any():
        outer = ndimage.binary_dilation(inside, iterations=_BORDER_VOXELS)
        where = outer & ~ndimage.binary_erosion(inside, iterations=_BORDER_VOXELS) & mask
    else:
        where = (probability >= 0.05) & mask
    if not where.any():
        return 0.0
    return float(np.mean(binary_entropy(probability[where]), dtype=np.float64))


def _whole(outcome: Outcome, model: ModelInfo) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], float]:
    """Return the probability of the model's outermost region, the mask, and the region's threshold."""
    region = model.card.regions[0]
    return outcome.probabilities[0], outcome.prepared.mask, model.card.threshold(region)


def _as_trained(segmentation: Segmentation, model: ModelInfo) -> Segmentation:
    return Segmentation(
        segmentation.data,
        segmentation.grid,
        segmentation.name,
        known_regions=tuple(model.card.regions),
        provenance=segmentation.provenance,
        notes=segmentation.notes,
    )


def _stored_score(case: CaseRecord, model: ModelInfo, scores: dict[Region, float], uncertainty: float) -> StoredScore:
    return StoredScore(
        case=case.id,
        model=model.name,
        weights_sha256=model.card.weights_sha256,
        images_sha256=images_sha256(case),
        label_sha256=case.label.sha256,
        known_regions=tuple(model.card.regions),
        dice=scores,
        uncertainty=uncertainty,
        made_at=now(),
    )
