"""Fit temperatures on the validation patients, and check whether they hold for other patients."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from napari_brain_tumor.labels import Region
from napari_brain_tumor.metrics.calibration import LogitCounts, Reliability
from napari_brain_tumor.models.card_parts import Calibration
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.progress import Job, part_of
from napari_brain_tumor_training.calibrate import Counts, Panel, calibrations, count_logits
from napari_brain_tumor_training.case_files import CaseFiles
from napari_brain_tumor_training.dataset import prepare_case
from results.bench import FULL_SET, Bench
from results.document import CalibrationBlock, Curve, RegionCalibration
from results.subject import Subject

__all__ = ["as_calibration", "as_panels", "calibration_job", "cross_fitted", "halves"]

PatientCounts = Mapping[str, Counts]
"""Voxel counts by logit, for each region and patient."""


def calibration_job(subject: Subject, bench: Bench) -> Job[dict[Region, RegionCalibration]]:
    """Fit and cross-fit the temperature of each region on all validation cases of both sets, as a job."""
    info = subject.method
    assert isinstance(info, ModelInfo)
    # Ignore the card's own temperatures; those of an ensemble's members are part of their networks.
    bare = info.model_copy(update={"card": info.card.model_copy(update={"calibration": {}})})
    network, device = load_network(bare), torch.device(bench.device)
    by_patient: dict[str, Counts] = {}
    for number, case in enumerate(bench.cases):
        prepared = prepare_case(case, info.roles, info.card.preprocessing)
        counting = count_logits(network, info.card.dims, [prepared], device)
        counts = yield from part_of(counting, number / len(bench.cases), (number + 1) / len(bench.cases))
        by_patient[case.patient] = _added(by_patient.get(case.patient, {}), counts)
    return _fitted(by_patient, bench.cases)


def halves(cases: Sequence[CaseFiles]) -> tuple[frozenset[str], frozenset[str]]:
    """Divide the patients in two, alternately within each set, starting with the set in which all regions are known."""
    ordered = sorted(cases, key=lambda case: (case.dataset != FULL_SET, case.patient))
    patients = list(dict.fromkeys(case.patient for case in ordered))
    return frozenset(patients[::2]), frozenset(patients[1::2])


def cross_fitted(
    first: LogitCounts | None, second: LogitCounts | None, region: Region
) -> tuple[list[float], float | None, float | None]:
    """Return the temperatures of both halves, and mean errors before and after with the other half's temperature.

    Means are weighted by voxels; None if a half has none.
    """
    if first is None or second is None or not first.voxels or not second.voxels:
        return [], None, None
    temperatures = [_temperature(half, region) for half in (first, second)]
    weights = [first.voxels, second.voxels]
    before = np.average([half.reliability().error for half in (first, second)], weights=weights)
    swapped = zip((first, second), reversed(temperatures), strict=True)
    after = np.average([half.reliability(t).error for half, t in swapped], weights=weights)
    return temperatures, float(before), float(after)


def as_calibration(block: CalibrationBlock) -> dict[Region, Calibration]:
    """Return the calibration recorded in a card: regions whose temperature lowers the error."""
    return {
        region: Calibration(
            temperature=calibration.temperature,
            error_before=calibration.error_before,
            error_after=calibration.error_after,
            voxels=calibration.voxels,
        )
        for region, calibration in block.regions.items()
        if calibration.temperature != 1.0
    }


def as_panels(block: CalibrationBlock) -> dict[Region, Panel]:
    """Return the panels of the reliability plot."""
    return {r: Panel(c.temperature, _reliability(c.before), _reliability(c.after)) for r, c in block.regions.items()}


def _fitted(by_patient: PatientCounts, cases: Sequence[CaseFiles]) -> dict[Region, RegionCalibration]:
    total = _sum(by_patient, frozenset(by_patient))
    parts = [_sum(by_patient, half) for half in halves(cases)]
    return {region: _region(region, counts, parts, by_patient) for region, counts in total.items()}


def _region(
    region: Region, counts: LogitCounts, parts: Sequence[Counts], by_patient: PatientCounts
) -> RegionCalibration:
    temperature = _temperature(counts, region)
    before, after = counts.reliability(), counts.reliability(temperature)
    temperatures, crossed_before, crossed_after = cross_fitted(parts[0].get(region), parts[1].get(region), region)
    return RegionCalibration(
        temperature=temperature,
        error_before=before.error,
        error_after=after.error,
        crossed_temperatures=temperatures,
        crossed_before=crossed_before,
        crossed_after=crossed_after,
        voxels=counts.voxels,
        patients=sum(region in counts_of_patient for counts_of_patient in by_patient.values()),
        before=_curve(before),
        after=_curve(after),
    )


def _temperature(counts: LogitCounts, region: Region) -> float:
    """Return the temperature that a card would record; 1 if none lowers the error."""
    fitted = calibrations({region: counts})
    return fitted[region].temperature if region in fitted else 1.0


def _sum(by_patient: PatientCounts, patients: frozenset[str]) -> Counts:
    total: Counts = {}
    for patient in patients & set(by_patient):
        total = _added(total, by_patient[patient])
    return total


def _added(first: Counts, second: Counts) -> Counts:
    regions = dict.fromkeys([*first, *second])
    return {region: first.get(region, LogitCounts()) + second.get(region, LogitCounts()) for region in regions}


def _curve(reliability: Reliability) -> Curve:
    return Curve(
        probability=reliability.probability.round(6).tolist(),
        observed=reliability.observed.round(6).tolist(),
        voxels=reliability.voxels.tolist(),
    )


def _reliability(curve: Curve) -> Reliability:
    return Reliability(np.array(curve.probability), np.array(curve.observed), np.array(curve.voxels))
