"""`brain-tumor brain`: which voxels of a head are brain, as a file."""

from pathlib import Path
from typing import Annotated

import typer

from napari_brain_tumor.cli.arguments import Overwrite, open_case
from napari_brain_tumor.cli.console import note, run_shown, say
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.segment import BrainRequest


def brain(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder or file of an examination.")],
    opening: OpenOptions,
    request: BrainRequest,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the mask (.nii.gz or .nii): 1 in the brain, 0 elsewhere.")
    ],
    overwrite: Overwrite = False,
) -> None:
    """Find the brain in a whole head and save its mask on the scan's own grid."""
    from napari_brain_tumor.brain.extraction import brain_mask_job, brain_volume_ml, volume_doubt
    from napari_brain_tumor.brain.mask_file import check_mask_target, save_mask
    from napari_brain_tumor.preprocessing.traits import traits_of

    check_mask_target(output, overwrite=overwrite)
    study = open_case(case, opening)
    note(*study.notes)
    if not traits_of(study).whole_head:
        note("The skull has already been removed from these scans: the mask covers what is left.")
    mask = run_shown(brain_mask_job(study, request.device), study.name)
    save_mask(mask, study, output)
    size = brain_volume_ml(study.grid, mask)
    say(f"Wrote {output}" + (f", a brain of {size:.0f} mL." if size is not None else "."))
    if doubt := volume_doubt(size):
        note(doubt)
