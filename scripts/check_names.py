"""Keep names meaningful and classes small: a ratchet that `make lint` runs.

Counts, over `src/` and `training/`, how many of every thousand names that are bound (variables, parameters, loop and
`with` targets, fields, functions) are words that say nothing of what they hold, and how many methods the largest class
has. Fails where a number is above its limit; lower a limit once the number is well below it. `-v` lists the files and
the words.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_WORDS: Final = """
found told one made wanted kept gone asked said given begun taken seen done got thing things stuff looked called named
meant chosen ours theirs tried shown put
"""
VAGUE: Final = frozenset(_WORDS.split())
MOST_VAGUE_PER_1000: Final = 4.0
MOST_METHODS: Final = 35


def bindings(tree: ast.AST) -> Iterator[str]:
    """Every name that the code binds, once for each place that binds it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def methods(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Number of methods and name of every class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield sum(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in node.body), node.name


def main() -> int:
    """Print the numbers, with `-v` the files that have most vague names; the exit status is 1 above a limit."""
    names: Counter[str] = Counter()
    by_file: Counter[str] = Counter()
    classes: list[tuple[int, str]] = []
    for path in sorted(file for part in ("src", "training") for file in (ROOT / part).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        bound = [name.strip("_") for name in bindings(tree)]
        names.update(bound)
        by_file[path.relative_to(ROOT).as_posix()] = sum(name in VAGUE for name in bound)
        classes.extend(methods(tree))
    vague = sum(count for name, count in names.items() if name in VAGUE)
    share = 1000 * vague / names.total()
    largest, owner = max(classes)
    print(f"{vague} of {names.total()} names are vague: {share:.1f} per 1,000 (limit {MOST_VAGUE_PER_1000})")
    print(f"{owner} has most methods: {largest} (limit {MOST_METHODS})")
    if "-v" in sys.argv:
        print(*(f"{count:4} {file}" for file, count in by_file.most_common() if count), sep="\n")
        print(*(f"{count:4} {name}" for name, count in names.most_common() if name in VAGUE), sep="\n")
    return int(share > MOST_VAGUE_PER_1000 or largest > MOST_METHODS)


if __name__ == "__main__":
    sys.exit(main())
