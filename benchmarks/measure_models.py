"""Measure the models, write `results.json`, the page and its pictures: `python benchmarks/measure_models.py DATA`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor_training.command_progress import command_progress
from napari_brain_tumor_training.stop_signals import run_until_stopped
from results.bench import FULL_SET, SLICE_SET, open_bench
from results.document import BLOCKS, RESULTS_FILE, BlockName, read_results
from results.page import write_page
from results.run import measured_results, subjects_named

app = typer.Typer(help="Measure the models and write the results page.", add_completion=False)

_KEPT = "What was measured is kept: the same command continues from there."


@app.command()
def results(
    data: Annotated[
        Path | None, typer.Argument(help="Folder with glioma3d, lgg_tif, cases and subjects.csv.", show_default=False)
    ] = None,
    models: Annotated[
        str, typer.Option(metavar="A,B,...", help="Names or folders; every shipped model and baseline if not given.")
    ] = "",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of results.json, results.md and images.")
    ] = Path("docs"),
    split: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Table of the sides; DATA/subjects.csv if not given.")
    ] = None,
    update_cards: Annotated[
        bool, typer.Option("--update-cards", help="Write temperatures and metrics into the cards of the models.")
    ] = False,
    render: Annotated[
        bool, typer.Option("--render", help="Only write page and pictures again, from results.json.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only N cases of each set, to try it out.")
    ] = None,
    blocks: Annotated[
        str, typer.Option(metavar="A,B,...", help=f"Only some of {', '.join(BLOCKS)}; the others keep their numbers.")
    ] = "",
    subsets_of: Annotated[
        str, typer.Option(metavar="A,B,...", help="Sets that are segmented from every subset of their sequences.")
    ] = f"{FULL_SET},{SLICE_SET}",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Measure models on the validation cases and write results.json, results.md and the reliability plots.

    What was measured with the same weights, settings and split is not measured again; models that are not named keep
    their numbers.
    """
    if data is None and not render:
        raise typer.BadParameter("Name the folder of the data, or give --render.", param_hint="DATA")
    with command_progress("measuring", _KEPT) as (_, report):
        if data is not None and not render:
            subjects, block_names = subjects_named(_words(models)), _blocks(blocks)
            bench = open_bench(data, _table(split, data), limit=limit, device=device)
            bench = replace(bench, subset_sets=_sets(subsets_of))
            job = measured_results(subjects, bench, output, blocks=block_names, update_cards=update_cards)
            run_until_stopped(job, report)
        measured = read_results(output / RESULTS_FILE)
        if measured is None:
            msg = f"{output / RESULTS_FILE} is not there yet. Measure first: python benchmarks/measure_models.py DATA."
            raise UnreadableFileError(msg)
        written = write_page(measured, output)
    for path in written:
        typer.echo(f"Wrote {path}")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _blocks(text: str) -> tuple[BlockName, ...]:
    names = _words(text)
    unknown = sorted(set(names) - set(BLOCKS))
    if unknown:
        msg = f"{', '.join(unknown)} is not measured. Name some of {', '.join(BLOCKS)}."
        raise typer.BadParameter(msg, param_hint="--blocks")
    return tuple(block for block in BLOCKS if block in names or not names)


def _sets(text: str) -> tuple[str, ...]:
    names, known = _words(text), (FULL_SET, SLICE_SET)
    unknown = sorted(set(names) - set(known))
    if unknown:
        msg = f"{', '.join(unknown)} is no set of the results. Name {' or '.join(known)}."
        raise typer.BadParameter(msg, param_hint="--subsets-of")
    return tuple(name for name in known if name in names)


def _table(split: Path | None, data: Path) -> Path | None:
    """The table as it was named: from here, or from the folder of the data."""
    return split if split is None or split.is_file() else data / split


if __name__ == "__main__":
    app()
