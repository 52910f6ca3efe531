"""Pages of the site that no file in docs/ holds: README, changes, the reference of every public name, notebooks.

A hook of mkdocs (`mkdocs.yml`). README and the others keep the links that they have in the repository; here they are
turned to those of the site, and words are left of links to files that the site does not have.
"""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent
WHOLE_PAGES: Final = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK: Final = re.compile(r"(!?)\[((?:[^\]\\]|\\.)*)\]\(([^)\s]+)\)")
BLOCK: Final = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)
SAVED: Final = re.compile(r"save this as `([^`]+)`:\s*\Z")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every page that is not named in the navigation after those that are."""
    if config.nav and config.nav[-1] == "...":
        named = json.dumps(config.nav)
        rest = [page.name for page in sorted((ROOT / "docs").glob("*.md")) if f'"{page.name}"' not in named]
        reference = [{title: name} for title, name, _ in reference_pages()]
        config.nav = [
            *config.nav[:-1],
            {"Documents": rest},
            {"Reference": reference},
            {"About": [{"Changes": "changelog.md"}, {"Contributing": "contributing.md"}]},
        ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README and its neighbours, the reference, and a notebook of each tutorial."""
    for source, name in WHOLE_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=LINK.sub(_from_root, text)))
    for _, name, content in reference_pages():
        files.append(File.generated(config, name, content=content))
    for tutorial in sorted((ROOT / "docs" / "tutorials").glob("*.md")):
        notebook = json.dumps(notebook_of(tutorial.read_text(encoding="utf-8")), indent=1)
        files.append(File.generated(config, f"tutorials/{tutorial.stem}.ipynb", content=notebook))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links to README and its neighbours, and offer each tutorial as a notebook."""
    depth = page.file.src_uri.count("/")

    def turned(link: re.Match[str]) -> str:
        target, _, anchor = link[3].partition("#")
        name = WHOLE_PAGES.get(target.removeprefix("../" * (depth + 1))) if target.startswith("../") else None
        if name is None:
            return link[2] if target.startswith("../" * (depth + 1)) else link[0]
        return f"{link[1]}[{link[2]}]({'../' * depth}{name}{'#' * bool(anchor)}{anchor})"

    text = LINK.sub(turned, markdown)
    if page.file.src_uri.startswith("tutorials/"):
        name = Path(page.file.src_uri).stem
        title, _, rest = text.partition("\n")
        text = f"{title}\n\n[This tutorial as a notebook]({name}.ipynb){{ download }}\n{rest}"
    return text


def _from_root(link: re.Match[str]) -> str:
    """A link of a page at the root of the repository, as the site has it."""
    target, _, anchor = link[3].partition("#")
    if "://" in target or target.startswith("mailto:") or not target:
        return link[0]
    name = WHOLE_PAGES.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
    return f"{link[1]}[{link[2]}]({name}{'#' * bool(anchor)}{anchor})" if name else link[2]


# The reference --------------------------------------------------------------------------------------------------------

TOPICS: Final = {
    "io": "Open and save",
    "study": "Open and save",
    "workflow": "Segment",
    "catalogue": "Segment",
    "preflight": "Segment",
    "brain": "Segment",
    "preparation": "Segment",
    "batch": "Many cases",
    "measure": "Measure and follow",
    "followup": "Measure and follow",
    "reports": "Measure and follow",
    "interactive": "Correct",
    "evaluation": "Evaluate and compare",
    "compare": "Evaluate and compare",
    "records": "Evaluate and compare",
    "dataset": "Data sets",
}
"""Title of the page for the public names of a package."""


def reference_pages() -> Iterator[tuple[str, str, str]]:
    """Title, path and text of the pages of the reference: every public name, by topic, and every error."""
    sys.path.insert(0, str(ROOT / "src"))
    from napari_brain_tumor import _HOMES  # loads nothing else: the site is built without what the package needs

    by_topic: dict[str, list[str]] = defaultdict(list)
    for name, home in _HOMES.items():
        by_topic[TOPICS.get(home.split(".")[1], "More")].append(f"{home}.{name}")
    for title in sorted(by_topic, key=[*dict.fromkeys(TOPICS.values()), "More"].index):
        entries = "\n\n".join(f"::: {path}" for path in sorted(by_topic[title]))
        words = "Each of these is imported from `napari_brain_tumor`."
        yield title, f"reference/{title.lower().replace(' ', '_')}.md", f"# {title}\n\n{words}\n\n{entries}\n"
    errors = "::: napari_brain_tumor.errors\n    options:\n      show_root_heading: false\n"
    yield "Errors", "reference/errors.md", f"# Errors\n\n{errors}"


# Notebooks ------------------------------------------------------------------------------------------------------------


def notebook_of(tutorial: str) -> dict[str, Any]:
    """A tutorial as a Jupyter notebook: Python as cells, commands of the shell with `!`, all else as text.

    A document that the text says to save under a name is a cell that writes it.
    """
    cells: list[dict[str, Any]] = []
    place = 0
    for block in BLOCK.finditer(tutorial):
        saved = SAVED.search(tutorial, place, block.start()) if block["language"] in ("toml", "json") else None
        runs = block["reason"] is None and (saved is not None or block["language"] in ("python", "sh"))
        if not runs:
            continue
        cells += _text_cell(tutorial[place : block.start()])
        code = block["code"].strip("\n")
        if saved is not None:
            code = f"%%writefile {saved[1]}\n{code}"
        if block["language"] == "sh":
            code = "\n".join(
                line if line.startswith("#") or not line.strip() else f"!{line}" for line in code.split("\n")
            )
        cells.append(
            {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": code, "id": ""}
        )
        place = block.end()
    cells += _text_cell(tutorial[place:])
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _text_cell(text: str) -> list[dict[str, Any]]:
    text = LINK.sub(lambda link: link[0] if "://" in link[3] else link[2], text).strip()
    return [{"cell_type": "markdown", "metadata": {}, "source": text, "id": ""}] if text else []
