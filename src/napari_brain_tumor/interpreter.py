"""Start another Python safely: nothing is imported from the current folder, which may contain untrusted files."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module like `python -m`, but never a file of that name in the current folder.

    Use it with `env=safe_environment()`, so that child processes of the new process are equally protected.

    Examples
    --------
    >>> module_command("napari_brain_tumor.widgets.show", "case")[1:]
    ['-P', '-m', 'napari_brain_tumor.widgets.show', 'case']
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def safe_environment() -> dict[str, str]:
    """Return an environment in which a child and its own children import no module from the current folder."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    inherited = environment.pop("PYTHONPATH", "")
    # An empty entry, as created by a trailing colon, means the current folder, and -P does not remove it.
    if path := safe_path(inherited.split(os.pathsep)):
        environment["PYTHONPATH"] = os.pathsep.join(path)
    return environment


def safe_path(entries: Iterable[str]) -> list[str]:
    """Return a search path without the current folder, unless this package itself was loaded from there."""
    present, own = [entry for entry in entries if entry], str(Path(__file__).resolve().parent.parent)
    try:
        here = os.path.realpath(os.curdir)
    except FileNotFoundError:  # the current folder has been removed, so nothing can be run from it
        return present
    return present if here == own else [entry for entry in present if os.path.realpath(entry) != here]
