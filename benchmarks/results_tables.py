"""Write the README's table of measured results from docs/results.json; run as `python benchmarks/results_tables.py`."""

from pathlib import Path

from results.document import read_results
from results.readme import with_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results.json"


def current(readme: str) -> str:
    """The README as the results say; where nothing was measured yet it says so."""
    return with_table(readme, read_results(RESULTS))


if __name__ == "__main__":
    README.write_text(current(README.read_text(encoding="utf-8")), encoding="utf-8")
