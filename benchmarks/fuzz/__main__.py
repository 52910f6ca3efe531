"""Open thousands of damaged files of every format, each in a forked child, and count what comes of them.

    python benchmarks/fuzz [--files 20000] [--seed 1] [--formats all] [--jobs 1] [--minutes 30] [--out F.json]
    python benchmarks/fuzz --keep FOLDER --only NUMBER     puts one of the cases into a folder, to look into it

Whatever is damaged has to open with its own values, with others where nothing can tell that they were changed, or be
refused by an error of ours. Exit 1 if anything ended its process, hung, raised an error that is not ours, opened with
other values against a checksum, took more than four times the memory that it promises, or touched what lies beside it.
Needs `fork` (Linux, macOS); memory is measured on Linux.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from cases import Mutant, Seed, write_case
from dicom_seeds import dicom_seeds
from document_seeds import dataset_seeds, document_seeds, journal_seeds, model_seeds
from forked import BUGS, Outcome, mutant_of, run
from image_seeds import label_seeds, metaimage_seeds, nifti_seeds, nrrd_seeds, tiff_seeds
from rich.console import Console
from rich.table import Table

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import BrainTumorError

_MAKERS = (
    *(nifti_seeds, nrrd_seeds, metaimage_seeds, tiff_seeds, dicom_seeds, label_seeds),
    *(document_seeds, dataset_seeds, model_seeds, journal_seeds),
)
_COLUMNS = ("same", "different", "refused", *BUGS)


def all_seeds(formats: str) -> list[Seed]:
    """The seeds of the formats that are named, or of all."""
    seeds = [seed for make in _MAKERS for seed in make()]
    named = {text.strip().lower() for text in formats.split(",")}
    known = {seed.format.lower() for seed in seeds}
    if "all" not in named and named - known:
        sys.exit(f"No format is called {', '.join(sorted(named - known))}. Known are: {', '.join(sorted(known))}.")
    return [seed for seed in seeds if "all" in named or seed.format.lower() in named]


def intact_digest(seed: Seed) -> str:
    """What the valid case gives; empty where it is refused. It also loads every library before the children begin."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return seed.open(write_case(Mutant(seed, seed.files), Path(folder) / "intact"))
        except BrainTumorError as error:
            print(f"{seed.format}, {seed.name}: the intact case is refused: {error}", file=sys.stderr)
            return ""


def outcomes(arguments: argparse.Namespace, seeds: Sequence[Seed], digests: Sequence[str]) -> Iterator[Outcome]:
    """What comes of every case, from as many processes as were asked for, in the order in which they are done."""
    numbers = range(arguments.files) if arguments.only is None else [arguments.only]
    shares = [numbers[job :: arguments.jobs] for job in range(arguments.jobs)]
    pipes = [_worker(share, arguments, seeds, digests) for share in shares]
    for child, file in pipes:
        # One after another: a pipe that is full only makes its process wait.
        with file:
            for line in file:
                yield Outcome(**json.loads(line))
        if os.waitpid(child, 0)[1] != 0:
            sys.exit("A process that starts the children ended unexpectedly.")


def _worker(
    numbers: Sequence[int], arguments: argparse.Namespace, seeds: Sequence[Seed], digests: Sequence[str]
) -> tuple[int, Any]:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            with os.fdopen(write_end, "w") as file:
                found = run(numbers, arguments.seed, seeds, digests, limit_s=arguments.limit, ends=arguments.ends)
                for outcome in found:
                    print(json.dumps(asdict(outcome)), file=file, flush=True)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001  a child must not go on with its parent's work
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(1)
    os.close(write_end)
    return child, os.fdopen(read_end)


def followed(found: Iterable[Outcome], count: int) -> Iterator[Outcome]:
    """The same outcomes, with a line on the terminal now and then."""
    bugs, began = 0, time.monotonic()
    for done, outcome in enumerate(found, 1):
        bugs += outcome.is_bug
        if outcome.is_bug:
            print(
                f"#{outcome.number} {outcome.kind}: {outcome.format}, {outcome.seed}, {outcome.words}"[:150],
                file=sys.stderr,
            )
        if done % 1000 == 0 or done == count:
            print(f"{done} of {count}, {bugs} faults, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        yield outcome


def table_of(counts: dict[str, Counter[str]]) -> Table:
    """A row for each format."""
    table = Table(title="Damaged files, and what came of opening them")
    for name in ("format", "files", *_COLUMNS):
        table.add_column(name, justify="left" if name == "format" else "right")
    total: Counter[str] = sum(counts.values(), Counter())
    for name, row in (*counts.items(), ("all", total)):
        table.add_row(name, str(row.total()), *(str(row[column]) for column in _COLUMNS))
    return table


def faults(found: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Each distinct fault with the number of its cases and one of them, the most frequent first."""
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in found:
        if outcome.is_bug:
            key = outcome.format, outcome.kind, outcome.place or outcome.seed, outcome.detail.split(":")[0]
            groups.setdefault(key, []).append(outcome)
    ranked = sorted(groups.values(), key=len, reverse=True)
    return [{"count": len(group), **asdict(group[0])} for group in ranked]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--formats", default="all", help="names with commas between them")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--limit", type=float, default=20.0, help="seconds of computing after which a case is said to hang"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no further batch is begun")
    parser.add_argument("--only", type=int, help="the number of one case")
    parser.add_argument("--keep", type=Path, help="put the case of --only into this folder, and open nothing")
    parser.add_argument("--out", type=Path, help="a JSON file for counts and faults")
    arguments = parser.parse_args()
    arguments.ends = time.monotonic() + 60 * arguments.minutes
    torch.set_num_threads(1)
    seeds = all_seeds(arguments.formats)
    if arguments.keep is not None:
        mutant = mutant_of(arguments.only or 0, arguments.seed, seeds)
        print(write_case(mutant, arguments.keep), mutant.seed.format, mutant.seed.name, mutant.words, mutant.expected)
        return 0
    began = time.monotonic()
    digests = [intact_digest(seed) for seed in seeds]
    found = list(followed(outcomes(arguments, seeds, digests), arguments.files))
    counts: dict[str, Counter[str]] = {}
    for outcome in found:
        counts.setdefault(outcome.format, Counter())[outcome.kind] += 1
    listed = faults(found)
    Console(width=140).print(table_of(counts))
    for fault in listed[:60]:
        told = (fault["detail"].splitlines() or [""])[0][:150]
        where = f"{fault['format']}, {fault['seed']} | {fault['place']}"
        print(f"{fault['count']:5} {fault['kind']:9}{where} | {told} | #{fault['number']} {fault['words'][:80]}")
    if arguments.out is not None:
        about = {
            **{"files": len(found), "seed": arguments.seed, "seconds": round(time.monotonic() - began)},
            **{"version": __version__, "python": platform.python_version(), "system": platform.system()},
            **{"intact cases refused": [s.name for s, d in zip(seeds, digests, strict=True) if not d]},
            "largest peak MiB": max((o.peak_mib for o in found), default=0),
        }
        arguments.out.write_text(json.dumps({"about": about, "counts": counts, "faults": listed}, indent=1) + "\n")
    return int(bool(listed))


if __name__ == "__main__":
    sys.exit(main())
