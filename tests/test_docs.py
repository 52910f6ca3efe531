"""Documents: links and pictures that exist, tables that agree with the code, and a citation file that is valid."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from PIL import Image

from napari_brain_tumor.cli import app
from napari_brain_tumor.cli.extensions import GROUP

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
LIMIT_BYTES = 300_000
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTENSIONS = PYPROJECT["project"]["entry-points"][GROUP]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The names that headings get: lower case, hyphens for spaces, other marks left out."""
    headings = re.findall(r"^#+ (.+)$", without_code(text_of(page)), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    for found in LINK.finditer(without_code(text_of(page))):
        target, _, anchor = found["target"].partition("#")
        if not target.startswith(("http://", "https://", "mailto:")):
            yield (page.parent / target if target else page), anchor


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(target), f"{target} has no heading #{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop().resolve()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            todo += [target for target, _ in links(page)]
    assert set(PAGES) <= seen


def plots() -> set[Path]:
    """Those that `benchmarks/measure_models.py` and the benchmark of interaction draw."""
    images = ROOT / "docs" / "images"
    return {*images.glob("reliability_*"), *images.glob("interaction.png")}


def test_every_picture_is_used_small_and_of_one_screen() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*"))
    used = {target.resolve() for page in PAGES for target, _ in links(page) if target.suffix == ".png"}
    assert used == {picture.resolve() for picture in pictures}
    for picture in pictures:
        assert picture.stat().st_size < LIMIT_BYTES, picture.name
        with Image.open(picture) as image:
            assert image.format == "PNG"
            assert image.size == (1366, 768) or picture in plots()


def test_every_picture_is_one_that_the_tour_takes() -> None:
    tour, maker = (text_of(ROOT / "scripts" / name) for name in ("tour.py", "make_screenshots.py"))
    steps = set(re.findall(r'seen\("([^"]+)"\)', tour))
    taken = dict(re.findall(r'^    "([^"]+)": "([\w.]+)",$', maker, re.M))
    assert set(taken) <= steps
    assert {picture.name for picture in set((ROOT / "docs" / "images").glob("*")) - plots()} <= set(taken.values())
    assert len(taken) >= 6


def test_the_architecture_page_has_the_rows_that_import_linter_keeps() -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    kept = [
        [name.strip().removeprefix("napari_brain_tumor.") for name in row.split("|")]
        for row in next(contract for contract in contracts if contract["type"] == "layers")["layers"]
    ]
    section = text_of(ROOT / "docs" / "architecture.md").split("## Rows")[1].split("\n## ")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert [re.findall(r"`([^`]+)`", cell) for cell in first_cells] == kept


def shell_lines() -> list[tuple[str, str]]:
    blocks = [
        (page, block) for page in PAGES for block in re.findall(r"^```sh\n(.*?)^```$", text_of(page), re.M | re.S)
    ]
    lines = [(page.name, line) for page, block in blocks for line in block.splitlines()]
    return [(page, line) for page, line in lines if line.startswith("brain-tumor ") and not line.endswith("\\")]


def command_of(words: list[str]) -> Any:
    """The command that the first words name, which are taken away; those of training are in a package of their own."""
    if words[0] in EXTENSIONS:
        name = words.pop(0)
        command = typer.main.get_command(EntryPoint(name, EXTENSIONS[name], GROUP).load())
    else:
        command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    return command


def test_commands_of_all_pages_name_commands_and_options_that_exist() -> None:
    lines = shell_lines()
    assert len(lines) > 40
    for page, line in lines:
        words = shlex.split(line, comments=True)[1:]
        command = command_of(words)
        assert not hasattr(command, "commands") or words[:1] in ([], ["--help"]), f"{page}: {line}"
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= known | {"--help", "--debug"}, f"{page}: {line}"


def test_the_citation_file_has_what_its_format_asks_for() -> None:
    cited = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    assert cited["cff-version"] == "1.2.0"
    assert {"title", "message", "authors", "license", "type"} <= set(cited)
    project = PYPROJECT["project"]
    # The file cites the program; the weights in the package have terms of their own.
    assert (cited["title"], cited["license"]) == (project["name"], project["license"].split(" AND ")[0])
    assert cited["authors"] == project["authors"]
    for reference in cited["references"]:
        assert {"type", "title", "authors"} <= set(reference)
        assert re.fullmatch(r"10\.\d{4,}/\S+", reference["doi"])
        assert all(set(author) in ({"name"}, {"family-names", "given-names"}) for author in reference["authors"])


def test_the_changelog_begins_with_what_is_not_released() -> None:
    headings = re.findall(r"^## (.+)$", text_of(ROOT / "CHANGELOG.md"), re.M)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    kinds = set(re.findall(r"^### (.+)$", text_of(ROOT / "CHANGELOG.md"), re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_contributing_names_the_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([\w-]+):$", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"\bmake ([\w-]+)", text_of(ROOT / "CONTRIBUTING.md")))
    assert {"test", "lint", "demo", "screenshots", "tour"} <= named
    assert named - {"wheel"} <= targets
