"""Workers through Slurm: the profile says what a job asks for; a stand-in for `sbatch` runs the script here."""

import os
import signal
import stat
import sys
from pathlib import Path

import pytest
from executor_work import Squares

from napari_brain_tumor.errors import ClusterError
from napari_brain_tumor.executors import Finished, open_executor
from napari_brain_tumor.executors.cluster import ClusterExecutor
from napari_brain_tumor.executors.slurm import read_profile

PROFILE = """
jobs = 1
cores = 2
processes = 2
memory = "8GB"
partition = "short"
directives = ["--gres=gpu:1"]
prologue = ["export SET_BY_PROLOGUE=1"]
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(PROFILE)
    return path


def test_a_profile_says_what_a_job_asks_for(profile: Path) -> None:
    options = read_profile(profile).options()
    assert (options["queue"], options["cores"], options["processes"]) == ("short", 2, 2)
    assert options["job_extra_directives"] == ["--gres=gpu:1"]
    assert "account" not in options


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cores = 2", "memory"),
        ("cores = 0\nmemory = '1GB'", "cores"),
        ("nodes = 1", "nodes"),
        ("cores =", "cannot be read"),
    ],
)
def test_a_profile_that_is_not_right_is_said_with_what_it_may_hold(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(ClusterError, match=said):
        read_profile(tmp_path / "site.toml")


def stand_in(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(stat.S_IRWXU)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Slurm runs on Linux")
def test_workers_that_slurm_starts_do_the_cases_and_end(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask_jobqueue")
    import psutil

    # Where a machine has no other network, its own name leads nowhere.
    loopback = next(name for name in psutil.net_if_addrs() if name.startswith("lo"))
    profile.write_text(f'{PROFILE}interface = "{loopback}"\n')
    before = signal.getsignal(signal.SIGINT)
    tools, cases = tmp_path / "tools", tmp_path / "cases"
    cases.mkdir()
    # The copy is run: the file itself is gone as soon as sbatch has returned.
    keep = f'cp "$1" {tmp_path}/script; sh {tmp_path}/script >/dev/null 2>&1 & echo $! > {tmp_path}/pid'
    stand_in(tools, "sbatch", f'{keep}; echo "Submitted batch job 7"')
    stand_in(tools, "scancel", f"kill $(cat {tmp_path}/pid) 2>/dev/null; touch {tmp_path}/cancelled")
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    lines: list[str] = []
    with open_executor(slurm=profile, announce=lines.append) as executor:
        assert isinstance(executor, ClusterExecutor)
        try:
            executor.client.wait_for_workers(2, timeout=90)
        except TimeoutError:
            pytest.skip("the workers of this machine do not reach their scheduler")
        events = [event for event in executor.run(Squares(cases), range(3)) if isinstance(event, Finished)]
    assert sorted(event.result[0] for event in events if event.result) == [0, 1, 4]
    assert signal.getsignal(signal.SIGINT) is before
    script = (tmp_path / "script").read_text()
    assert "#SBATCH -p short" in script
    assert "#SBATCH --gres=gpu:1" in script
    assert "SET_BY_PROLOGUE" in script
    assert "no worker yet" in lines[0] or "worker" in lines[0]
    assert (tmp_path / "cancelled").exists()
