"""Ways to damage a case: bytes, files of a folder, and the meaning of a file by its editors."""

from collections.abc import Callable
from random import Random

from cases import Link, Mutant, Pipe, Seed
from editors import header_line
from values import points_outside

Mutation = Callable[[Random, Mutant], Mutant]


def mutate(random: Random, seed: Seed) -> Mutant:
    """A damaged copy of a seed; the same for the same state of the generator."""
    intact = Mutant(seed, dict(seed.files))
    kind = random.random()
    if kind < 0.45 and any(seed.editors_of(name) for name in seed.files):
        return _edited(random, intact)
    if kind < 0.9:
        return random.choice(_BYTES)(random, intact)
    return random.choice(_FILES)(random, intact)


def _edited(random: Random, mutant: Mutant) -> Mutant:
    name = random.choice([n for n in mutant.files if mutant.seed.editors_of(n)])
    editor = random.choice(mutant.seed.editors_of(name))
    before = mutant.seed.files[name]
    after = editor(random, before)
    # A header that names a file elsewhere is refused, or the name stands where no file is meant.
    led_away = editor is header_line and points_outside(after[:100_000].decode("latin-1"))
    return mutant.with_file(name, after, editor.__name__, "same or refused" if led_away else "anything")


def _some_file(random: Random, mutant: Mutant) -> tuple[str, bytes]:
    name = random.choice([n for n, content in mutant.seed.files.items() if content])
    return name, mutant.seed.files[name]


def _flip(random: Random, mutant: Mutant) -> Mutant:
    name, content = _some_file(random, mutant)
    data, covered = bytearray(content), True
    # Headers are short: half of the flips are aimed at the first bytes.
    for _ in range(random.choice((1, 1, 1, 2, 4, 8))):
        at = random.randrange(min(len(data), 512) if random.random() < 0.5 else len(data))
        data[at] ^= 1 << random.randrange(8)
        covered &= mutant.seed.covers(name, at, at + 1)
    return mutant.with_file(name, bytes(data), "bits flipped", "same or refused" if covered else "anything")


def _overwrite(random: Random, mutant: Mutant) -> Mutant:
    name, content = _some_file(random, mutant)
    start = random.randrange(len(content))
    stop = min(len(content), start + random.choice((1, 2, 4, 8, 64)))
    filling = random.choice((b"\x00", b"\xff", b"\x7f\xff", b"\x80", b"%n", b"-1", b"\n"))
    data = content[:start] + (filling * (stop - start))[: stop - start] + content[stop:]
    covered = mutant.seed.covers(name, start, stop)
    return mutant.with_file(name, data, "bytes overwritten", "same or refused" if covered else "anything")


def _truncate(random: Random, mutant: Mutant) -> Mutant:
    name, content = _some_file(random, mutant)
    stop = random.choice((0, 1, len(content) - 1, random.randrange(len(content)), random.randrange(len(content))))
    expected = "same or refused" if name in mutant.seed.whole else "anything"
    return mutant.with_file(name, content[:stop], f"cut to {stop} of {len(content)} bytes", expected)  # type: ignore[arg-type]


def _extend(random: Random, mutant: Mutant) -> Mutant:
    name, content = _some_file(random, mutant)
    more = random.choice((b"\x00" * 100, random.randbytes(1000), content, b"\n\n\n"))
    return mutant.with_file(name, content + more, "something appended")


def _cut_out(random: Random, mutant: Mutant) -> Mutant:
    name, content = _some_file(random, mutant)
    start = random.randrange(len(content))
    stop = min(len(content), start + random.choice((1, 2, 8, 100)))
    covered = mutant.seed.covers(name, start, stop)
    data = content[:start] + content[stop:]
    return mutant.with_file(name, data, "bytes cut out", "same or refused" if covered else "anything")


def _doubled(random: Random, mutant: Mutant) -> Mutant:
    name, content = _some_file(random, mutant)
    start = random.randrange(len(content))
    stop = min(len(content), start + random.choice((1, 8, 100, 1000)))
    covered = mutant.seed.covers(name, start, stop)
    data = content[:stop] + content[start:stop] + content[stop:]
    return mutant.with_file(name, data, "bytes doubled", "same or refused" if covered else "anything")


def _splice(random: Random, mutant: Mutant) -> Mutant:
    name, content = _some_file(random, mutant)
    _, other = _some_file(random, mutant)
    data = content[: random.randrange(len(content))] + other[random.randrange(len(other)) :]
    return mutant.with_file(name, data, "spliced with another file")


def _removed(random: Random, mutant: Mutant) -> Mutant:
    names = list(mutant.seed.files)
    if mutant.seed.series and random.random() < 0.7:
        # The first or the last slice cannot be known to be missing; those between can.
        return mutant.without_file(random.choice(names[1:-1]), "refused")
    return mutant.without_file(random.choice(names), "anything")


def _copied(random: Random, mutant: Mutant) -> Mutant:
    name, content = _some_file(random, mutant)
    folder, _, base = name.rpartition("/")
    copy = "/".join(part for part in (folder, random.choice(("copy_of_", "z", "0")) + base) if part)
    return mutant.with_file(copy, content, "a copy", "same or refused" if mutant.seed.series else "anything")


def _emptied(random: Random, mutant: Mutant) -> Mutant:
    name, _ = _some_file(random, mutant)
    return mutant.with_file(name, b"", "emptied", "same or refused" if name in mutant.seed.whole else "anything")


def _swapped(random: Random, mutant: Mutant) -> Mutant:
    if len(mutant.seed.files) < 2:
        return _emptied(random, mutant)
    first, second = random.sample(list(mutant.seed.files), 2)
    swapped = mutant.with_file(first, mutant.seed.files[second], f"swapped with {second}")
    words, expected = swapped.words, "same or refused" if mutant.seed.series else "anything"
    swapped = swapped.with_file(second, mutant.seed.files[first], "swapped", expected)  # type: ignore[arg-type]
    return Mutant(swapped.seed, swapped.files, words, swapped.expected)


def _linked(random: Random, mutant: Mutant) -> Mutant:
    name, _ = _some_file(random, mutant)
    target = random.choice(("nowhere", name.rpartition("/")[2], "/dev/zero", "/dev/null", "..", "../outside.raw"))
    return mutant.with_file(name, Link(target), f"a link to {target}")


def _piped(random: Random, mutant: Mutant) -> Mutant:
    name, _ = _some_file(random, mutant)
    return mutant.with_file(name, Pipe(), "a named pipe")


def _stranger(random: Random, mutant: Mutant) -> Mutant:
    name = random.choice(("notes.txt", ".DS_Store", "._scan.nii.gz", "Thumbs.db", "DICOMDIR", "dataset.json", "x.dcm"))
    return mutant.with_file(name, random.choice((b"", b"hello\n", random.randbytes(700))), "added")


_BYTES: tuple[Mutation, ...] = (
    _flip,
    _flip,
    _flip,
    _overwrite,
    _truncate,
    _truncate,
    _extend,
    _cut_out,
    _doubled,
    _splice,
)
_FILES: tuple[Mutation, ...] = (_removed, _removed, _copied, _copied, _emptied, _swapped, _linked, _piped, _stranger)
