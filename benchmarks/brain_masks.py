"""How well brain masks agree with their truth: the network, from every subset of sequences, an atlas, and deepbet.

    python benchmarks/brain_masks.py DATA TRUTH --out docs/brain.json  # then --atlas, --model unet, --raw EXAMINATION
    python benchmarks/brain_masks.py --tables --out docs/brain.json

DATA holds `lgg_tif` and `subjects.csv`, TRUTH the masks of `scripts/brain_truth.py`. On the validation patients Dice is
to the consensus of deepbet's masks with the tumour, and the share of the tumour outside the mask is told. On a raw
examination, whose sequences lie on grids of their own, it is to the majority of deepbet's masks, brought together by
rigid registration (this needs deepbet). With a model it tells the Dice of the whole tumour with and without extraction.
Each call adds to the file what it measured, prints it, and writes the tables of the page beside it (`docs/brain.md`)
again; `--tables` does that alone.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_brain_tumor import brain_mask, open_segmentation, open_study, prepare, register, segment
from napari_brain_tumor.brain.network import brain_model
from napari_brain_tumor.brain.small_grid import small_grid, small_study
from napari_brain_tumor.errors import BrainMaskError
from napari_brain_tumor.geometry import Grid, resample, to_ras
from napari_brain_tumor.io import open_sequences
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor_training.synthetic_head import dress

Mask = npt.NDArray[np.bool_]

_COVERED_MM = 145.0
"""From the first to the last slice of a head, as far as it is usually scanned."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("truth", type=Path, nargs="?")
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    parser.add_argument("--raw", type=Path, help="only a raw examination, each sequence on its own grid")
    parser.add_argument("--atlas", action="store_true", help="only the atlas")
    parser.add_argument("--model", help="only what this model finds, with and without extraction")
    parser.add_argument("--out", type=Path, default=Path("brain.json"))
    parser.add_argument("--patients", type=int, default=None, help="only so many")
    given = parser.parse_args()
    told: dict[str, Any] = {"weights_sha256": brain_model().card.weights_sha256}
    if given.tables:
        pass
    elif given.raw is not None:
        told["raw"] = _raw(given.raw)
    elif given.model is not None:
        told["gain"] = list(_gain(given.data, given.model, given.patients))
    else:
        told["atlas" if given.atlas else "heads"] = list(
            _heads(given.data, given.truth, given.patients, atlas=given.atlas)
        )
        told |= {} if given.atlas else {"seconds": _seconds()}
    before = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    given.out.write_text(json.dumps(before | told, indent=1) + "\n", encoding="utf-8")
    _print(told)
    page = given.out.with_suffix(".md")
    if page.exists():
        page.write_text(with_tables(page.read_text(encoding="utf-8"), before | told), encoding="utf-8")


# Validation patients ------------------------------------------------------------------------------------------------


def _names(data: Path, limit: int | None) -> list[str]:
    with (data / "subjects.csv").open(newline="", encoding="utf-8") as file:
        names = [row["case"] for row in csv.DictReader(file) if (row["dataset"], row["split"]) == ("lgg_tif", "val")]
    return names[:limit]


def _heads(data: Path, truth: Path, limit: int | None, *, atlas: bool) -> Iterator[dict[str, Any]]:
    for name in _names(data, limit):
        study, stored = open_study(data / "lgg_tif" / name), _unpacked(truth / f"{name}.npz")
        for method, make in _methods(study, stored, atlas=atlas).items():
            yield {"case": name, "method": method, **_measured(make, stored["consensus"] | stored["tumour"], stored)}
        sys.stderr.write(f"{name}\n")


def _methods(study: Study, stored: dict[str, Mask], *, atlas: bool) -> dict[str, Callable[[], Mask]]:
    """What makes a mask in RAS order, by name."""
    turn = to_ras(study.grid)

    def network(roles: tuple[Role, ...]) -> Mask:
        return np.asarray(turn.apply(brain_mask(study.only(roles), "cpu")))

    def template(role: Role) -> Mask:
        return np.asarray(turn.apply(_atlas_mask(study.only((role,)))))

    first = study.roles[0]
    if atlas:
        return {f"atlas {first}": partial(template, first)}
    subsets = [subset for n in range(1, len(study.roles) + 1) for subset in combinations(study.roles, n)]
    return {
        **{"network " + "+".join(subset): partial(network, subset) for subset in subsets},
        **{f"deepbet {role}": partial(stored.__getitem__, role) for role in study.roles},
    }


def _measured(make: Callable[[], Mask], consensus: Mask, stored: dict[str, Mask]) -> dict[str, float]:
    began = time.perf_counter(), time.process_time()
    mask = make()
    wall, processor = time.perf_counter() - began[0], time.process_time() - began[1]
    told = {"dice": _dice(mask, consensus), "seconds": round(wall, 2), "processor": round(processor, 2)}
    if "tumour" in stored:
        told["tumour_outside"] = float((stored["tumour"] & ~mask).sum() / max(1, stored["tumour"].sum()))
    return told


def _unpacked(path: Path) -> dict[str, Mask]:
    with np.load(path, allow_pickle=False) as stored:
        shape = tuple(stored["shape"])
        size = int(np.prod(shape))
        names = [name for name in stored.files if name != "shape"]
        return {name: np.unpackbits(stored[name])[:size].reshape(shape).astype(bool) for name in names}


# What it is for ------------------------------------------------------------------------------------------------------


def _gain(data: Path, model: str, limit: int | None) -> Iterator[dict[str, Any]]:
    """Dice of the whole tumour with heads as they are, and with their brains extracted: the same weights."""
    for name in _names(data, limit):
        study, truth = open_study(data / "lgg_tif" / name), open_segmentation(data / "lgg_tif" / name).data > 0
        scores = {what: _dice(segment(study, model, "cpu", brain=what).data > 0, truth) for what in ("keep", "auto")}
        yield {"case": name, "model": model, **scores}
        sys.stderr.write(f"{name} {scores}\n")


# Atlas --------------------------------------------------------------------------------------------------------------


def _atlas_mask(study: Study) -> Mask:
    """The brain of the ICBM 152 template (nilearn) with a head drawn around it, moved onto the scan's: affine."""
    head = _atlas_head()
    small = small_grid(study)
    seen = small_study(study, small)
    fixed = _itk(next(iter(seen.sequences.values())), _believable(small.grid, study.grid.unit == "mm"))
    moving = _itk(head.sequences["T1"], head.grid)
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Similarity3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    similar = _registered(fixed, moving, start)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(similar.GetMatrix())
    affine.SetTranslation(similar.GetTranslation())
    affine.SetCenter(similar.GetCenter())
    transform = _registered(fixed, moving, affine)
    moved = sitk.Resample(_itk(head.brain.astype(np.float32), head.grid), fixed, transform, sitk.sitkLinear, 0.0)
    values = sitk.GetArrayFromImage(moved).transpose(2, 1, 0)
    return small.interpolated(values) >= 0.5


@lru_cache(maxsize=1)
def _atlas_head() -> Any:
    from nilearn import datasets

    brain = np.asarray(datasets.load_mni152_template(resolution=2).dataobj, dtype=np.float32)
    # The template's background is not zero everywhere.
    mask = np.asarray(datasets.load_mni152_brain_mask(resolution=2).dataobj) > 0
    return dress({"T1": np.where(mask, brain, 0)}, mask, 2.0, seed=0)


def _believable(grid: Grid, known: bool) -> Grid:
    """The grid with slices as far apart as in a head that is covered from its base to its vertex, if nobody tells."""
    x, y, _ = grid.spacing
    return grid if known else Grid(grid.shape, np.diag([x, y, _COVERED_MM / grid.shape[2], 1.0]))


def _registered(fixed: Any, moving: Any, start: Any) -> Any:
    """The transform that makes both share the most information, from that beginning."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(40)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.3, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 200)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1])
    method.SetInitialTransform(start, inPlace=False)
    found = method.Execute(fixed, moving)
    return found.GetNthTransform(0).Downcast() if isinstance(found, sitk.CompositeTransform) else found


def _itk(values: npt.NDArray[Any], grid: Grid) -> Any:
    """An image in millimetres along the axes of the array: both lie in RAS order, so directions are left out."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0), dtype=np.float32))
    image.SetSpacing(grid.spacing)
    return image


# A raw examination --------------------------------------------------------------------------------------------------


def _raw(folder: Path) -> list[dict[str, Any]]:
    """Each sequence on its own grid, against the majority of deepbet's masks of all of them."""
    opened = open_sequences(folder)
    prepared = prepare(folder, device="cpu", grid="reference")
    studies = {role: Study({role: volume.array}, volume.grid, role) for role, volume in opened.volumes.items()}
    deepbet = {role: _deepbet_mask(study) for role, study in studies.items()}
    rows, together = [], {}
    for role, study in studies.items():
        votes = sum(_carried(deepbet[other], studies[other], study).astype(int) for other in studies)
        majority = np.asarray(2 * votes > len(studies))
        rows += [
            {"case": folder.name, "method": f"network {role}"}
            | _measured(partial(brain_mask, study, "cpu"), majority, {}),
            {"case": folder.name, "method": f"atlas {role}"} | _measured(partial(_atlas_mask, study), majority, {}),
            {"case": folder.name, "method": f"deepbet {role}", "dice": _dice(deepbet[role], majority)},
        ]
        if role == prepared.reference:
            together = {
                "method": f"prepared {'+'.join(prepared.study.roles)}",
                "dice": _dice(prepared.study.brain, majority),
            }
    return [*rows, {"case": folder.name} | together]


def _carried(mask: Mask, moving: Study, fixed: Study) -> Mask:
    if moving is fixed:
        return mask
    transform = register(moving, fixed).transform
    moved = Grid(fixed.grid.shape, transform.matrix @ fixed.grid.affine)
    return resample(mask.astype(np.float32), moving.grid, moved) >= 0.5


def _deepbet_mask(study: Study) -> Mask:
    try:
        from deepbet.bet import BrainExtraction
    except ImportError:
        raise SystemExit("deepbet is not installed: pip install deepbet") from None
    extractor = BrainExtraction(no_gpu=True)
    turn = to_ras(study.grid)
    volume = np.ascontiguousarray(turn.apply(next(iter(study.sequences.values()))), dtype=np.float32)
    found = extractor.postprocess(extractor.run_model(volume) > 0.5)
    return np.asarray(turn.undo(np.asarray(found, dtype=bool)))


# Time ---------------------------------------------------------------------------------------------------------------


def _seconds() -> dict[str, float]:
    """Of a 240x240x155 head with four sequences, after a first run that loads the network."""
    random = np.random.default_rng(0)
    shape = (240, 240, 155)
    grid = Grid(shape, np.eye(4))
    x, y, z = np.ogrid[tuple(slice(n) for n in shape)]
    head = ((x - 120) / 85) ** 2 + ((y - 120) / 105) ** 2 + ((z - 70) / 100) ** 2 < 1
    images: Any = {
        role: np.where(head, 100 + 10 * random.standard_normal(shape), np.abs(random.standard_normal(shape)))
        for role in ("T1", "T1c", "T2", "FLAIR")
    }
    study = Study({role: image.astype(np.float32) for role, image in images.items()}, grid, "time")
    told = {}
    for name, roles in (("one sequence", ("T1",)), ("four sequences", study.roles)):
        seen = study.only(roles)
        runs = []
        for _ in range(3):
            began = time.perf_counter(), time.process_time()
            _try(seen)
            runs.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        told[name] = round(min(wall for wall, _ in runs), 2)
        told[f"{name}, processor"] = round(min(processor for _, processor in runs), 2)
    return told


def _try(study: Study) -> None:
    with suppress(BrainMaskError):  # the time is that of looking
        brain_mask(study, "cpu")


def _dice(one: Mask, other: Mask) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


# The page -----------------------------------------------------------------------------------------------------------


def with_tables(page: str, document: dict[str, Any]) -> str:
    """The page with what lies between the comments of each table written again."""
    for name, lines in (
        ("heads", _mask_lines(document)),
        ("raw", _raw_lines(document)),
        ("gain", _gain_lines(document)),
    ):
        start, end = f"<!-- table {name} -->\n", f"<!-- end of {name} -->"
        if start in page and lines:
            before, rest = page.split(start, 1)
            page = before + start + "\n".join(["", *lines, "", end]) + rest.split(end, 1)[1]
    return page


def _mask_lines(document: dict[str, Any]) -> list[str]:
    rows = [*document.get("heads", ()), *document.get("atlas", ())]
    lines = ["| mask from | Dice | worst | tumour outside | worst |", "|---|---|---|---|---|"]
    for method in dict.fromkeys(row["method"] for row in rows):
        of = [row for row in rows if row["method"] == method]
        dice, outside = [row["dice"] for row in of], [100 * row["tumour_outside"] for row in of]
        name = method.replace("network ", "`brain`, ").replace("deepbet ", "deepbet, ").replace("atlas ", "atlas, ")
        scores = f"{_short(float(np.mean(dice)))} | {_short(min(dice))}"
        lines.append(f"| {name.replace('+', ', ')} | {scores} | {np.mean(outside):.2f} % | {max(outside):.1f} % |")
    return lines if rows else []


def _raw_lines(document: dict[str, Any]) -> list[str]:
    rows = document.get("raw", ())
    if not rows:
        return []
    methods = [name for name in ("network", "atlas", "deepbet") if any(row["method"].startswith(name) for row in rows)]
    lines = [f"| sequence | {' | '.join(methods).replace('network', '`brain`')} |", f"|---|{'---|' * len(methods)}"]
    of = {row["method"]: row["dice"] for row in rows}
    for method, dice in of.items():
        kind, _, roles = method.partition(" ")
        if kind == methods[0]:
            lines.append(f"| {roles} | {' | '.join(_short(of[f'{name} {roles}']) for name in methods)} |")
        elif kind == "prepared":
            together = f"{roles.replace('+', ', ')}, as `prepare` brings them together"
            lines.append(f"| {together} | {_short(dice)} |{' |' * (len(methods) - 1)}")
    return lines


def _gain_lines(document: dict[str, Any]) -> list[str]:
    rows = document.get("gain", ())
    if not rows:
        return []
    model = rows[0]["model"]
    lines = [f"| patient, by `{model}` | head as it is | brain extracted | gain |", "|---|---|---|---|"]
    lines += [_gain_line(row["case"], row["keep"], row["auto"]) for row in rows]
    keep, auto = (float(np.mean([row[what] for row in rows])) for what in ("keep", "auto"))
    return [*lines, _gain_line("**mean**", keep, auto)]


def _gain_line(case: str, keep: float, auto: float) -> str:
    return f"| {case} | {_short(keep)} | {_short(auto)} | {auto - keep:+.3f} |"


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _print(told: dict[str, Any]) -> None:
    rows = [*told.get("heads", ()), *told.get("atlas", ())]
    for method in dict.fromkeys(row["method"] for row in rows):
        of = [row for row in rows if row["method"] == method]
        dice, outside = [row["dice"] for row in of], [100 * row["tumour_outside"] for row in of]
        sys.stdout.write(
            f"| {method} | {len(of)} | {np.mean(dice):.3f} | {min(dice):.3f} | {np.mean(outside):.2f} % "
            f"| {max(outside):.2f} % | {np.mean([row['processor'] for row in of]):.1f} |\n"
        )
    for row in told.get("raw", ()):
        sys.stdout.write(f"| {row['method']} | {row['dice']:.3f} |\n")
    gain = told.get("gain", ())
    for what in ("keep", "auto"):
        if gain:
            sys.stdout.write(f"{what}: whole tumour {np.mean([row[what] for row in gain]):.3f} of {len(gain)}\n")
    sys.stdout.write(f"{told.get('seconds', '')}\n")


if __name__ == "__main__":
    main()
