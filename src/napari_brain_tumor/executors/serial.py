"""One case after another in this process, with the next one read ahead."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from napari_brain_tumor.errors import attempted
from napari_brain_tumor.executors.work import Advanced, CaseWork, Event, Finished, Item, ReadAhead, Result, Started


class SerialExecutor:
    """Run cases in this process."""

    parallel = False

    def run(self, work: CaseWork[Item, Any, Result], items: Sequence[Item]) -> Iterator[Event[Result]]:
        """Yield events as they happen; see `Executor`."""
        ahead = ReadAhead()
        try:
            for number in range(len(items)):
                yield from _one(work, items, number, ahead)
        finally:
            ahead.close()


def _one(
    work: CaseWork[Item, Any, Result], items: Sequence[Item], number: int, ahead: ReadAhead
) -> Iterator[Event[Result]]:
    began = time.monotonic()
    yield Started(number)
    result = None
    with attempted() as attempt:
        opened = ahead.take(work, number, items[number])
        if number + 1 < len(items):
            ahead.begin(work, number + 1, items[number + 1])
        job = work.compute(items[number], opened)
        del opened  # so that the job can free it
        while True:
            try:
                progress = next(job)
            except StopIteration as finished:
                result = finished.value
                break
            yield Advanced(number, progress)
    yield Finished(number, result, attempt.error, time.monotonic() - began)
    attempt.error = None  # its traceback refers to frames, and these to large arrays
