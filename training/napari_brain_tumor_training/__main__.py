"""`brain-tumor train` and `brain-tumor validate`: fit a network to a recipe, and score it on the recipe's cases."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from napari_brain_tumor.io.csv_text import csv_text
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.models.cards import ModelInfo, find_model
from napari_brain_tumor.models.checkpoint import write_card
from napari_brain_tumor.progress import Job, run_job
from napari_brain_tumor.requests.shell import with_requests
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor_training.command_progress import command_progress
from napari_brain_tumor_training.config import TrainConfig, read_config
from napari_brain_tumor_training.crossvalidate import crossvalidate, fit_fold
from napari_brain_tumor_training.default_recipe import recipe_of
from napari_brain_tumor_training.detached import RunRequest, resume_run, start_run
from napari_brain_tumor_training.estimate import estimate_cost
from napari_brain_tumor_training.fit import fit, loaded_cases
from napari_brain_tumor_training.process_group import rank_of_process
from napari_brain_tumor_training.readiness import why_not_ready
from napari_brain_tumor_training.run_process import install_result_job, with_plan
from napari_brain_tumor_training.run_status import watched
from napari_brain_tumor_training.sample_pictures import draw_augmented
from napari_brain_tumor_training.sampling import sampler_for
from napari_brain_tumor_training.stop_signals import run_until_stopped
from napari_brain_tumor_training.validate import CaseDice, summarise, validate

app = typer.Typer(help="Train a network from a recipe.", add_completion=False)
validation_app = typer.Typer(help="Score a model on the validation cases of a recipe.", add_completion=False)

Recipe = Annotated[Path, typer.Argument(help="TOML file that describes the run (see training/recipes).")]
Data = Annotated[Path, typer.Option(help="Folder that the recipe's paths are relative to.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


@app.command()
@with_requests
def train(
    request: RunRequest,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for state, history and checkpoint.")] = Path("runs"),
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the state in the folder.")] = False,
    max_minutes: Annotated[
        float | None, typer.Option(help="Stop after the epoch in which this time is exceeded.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only measure one step, to estimate time and memory of the run.")
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Cross-validate: train a network for each of this many folds of the patients."),
    ] = None,
    fold: Annotated[int | None, typer.Option(min=1, help="With --folds: train only this fold.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Train in the background; watch it with `brain-tumor runs`.")
    ] = False,
    augmented: Annotated[
        Path | None, typer.Option(help="Only write a picture of augmented samples to this PNG file.")
    ] = None,
) -> None:
    """Train the network of a recipe; can be stopped with Ctrl-C and resumed.

    With --folds the networks of all folds are trained one after the other, and kept together as one model; what is
    begun in the folder goes on.
    """
    _check_fold(fold, folds, max_minutes)
    with command_progress("training") as (console, report):
        logging.basicConfig(
            level=logging.INFO if rank_of_process() == 0 else logging.ERROR,
            format="%(message)s",
            handlers=[RichHandler(console=console, show_path=False)],
            force=True,
        )
        config, root = _described_run(request)
        plan = {"batch": request.batch, "learning_rate": request.learning_rate}
        config = with_plan(config, validate_every=request.validate_every, **plan)
        device, epochs = request.device, request.epochs
        settings: dict[str, Any] = {"device": device, "resume": resume, "epochs": epochs, "max_minutes": max_minutes}
        job: Job[Any]
        if detach:
            if folds is not None:
                msg = "Cross-validation is not detached: leave --folds or --detach out."
                raise typer.BadParameter(msg)
            dims = None if request.start_from else config.model.dims
            run_request = request.with_options(data=request.data or Path(), dims=dims)
            message = _detached(run_request, out, resume=resume, max_minutes=max_minutes)
        elif estimate:
            message = estimate_cost(config, device).describe()
        elif augmented is not None:
            cases = run_until_stopped(loaded_cases(config, root, out), report)
            training = [case for case in cases if case.files.split == "train"]
            draw_augmented(config, sampler_for(config, training), augmented)
            message = f"{augmented}"
        else:
            if folds is not None and fold is None:
                job = crossvalidate(config, root, out, folds, device=device, epochs=epochs)
            elif folds is not None and fold is not None:
                job = fit_fold(config, root, out, fold, folds, **settings)
            else:
                job = fit(config, root, out, **settings)
                if int(os.environ.get("WORLD_SIZE", "1")) == 1:
                    # Stopping one of several processes would leave the others waiting for it.
                    job = watched(job, out, config.title)
            model_info = run_until_stopped(job, report).model
            message = f"{model_info.folder}"
            if request.install and fold is None and rank_of_process() == 0:
                message += f"\n{_installed(model_info, out)}"
    if rank_of_process() == 0:
        typer.echo(message)


@validation_app.command("validate")
def score(
    recipe: Recipe,
    model: Annotated[
        str | None, typer.Option(help="Name or folder of the model; by default the recipe's name.")
    ] = None,
    data: Data = Path(),
    device: Device = "auto",
    roles: Annotated[list[str] | None, typer.Option(help="Subset, for example T1c,FLAIR; repeatable.")] = None,
    flips: Annotated[bool, typer.Option("--flips", help="Average over mirrored inputs.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV file with one row per case and subset.")] = None,
    update_card: Annotated[bool, typer.Option("--update-card", help="Write the means into the model's card.")] = False,
) -> None:
    """Dice of a model on the validation cases of a recipe, over whole volumes, per case and on average."""
    subsets = [_subset(text) for text in roles or [",".join(ROLES)]]
    with command_progress("validating") as (_, report):
        config = read_config(recipe)
        info = find_model(model or config.name)
        job = validate(config, data, info, subsets, flips=flips, device=device)
        scores = run_until_stopped(job, report)
        means = summarise(scores)
        if update_card:
            _add_to_card(info, means)
    if out is not None:
        _write_rows(out, scores)
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(
        "Dice per case", _case_table(scores), "Mean Dice over cases (both empty counts 1)", _mean_table(means)
    )


def _installed(model: ModelInfo, out: Path) -> str:
    """Add a model to the list and say how to use it, or explain why it was not added."""
    reason = why_not_ready(model.card)
    if reason:
        return f"It is not added to the list of models: {reason}"
    return f"To use it: brain-tumor segment CASE --model {run_job(install_result_job(model.folder, out))}"


def _check_fold(fold: int | None, folds: int | None, max_minutes: float | None) -> None:
    if fold is not None and (folds is None or fold > folds):
        msg = f"--fold {fold} needs --folds with the number of all folds, and lies between 1 and it."
        raise typer.BadParameter(msg)
    if folds is not None and fold is None and max_minutes is not None:
        msg = "--max-minutes is for one run: give --fold too, or leave it out."
        raise typer.BadParameter(msg)


def _described_run(request: RunRequest) -> tuple[TrainConfig, Path]:
    """Return the recipe (from a file, or the default for a curated data set) and the folder of its relative paths."""
    return recipe_of(request), request.source if request.source.is_dir() else request.data or Path()


def _detached(request: RunRequest, out: Path, *, resume: bool, max_minutes: float | None) -> str:
    if max_minutes is not None:
        msg = (
            "--max-minutes cannot be combined with --detach. Leave it out and stop the run with `brain-tumor runs "
            "stop`."
        )
        raise typer.BadParameter(msg)
    run = resume_run(out) if resume else start_run(request, out)
    return f"Process {run.status.pid} trains in {out}. See how far it is with: brain-tumor runs show {out}"


def _subset(text: str) -> tuple[Role, ...]:
    names = [word.strip().lower() for word in text.split(",")]
    unknown = sorted(set(names) - {role.lower() for role in ROLES})
    if unknown:
        msg = f"{', '.join(unknown)} is not a role. Name some of {', '.join(ROLES)}, separated by commas."
        raise typer.BadParameter(msg)
    return tuple(role for role in ROLES if role.lower() in names)


def _add_to_card(info: ModelInfo, means: list[Metrics]) -> None:
    new = {(m.dataset, tuple(m.roles), m.flips): m for m in [*info.card.metrics, *means]}
    write_card(info, info.card.model_copy(update={"metrics": list(new.values())}))


def _write_rows(path: Path, scores: list[CaseDice]) -> None:
    columns = ("dataset", "case", "asked", "roles", "flips", "region", "dice")
    rows = (
        (s.dataset, s.name, "+".join(s.subset), "+".join(s.roles), s.flips, region, f"{value:.4f}")
        for s in scores
        for region, value in s.dice.items()
    )
    text = csv_text(columns, (dict(zip(columns, row, strict=True)) for row in rows))
    path.write_text(text, encoding="utf-8", newline="")


def _case_table(scores: list[CaseDice]) -> Table:
    rows = tuple({"Set": s.dataset, "Case": s.name, "Roles": "+".join(s.roles), **s.dice} for s in scores)
    return Table(("Set", "Case", "Roles", *REGIONS), rows, dict.fromkeys(REGIONS, 3))


def _mean_table(means: list[Metrics]) -> Table:
    rows = tuple({"Set": m.dataset, "Roles": "+".join(m.roles), "Cases": m.cases, **m.mean_dice} for m in means)
    return Table(("Set", "Roles", "Cases", *REGIONS), rows, dict.fromkeys(REGIONS, 3), right=frozenset({"Cases"}))


if __name__ == "__main__":
    app()
