"""Open damaged cases in children, so that one that ends its process, or never ends, costs nobody else anything.

A child opens a batch of cases one after another and writes a line before and after each. Where it dies, the case that
had begun is to blame, and a new child goes on with the next. Its address space is limited, an alarm ends what takes too
long, and the peak of its memory is read and reset for every case (Linux).
"""

import contextlib
import faulthandler
import json
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from cases import Mutant, Seed, outside_is_untouched, write_case
from mutations import mutate

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.inference.memory import return_freed_memory

Kind = Literal["same", "different", "refused", "uncaught", "crash", "hang", "silent", "memory", "outside"]
BUGS: Final[tuple[Kind, ...]] = ("uncaught", "crash", "hang", "silent", "memory", "outside")

_MIB: Final = 2**20
_ADDRESS_SPACE: Final = 3 * 2**30
"""Beyond what the child has at its start."""
_ALLOWANCE: Final = 64 * _MIB
"""Of memory that libraries may take for themselves, however small a case is."""
_TIMES_PROMISED: Final = 4
_LIMITS: Final = (signal.SIGALRM, signal.SIGPROF)
"""What ends a case that waits, and one that computes."""
_WAITING: Final = 4
"""So many times the seconds of computing may pass on the clock: the machine may have other work."""


@dataclass(frozen=True)
class Outcome:
    """What came of one case."""

    number: int
    format: str
    seed: str
    words: str
    kind: Kind
    detail: str = ""
    place: str = ""
    """The deepest line of ours in the traceback, which tells one fault from another."""
    seconds: float = 0.0
    peak_mib: float = 0.0

    @property
    def is_bug(self) -> bool:
        """Whether the product has to be mended for it."""
        return self.kind in BUGS


def mutant_of(number: int, seed: int, seeds: Sequence[Seed]) -> Mutant:
    """The damaged case of that number."""
    random = Random(f"{seed}:{number}")
    return mutate(random, seeds[number % len(seeds)])


def run(
    numbers: Sequence[int],
    seed: int,
    seeds: Sequence[Seed],
    digests: Sequence[str],
    *,
    batch: int = 50,
    limit_s: float = 20,
    ends: float = float("inf"),
) -> Iterator[Outcome]:
    """What comes of each case; `digests` are those of the intact seeds, empty where a seed is refused.

    No batch is begun after `ends`, of `time.monotonic()`.
    """
    waiting = list(numbers)
    while waiting and time.monotonic() < ends:
        finished = 0
        for outcome in _child(waiting[:batch], seed, seeds, digests, limit_s):
            yield outcome
            finished += 1
        del waiting[:finished]


def _child(
    numbers: Sequence[int], seed: int, seeds: Sequence[Seed], digests: Sequence[str], limit_s: float
) -> Iterator[Outcome]:
    read_end, write_end = os.pipe()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory_folder()) as scratch:
        child = os.fork()
        if child == 0:
            os.close(read_end)
            _work(numbers, seed, seeds, digests, limit_s, Path(scratch), write_end)
        os.close(write_end)
        begun: int | None = None
        with os.fdopen(read_end, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                told = json.loads(line)
                if "begun" in told:
                    begun = told["begun"]
                else:
                    begun = None
                    yield Outcome(**told)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # whatever it started itself
        if begun is not None:
            yield _death(begun, seed, seeds, status, Path(scratch) / "faults.txt")
        elif status != 0:
            raise RuntimeError(f"a child ended with {status} between two cases")


def _memory_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _death(number: int, seed: int, seeds: Sequence[Seed], status: int, faults: Path) -> Outcome:
    mutant = mutant_of(number, seed, seeds)
    with contextlib.suppress(OSError):
        text = faults.read_text(errors="replace")
    place = next((line.strip() for line in text.splitlines() if "napari_brain_tumor" in line), "")
    signal_number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    kind: Kind = "hang" if signal_number in _LIMITS else "crash"
    name = signal.Signals(signal_number).name if signal_number else f"exit {os.waitstatus_to_exitcode(status)}"
    return Outcome(number, mutant.seed.format, mutant.seed.name, mutant.words, kind, name, place)


def _work(
    numbers: Sequence[int],
    seed: int,
    seeds: Sequence[Seed],
    digests: Sequence[str],
    limit_s: float,
    scratch: Path,
    write_end: int,
) -> None:
    """Never returns."""
    status = 1
    try:
        os.setpgrp()
        faults = (scratch / "faults.txt").open("w")
        _prepare(faults)

        def tell(told: dict[str, Any]) -> None:
            os.write(write_end, json.dumps(told).encode() + b"\n")

        for number in numbers:
            tell({"begun": number})
            tell(
                asdict(_opened(number, mutant_of(number, seed, seeds), digests[number % len(seeds)], limit_s, scratch))
            )
        status = 0
    except BaseException:  # noqa: BLE001  a child must not go on with its parent's work
        traceback.print_exc(file=(scratch / "faults.txt").open("a"))
    finally:
        os._exit(status)


def _prepare(faults: Any) -> None:
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    faulthandler.enable(faults)
    for limit in _LIMITS:
        signal.signal(limit, signal.SIG_DFL)
        faulthandler.register(limit, faults, chain=True)
    space = _status_kib("VmSize") * 1024 + _ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _opened(number: int, mutant: Mutant, intact: str, limit_s: float, scratch: Path) -> Outcome:
    folder = scratch / str(number)
    case = write_case(mutant, folder)
    before = _reset_peak()
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    signal.setitimer(signal.ITIMER_REAL, limit_s * _WAITING)
    kind, detail, place = _outcome(lambda: mutant.seed.open(case), mutant, intact)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.monotonic() - began
    peak = max(0, _status_kib("VmHWM") - before) * 1024
    allowed = _ALLOWANCE + _TIMES_PROMISED * max(mutant.seed.promised, mutant.size)
    if kind not in BUGS and peak > allowed:
        kind, detail = "memory", f"{peak // _MIB} MiB, allowed {allowed // _MIB}; {detail}"
    if kind not in BUGS and not outside_is_untouched(folder):
        kind = "outside"
    shutil.rmtree(folder, ignore_errors=True)
    names = mutant.seed.format, mutant.seed.name, mutant.words
    return Outcome(number, *names, kind, detail, place, round(seconds, 3), round(peak / _MIB, 1))


def _outcome(open_case: Callable[[], str], mutant: Mutant, intact: str) -> tuple[Kind, str, str]:
    try:
        digest = open_case()
    except BrainTumorError as error:
        return "refused", f"{type(error).__name__}: {error}"[:300], ""
    except BaseException as error:  # noqa: BLE001  whatever it is, it is what we look for
        return "uncaught", f"{type(error).__name__}: {error}"[:300], _place(error)
    if digest == intact and mutant.expected != "refused":
        return "same", "", ""
    return ("different" if mutant.expected == "anything" or not intact else "silent"), "", ""


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "napari_brain_tumor" in frame.filename] or list(frames)
    last = ours[-1] if ours else None
    return f"{Path(last.filename).name}:{last.lineno} {last.name}" if last else ""


def _reset_peak() -> int:
    """KiB in use now; the peak is counted from here on.

    What was freed but is still resident goes back to the system first, or a case could fill it again unnoticed.
    """
    return_freed_memory()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status_kib("VmRSS")


def _status_kib(key: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
    return 0
