"""The method `atlas` on brains whose tissues are the template's, moved and bent in known ways."""

import numpy as np
import pytest
from scipy import ndimage

from napari_brain_tumor.classical.atlas import find_regions, find_regions_job
from napari_brain_tumor.classical.departure import departures
from napari_brain_tumor.classical.scan import Scan
from napari_brain_tumor.classical.template import tissue_template
from napari_brain_tumor.classical.template_fit import fit_template_job
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.progress import run_job

TISSUES = {"T1": (70, 100, 25), "T1c": (72, 104, 25), "T2": (120, 90, 230), "FLAIR": (110, 90, 25)}
"""Brightness of grey matter, white matter and fluid."""
TUMOUR = {"T1": 55, "T1c": 60, "T2": 190, "FLAIR": 190}
ALL = tuple(TISSUES)


def brain(spacing=(3.0, 3.0, 3.0), nod=0.12, scale=0.93, bend_mm=3.0):
    """Shares `(3, Z, Y, X)` of the template's tissues in a brain that nods, is smaller and is bent a little."""
    template = tissue_template()
    extent = np.array(template.shares.shape[1:]) * template.spacing_mm
    shape = tuple(int(mm / step) for mm, step in zip(extent, spacing, strict=True))
    points = np.stack(np.indices(shape, dtype=float)) * np.array(spacing)[:, None, None, None]
    turn = np.array([[np.cos(nod), -np.sin(nod), 0], [np.sin(nod), np.cos(nod), 0], [0, 0, 1]])
    middle = (extent / 2)[:, None]
    places = (turn @ (points.reshape(3, -1) - middle) / scale + middle).reshape(points.shape)
    places += bend_mm * np.sin(points[::-1] / 25)
    voxels = places / template.spacing_mm
    return np.stack([ndimage.map_coordinates(share, voxels, order=1) for share in template.shares])


def ball(shape, spacing, at_mm, radius_mm):
    axes = [(np.arange(n) * step - mm) ** 2 for n, step, mm in zip(shape, spacing, at_mm, strict=True)]
    z, y, x = np.ix_(*axes)
    return z + y + x <= radius_mm**2


def scan_of(shares, roles=ALL, lesion=None, spacing=(3.0, 3.0, 3.0)):
    inside = shares.sum(axis=0) > 0.5
    random = np.random.default_rng(0)
    channels = {}
    for role in roles:
        image = np.tensordot(np.array(TISSUES[role], dtype=float), shares, 1)
        if lesion is not None:
            image = np.where(lesion, TUMOUR[role], image)
        image = ndimage.gaussian_filter(image, [1.5 / step for step in spacing]) + random.normal(0, 5, image.shape)
        seen = image[inside]
        channels[role] = np.where(inside, (image - seen.mean()) / seen.std(), 0).astype(np.float32)
    return Scan(channels, inside, spacing)


def with_tumour(roles=ALL, spacing=(3.0, 3.0, 3.0), radius_mm=16.0, **bent):
    shares = brain(spacing, **bent)
    lesion = ball(shares.shape[1:], spacing, (95.0, 120.0, 45.0), radius_mm) & (shares.sum(axis=0) > 0.5)
    return scan_of(shares, roles, lesion, spacing), lesion, shares


def test_the_template_is_a_symmetric_brain_of_plausible_size():
    template = tissue_template()
    whole = template.shares.sum(axis=0)
    assert whole.max() == pytest.approx(1, abs=0.1)  # shares are rounded
    assert 1700 < (whole > 0.5).sum() * template.spacing_mm**3 / 1000 < 2000
    inside = np.argwhere(whole > 0.5)
    middle = (inside[:, 2].min() + inside[:, 2].max()) / 2
    assert abs(inside[:, 2].mean() - middle) < 0.5


@pytest.mark.slow
def test_a_tumour_is_found_with_all_sequences_and_nothing_is_said_of_the_fit():
    scan, lesion, _ = with_tumour()
    result = run_job(find_regions_job(scan))
    assert dice(lesion, result.masks["WT"]) > 0.8
    assert result.notes == ()


@pytest.mark.parametrize("roles", [("T2",), pytest.param(("T1", "FLAIR"), marks=pytest.mark.slow)], ids="+".join)
def test_a_tumour_is_found_with_any_sequences(roles):
    scan, lesion, _ = with_tumour(roles)
    assert dice(lesion, find_regions(scan)["WT"]) > 0.8


def test_a_tumour_is_found_on_thick_slices():
    scan, lesion, _ = with_tumour(spacing=(6.0, 2.0, 2.0))
    assert dice(lesion, find_regions(scan)["WT"]) > 0.8


@pytest.mark.slow
def test_two_tumours_are_both_found():
    shares = brain()
    size = shares.shape[1:]
    lesion = ball(size, (3.0,) * 3, (95.0, 120.0, 45.0), 14) | ball(size, (3.0,) * 3, (95.0, 70.0, 110.0), 14)
    assert dice(lesion, find_regions(scan_of(shares, lesion=lesion))["WT"]) > 0.8


@pytest.mark.slow
def test_nothing_is_found_in_a_brain_without_a_tumour():
    found = find_regions(scan_of(brain(), ("FLAIR",)))["WT"]
    assert found.sum() * 0.027 < 1.0


@pytest.mark.slow
def test_the_template_lies_on_the_brains_tissues_and_a_large_tumour_does_not_move_it():
    scan, lesion, shares = with_tumour(radius_mm=24.0)
    ill, well = (run_job(fit_template_job(one)) for one in (scan, scan_of(shares)))
    assert ill.trusted
    assert well.overlap > 0.94
    for tissue in (0, 1):
        seen = scan.brain & ~lesion
        assert np.corrcoef(well.shares[tissue][seen], shares[tissue][seen])[0, 1] > 0.85
    # Where the tumour is, the template shows the tissue that was there before it.
    assert np.abs(ill.shares - well.shares)[:, lesion].mean() < 0.08


def test_departures_are_signed_and_measured_in_the_spread_of_the_tissue():
    scan, lesion, shares = with_tumour()
    scores = departures(scan, shares.astype(np.float32) * scan.brain)
    assert scores["FLAIR"][lesion].mean() > 3
    assert scores["T2"][lesion].mean() > 2
    assert scores["T1"][lesion].mean() < -1
    normal = scan.brain & ~ndimage.binary_dilation(lesion, iterations=3)
    for score in scores.values():
        assert abs(np.median(score[normal])) < 0.3
        assert 0.5 < score[normal].std() < 2.2
        assert not score[~scan.brain].any()


@pytest.mark.slow
def test_where_the_template_does_not_fit_a_note_says_so():
    box = np.zeros((60, 60, 60), bool)
    box[10:40, 10:50, 10:40] = True
    random = np.random.default_rng(0)
    noise = {"FLAIR": (random.normal(0, 1, box.shape) * box).astype(np.float32)}
    (note,) = run_job(find_regions_job(Scan(noise, box, (3.0, 3.0, 3.0)))).notes
    assert "fits this brain poorly" in note


def test_a_scan_without_brain_gives_nothing_and_says_so():
    empty = np.zeros((10, 10, 10), bool)
    result = run_job(find_regions_job(Scan({"FLAIR": np.zeros(empty.shape, np.float32)}, empty, (3.0, 3.0, 3.0))))
    assert not result.masks["WT"].any()
    assert "could not be registered" in result.notes[0]


@pytest.mark.slow
def test_a_part_of_a_brain_is_matched_with_its_part_of_the_template():
    shares = brain(nod=0.0, bend_mm=0.0)[:, 18:40]
    scan = scan_of(shares, lesion=ball(shares.shape[1:], (3.0,) * 3, (40.0, 120.0, 45.0), 14))
    fit = run_job(fit_template_job(scan))
    assert fit.overlap > 0.93
    seen = scan.brain
    assert np.corrcoef(fit.shares[1][seen], shares[1][seen])[0, 1] > 0.7
