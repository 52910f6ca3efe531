"""Start another Python that runs nothing from the current folder, which may be an unpacked case from anywhere."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as `python -m` does, but never a file of that name in the current folder.

    Use it with `env=safe_environment()`, so that the processes which that one starts are as careful.

    Examples
    --------
    >>> module_command("napari_brain_tumor.widgets.show", "case")[1:]
    ['-P', '-m', 'napari_brain_tumor.widgets.show', 'case']
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def safe_environment() -> dict[str, str]:
    """The environment for a child: no module comes from the current folder, in its own children neither."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    inherited = environment.pop("PYTHONPATH", "")
    # An empty entry, which a trailing colon makes, is the current folder: -P does not take that one away.
    if path := safe_path(inherited.split(os.pathsep)):
        environment["PYTHONPATH"] = os.pathsep.join(path)
    return environment


def safe_path(entries: Iterable[str]) -> list[str]:
    """The entries of a search path but the current folder, unless this package itself was loaded from there."""
    present, own = [entry for entry in entries if entry], str(Path(__file__).resolve().parent.parent)
    try:
        here = os.path.realpath(os.curdir)
    except FileNotFoundError:  # it was removed: nothing can be run from it
        return present
    return present if here == own else [entry for entry in present if os.path.realpath(entry) != here]
