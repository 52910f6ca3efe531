"""No process that we start runs a file of the current folder, which may be an unpacked case from anywhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.interpreter import module_command, safe_environment, safe_path
from napari_brain_tumor.progress import run_job

ROOT = Path(__file__).parent.parent
TRAPS = ("napari", "numpy", "torch", "typer", "SimpleITK", "nibabel", "json", "multiprocessing")
MODULE = "napari_brain_tumor_training.run_process"


@pytest.fixture
def folder_of_traps(tmp_path, monkeypatch):
    """The current folder, with files that leave a trace where they are run in place of a library."""
    folder = tmp_path / "case"
    folder.mkdir()
    for name in TRAPS:
        text = f"open({str(tmp_path / 'trace')!r}, 'a').write({name!r})\nraise SystemExit(3)\n"
        (folder / f"{name}.py").write_text(text)
    monkeypatch.chdir(folder)
    return folder


def trace(folder):
    path = folder.parent / "trace"
    return path.read_text() if path.exists() else ""


def test_the_traps_of_these_tests_would_be_run(folder_of_traps):
    done = subprocess.run([sys.executable, "-m", MODULE], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert trace(folder_of_traps)


@pytest.mark.slow
@pytest.mark.parametrize("path", [None, os.pathsep, "."])
def test_a_module_runs_without_the_current_folder(folder_of_traps, monkeypatch, path):
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path)
    command = module_command(MODULE)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=safe_environment())
    assert "list index out of range" in done.stderr  # it came as far as its own arguments
    assert trace(folder_of_traps) == ""


@pytest.mark.slow
def test_what_such_a_module_starts_is_as_careful(folder_of_traps):
    code = f"import subprocess, sys; subprocess.call([sys.executable, '-m', {MODULE!r}])"
    command = [sys.executable, "-P", "-c", code]
    subprocess.run(command, capture_output=True, check=False, env=safe_environment())
    assert trace(folder_of_traps) == ""


@pytest.mark.slow
@pytest.mark.gui
def test_the_window_of_view_and_demo_opens_without_the_current_folder(folder_of_traps):
    command = module_command("napari_brain_tumor.widgets.show", "--help")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=safe_environment(), timeout=120)
    assert (done.returncode, trace(folder_of_traps)) == (0, "")
    assert "folder or file of an examination" in done.stdout


@pytest.mark.parametrize("current_folder_on_path", [False, True])
def test_the_worker_computes_without_the_current_folder(folder_of_traps, monkeypatch, current_folder_on_path):
    if current_folder_on_path:  # as `python -m napari` puts it there
        monkeypatch.syspath_prepend(str(folder_of_traps))
    worker = WorkerProcess()
    try:
        assert run_job(worker.run("napari_brain_tumor.inference.device_list:list_memory"))
    finally:
        worker.close()
    assert trace(folder_of_traps) == ""


def test_other_entries_of_the_path_stay(folder_of_traps, tmp_path):
    assert safe_path(["", str(folder_of_traps), ".", str(tmp_path), "/x"]) == [str(tmp_path), "/x"]


def test_no_module_starts_python_in_a_way_of_its_own():
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "training").rglob("*.py")]
    own = [file.name for file in files if re.search(r"sys\.executable", file.read_text(encoding="utf-8"))]
    assert own == ["interpreter.py"]
