"""Sizes and changes as people read them."""


def percent(share: float | None) -> str:
    """A share of change as people read it, `"+25.0 %"`; empty where it is not known.

    One decimal, rounded towards zero, so that no text reaches a threshold that the number does not.
    """
    if share is None:
        return ""
    tenths = int(abs(share) * 1000 + 1e-6)
    sign = "" if tenths == 0 else "+" if share > 0 else "−"
    return f"{sign}{tenths / 10:.1f} %"


def size_text(value: float | None, unit: str) -> str:
    """A size as people read it: `"12.34 mL"`, `"812 mm²"`, `"1 234 voxels"`; a dash where it is not known."""
    if value is None:
        return "–"
    if unit == "voxels":
        return f"{value:,.0f} voxels".replace(",", " ")
    return f"{value:.2f} mL" if unit == "mL" else f"{value:,.0f} {unit}".replace(",", " ")
