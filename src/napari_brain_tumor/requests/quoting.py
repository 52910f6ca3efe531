"""Words as one line that a shell splits into the same words again."""

import os
import re
import shlex
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires
from typing import Final, Literal

from napari_brain_tumor.interpreter import module_command

Shell = Literal["posix", "powershell", "cmd"]
SHELLS: Final[dict[Shell, str]] = {
    "posix": "Linux, macOS",
    "powershell": "Windows PowerShell",
    "cmd": "Windows cmd",
}
"""Whose rules of quoting a command follows."""


def usual_shell() -> Shell:
    """That of this operating system."""
    return "powershell" if os.name == "nt" else "posix"


def quoted(words: Sequence[str], kind: Shell) -> str:
    """Words as one line that the shell splits into the same words.

    For `"cmd"` as it is typed: in a batch file every `%` has to be doubled.
    """
    quote = {"posix": shlex.quote, "powershell": _for_powershell, "cmd": _for_cmd}[kind]
    return " ".join(map(quote, words))


_PLAIN_WINDOWS: Final = re.compile(r"[A-Za-z0-9_./\\:=+-]+")
"""Words that neither cmd nor PowerShell takes apart; a comma would make a list in PowerShell."""


def _for_powershell(word: str) -> str:
    if _PLAIN_WINDOWS.fullmatch(word) and not word.startswith("-"):
        return word
    if re.fullmatch(r"--?[A-Za-z][A-Za-z0-9-]*", word):
        return word
    # PowerShell knows four more characters that end a quotation.
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", word) + "'"


def _for_cmd(word: str) -> str:
    if _PLAIN_WINDOWS.fullmatch(word):
        return word
    # The rules by which programs take their line apart: quotes and the backslashes before them are escaped.
    inner = re.sub(r'(\\*)"', r'\1\1\\"', word)
    inner = re.sub(r"(\\+)$", r"\1\1", inner)
    if not re.search(r'["%!]', word):
        return f'"{inner}"'
    # cmd itself looks for %names% even inside quotes, so every special character is taken literally instead.
    return re.sub(r'([()%!^"<>&|\s])', r"^\1", f'"{inner}"')


def install_command(packages: Sequence[str]) -> str:
    """The line that installs packages for the Python that runs now, in the shell of this system.

    They are named one by one, at the versions that an extra of this package asks for: so the line works however this
    package itself was installed.
    """
    try:
        known = [line.partition(";")[0].strip() for line in requires("napari-brain-tumor") or ()]
    except PackageNotFoundError:
        known = []
    versions = [next((line for line in known if re.match(rf"{re.escape(name)}\b", line)), name) for name in packages]
    return quoted(module_command("pip", "install", *versions), usual_shell())
