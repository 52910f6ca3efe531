"""What the README claims is so."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import napari_brain_tumor
import results_tables
from napari_brain_tumor.label_schemas import SCHEMAS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
INTEGERS = FORMATS.split("## What the integers mean")[1].split("\n## ")[0]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_model_table_is_what_the_cards_say() -> None:
    table = script("model_table")
    assert table.with_table(README, table.shipped()) == README, "run: python scripts/model_table.py"
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert table.with_terms(notice, table.with_weights()) == notice, "run: python scripts/model_table.py"


def test_the_numbers_are_called_what_they_are():
    """Epochs, shares and temperatures were chosen on the validation patients: they are not unseen."""
    for page in ("README.md", "docs/models.md", "docs/results.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        assert "validation" in text
        assert re.search(r"(shares|epochs?)[^.]*chosen on (them|it)", text), page
        assert "to the unit as published" not in text


def test_the_tables_of_results_are_what_was_measured() -> None:
    assert README.count("<!-- results -->") == 1
    assert results_tables.current(README) == README, "run: python benchmarks/results_tables.py"


def test_the_python_example_uses_public_names() -> None:
    example = README.split("```python")[1].split("```")[0]
    (line,) = re.findall(r"from napari_brain_tumor import (.*)", example)
    assert set(line.split(", ")) <= set(napari_brain_tumor.__all__)
    compile(example, "README.md", "exec")


def test_the_schema_table_names_every_schema_with_its_integers() -> None:
    rows = {
        cells[0].strip().split("`")[1]: [re.match(r"\d+", cell.strip()) for cell in cells[1:4]]
        for line in INTEGERS.splitlines()
        if line.startswith("| `") and len(cells := line.strip("|").split("|")) == 5
    }
    assert set(rows) == set(SCHEMAS)
    for name, cells in rows.items():
        written = [int(match.group()) for match in cells if match]
        assert written == [SCHEMAS[name].from_class[c] for c in (1, 2, 3)], name
