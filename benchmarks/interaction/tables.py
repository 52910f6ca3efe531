"""Tables and curves of the simulated user, from the files that the benchmark keeps."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = (0, 1, 2, 3, 5, 7, 10, 15, 20)
GOALS = (0.90, 0.95)
SETS = {"glioma3d": "Gliomas (glioma3d: four sequences; WT, TC and ET)", "lgg_tif": "LGG (Kaggle slices; WT alone)"}
STARTS = {
    "model": "the default model's result",
    "nothing": "nothing",
    "u2netp": "the small model's result (u2netp)",
    "threshold": "a threshold",
    "shifted": "the truth, 5 mm to the side",
}
TARGETS = (
    ("glioma3d", "model", 5, {"WT": 0.94, "TC": 0.90, "ET": 0.85}),
    ("glioma3d", "model", 10, {"WT": 0.96, "TC": 0.93, "ET": 0.90}),
    ("glioma3d", "nothing", 5, {"WT": 0.92}),
    ("lgg_tif", "model", 5, {"WT": 0.93}),
    ("lgg_tif", "nothing", 5, {"WT": 0.92}),
)
OURS = "ours"
SHAPES = "shape interpolation, same outlines"
BEFORE = "the version before"
METHODS = (OURS, "ours, no probabilities", SHAPES, BEFORE, "random walker")
HABITS = ("outline", "lasso", "stroke", "point")
LOWERED = 0.01

INTRODUCTION = """\
A simulated user who knows the reference segmentation corrects the validation patients, prompt by prompt. Each prompt is
placed in the middle of the largest connected error, on whichever of the three orthogonal slices through it shows most
of the error. Errors are compared by their share of the region, so that the small enhancing part counts as much as the
large edema. `outline`: exact lines around every part of the region on that slice, and around its holes; `lasso`: around
the error; `stroke`: along the middle of the error; `point`: a click. *Shape interpolation* is the classical method,
applied to the outlines of our sessions: exact on the outlined slices, signed distances interpolated between them, the
initial labels elsewhere. *The version before* (rule 5 of prompts) and the *random walker* have sessions of their own,
because the user responds to their errors.

A small 3D network (1.0 million parameters, 2 MB) decides how an outline changes the neighbouring slices. It sees the
scans, labels, prompts and shapes, and the output of a classifier that is fitted to the outlined slices of the case
itself. It was trained in sessions with the 53 + 72 training patients, for 155 minutes of one core in all. Dice is the
mean over cases. No weight was fitted to these patients, but the rules below were chosen in sessions with them."""

COMMANDS = """```
python benchmarks/interaction --data DATA
PYTHONPATH=OLDER/src python benchmarks/interaction --data DATA --only "ours - outline" --as "the version before"
python benchmarks/interaction --data DATA --table
python benchmarks/train_outlines.py DATA                 # the network
```"""

SINCE = """\
On an outlined slice, every voxel near the region is known to be inside or outside it. At each outline, boosted trees
(scikit-learn's, 40 of them) are fitted to these voxels, from all slices on which the region was outlined. They see the
scans, unsmoothed and smoothed to 0.7 and 2.6 mm, and the logits of the model's probabilities. Where there are such
probabilities, a third of the examples are voxels of other slices on which the model is sure and agrees with the labels.

Rule 5 combined the trees, the network and the labels by fixed weights. With rule 6, the trees' logits are one more
channel of the network, and the network alone decides. It was trained further from the earlier weights for 80 minutes
of one core, beside another training and interrupted for 11 minutes (5,355 steps), with complete outlines, holes
included, as users now draw them. Adding the trees by rule 5's weights once more made no mean better than by .001
except ET (.865 after five outlines instead of .855) and cost TC .007 and, from nothing, WT .006.

The trees are evaluated on every second voxel, and the longest steps are shared among up to four threads. On two idle
cores, 12 outlines on two gliomas took .67 s (median) and 1.16 s (worst), .81 and 1.18 by rule 5; the seconds above were
measured beside two to four other programs. Strokes, clicks, lassos and boxes are handled as before."""

TRIED = """\
## What was tried and not kept

A network trained for 78 further minutes of one core (5,700 steps), with strokes, clicks, lassos and boxes as well,
replaced the older engine for these prompts; removals then needed a logit of 1.5. Mean Dice after ten prompts from the
default model's result, this network / the engine that is used; in brackets the share of prompts that lowered a region
by more than .01:

| data | prompt | WT | TC | ET | |
|---|---|---|---|---|---|
| glioma3d | stroke | .909 / .919 | .878 / .899 | .783 / .804 | (2.5 % / 3.3 %) |
| glioma3d | point | .911 / .910 | .855 / .890 | .765 / .795 | (5.0 % / 5.0 %) |
| lgg_tif | stroke | .851 / .855 | - | - | (6.2 % / 7.5 %) |
| lgg_tif | point | .847 / .839 | - | - | (2.5 % / 10.6 %) |

A reach of 40 mm instead of 24 changed no mean by more than .01. Requiring a logit of 1 for additions too lowered TC by
another .01 after strokes and raised LGG by .01.

During the development of rule 5 (12 gliomas from the default model's result, after five and ten outlines): the trees
alone, without the network, reached .929 .915 .845 and .939 .939 .870. With n outlined slices, weighting the trees by
n / (n + 2) instead of n / (n + 1), and the labels half as much, gave .934 .926 .861 and .944 .938 .874;
n / (n + 0.5) gave .934 .928 .864 and .944 .940 .887, with twice as many prompts that lowered a region by more than .01.
With five axial slices of each region known, logistic regression on the same features gained between a tenth (WT) and a
third (TC) of what the trees gained on the other slices."""

Records = list[dict[str, Any]]
Row = dict[str, Any]


def write_tables(out: Path) -> None:
    """Write docs/interaction.md, docs/interaction.json and the curves from every record of a folder."""
    groups: dict[tuple[str, ...], Records] = defaultdict(list)
    for file in sorted(out.glob("*.json")):
        record = json.loads(file.read_text())
        way = record["way"]
        groups[record["dataset"], way["start"], way["method"], way["habit"]].append(record)
        if "same outlines" in record:
            same = {**record, "dice": record["same outlines"], "seconds": []}
            groups[record["dataset"], way["start"], SHAPES, way["habit"]].append(same)
    rows = [summary(key, records) for key, records in groups.items()]
    rows.sort(key=_order)
    (DOCS / "interaction.json").write_text(json.dumps(rows, indent=1) + "\n")
    (DOCS / "interaction.md").write_text(page(rows))
    draw(rows)


def _order(row: Row) -> tuple[int, ...]:
    places = (tuple(SETS), tuple(STARTS), METHODS, HABITS)
    return tuple(
        names.index(row[key]) for key, names in zip(("dataset", "start", "method", "habit"), places, strict=True)
    )


def summary(key: tuple[str, ...], records: Records) -> Row:
    """Mean Dice after every prompt, prompts needed, prompts that lowered a case, and seconds, of one way."""
    dataset, start, method, habit = key
    dice = np.array([record["dice"] for record in records])
    seconds = np.concatenate([record["seconds"] or [0.0] for record in records])
    regions = records[0]["regions"]
    steps = np.diff(dice, axis=1)
    means = np.diff(dice.mean(axis=0), axis=0)
    return {
        "dataset": dataset,
        "start": start,
        "method": method,
        "habit": habit,
        "cases": len(records),
        "dice": {region: dice[:, :, at].mean(axis=0).round(4).tolist() for at, region in enumerate(regions)},
        "reached": {
            region: {str(goal): reached(dice[:, :, at], goal) for goal in GOALS} for at, region in enumerate(regions)
        },
        "lowered": {
            "prompts": int(steps.shape[0] * steps.shape[1]),
            "at all": round(float((steps < -1e-9).any(axis=2).mean()), 4),
            "by more than .01": round(float((steps < -LOWERED).any(axis=2).mean()), 4),
            "most": round(float(-steps.min()), 4),
            "mean": round(float(-means.min()), 4),
        },
        "seconds": {"median": round(float(np.median(seconds)), 2), "worst": round(float(seconds.max()), 2)},
    }


def reached(dice: Any, goal: float) -> Row:
    """In how many cases the goal is reached, and the median of prompts needed over all cases, None if most never do."""
    first = [int(np.argmax(row >= goal)) if (row >= goal).any() else None for row in dice]
    known = sorted(99 if at is None else at for at in first)
    middle = known[(len(known) - 1) // 2]
    return {"cases": sum(at is not None for at in first), "median prompts": None if middle == 99 else middle}


def page(rows: list[Row]) -> str:
    """The page of results."""
    parts = ["# What a few prompts are worth", INTRODUCTION, COMMANDS, targets(rows)]
    parts += ["## Curves", "![Mean Dice after every prompt](images/interaction.png)"]
    for dataset, title in SETS.items():
        for start, words in STARTS.items():
            own = [row for row in rows if (row["dataset"], row["start"]) == (dataset, start)]
            if own:
                parts += [f"## {title}: from {words}", dice_table(own)]
    parts += ["## Prompts needed", reached_table(rows), "## Prompts that lowered a case", LOWERED_WORDS, lowered(rows)]
    parts += ["## Seconds for a prompt", seconds(rows), "## What rule 6 changed", SINCE, TRIED]
    return "\n\n".join(parts) + "\n"


LOWERED_WORDS = """Share of prompts after which the Dice of any region of the case was lower than before: at all, and by
more than .01. Then the largest loss of one case from one prompt, and the largest loss of the mean over cases."""


def named(row: Row) -> str:
    return f"{row['method']} | {row['habit']}"


def targets(rows: list[Row]) -> str:
    """The targets, and what was reached."""
    lines = [
        "| data | from | prompts | region | target | reached | shape interpolation |",
        "|---|---|---|---|---|---|---|",
    ]
    for dataset, start, prompts, wanted in TARGETS:
        found = {
            row["method"]: row
            for row in rows
            if (row["dataset"], row["start"], row["habit"]) == (dataset, start, "outline")
        }
        for region, goal in wanted.items():
            got = [_after(found.get(method), region, prompts) for method in (OURS, SHAPES)]
            lines.append(f"| {dataset} | {start} | {prompts} | {region} | {goal:.2f} | {got[0]} | {got[1]} |")
    return "\n".join(lines)


def _after(row: Row | None, region: str, prompts: int) -> str:
    values = [] if row is None else row["dice"][region]
    return f"{values[prompts]:.3f}" if prompts < len(values) else "-"


def dice_table(rows: list[Row]) -> str:
    """Mean Dice after so many prompts."""
    lines = [f"Mean Dice over {rows[0]['cases']} cases after so many prompts:", ""]
    lines += ["| method | prompt | region | " + " | ".join(map(str, SHOWN)) + " |", "|---" * (3 + len(SHOWN)) + "|"]
    for row in rows:
        for region in row["dice"]:
            lines.append(f"| {named(row)} | {region} | " + " | ".join(_after(row, region, at) for at in SHOWN) + " |")
    return "\n".join(lines)


def reached_table(rows: list[Row]) -> str:
    """Prompts needed."""
    lines = ["Median over the cases; in brackets, how many cases reach it at all:", ""]
    lines += ["| data | from | method | prompt | region | " + " | ".join(f"{goal:.2f}" for goal in GOALS) + " |"]
    lines += ["|---" * 7 + "|"]
    for row in rows:
        for region, goals in row["reached"].items():
            cells = [
                f"{'-' if got['median prompts'] is None else got['median prompts']} ({got['cases']})"
                for got in goals.values()
            ]
            lines.append(f"| {row['dataset']} | {row['start']} | {named(row)} | {region} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def lowered(rows: list[Row]) -> str:
    """How often a prompt did harm, and how much."""
    lines = ["| data | from | method | prompt | prompts | lowered | by more than .01 | most | mean, most |"]
    lines += ["|---" * 9 + "|"]
    for row in rows:
        got = row["lowered"]
        cells = (f"{got['at all']:.1%}", f"{got['by more than .01']:.1%}", f"{got['most']:.3f}", f"{got['mean']:.4f}")
        lines.append(
            f"| {row['dataset']} | {row['start']} | {named(row)} | {got['prompts']} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def seconds(rows: list[Row]) -> str:
    """From the prompt to the new labels."""
    lines = ["| data | from | method | prompt | median | worst |", "|---|---|---|---|---|---|"]
    for row in rows:
        took = row["seconds"]
        if took["worst"]:
            cells = f"{took['median']:.2f} | {took['worst']:.2f}"
            lines.append(f"| {row['dataset']} | {row['start']} | {named(row)} | {cells} |")
    return "\n".join(lines)


def draw(rows: list[Row]) -> None:
    """The curves, a panel for every region and start."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [("glioma3d", region) for region in ("WT", "TC", "ET")] + [("lgg_tif", "WT")]
    starts = [start for start in STARTS if any(row["start"] == start for row in rows)]
    figure = Figure(figsize=(14, 3.1 * len(starts)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(starts), len(panels), sharey=True, sharex=True, squeeze=False)
    colors = dict(zip(METHODS, ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#D55E00"), strict=True))
    for across, start in zip(axes, starts, strict=True):
        for panel, (dataset, region) in zip(across, panels, strict=True):
            for row in rows:
                if (row["dataset"], row["start"], row["habit"]) == (dataset, start, "outline") and region in row[
                    "dice"
                ]:
                    panel.plot(row["dice"][region], color=colors[row["method"]], label=row["method"])
            panel.set_title(f"{dataset} {region}, from {STARTS[start]}", fontsize=8)
            panel.grid(alpha=0.3)
        across[0].set_ylabel("Dice")
    for panel in axes[-1]:
        panel.set_xlabel("outlines")
    axes[0, -1].legend(fontsize=7)
    figure.savefig(DOCS / "images" / "interaction.png", dpi=70)
