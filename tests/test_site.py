"""The site: pages that no file of docs/ holds, and tutorials as notebooks."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

import napari_brain_tumor

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """The hook of mkdocs; where mkdocs is not installed, with names for its types alone."""
    if importlib.util.find_spec("mkdocs") is None:
        for name, kinds in {
            "mkdocs": (),
            "mkdocs.config": (),
            "mkdocs.config.defaults": ("MkDocsConfig",),
            "mkdocs.structure": (),
            "mkdocs.structure.files": ("File", "Files"),
            "mkdocs.structure.pages": ("Page",),
        }.items():
            module = ModuleType(name)
            for kind in kinds:
                setattr(module, kind, type(kind, (), {}))
            sys.modules.setdefault(name, module)
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "scripts" / "site_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_in_the_reference_once(pages: ModuleType) -> None:
    text = "\n".join(content for *_, content in pages.reference_pages())
    named = [line.rsplit(".", 1)[1] for line in re.findall(r"^::: (.+)$", text, re.M)]
    assert sorted(named) == sorted({*napari_brain_tumor.__all__} - {"__version__"} | {"errors"})
    assert "More" not in [title for title, *_ in pages.reference_pages()], "name the topic of its package"


def test_pages_that_the_navigation_names_exist(pages: ModuleType) -> None:
    config = SimpleNamespace(nav=yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    shown = str(pages.on_config(config).nav)
    for page in (ROOT / "docs").rglob("*.md"):
        assert shown.count(f"'{page.relative_to(ROOT / 'docs').as_posix()}'") == 1, page


def test_links_of_the_readme_lead_into_the_site(pages: ModuleType) -> None:
    text = pages.LINK.sub(pages._from_root, (ROOT / "README.md").read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    own = {target for target in targets if "://" not in target}
    assert "tutorials/segment.md" in own
    assert all(target in pages.WHOLE_PAGES.values() or (ROOT / "docs" / target).exists() for target in own)


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=[path.stem for path in TUTORIALS])
def test_a_notebook_has_all_code_that_its_tutorial_runs(pages: ModuleType, tutorial: Path) -> None:
    text = tutorial.read_text(encoding="utf-8")
    notebook = pages.notebook_of(text)
    runs = [
        block
        for block in pages.BLOCK.finditer(text)
        if block["reason"] is None and block["language"] in ("python", "sh", "toml", "json")
    ]
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) == len(runs) > 0
    for block, cell in zip(runs, cells, strict=True):
        if block["language"] == "python":
            assert cell["source"] == block["code"].strip("\n")
            compile(cell["source"], tutorial.name, "exec")
        elif block["language"] in ("toml", "json"):
            assert cell["source"].startswith("%%writefile ")
            assert cell["source"].partition("\n")[2] == block["code"].strip("\n")
        else:
            words = [line for line in cell["source"].splitlines() if line and not line.startswith(("#", " "))]
            assert all(line.startswith("!") for line in words)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert notebook["nbformat"] == 4
