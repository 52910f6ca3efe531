"""Sizes and changes formatted for display."""


def percent(share: float | None) -> str:
    """Format a relative change, such as `"+25.0 %"`; empty if it is unknown.

    One decimal, rounded towards zero, so that the text never reaches a threshold that the number does not.
    """
    if share is None:
        return ""
    tenths = int(abs(share) * 1000 + 1e-6)
    sign = "" if tenths == 0 else "+" if share > 0 else "−"
    return f"{sign}{tenths / 10:.1f} %"


def size_text(value: float | None, unit: str) -> str:
    """Format a size, such as `"12.34 mL"`, `"812 mm²"` or `"1 234 voxels"`; a dash if it is unknown."""
    if value is None:
        return "–"
    if unit == "voxels":
        return f"{value:,.0f} voxels".replace(",", " ")
    return f"{value:.2f} mL" if unit == "mL" else f"{value:,.0f} {unit}".replace(",", " ")
