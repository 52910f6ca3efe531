"""What computing in fewer bits changes, on validation cases, and what that saves: the cards' `precisions`.

    python benchmarks/measure_precision.py DATA [--models unet,u2netp] [--limit 8] [--device cpu] [--update-cards]

Every case is segmented in float32 and in bfloat16, where the device has it, and on a GPU in float16; Dice of each
against the truth, and the share of the tumour's voxels that get the same label. `--update-cards` writes them into the
cards, by which `segment` decides what `precision="auto"` may take. New weights are measured anew.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, cast

import numpy as np
import typer

from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.metrics.overlap import region_dice
from napari_brain_tumor.models.card_parts import PrecisionCheck
from napari_brain_tumor.models.cards import Card, ModelInfo, find_model, list_models
from napari_brain_tumor.models.checkpoint import write_card
from napari_brain_tumor.requests.segment import PrecisionName
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.workflow import segment
from results.bench import FULL_SET, SLICE_SET, Bench, open_bench

app = typer.Typer(help="Measure what fewer bits change.", add_completion=False)

Reduced = Literal["bfloat16", "float16"]
_PLAIN: Final = "float32"


@dataclass(slots=True)
class Tally:
    """What was counted so far in one precision."""

    differences: dict[Region, list[float]] = field(default_factory=lambda: {region: [] for region in REGIONS})
    equal: int = 0
    tumour: int = 0
    cases: int = 0
    seconds: float = 0.0

    def add(self, truth: Segmentation, plain: Segmentation, reduced: Segmentation) -> None:
        """One more case."""
        before, after = region_dice(truth, plain), region_dice(truth, reduced)
        for region in before:
            self.differences[region].append(after[region] - before[region])
        either = (plain.data > 0) | (reduced.data > 0)
        self.tumour += int(either.sum())
        self.equal += int((plain.data[either] == reduced.data[either]).sum())
        self.cases += 1
        self.seconds += network_seconds(reduced)

    def check(self) -> PrecisionCheck:
        """As the card says it."""
        change = {region: round(float(np.mean(values)), 5) for region, values in self.differences.items() if values}
        agreement = round(self.equal / self.tumour, 5) if self.tumour else 1.0
        return PrecisionCheck(cases=self.cases, dice_change=change, agreement=agreement)


def network_seconds(result: Segmentation) -> float:
    return float(result.provenance["seconds"]["network"])


def precision_of(result: Segmentation) -> str:
    return str(result.provenance["settings"]["precision"])


def requests_on(bench: Bench) -> Iterator[PrecisionName]:
    """How each reduced precision of the device is asked for; a GPU's float16 is what auto takes there."""
    if bench.subset_precision == "bfloat16":
        yield "bfloat16"
    if not bench.device.startswith("cpu"):
        yield "auto"


def measured(model: ModelInfo, bench: Bench) -> dict[Reduced, PrecisionCheck]:
    """Every reduced precision of the device on every case that the model takes."""
    tallies: dict[str, Tally] = {}
    plain_seconds = 0.0
    for case in bench.cases:
        opened = case.open()
        if model.obstacle(opened.study.roles):
            continue
        plain = segment(opened.study, model.folder, bench.device, precision=_PLAIN)
        plain_seconds += network_seconds(plain)
        for precision in requests_on(bench):
            reduced = segment(opened.study, model.folder, bench.device, precision=precision)
            if precision_of(reduced) != _PLAIN:
                tallies.setdefault(precision_of(reduced), Tally()).add(opened.truth, plain, reduced)
    for name, tally in tallies.items():
        typer.echo(f"{model.name}, {name}: {tally.check().model_dump_json()}, agrees: {tally.check().agrees}")
        typer.echo(f"  network {tally.seconds:.1f} s, in float32 {plain_seconds:.1f} s")
        worst = {r: max(map(abs, values)) for r, values in tally.differences.items() if values}
        typer.echo(f"  largest change of Dice in a case: {', '.join(f'{r} {w:.4f}' for r, w in worst.items())}")
    return {cast("Reduced", name): tally.check() for name, tally in tallies.items()}


def models_named(names: str) -> Iterable[ModelInfo]:
    if not names:
        return [model for model in list_models() if model.bundled]
    return [find_model(name.strip()) for name in names.split(",")]


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help=f"Folder with {FULL_SET}, {SLICE_SET}, cases and subjects.csv.")],
    models: Annotated[str, typer.Option(metavar="A,B,...", help="Names or folders; all that ship if not given.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Cases of each set.")] = 8,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "cpu",
    update_cards: Annotated[bool, typer.Option("--update-cards", help="Write it into the cards.")] = False,
) -> None:
    """Measure, say it, and write it into the cards if that is asked for."""
    bench = open_bench(data, limit=limit, device=device)
    for model in models_named(models):
        checks = measured(model, bench)
        if update_cards and checks:
            card = model.card.model_copy(update={"precisions": {**model.card.precisions, **checks}})
            write_card(model, Card.model_validate(card.model_dump()))


if __name__ == "__main__":
    app()
