"""Numbers, texts and paths that readers have stumbled over."""

from random import Random
from typing import Any

NUMBERS: tuple[float | int, ...] = (
    *(-1, 0, 1, 2, 3, 4, 5, 7, 8, 16, 255, 256, 32767, -32768, 65535, 65536, 99999, 2**31 - 1, -(2**31), 2**32),
    *(2**40, 2**62, 2**63 - 1, -(2**63), 2**64, 10**30, 0.1, -0.5, 1.5, 1e-30, 5e-324, 1e30, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf")),
)

OUTSIDE_PATHS = (
    "../outside.raw", "../outside.json", "../case/../outside.raw", "/etc/passwd", "/dev/zero", "/dev/stdin", "/",
    "..", "C:/outside.raw", "C:\\outside.raw", "..\\outside.raw", "\\\\host\\share\\x", "//host/share/x", "~/x",
    "file:///etc/passwd",
)  # fmt: skip
"""Of them nothing may come but a refusal."""

TEXTS = (
    *("", " ", "%s%n%s%n%n%n", "{}{0}{x}", "$(id)", "`id`", "=1+1", "@SUM(A1)", "\x00", "\x1b[2J", "é ☃ 𝒳", "nan"),
    *("inf", "-1", "0", "1e400", "0x10", "1 1 1 1 1 1 1 1", "1,2,3", "(1,0,0) (0,1,0) (0,0,1)", "none", "None"),
    *("LOCAL", "LIST", "true", "null", "[]", "{}", "a" * 5_000, "9" * 400, "1 " * 3_000, "\n", "\r\n", "%", "con"),
)


def number(random: Random) -> float | int:
    """A number that is seldom tried."""
    return random.choice(NUMBERS)


def text(random: Random) -> str:
    """A number, a word or a path as text."""
    kind = random.random()
    if kind < 0.4:
        return str(number(random))
    if kind < 0.55:
        return random.choice(OUTSIDE_PATHS)
    if kind < 0.6:
        return "x" * random.choice((300, 70_000, 1_000_000))
    return random.choice(TEXTS)


def json_value(random: Random, depth: int = 0) -> Any:
    """A JSON value of any kind."""
    kind = random.randrange(8)
    if kind < 2:
        return number(random)
    if kind < 4:
        return text(random)
    if kind < 5:
        return random.choice((None, True, False))
    if kind < 6 or depth > 2:
        return [] if random.random() < 0.5 else {}
    if kind < 7:
        return [json_value(random, depth + 1) for _ in range(random.randrange(1, 5))]
    return {text(random)[:50]: json_value(random, depth + 1) for _ in range(random.randrange(1, 4))}


def points_outside(text: str) -> bool:
    """Whether a text holds one of the paths of which nothing may come."""
    return any(path in text for path in OUTSIDE_PATHS if len(path) > 2)
