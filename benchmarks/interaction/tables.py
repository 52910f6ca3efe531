"""Tables and curves of the simulated user, from the files that the benchmark keeps."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = (0, 1, 2, 3, 5, 10, 15, 20)
GOALS = (0.90, 0.95)
TARGETS = {("model", 5): {"WT": 0.94, "TC": 0.90, "ET": 0.85}, ("nothing", 10): {"WT": 0.88}}
SETS = {"glioma3d": "glioma3d (gliomas, four sequences, WT, TC, ET)", "lgg_tif": "LGG (Kaggle slices, WT alone)"}
MAIN = ("ours", "outline", "share")

INTRODUCTION = """A simulated user who knows the truth corrects the validation patients, prompt by prompt: the next
prompt goes to the middle of the largest connected error, on that of the three slices through it on which the error is
largest. `outline`: a line around the region as it should be on that slice; `lasso`: around the error; `stroke`: along
the middle of the error; `point`: a click. The largest error is the one with the largest share of its region, so that
the small enhancing part counts as much as the large edema; or, where `voxels` is said, the one with the most voxels.
Made by `python benchmarks/interaction --data DATA --prompts {prompts}`; nothing was fitted on these patients."""

Records = list[dict[str, Any]]


def write_tables(out: Path) -> None:
    """Write docs/interaction.md, docs/interaction.json and the curves from every record of a folder."""
    groups: dict[tuple[str, str, str, str, str], Records] = defaultdict(list)
    for file in sorted(out.glob("*.json")):
        record = json.loads(file.read_text())
        way = record["way"]
        groups[record["dataset"], way["start"], way["method"], way["habit"], way["measure"]].append(record)
    rows = [summary(key, records) for key, records in groups.items()]
    (DOCS / "interaction.json").write_text(json.dumps(rows, indent=1) + "\n")
    (DOCS / "interaction.md").write_text(page(rows))
    draw(rows)


def summary(key: tuple[str, str, str, str, str], records: Records) -> dict[str, Any]:
    """Mean Dice after every prompt, prompts needed, and seconds, of one way on one data set."""
    dataset, start, method, habit, measure = key
    dice = np.array([record["dice"] for record in records])
    seconds = np.concatenate([record["seconds"] or [0.0] for record in records])
    regions = records[0]["regions"]
    return {
        "dataset": dataset,
        "start": start,
        "method": method,
        "habit": habit,
        "measure": measure,
        "cases": len(records),
        "dice": {region: dice[:, :, at].mean(axis=0).round(4).tolist() for at, region in enumerate(regions)},
        "reached": {
            region: {str(goal): reached(dice[:, :, at], goal) for goal in GOALS} for at, region in enumerate(regions)
        },
        "seconds": {"median": round(float(np.median(seconds)), 2), "worst": round(float(seconds.max()), 2)},
    }


def reached(dice: Any, goal: float) -> dict[str, Any]:
    """In how many cases the goal is reached, and the median of prompts needed over all cases, None if most never do."""
    first = [int(np.argmax(row >= goal)) if (row >= goal).any() else None for row in dice]
    known = sorted(99 if at is None else at for at in first)
    middle = known[(len(known) - 1) // 2]
    return {"cases": sum(at is not None for at in first), "median prompts": None if middle == 99 else middle}


def page(rows: list[dict[str, Any]]) -> str:
    """The page of results."""
    prompts = max(len(next(iter(row["dice"].values()))) for row in rows) - 1
    parts = [
        "# What a few prompts are worth",
        INTRODUCTION.format(prompts=prompts),
        targets(rows),
    ]
    for dataset, title in SETS.items():
        for start in ("model", "nothing"):
            own = [row for row in rows if row["dataset"] == dataset and row["start"] == start]
            if own:
                begin = "From the default model's result" if start == "model" else "From nothing"
                parts += [f"## {title}: {begin.lower()}", dice_table(own), reached_table(own)]
    parts += [
        "## Curves",
        "![Mean Dice after every prompt](images/interaction.png)",
        "## Seconds for a prompt",
        seconds(rows),
    ]
    return "\n\n".join(parts) + "\n"


def order(row: dict[str, Any]) -> tuple[Any, ...]:
    habits = ("outline", "lasso", "stroke", "point")
    return not row["method"].startswith("ours"), row["method"], row["measure"], habits.index(row["habit"])


def named(row: dict[str, Any]) -> str:
    return f"{row['method']} | {row['habit']}" + (" (voxels)" if row["measure"] == "voxels" else "")


def targets(rows: list[dict[str, Any]]) -> str:
    """What was aimed at, and what is reached."""
    lines = ["| from | prompts | region | target | reached |", "|---|---|---|---|---|"]
    for (start, prompts), wanted in TARGETS.items():
        way = ("glioma3d", start, *MAIN)
        for row in rows:
            if (row["dataset"], row["start"], row["method"], row["habit"], row["measure"]) == way:
                for region, goal in wanted.items():
                    got = row["dice"][region][prompts]
                    lines.append(f"| {start} | {prompts} | {region} | {goal:.2f} | {got:.3f} |")
    return "\n".join(lines)


def dice_table(rows: list[dict[str, Any]]) -> str:
    """Mean Dice after so many prompts."""
    last = len(next(iter(rows[0]["dice"].values()))) - 1
    shown = [at for at in SHOWN if at <= last]
    lines = [f"Mean Dice over {rows[0]['cases']} cases after so many prompts:", ""]
    lines += ["| method | prompt | region | " + " | ".join(map(str, shown)) + " |", "|---" * (3 + len(shown)) + "|"]
    for row in sorted(rows, key=order):
        for region, dice in row["dice"].items():
            lines.append(f"| {named(row)} | {region} | " + " | ".join(f"{dice[at]:.3f}" for at in shown) + " |")
    return "\n".join(lines)


def reached_table(rows: list[dict[str, Any]]) -> str:
    """Prompts needed."""
    lines = ["Prompts needed (median over the cases; in brackets, how many cases reach it at all):", ""]
    lines += ["| method | prompt | region | " + " | ".join(f"{goal:.2f}" for goal in GOALS) + " |", "|---" * 5 + "|"]
    for row in sorted(rows, key=order):
        for region, goals in row["reached"].items():
            cells = [
                f"{'-' if got['median prompts'] is None else got['median prompts']} ({got['cases']})"
                for got in goals.values()
            ]
            lines.append(f"| {named(row)} | {region} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def seconds(rows: list[dict[str, Any]]) -> str:
    """From the prompt to the new labels."""
    lines = ["| data | from | method | prompt | median | worst |", "|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: (row["dataset"], row["start"], *order(row))):
        took = row["seconds"]
        lines.append(
            f"| {row['dataset']} | {row['start']} | {named(row)} | {took['median']:.2f} | {took['worst']:.2f} |"
        )
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]]) -> None:
    """The curves, a panel for every region and start."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [("glioma3d", region) for region in ("WT", "TC", "ET")] + [("lgg_tif", "WT")]
    figure = Figure(figsize=(14, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(panels), sharey=True, sharex=True)
    colors = {"ours": "#0072B2", "ours, no probabilities": "#56B4E9", "random walker": "#D55E00"}
    for across, start in zip(axes, ("model", "nothing"), strict=True):
        for panel, (dataset, region) in zip(across, panels, strict=True):
            for row in rows:
                at = (row["dataset"], row["start"], row["measure"]) == (dataset, start, "share")
                if at and region in row["dice"] and row["habit"] in ("outline", "stroke"):
                    panel.plot(
                        row["dice"][region],
                        color=colors.get(row["method"], "#999999"),
                        linestyle="-" if row["habit"] == "outline" else ":",
                        label=f"{row['method']}, {row['habit']}",
                    )
            panel.set_title(f"{dataset} {region}, from {'the model' if start == 'model' else start}", fontsize=9)
            panel.grid(alpha=0.3)
    axes[0, 0].set_ylabel("Dice")
    axes[1, 0].set_ylabel("Dice")
    for panel in axes[1]:
        panel.set_xlabel("prompts")
    axes[0, -1].legend(fontsize=7)
    figure.savefig(DOCS / "images" / "interaction.png", dpi=80)
