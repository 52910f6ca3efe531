"""Make synthetic gliomas with voxel-exact truth: one virtual patient with four sequences for each seed.

From the command line: `python -m napari_brain_tumor_training.synthetic OUT --seed 7`.
"""

import gzip
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

import nibabel as nib
import numpy as np
import numpy.typing as npt
import typer

from napari_brain_tumor.errors import BrainTumorError, SaveError, TrainingError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import write_sidecar
from napari_brain_tumor.labels import CLASS_NAMES
from napari_brain_tumor.study import NiftiForms, Role, Segmentation, Study
from napari_brain_tumor_training.synthetic_anatomy import Tissues, draw_head, head_grid, tissues_on
from napari_brain_tumor_training.synthetic_contrast import Degradation, render
from napari_brain_tumor_training.synthetic_fields import Field, on_grid
from napari_brain_tumor_training.synthetic_tumour import Grade, GrownTumour, Parts, draw_plan, grow, no_parts, parts_on

GENERATOR_VERSION: Final = 1
"""Must be increased whenever the same seed would give a different case."""

_FILE_WORDS: Final[dict[Role, str]] = {"T1": "t1", "T1c": "t1ce", "T2": "t2", "FLAIR": "flair"}
_TO_LPS: Final = (slice(None, None, -1), slice(None, None, -1), slice(None))


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """Specification of synthetic cases.

    Parameters
    ----------
    resolution_mm : float
        Voxel size of the images; the same seed shows the same patient at any resolution.
    growth_mm : float
        Voxel size of the growth simulation.
    grade : {"HGG", "LGG"}, optional
        Use the same grade for all cases; drawn at random if not given.
    low_grade_share : float
        Probability of a low-grade tumour if the grade is drawn.
    enhancing_low_grade : float
        Probability that a low-grade tumour enhances in patches.
    volume_ml : (float, float)
        Range of the volume of the whole tumour.
    degradation : Degradation
        Shading, noise, blur, texture and variation of contrasts.

    Raises
    ------
    TrainingError
        If the resolution or the volume range is not feasible.
    """

    resolution_mm: float = 1.0
    growth_mm: float = 2.0
    grade: Grade | None = None
    low_grade_share: float = 0.2
    enhancing_low_grade: float = 0.5
    volume_ml: tuple[float, float] = (5.0, 120.0)
    degradation: Degradation = field(default_factory=Degradation)

    def __post_init__(self) -> None:
        low, high = self.volume_ml
        if not (0.5 <= self.resolution_mm <= 5 and 1 <= self.growth_mm <= 4):
            raise TrainingError(
                f"A synthetic case was asked for at {self.resolution_mm} mm, grown at {self.growth_mm} mm. "
                "Choose a resolution from 0.5 to 5 mm and a growth grid from 1 to 4 mm."
            )
        if not 1 <= low <= high <= 200:
            msg = f"Tumour volumes from {low} to {high} mL were asked for; they must rise and lie within 1 to 200 mL."
            raise TrainingError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A synthetic case with the data it was rendered from: tissues and tumour parts in RAS, study and truth in LPS."""

    study: Study
    segmentation: Segmentation
    tissues: Tissues
    parts: Parts
    tumour: GrownTumour


def make_case(seed: int, *, spec: SyntheticSpec | None = None) -> tuple[Study, Segmentation]:
    """Make one synthetic glioma with exact truth; the same seed and spec give identical bytes.

    Parameters
    ----------
    seed : int
        Not negative; determines everything that varies.
    spec : SyntheticSpec, optional
        Specification of the case; the default is 1 mm, 5 to 120 mL, one in five low-grade.

    Returns
    -------
    Study
        T1, T1c, T2 and FLAIR, uint8 `(X, Y, Z)`, skull-stripped (0 outside the brain), on one LPS grid as in BraTS.
    Segmentation
        The package's classes on the same grid, with the drawn parameters in its provenance.

    Raises
    ------
    TrainingError
        If nilearn is not installed, whose tissue maps are used.

    Examples
    --------
    >>> study, truth = make_case(7, spec=SyntheticSpec(resolution_mm=4))
    >>> study.roles
    ('T1', 'T1c', 'T2', 'FLAIR')
    """
    phantom = make_phantom(seed, spec=spec)
    return phantom.study, phantom.segmentation


def make_phantom(seed: int, *, spec: SyntheticSpec | None = None) -> Phantom:
    """Make one synthetic glioma as in `make_case`, including its tissues and tumour parts."""
    spec = spec or SyntheticSpec()
    for_head, for_tumour, for_images = _streams(seed)
    head = draw_head(for_head)
    grid = head_grid(head, spec.resolution_mm)
    plan = draw_plan(for_tumour, _drawn_grade(for_tumour, spec), spec.volume_ml, spec.enhancing_low_grade)
    tumour = grow(head, plan, grid, spec.growth_mm)
    tissues = tissues_on(head, grid, _push_on(tumour, grid))
    parts = parts_on(tumour, tissues, grid)
    images = render(tissues, parts, grid, for_images, spec.degradation)
    return _as_phantom(seed, spec, grid, images, tissues, parts, tumour)


def make_healthy(seed: int, *, spec: SyntheticSpec | None = None) -> Study:
    """Make the head of a seed as scanned without a tumour, in which no model should find anything.

    The same seed and spec give identical bytes. Only the spec's resolution and degradation are used.
    """
    spec = spec or SyntheticSpec()
    for_head, _, for_images = _streams(seed)
    head = draw_head(for_head)
    grid = head_grid(head, spec.resolution_mm)
    images = render(tissues_on(head, grid), no_parts(grid), grid, for_images, spec.degradation)
    return _as_study(f"healthy_{seed:05d}", grid, images)


def write_case(study: Study, segmentation: Segmentation, folder: Path) -> list[Path]:
    """Write a case as `<name>_{t1,t1ce,t2,flair,seg}.nii.gz`, with a sidecar `<name>_seg.json` for the truth.

    The truth has the MSD label schema (1 edema, 2 non-enhancing, 3 enhancing). The same case gives identical bytes:
    the files contain no time stamps.

    Raises
    ------
    SaveError
        If the folder cannot be written to.
    """
    arrays = {f"{study.name}_{_FILE_WORDS[role]}.nii.gz": array for role, array in study.sequences.items()}
    arrays[f"{study.name}_seg.nii.gz"] = segmentation.data
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            (folder / name).write_bytes(_nifti_bytes(array, study.grid))
    except OSError as failure:
        msg = f"The synthetic case could not be written to {folder}: {failure}. Choose a folder that can be written."
        raise SaveError(msg) from failure
    sidecar = write_sidecar(segmentation, folder / f"{study.name}_seg.nii.gz", "MSD")
    return [*(folder / name for name in arrays), sidecar]


def _streams(seed: int) -> list[np.random.Generator]:
    """Return generators for head, tumour and images; a change in one step does not affect what the others draw."""
    if seed < 0:
        raise TrainingError(f"The seed is {seed}; it must be 0 or a positive integer.")
    return np.random.default_rng(seed).spawn(3)


def _drawn_grade(rng: np.random.Generator, spec: SyntheticSpec) -> Grade:
    low = rng.random() < spec.low_grade_share
    return spec.grade or ("LGG" if low else "HGG")


def _push_on(tumour: GrownTumour, grid: Grid) -> Field:
    """Resample the displacement to the whole grid; it has faded to almost nothing at the edge of the growth cube."""
    return np.stack([on_grid(component, tumour.grid, grid) for component in tumour.push_mm])


def _as_phantom(
    seed: int,
    spec: SyntheticSpec,
    grid: Grid,
    images: dict[Role, npt.NDArray[np.uint8]],
    tissues: Tissues,
    parts: Parts,
    tumour: GrownTumour,
) -> Phantom:
    study = _as_study(f"synthetic_{seed:05d}", grid, images)
    truth = Segmentation(
        data=np.ascontiguousarray(parts.labels[_TO_LPS]),
        grid=study.grid,
        name=study.name,
        layout=study.layout,
        provenance=_provenance(seed, spec, tumour, parts, study.grid),
    )
    return Phantom(study, truth, tissues, parts, tumour)


def _as_study(name: str, grid: Grid, images: dict[Role, npt.NDArray[np.uint8]]) -> Study:
    lps = _lps_grid(grid)
    return Study(
        sequences={role: np.ascontiguousarray(image[_TO_LPS]) for role, image in images.items()},
        grid=lps,
        name=name,
        layout=NiftiForms(sform=lps.affine, sform_code=2, qform=lps.affine, qform_code=2),
    )


def _lps_grid(grid: Grid) -> Grid:
    affine = grid.affine.copy()
    for axis in (0, 1):
        affine[axis, 3] += affine[axis, axis] * (grid.shape[axis] - 1)
        affine[axis, axis] *= -1
    return Grid(grid.shape, affine)


def _provenance(seed: int, spec: SyntheticSpec, tumour: GrownTumour, parts: Parts, grid: Grid) -> dict[str, Any]:
    voxels = np.bincount(parts.labels.ravel(), minlength=4)
    volumes = {
        name: round(float(voxels[value]) * grid.voxel_volume_mm3 / 1000, 3) for value, name in CLASS_NAMES.items()
    }
    plan = tumour.plan
    return {
        "origin": "synthetic: no patient was scanned",
        "generator": "napari_brain_tumor_training.synthetic",
        "generator_version": GENERATOR_VERSION,
        "seed": seed,
        "spec": asdict(spec),
        "grade": plan.grade,
        "volumes_ml": volumes,
        "tissue_maps": "MNI ICBM 152 non-linear 2009a, as distributed with nilearn; see NOTICE",
    }


def _nifti_bytes(array: npt.NDArray[Any], grid: Grid) -> bytes:
    image = nib.Nifti1Image(array, grid.affine)
    image.set_sform(grid.affine, code=2)
    image.set_qform(grid.affine, code=2)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=9, mtime=0)


def _main(
    out: Annotated[Path, typer.Argument(help="Folder for the case's files.")],
    seed: Annotated[int, typer.Option(help="Each seed gives another patient.")] = 0,
    grade: Annotated[str | None, typer.Option(help="HGG or LGG; by default drawn at random.")] = None,
    resolution_mm: Annotated[float, typer.Option(help="Voxel size in millimetres.")] = 1.0,
    name: Annotated[str | None, typer.Option(help="Start of the file names; by default synthetic_<seed>.")] = None,
) -> None:
    """Make one synthetic glioma: four sequences, the truth and its sidecar."""
    if grade not in (None, "HGG", "LGG"):
        raise typer.BadParameter(f"The grade is {grade!r}; choose HGG or LGG.")
    try:
        study, truth = make_case(seed, spec=SyntheticSpec(resolution_mm=resolution_mm, grade=grade))  # type: ignore[arg-type]
        files = write_case(replace(study, name=name or study.name), truth, out)
    except BrainTumorError as refusal:
        typer.echo(str(refusal), err=True)
        raise typer.Exit(1) from refusal
    for file in files:
        typer.echo(file)


if __name__ == "__main__":
    typer.run(_main)
