"""The code of the tutorials runs as it stands, in the order in which a reader meets it."""

import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest

from napari_brain_tumor import cli, sample

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"(?:^<!-- not run: (?P<reason>.+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)
NAMED_FILE = re.compile(r"save\s+this\s+as\s+`(?P<name>[\w.]+)`:\s*$")

SLOW = ("examination", "curate_and_train", "follow_up", "correct", "script_it")
EVERY_SLICE = 16
"""Of the sample only so few slices are kept: the same path through the program, in a fraction of the time."""


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    not_run: str | None
    line: int
    file: str | None
    """The file that the text above says to save it as."""


def blocks_of(tutorial: Path) -> Iterator[Block]:
    text = tutorial.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        above = text[: found.start()]
        named = NAMED_FILE.search(above.rstrip() + "\n")
        yield Block(
            found["language"],
            found["code"],
            found["reason"],
            above.count("\n") + 2,
            named["name"] if named else None,
        )


def tutorial_parameter(path: Path) -> Any:
    """The tutorial as a parameter of a test; those that prepare an examination or train are slow."""
    return pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in SLOW else ())


@pytest.fixture
def thin_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, thin = sample.sample_case_folder(), tmp_path / "sample" / "synthetic_glioma"
    thin.mkdir(parents=True)
    for file in whole.glob("*.nii.gz"):
        nib.load(file).slicer[:, :, ::EVERY_SLICE].to_filename(thin / file.name)
    (thin / "synthetic_glioma_seg.json").write_bytes((whole / "synthetic_glioma_seg.json").read_bytes())
    monkeypatch.setattr(sample, "sample_case_folder", lambda: thin)


def run_in_shell(line: str) -> None:
    """Run a command of a tutorial in this process; it has to end well."""
    words = shlex.split(line, comments=True)
    if words[:3] == ["python", "-P", "-m"]:
        module = importlib.import_module(words[3])
        module.typer.main.get_command(_typer_of(module)).main(words[4:], standalone_mode=False)
        return
    assert words[0] == "brain-tumor", f"the tutorials run no other program: {line}"
    with pytest.raises(SystemExit) as ended:
        cli.main(words[1:])
    assert not ended.value.code, line


def _typer_of(module):
    app = module.typer.Typer()
    app.command()(module._main)
    return app


def run(block: Block, names: dict[str, object], tutorial: Path) -> None:
    if block.language == "python":
        padded = "\n" * (block.line - 1) + block.code  # so that a traceback names the tutorial's own line
        exec(compile(padded, tutorial.name, "exec"), names)
    elif block.language == "sh":
        for line in filter(None, block.code.splitlines()):
            run_in_shell(line)
    else:
        assert block.file is not None, f"{tutorial.name}:{block.line}: say how to save this {block.language}"
        Path(block.file).write_text(block.code, encoding="utf-8")


@pytest.mark.parametrize("tutorial", [tutorial_parameter(path) for path in TUTORIALS])
def test_every_block_of_the_tutorial_runs(
    tutorial: Path, tmp_path: Path, thin_sample: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "synthetic" in tutorial.read_text(encoding="utf-8").split("```sh")[1]:
        pytest.importorskip("nilearn", reason="nilearn, whose tissue maps synthetic cases are made from, is missing")
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(tutorial):
        if block.not_run is None:
            run(block, names, tutorial)
        else:
            compile(block.code, tutorial.name, "exec") if block.language == "python" else shlex.split(block.code)


def test_nearly_all_code_is_run() -> None:
    blocks = [block for tutorial in TUTORIALS for block in blocks_of(tutorial)]
    fences = sum(tutorial.read_text(encoding="utf-8").count("\n```") for tutorial in TUTORIALS)
    assert 2 * len(blocks) == fences, "a fence is not closed, or names no language"
    assert sum(block.not_run is not None for block in blocks) <= 2
    assert len(blocks) > 20


def test_what_a_tutorial_promises_is_there_afterwards(
    tmp_path: Path, thin_sample: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tutorial,) = (path for path in TUTORIALS if path.stem == "script_it")
    names: dict[str, object] = {}
    for block in list(blocks_of(tutorial))[:2]:
        run(block, names, tutorial)
    written = {path.name for path in Path("results").iterdir()}
    results = {f"patient{k}_segmentation.{end}" for k in (7, 8) for end in ("nii.gz", "json")}
    assert written == results | {"segmentation_results.csv"}
    assert '"key": "WT"' in capfd.readouterr().out


def test_a_command_that_is_refused_fails_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="brain-tumor measure nothing"):
        run_in_shell("brain-tumor measure nothing.nii.gz  # is not there")
    with pytest.raises(AssertionError, match="no other program"):
        run_in_shell("rm -r somewhere")
