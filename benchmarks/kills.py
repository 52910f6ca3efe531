"""Kill programs at random moments and look at what the next one finds: `python benchmarks/kills.py --kills 300`.

Each scene is a process that changes files without end: results and folders of masks that replace earlier ones, a batch,
a curated data set, the state of a training run, the journal of a labels layer. It says of every change that it is
finished; then it is killed (SIGKILL), and what a new start finds is compared with what was said. Nothing that was
finished may be lost, no labels may be taken for others, and nothing temporary may be left. Needs `os.fork`.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

sys.path.extend(str(Path(__file__).resolve().parents[1] / "tests" / part) for part in ("", "dataset", "training"))

import numpy as np
import torch
from dataset_cases import add_case, assert_is_whole
from training_cases import recipe

import phantoms
from napari_brain_tumor import CuratedDataset, open_segmentation, save_segmentation
from napari_brain_tumor.autosave.changes import change_between
from napari_brain_tumor.autosave.layer_journal import LayerJournal, recover
from napari_brain_tumor.cli import main as brain_tumor
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.source_files import file_sha256
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.leftovers import finish_interrupted
from napari_brain_tumor.study import Segmentation

Say = Callable[[int], None]


@dataclass
class Scene:
    """A kind of work that is killed.

    `work` goes on without end and says the number of each step when it is finished; `problems` tells what is wrong
    afterwards, given the last number that was said.
    """

    name: str
    prepare: Callable[[Path], None]
    work: Callable[[Path, Say], None]
    problems: Callable[[Path, int], list[str]]
    longest_s: float = 0.5
    ends: bool = False


@dataclass
class Tally:
    """What came of the kills of a scene."""

    kills: int = 0
    steps: int = 0
    interrupted: int = 0
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


# Results ------------------------------------------------------------------------------------------------------------

SHAPE = (40, 36, 20)
EXCHANGED = SCHEMAS["BraTS2023"].encode(phantoms.tumour(SHAPE))
CLASSES = {"MSD": EXCHANGED, "BraTS2023": phantoms.tumour(SHAPE)}
"""Two results of the same integers: whoever takes the schema of one for the other exchanges edema and non-enhancing."""


def result(step: int) -> tuple[Segmentation, str]:
    """The result of a step, and the schema in which it is saved."""
    schema = ("MSD", "BraTS2023")[step % 2]
    return Segmentation(CLASSES[schema], Grid(SHAPE, np.eye(4)), provenance={"step": step}), schema


def save_again(target: str) -> Callable[[Path, Say], None]:
    """Save one result after the other under one name."""

    def work(folder: Path, say: Say) -> None:
        step = 0
        while True:
            step += 1
            segmentation, schema = result(step)
            save_segmentation(segmentation, folder / target, schema)
            say(step)

    return work


def wrong_result(target: str) -> Callable[[Path, int], list[str]]:
    """What is wrong with the last result: it is that of the last step, or of the one that was killed."""

    def problems(folder: Path, said: int) -> list[str]:
        path, record = folder / target, folder / f"{target.split('.')[0]}.json"
        if not (path.is_file() or any(path.glob("*_mask.tif"))):
            return [] if said == 0 and not record.exists() else ["the result is gone"]
        labels = open_segmentation(path)
        schema = labels.provenance["schema"]
        step = json.loads(record.read_text())["provenance"]["step"]
        found = [] if np.array_equal(labels.data, CLASSES[schema]) else ["classes are exchanged"]
        found += [] if schema == result(step)[1] else ["labels of one result have the record of another"]
        found += [] if step in (said, said + 1) else [f"step {step} is there, {said} was finished"]
        return found

    return problems


def nothing(_: Path) -> None:
    """Begin with an empty folder."""


def a_scan(folder: Path) -> None:
    """Begin with a folder that holds something of somebody else."""
    (folder / "masks").mkdir()
    (folder / "masks" / "scan.txt").write_text("of the patient")


# A batch ------------------------------------------------------------------------------------------------------------

CASES = ("one", "two", "three", "four")


def phantom_cases(folder: Path) -> None:
    """Cases with a bright spot, which the method `threshold` segments in a moment."""
    for number, name in enumerate(CASES):
        x, y, z = np.ogrid[:36, :36, :18]
        head = ((x - 18) ** 2 + (y - 18) ** 2 + (2 * z - 18) ** 2 < 15**2) * 100.0
        head[10 : 16 + number, 12:18, 6:10] = 260
        head += np.random.default_rng(number).normal(0, 3, head.shape)
        phantoms.write_nifti(folder / "cases" / name / f"{name}_flair.nii.gz", head.astype(np.float32))
    run_batch(folder, "reference")


def run_batch(folder: Path, output: str) -> None:
    """The batch from the beginning, or on from where it was."""
    words = [str(folder / "cases" / name) for name in CASES]
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None), contextlib.suppress(SystemExit):
        brain_tumor(["segment", *words, "--model", "threshold", "-o", str(folder / output), "--skip-existing"])


def batch(folder: Path, say: Say) -> None:
    run_batch(folder, "out")
    say(1)


def wrong_batch(folder: Path, _: int) -> list[str]:
    """What is there is whole; the same command then makes the rest, and all is as if nobody had been killed."""
    out, found = folder / "out", []
    for path in sorted(out.glob("*.nii.gz")):
        record = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        if record["labels_sha256"] != labels_sha256(open_segmentation(path).data):
            found.append(f"{path.name} and its record disagree")
    run_batch(folder, "out")
    names = sorted(path.name for path in (folder / "reference").glob("*.nii.gz"))
    for name in names:
        if not (out / name).exists() or file_sha256(out / name) != file_sha256(folder / "reference" / name):
            found.append(f"{name} is not as it would have been")
    rows = (out / "segmentation_results.csv").read_text().count("\n") - 1
    found += [] if rows == len(CASES) else [f"the table has {rows} rows"]
    shutil.rmtree(out)
    return found


# Data set, training, journal ----------------------------------------------------------------------------------------


def data_set(folder: Path) -> None:
    add_case(CuratedDataset.create(folder / "set"), "first")


def change_data_set(folder: Path, say: Say) -> None:
    dataset = CuratedDataset(folder / "set")
    for step in range(1, 10_000):
        add_case(dataset, f"t{os.getpid()}s{step}", seed=(os.getpid() * 1000 + step) % 2**31)
        say(step)
        if step > 2:
            dataset.remove(f"t{os.getpid()}s{step - 2}")


def wrong_data_set(folder: Path, said: int) -> list[str]:
    dataset = CuratedDataset(folder / "set")
    others = [case.id for case in dataset.cases() if case.id != "first"]
    found = [f"{case}: {why}" for case, why in dataset.check_files(voxels=True).items()]
    found += ["the last case is gone"] if said and not any(case.endswith(f"s{said}") for case in others) else []
    for case in others:
        dataset.remove(case)  # as the next program would; it also clears away what a kill left
    dataset.review("first", "accepted")
    try:
        assert_is_whole(dataset)
    except AssertionError as error:
        found.append(f"left in the data set: {error}")
    return found


@cache
def trainer() -> Any:
    """A run before its first step, made once: every child has its own copy of it."""
    from napari_brain_tumor_training.trainer import Trainer

    config = recipe()
    return Trainer.start(config, config.optimisation, torch.device("cpu"))


def train(folder: Path, say: Say) -> None:
    from napari_brain_tumor_training.run_state import save_state

    run = trainer()
    for step in range(1, 10_000):
        run.epoch = step
        for weights in run.network.parameters():
            weights.data.fill_(step)
        save_state(run, folder)
        say(step)


def restored(folder: Path) -> Any:
    """The run in a folder as `--resume` takes it up."""
    from napari_brain_tumor_training.run_state import restore

    run = trainer()
    restore(run, folder, resume=True)
    return run


def wrong_state(folder: Path, said: int) -> list[str]:
    from napari_brain_tumor_training.run_state import STATE_FILE

    if not (folder / STATE_FILE).exists():
        return [] if said == 0 else ["the state is gone"]
    run = restored(folder)
    values = {float(value) for weights in run.network.parameters() for value in weights.data.unique()}
    found = [] if values == {float(run.epoch)} else ["weights of several states"]
    return found + ([] if run.epoch in (said, said + 1) else [f"epoch {run.epoch} is there, {said} was saved"])


def painted(step: int) -> np.ndarray:
    """The labels after so many strokes."""
    labels = np.zeros((20, 20, 20), np.uint8)
    for number in range(max(1, step - 300), step + 1):
        labels[number % 20, (number // 20) % 20, number % 7] = number % 4
    return labels


def paint(folder: Path, say: Say) -> None:
    labels, step = painted(0), 0
    with ThreadPoolExecutor(1) as thread:
        journal = LayerJournal(folder / "layer", labels, {"name": "labels"}, thread, compact_records=40)
        while True:
            step += 1
            after = painted(step)
            change = change_between(labels, after)
            if change is not None:
                journal.change(change)
                labels = after
                if journal.due:
                    journal.compact(labels, None)
            say(step)


def wrong_journal(folder: Path, said: int) -> list[str]:
    if not (folder / "layer").exists() or not any((folder / "layer").glob("*.base.npz")):
        return [] if said == 0 else ["the journal is gone"]
    labels = recover(folder / "layer").labels
    fits = any(np.array_equal(labels, painted(step)) for step in (said, said + 1))
    shutil.rmtree(folder / "layer")  # as `sessions.forget` does when the labels are back
    return [] if fits else [f"not the labels after stroke {said}"]


SCENES = (
    Scene("save a result", nothing, save_again("seg.nii.gz"), wrong_result("seg.nii.gz"), 1.0),
    Scene("save masks", nothing, save_again("masks"), wrong_result("masks"), 2.0),
    Scene("save masks among scans", a_scan, save_again("masks"), wrong_result("masks"), 2.0),
    Scene("batch", phantom_cases, batch, wrong_batch, 6.0, ends=True),
    Scene("change a data set", data_set, change_data_set, wrong_data_set, 2.0),
    Scene("save a training's state", nothing, train, wrong_state, 3.0),
    Scene("journal of strokes", nothing, paint, wrong_journal),
)


# Killing ------------------------------------------------------------------------------------------------------------


def killed(scene: Scene, folder: Path, after_s: float) -> tuple[int, bool]:
    """Start the work, kill it; the last step that it said was finished, and whether it was still at it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            scene.work(folder, lambda step: os.write(write, step.to_bytes(8, "little")) and None)
        except BaseException:  # noqa: BLE001 - nothing of the child may run on as if it were the parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(write)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        sys.exit(f"{scene.name}: the work failed by itself")
    said = b""
    while part := os.read(read, 1 << 16):
        said += part
    os.close(read)
    last = int.from_bytes(said[len(said) // 8 * 8 - 8 : len(said) // 8 * 8], "little") if len(said) >= 8 else 0
    return last, os.WIFSIGNALED(status)


def in_child(action: Callable[[], list[str]]) -> list[str]:
    """The next start: another process, whose memory knows nothing of the one that was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            told = action()
        except Exception as error:  # noqa: BLE001 - told as what the next start found
            told = [f"{type(error).__name__}: {error}"]
        with os.fdopen(write, "w") as pipe:
            json.dump(told, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return json.loads(told or '["the next start died"]')


def leftovers(folder: Path) -> list[str]:
    """Temporary files of ours in a folder and in the user's own."""
    notes = (Path(os.environ["BRAIN_TUMOR_HOME"]) / "unfinished").glob("*")
    return [path.name for path in (*folder.rglob(".[0-9a-f]*.*"), *notes)]


def kill_scene(scene: Scene, times: int, chance: random.Random, work: Path, stretch: float) -> Tally:
    """Kill a scene so many times, each after another while, that is longer on a busy machine."""
    tally = Tally()
    folder = work / scene.name.replace(" ", "-").replace("'", "")
    for _ in range(times):
        if not (scene.ends and folder.exists()):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            in_child(lambda: scene.prepare(folder) or [])
        said, interrupted = killed(scene, folder, chance.uniform(0, stretch * scene.longest_s))
        tally.kills += 1
        tally.steps += said
        tally.interrupted += interrupted

        def next_start(said: int = said) -> list[str]:
            finish_interrupted()
            return scene.problems(folder, said)

        tally.lost += in_child(next_start)
        tally.left += leftovers(folder)
    return tally


def table(tallies: dict[str, Tally]) -> str:
    rows = [f"{'scene':28}{'kills':>7}{'at work':>9}{'finished steps':>16}{'lost':>6}{'left over':>11}"]
    for name, one in tallies.items():
        rows.append(f"{name:28}{one.kills:7}{one.interrupted:9}{one.steps:16}{len(one.lost):6}{len(one.left):11}")
    return "\n".join(rows)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=300, help="of all scenes together")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--scenes", default="", help="names or beginnings, separated by commas; all if not given")
    options.add_argument("--stretch", type=float, default=1.0, help="wait so many times longer: for a busy machine")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    wanted = tuple(filter(None, chosen.scenes.split(",")))
    scenes = [scene for scene in SCENES if not wanted or scene.name.startswith(wanted)]
    tallies: dict[str, Tally] = {}
    if any(scene.work is train for scene in scenes):
        with tempfile.TemporaryDirectory() as folder:
            restored(Path(folder))  # what it imports takes longer than a kill waits
    with tempfile.TemporaryDirectory() as work:
        os.environ["BRAIN_TUMOR_HOME"] = str(Path(work) / "home")
        for number, scene in enumerate(scenes):
            times = chosen.kills // len(scenes) + (number < chosen.kills % len(scenes))
            chance = random.Random(f"{chosen.seed} {scene.name}")
            tallies[scene.name] = kill_scene(scene, times, chance, Path(work), chosen.stretch) if times else Tally()
    print(table(tallies))
    for name, one in tallies.items():
        for what, told in (("lost", one.lost), ("left over", one.left)):
            for line in dict.fromkeys(told):
                print(f"{name}, {what}: {line}")
    return int(any(one.lost or one.left for one in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
