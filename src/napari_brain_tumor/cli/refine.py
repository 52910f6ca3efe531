"""`brain-tumor refine`: correct a segmentation with recorded prompts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_brain_tumor.cli.arguments import Overwrite, open_case
from napari_brain_tumor.cli.console import note, print_table, run_shown, say, volume_table
from napari_brain_tumor.cli.known_values import known_schema
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io import open_segmentation, save_segmentation
from napari_brain_tumor.io.case_names import case_name
from napari_brain_tumor.label_schemas import schema_named
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.segment import SegmentRequest

if TYPE_CHECKING:
    from napari_brain_tumor.interactive import PromptFile
    from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
    from napari_brain_tumor.study import Segmentation, Study


def refine(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder or file of an examination.")],
    prompts: Annotated[
        Path,
        typer.Option("--prompts", metavar="FILE", help="Prompts (JSON) as the window or save_prompts writes them."),
    ],
    opening: OpenOptions,
    request: SegmentRequest,
    segmentation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The segmentation to correct, saved from the same scans.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File (.nii.gz, .nii, .nrrd, .mha, .tif) or folder. "
            "By default <case>_refined.nii.gz in the current folder.",
        ),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            callback=known_schema,
            help="What the integers of --segmentation mean, if ambiguous; the result is saved with the same. By "
            "default that of the file, else MSD.",
        ),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Continue even if the prompts were recorded on other labels.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print voxels and seconds of every prompt as JSON.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Correct a segmentation with recorded prompts and save it on the scan's own grid.

    Without --segmentation and --model the correction starts from empty labels.
    """
    if segmentation is not None and request.model is not None:
        msg = "Give exactly one of --segmentation FILE, which is corrected, and --model NAME, which segments first."
        raise typer.BadParameter(msg, param_hint="--model")
    options = request.options()
    if options and request.model is None:
        msg = f"Without a model {', '.join(options)} cannot be used. Add --model NAME, or leave them out."
        raise typer.BadParameter(msg, param_hint="--model")
    from napari_brain_tumor.batch.targets import check_inputs_are_kept
    from napari_brain_tumor.interactive import read_prompts, refine_job

    recorded = read_prompts(prompts)
    target = _target(case, output, segmentation, overwrite=overwrite)
    study = open_case(case, opening)
    check_inputs_are_kept(study, target)
    note(*study.notes)
    initial, maps = _start(study, segmentation, schema, request)
    job = refine_job(study, initial, recorded, probabilities=maps, anyway=anyway)
    refined = run_shown(job, study.name)
    note(*refined.provenance["refinement"]["notes"])
    written_in = _schema(initial, schema)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_segmentation(refined, target, schema=written_in, overwrite=overwrite)
    if as_json:
        _print_json(refined, recorded, target, written_in)
    else:
        _print(refined, target)


def _target(case: Path, output: str | None, segmentation: Path | None, *, overwrite: bool) -> Path:
    from napari_brain_tumor.cli.outputs import plan_tasks

    target = output or f"{case_name(case)}_refined.nii.gz"
    (task,) = plan_tasks([case], target, overwrite=overwrite)
    if segmentation is not None and task.target.resolve() == segmentation.resolve():
        msg = f"{segmentation} is the segmentation to correct and is never overwritten. Choose another name with -o."
        raise SaveError(msg)
    return task.target


def _start(
    study: "Study",
    segmentation: Path | None,
    schema: str | None,
    request: SegmentRequest,
) -> tuple["Segmentation | None", "RegionProbabilities | None"]:
    """What is corrected: a file, what a model gives with its probabilities, or nothing."""
    if segmentation is not None:
        return _opened(segmentation, schema, study), None
    if request.model is None:
        return None, None
    from napari_brain_tumor import workflow  # loads torch, for seconds
    from napari_brain_tumor.catalogue import find_model

    model, device, options = request.model, request.device, request.options()
    if find_model(model).is_baseline:
        return run_shown(workflow.segment_job(study, model, device, **options), study.name), None
    return run_shown(workflow.segment_with_probabilities_job(study, model, device, **options), study.name)


def _opened(path: Path, schema: str | None, study: "Study") -> "Segmentation":
    """The file; of a voxel size that it does not tell, it has that of the study."""
    labels = open_segmentation(path, schema)
    if (labels.grid.unit, study.grid.unit) == ("voxel", "mm"):
        return open_segmentation(path, schema, spacing_mm=study.grid.spacing)
    return labels


def _schema(initial: "Segmentation | None", schema: str | None) -> str:
    """In which the result is saved."""
    recorded = None if initial is None else initial.provenance.get("schema")
    return schema_named(schema or recorded or "MSD").name


def _print(refined: "Segmentation", target: Path) -> None:
    from napari_brain_tumor.measure.volumes import measure_volumes

    voxels = refined.provenance["refinement"]["voxels"]
    print_table(f"{refined.name}, corrected", volume_table(measure_volumes(refined)))
    say(f"{len(voxels)} prompt{'s'[: len(voxels) != 1]} changed {sum(voxels)} voxels")
    say(f"Wrote {target}")


def _print_json(refined: "Segmentation", recorded: "PromptFile", target: Path, schema: str) -> None:
    record = refined.provenance["refinement"]
    steps: list[dict[str, Any]] = [
        {"kind": step.kind, "label": getattr(step, "label", None), "voxels": voxels, "seconds": seconds}
        for step, voxels, seconds in zip(recorded.steps, record["voxels"], record["seconds"], strict=True)
    ]
    document = {
        "case": refined.name,
        "output": str(target),
        "schema": schema,
        "prompts": steps,
        "voxels": sum(record["voxels"]),
        "seconds": round(sum(record["seconds"]), 3),
        "probabilities": record["probabilities"],
        "labels_sha256": refined.provenance["labels_sha256"],
        "notes": record["notes"],
    }
    say(json.dumps(document, indent=2, ensure_ascii=False))
