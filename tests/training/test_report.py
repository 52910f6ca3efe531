import numpy as np
import pytest
import torch
from torch import nn
from training_cases import prepared

from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import ROLES
from napari_brain_tumor_training.calibrate import calibrations, count_logits, draw_reliability
from napari_brain_tumor_training.report import role_subsets, score_subsets, write_report

CPU = torch.device("cpu")


class Bright(nn.Module):
    """Calls tumour what is bright in T1, with a certainty of its own."""

    def __init__(self, certainty=1.0, middle=1.0):
        super().__init__()
        self.certainty = certainty
        self.middle = middle

    def forward(self, x):
        return (x[:, :1] - self.middle).repeat(1, 3, *[1] * (x.ndim - 2)) * self.certainty


def test_subsets_are_all_fifteen_of_four_roles_all_of_them_first():
    subsets = role_subsets(ROLES)
    assert subsets[0] == ROLES
    assert [len(subset) for subset in subsets] == [4] + [3] * 4 + [2] * 6 + [1] * 4
    assert len(set(subsets)) == 15
    assert role_subsets(("T1", "FLAIR")) == [("T1", "FLAIR"), ("T1",), ("FLAIR",)]
    assert role_subsets(("T1",)) == [("T1",)]


def test_scores_fall_without_the_role_that_tells_the_tumour():
    cases = [prepared("a", 1), prepared("b", 2, roles=(True, False, True, True))]
    metrics = run_job(score_subsets(Bright(), 2, ROLES, cases, CPU))
    by_roles = {tuple(m.roles): m for m in metrics}
    whole = by_roles[ROLES]
    assert whole.cases == 2
    assert whole.mean_dice["WT"] > 0.3
    assert by_roles[("T1",)].mean_dice == whole.mean_dice
    assert by_roles[("T1c", "T2", "FLAIR")].mean_dice["WT"] == 0
    # The second case has no T1c.
    assert by_roles[("T1c",)].cases == by_roles[("T1c", "T2", "FLAIR")].cases == 1
    assert by_roles[("T1", "T2", "FLAIR")].cases == 2


@pytest.mark.parametrize("dims", [2, 3])
def test_a_network_that_is_too_sure_gets_a_larger_temperature(dims):
    cases = [prepared("a", 1), prepared("b", 2)]
    honest, sure = (run_job(count_logits(Bright(certainty, 3.0), dims, cases, CPU)) for certainty in (1.0, 6.0))
    for region in ("WT", "TC", "ET"):
        # Beyond 30 logits are no longer told apart, which hardly matters.
        assert sure[region].best_temperature() == pytest.approx(6 * honest[region].best_temperature(), rel=0.1)
    fitted = calibrations(sure)["WT"]
    assert fitted.temperature > 1.5
    assert fitted.error_after < 0.5 * fitted.error_before


def test_a_temperature_that_makes_the_error_larger_is_not_kept():
    # Too much is called tumour: the fault is not in the certainty alone.
    counts = run_job(count_logits(Bright(8.0, 1.0), 2, [prepared("a", 1), prepared("b", 2)], CPU))
    temperature = counts["WT"].best_temperature()
    assert counts["WT"].reliability(temperature).error > counts["WT"].reliability().error
    assert "WT" not in calibrations(counts)


def test_only_what_is_known_is_calibrated_on():
    where = np.zeros((12, 24, 20), bool)
    where[4] = True
    counts = run_job(count_logits(Bright(), 2, [prepared("a", 1, where=where, known=(True, False, True))], CPU))
    assert list(counts) == ["WT", "ET"]
    assert counts["WT"].voxels == 24 * 20


def test_the_report_has_a_table_of_scores_and_of_calibration(tmp_path):
    cases = [prepared("a", 1)]
    counts = run_job(count_logits(Bright(6.0, 3.0), 2, cases, CPU))
    fitted = calibrations(counts)
    draw_reliability(tmp_path / "reliability.png", counts, fitted)
    assert (tmp_path / "reliability.png").stat().st_size > 5000
    write_report(tmp_path / "report.md", "Tiny", run_job(score_subsets(Bright(), 2, ROLES, cases, CPU)), fitted)
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert lines[0] == "# Tiny"
    assert sum(line.startswith("| set | ") for line in lines) == 15 + 1
    assert any(line.startswith(f"| WT | {fitted['WT'].temperature:.3f} |") for line in lines)
