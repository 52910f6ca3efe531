"""The check of a GPU, tried where there is none: tiny, and without what only a card can tell."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def gpu_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_check", ROOT / "scripts" / "gpu_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_check"] = module  # dataclasses look there for their own module
    spec.loader.exec_module(module)
    return module


def run(gpu_check: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, dict]:
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--device", "cpu", "--tiny", "-o", str(folder), *words])
    code = gpu_check.main()
    return code, json.loads((folder / "gpu_check.json").read_text())


def test_what_only_a_card_can_tell_is_skipped_and_the_rest_measured(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = "SyncBatchNorm and NCCL,memory ladder,augmentation on the device"
    code, told = run(gpu_check, tmp_path, monkeypatch, "--only", checks)
    assert code == 0
    status = {name: outcome["status"] for name, outcome in told["checks"].items()}
    assert list(status.values()) == ["skipped", "skipped", "passed"]
    assert told["checks"]["augmentation on the device"]["numbers"]["largest deviation"] == 0
    page = (tmp_path / "gpu_check.md").read_text()
    assert all(f"| {name} | {outcome} |" in page for name, outcome in status.items())


def test_a_check_that_fails_is_told_with_its_numbers_and_the_others_go_on(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(setting: object) -> dict:
        gpu_check.expect(False, "labels differ", {"agreement": 0.5})
        return {}

    def broken(setting: object) -> dict:
        raise RuntimeError("driver")

    def right(setting: object) -> dict:
        return {"share": 0.25}

    monkeypatch.setattr(gpu_check, "CHECKS", {"wrong": wrong, "broken": broken, "right": right})
    code, told = run(gpu_check, tmp_path, monkeypatch)
    assert code == 1
    assert told["checks"]["wrong"]["numbers"] == {"agreement": 0.5}
    assert told["checks"]["broken"]["reason"] == "RuntimeError: driver"
    assert told["checks"]["right"] | {"seconds": 0} == {
        "status": "passed",
        "reason": "",
        "numbers": {"share": 0.25},
        "seconds": 0,
    }


@pytest.mark.slow
def test_every_check_runs(gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = run(gpu_check, tmp_path, monkeypatch, "--model", "u2netp")
    assert code == 0, told
    assert list(told["checks"]) == list(gpu_check.CHECKS)
