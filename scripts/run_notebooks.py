"""Run the tutorials as the notebooks that the site offers, each in a kernel and an empty folder of its own.

    python scripts/run_notebooks.py [segment measure ...] [-o FOLDER]

A cell that raises, and a command of the shell that fails, end a notebook: its name, the cell and the error are printed,
and the exit code is 1. `-o` keeps the notebooks with their outputs. Needs nbclient and ipykernel, and mkdocs for
`site_pages.py`, in the environment of the package: `pip install nbclient ipykernel mkdocs`.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from site_pages import ROOT, notebook_of

TUTORIALS = ROOT / "docs" / "tutorials"
CHECK = "assert not _exit_code, f'the command ended with {_exit_code}'"
LIMIT_S = 900
"""Of one cell."""


def runnable(tutorial: Path) -> Any:
    """The notebook of a tutorial, in which a command of the shell that fails is an error."""
    notebook = nbformat.from_dict(notebook_of(tutorial.read_text(encoding="utf-8")))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            lines = cell.source.split("\n")
            last = [i for i, line in enumerate(lines) if line.startswith("!") and not line.endswith("\\")]
            for place in reversed(last):
                lines.insert(place + 1, CHECK)
            cell.source = "\n".join(lines)
    return notebook


def run(tutorial: Path, output: Path | None) -> str:
    """The error of the notebook, or nothing."""
    notebook = runnable(tutorial)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=LIMIT_S, resources={"metadata": {"path": folder}})
        try:
            client.execute()
        except CellExecutionError as error:
            return str(error)
        finally:
            if output is not None:
                nbformat.write(notebook, output / f"{tutorial.stem}.ipynb")
    return ""


def main() -> int:
    """Run those that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tutorials", nargs="*", metavar="NAME")
    parser.add_argument("--output", "-o", type=Path)
    given = parser.parse_args()
    # The shell finds the command of this environment.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if given.output is not None:
        given.output.mkdir(parents=True, exist_ok=True)
    failed = False
    for tutorial in sorted(TUTORIALS.glob("*.md")):
        if given.tutorials and tutorial.stem not in given.tutorials:
            continue
        began = time.monotonic()
        error = run(tutorial, given.output)
        print(f"{tutorial.stem}: {'failed' if error else 'ran'} in {time.monotonic() - began:.0f} s", flush=True)
        if error:
            print(error, flush=True)
        failed |= bool(error)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
