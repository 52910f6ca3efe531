"""What happens where a sequence does not fit the reference by itself."""

import numpy as np
import pytest
from scipy import ndimage

from napari_brain_tumor.errors import RegistrationError
from napari_brain_tumor.followup.registration import Registration
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.followup.scan_agreement import Agreement
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preparation import alignment
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import Study

SHIFTS = {"T1c": (0, 0, 0), "T1": (6, 0, -4), "T2": (6, 8, -4), "FLAIR": (-9, 0, 12)}
GOOD, BAD, UNMOVED = Agreement(0.5, 0.95, 0.8), Agreement(0.1, 0.9, 0.2), Agreement(0.05, 0.9, 0.1)


def moved(role):
    """From the world of T1c to that of the sequence."""
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFTS[role]
    return matrix


@pytest.fixture(scope="module")
def alone():
    rng = np.random.default_rng(4)
    inside = np.linalg.norm(np.indices((32, 36, 30)).T - (15.5, 17.5, 14.5), axis=-1).T < 13
    array = np.where(inside, 5 + ndimage.gaussian_filter(rng.normal(size=inside.shape), 1.5) * 20, 0).astype(np.float32)
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    return {
        role: Study({role: array}, Grid(array.shape, moved(role) @ affine, "mm"), name=f"{role} of a patient")
        for role in SHIFTS
    }


@pytest.fixture
def registrations(monkeypatch):
    """The motions between two sequences are right, and trusted but for pairs that are named."""
    bad, tried = set(), []

    def register_job(moving, fixed, *, seed=0):
        yield from ()
        ends = next(iter(moving.sequences)), next(iter(fixed.sequences))
        tried.append(ends)
        matrix = moved(ends[0]) @ np.linalg.inv(moved(ends[1]))
        if ends in bad:
            matrix = matrix @ np.diag([-1.0, -1.0, 1.0, 1.0])
        return Registration(RigidTransform(matrix), *ends, UNMOVED, BAD if ends in bad else GOOD)

    monkeypatch.setattr(alignment, "register_job", register_job)
    return bad, tried


def test_each_sequence_goes_straight_to_the_reference_where_it_fits(alone, registrations):
    aligned = run_job(alignment.align_job(alone, "T1c"))
    assert list(aligned) == ["T1", "T2", "FLAIR"]
    assert all(one.link is None for one in aligned.values())
    assert registrations[1] == [("T1", "T1c"), ("T2", "T1c"), ("FLAIR", "T1c")]


def test_a_sequence_that_does_not_fit_goes_by_way_of_one_that_does(alone, registrations):
    registrations[0].add(("T2", "T1c"))
    aligned = run_job(alignment.align_job(alone, "T1c"))
    np.testing.assert_allclose(aligned["T2"].transform.matrix, moved("T2"), atol=1e-9)
    np.testing.assert_allclose(aligned["T2"].transform.apply([1, 2, 3]), [7, 10, -1], atol=1e-9)
    assert (aligned["T2"].moving_role, aligned["T2"].fixed_role, aligned["T2"].trusted) == ("T2", "T1c", True)
    assert aligned["T2"].link is not None
    assert aligned["T2"].as_dict()["link"]["sequences"] == {"fixed": "T1", "moving": "T2"}
    assert aligned["T2"].after.detail > 0.95  # of the two ends


def test_a_later_sequence_may_go_by_way_of_one_that_took_a_detour_itself(alone, registrations):
    registrations[0].update({("T2", "T1c"), ("FLAIR", "T1c"), ("FLAIR", "T1")})
    aligned = run_job(alignment.align_job(alone, "T1c"))
    np.testing.assert_allclose(aligned["FLAIR"].transform.matrix, moved("FLAIR"), atol=1e-9)
    assert aligned["FLAIR"].link.fixed_role == "T2"


def test_a_sequence_that_fits_nothing_is_refused_with_what_it_was_first(alone, registrations):
    registrations[0].update({("T2", "T1c"), ("T2", "T1"), ("T2", "FLAIR")})
    with pytest.raises(
        RegistrationError, match=r"T2 \(T2 of a patient\) and T1c .* 0\.20 only .* via T1 or FLAIR.*--series T2=-"
    ):
        run_job(alignment.align_job(alone, "T1c"))


def test_a_way_that_fits_worse_than_the_refused_one_is_not_taken(alone, registrations, monkeypatch):
    registrations[0].add(("T2", "T1c"))
    lost = Registration(RigidTransform(moved("T2")), "T2", "T1c", BAD, Agreement(0.05, 0.9, 0.1))
    monkeypatch.setattr(
        alignment,
        "by_way_of",
        lambda link, *_: Registration(lost.transform, "T2", "T1c", BAD, lost.after, link=link),
    )
    with pytest.raises(RegistrationError, match="T2"):
        run_job(alignment.align_job(alone, "T1c"))
