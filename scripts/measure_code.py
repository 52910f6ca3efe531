"""Measure the code as the redesign was measured.

python scripts/measure_code.py [--root FOLDER] [--import-time] [--walk]

Prints the table of the redesign with the numbers of commit 927b267, before it, and the goals beside those of today. A
line of code is one that holds more than a comment or a docstring; a function's length is counted in such lines. Run on
927b267 it gives 38,929 lines, 20 long files and 50 vague names per 1,000: its rules are close to those of then, not the
same. `--root` measures another checkout, `--import-time` imports the package in new processes, three times each,
`--walk` follows `brain-tumor segment` on the sample through the files of the package.
"""

import argparse
import ast
import io
import os
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from check_names import VAGUE, bindings, methods

ROOT: Final = Path(__file__).resolve().parents[1]
LONG_FILE: Final = 400
_LAYOUT: Final = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_BRANCHES: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_IMPORTS: Final = tuple(f"import napari_brain_tumor{part}" for part in ("", ".plugin.reader", ".cli"))


@dataclass
class Measures:
    """What is counted, file by file."""

    code_lines: int = 0
    long_files: int = 0
    functions: list[int] = field(default_factory=list)
    too_complex: int = 0
    prints: int = 0
    reminders: int = 0
    blind_excepts: int = 0
    names: int = 0
    vague: int = 0
    largest_class: tuple[int, str] = (0, "")

    def add(self, source: str) -> None:
        """Count one file."""
        tree = ast.parse(source)
        lines = code_lines(source, tree)
        self.code_lines += len(lines)
        self.long_files += source.count("\n") > LONG_FILE
        for node in ast.walk(tree):
            if isinstance(node, _FUNCTIONS):
                self.functions.append(len(lines & set(range(node.lineno, (node.end_lineno or node.lineno) + 1))))
                self.too_complex += complexity(node) > 10
            elif isinstance(node, ast.Call):
                self.prints += isinstance(node.func, ast.Name) and node.func.id == "print"
            elif isinstance(node, ast.ExceptHandler):
                self.blind_excepts += is_blind(node)
        self.reminders += sum(word in source for word in ("TODO", "FIXME", "XXX"))
        bound = [name.strip("_") for name in bindings(tree)]
        self.names += len(bound)
        self.vague += sum(name in VAGUE for name in bound)
        self.largest_class = max([self.largest_class, *methods(tree)])


def code_lines(source: str, tree: ast.Module) -> set[int]:
    """Numbers of the lines with code: no blank ones, comments or docstrings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def complexity(function: ast.AST) -> int:
    """Branches of a function, plus one, as ruff counts them; what is defined within it counts for itself."""
    return 1 + sum(isinstance(node, _BRANCHES) for node in _own(function))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*_FUNCTIONS, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own(child)


def is_blind(handler: ast.ExceptHandler) -> bool:
    """Whether it catches whatever may be raised."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _ALL_ERRORS) for kind in kinds)


_ALL_ERRORS: Final = {"Exception", "BaseException"}


def measured(root: Path) -> Measures:
    """The measures of `src/` and `training/` below a folder."""
    measures = Measures()
    for part in ("src", "training"):
        for path in sorted((root / part).rglob("*.py")):
            if path.name != "_version.py":
                measures.add(path.read_text(encoding="utf-8"))
    return measures


def rows(measures: Measures) -> Iterator[tuple[str, str, str, str]]:
    """What, at 927b267, now, the goal."""
    lengths = measures.functions
    ninth = statistics.quantiles(lengths, n=10)[-1]
    size, owner = measures.largest_class
    yield "lines of code", "39,463", f"{measures.code_lines:,}", "about 33,000"
    yield "lines of a function, median and 90 %", "6, 16", f"{statistics.median(lengths):.0f}, {ninth:.0f}", "the same"
    flaws = f"{measures.too_complex}, {measures.prints}, {measures.reminders}"
    yield "complexity above 10, prints, TODOs", "0, 0, 0", flaws, "the same"
    yield "blind excepts", "18", str(measures.blind_excepts), "6"
    yield "vague names per 1,000", "58", f"{1000 * measures.vague / measures.names:.1f}", "below 5"
    yield "methods of the largest class", "78", f"{size} ({owner})", "35"
    yield f"files of more than {LONG_FILE} lines", "18", str(measures.long_files), "5"


def import_times(root: Path, runs: int = 3) -> Iterator[tuple[str, str]]:
    """Median seconds of processor time that a new process takes for imports; other work does not lengthen it."""
    for line in _IMPORTS:
        seconds = []
        for _ in range(runs):
            before = os.times()
            subprocess.run([sys.executable, "-c", line], env=_environment(root), check=True)
            after = os.times()
            seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        yield line, f"{statistics.median(seconds):.2f} s of processor time"


_WALK: Final = """
import collections, pathlib, sys, tempfile
import napari_brain_tumor
from napari_brain_tumor import cli
from napari_brain_tumor.sample import sample_case_folder

home = str(pathlib.Path(napari_brain_tumor.__file__).parent)
calls = collections.Counter()

def note(frame, event, _):
    if event == "call" and frame.f_code.co_filename.startswith(home):
        calls[frame.f_code.co_filename, frame.f_code.co_name] += 1

with tempfile.TemporaryDirectory() as folder:
    sys.setprofile(note)
    try:
        cli.main(["segment", str(sample_case_folder()), "--model", "threshold", "-o", folder + "/labels.nii.gz"])
    except SystemExit as ended:
        assert not ended.code, ended.code
    finally:
        sys.setprofile(None)
called = {file for (file, name) in calls if name not in ("<module>", "<lambda>")}
times = sum(n for (file, name), n in calls.items() if name == "find_model" and file.endswith("catalogue.py"))
print(f"brain-tumor segment: {len(called)} files whose functions were called, the model looked up {times} times")
"""


def walk(root: Path) -> str:
    """How many files `brain-tumor segment` passes, and how often it looks up the model."""
    command = [sys.executable, "-c", _WALK]
    done = subprocess.run(command, env=_environment(root), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def _environment(root: Path) -> dict[str, str]:
    """In which Python finds the packages of that checkout."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(str(root / part) for part in ("src", "training"))}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--import-time", action="store_true")
    parser.add_argument("--walk", action="store_true")
    arguments = parser.parse_args()
    print("| | 927b267 | now | goal |\n|---|---:|---:|---:|")
    for row in rows(measured(arguments.root)):
        print(f"| {' | '.join(row)} |")
    if arguments.import_time:
        for line, seconds in import_times(arguments.root):
            print(f"{line}: {seconds}")
    if arguments.walk:
        print(walk(arguments.root))


if __name__ == "__main__":
    main()
