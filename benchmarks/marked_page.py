"""Tables of a document that a command writes, between two marks; what stands around them is written by hand."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["replace_marked"]


def replace_marked(page: Path, name: str, lines: Sequence[str]) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- end of name -->`; raises `ValueError` without the marks."""
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, found_start, rest = page.read_text(encoding="utf-8").partition(start)
    _, found_end, after = rest.partition(end)
    if not (found_start and found_end):
        msg = f"{page} has no part between {start.strip()} and {end.strip()}: add these two lines where it belongs."
        raise ValueError(msg)
    page.write_text(before + start + "\n".join(["", *lines, "", ""]) + end + after, encoding="utf-8")
