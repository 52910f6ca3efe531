import sys
from importlib.metadata import EntryPoint

import pytest
import typer

from napari_brain_tumor.cli.extensions import add_extensions, run_extension
from napari_brain_tumor.errors import BrainTumorError

POINT = EntryPoint("train", f"{__name__}:extension", "napari_brain_tumor.commands")
extension = typer.Typer()
calls: list[tuple[str, int]] = []


@extension.command()
def train(recipe: str, epochs: int = 1) -> None:
    if recipe == "needs-monai":
        raise ModuleNotFoundError("No module named 'monai'", name="monai")
    if recipe == "our-own-mistake":
        raise ModuleNotFoundError("No module named 'napari_brain_tumor.gone'", name="napari_brain_tumor.gone")
    calls.append((recipe, epochs))


def test_arguments_and_options_reach_the_added_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_brain_tumor.cli.extensions.entry_points", lambda group: [POINT])
    monkeypatch.setitem(sys.modules, POINT.module, sys.modules[__name__])
    app = typer.Typer()
    app.command("other")(lambda: None)
    add_extensions(app)
    with pytest.raises(SystemExit) as stopped:
        app(["train", "recipe.toml", "--epochs", "7"])
    assert stopped.value.code == 0
    assert calls[-1] == ("recipe.toml", 7)


def test_a_missing_extra_says_how_to_install_it() -> None:
    with pytest.raises(BrainTumorError, match=r"needs the package monai.*-m pip install .*monai"):
        run_extension(POINT, ["needs-monai"])


def test_a_mistake_of_our_own_is_not_called_a_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="gone"):
        run_extension(POINT, ["our-own-mistake"])
