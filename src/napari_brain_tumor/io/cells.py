"""Text for the cells of tables that others open, perhaps in a spreadsheet."""

__all__ = ["plain_cell"]


def plain_cell(text: str) -> str:
    """The text in one line, and so that no spreadsheet takes it for a formula.

    Examples
    --------
    >>> plain_cell("=1+1"), plain_cell("-1.5")
    ("'=1+1", '-1.5')
    """
    line = " ".join(text.split())
    # Names of files may hold bytes that are no text; they are shown by their codes.
    line = line.encode("utf-8", errors="backslashreplace").decode()
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) and not _is_number(line) else line


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
