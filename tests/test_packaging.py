"""What is installed: the plugin, the command, the wheel, and how little opening a file loads."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from importlib import import_module
from importlib.metadata import entry_points, metadata, requires
from pathlib import Path
from xml.etree import ElementTree

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).parent.parent
MANIFEST = PluginManifest.from_file(ROOT / "src" / "napari_brain_tumor" / "napari.yaml")
COMMANDS = MANIFEST.contributions.commands or []


def run_python(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_manifest_is_valid_and_found_by_its_entry_point() -> None:
    run_python("from npe2.cli import main; main()", "validate", "napari-brain-tumor")
    found = PluginManifest.from_distribution("napari-brain-tumor")
    assert found.name == "napari-brain-tumor"
    assert found.contributions == MANIFEST.contributions


def test_the_top_level_manifest_is_the_packages() -> None:
    top = ROOT / "napari.yaml"
    assert top.is_symlink() or top.read_text().strip() == "src/napari_brain_tumor/napari.yaml"


@pytest.mark.gui
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.id)
def test_every_command_of_the_manifest_can_be_imported(command: object) -> None:
    module, _, name = command.python_name.partition(":")  # type: ignore[attr-defined]
    assert callable(getattr(import_module(module), name))


def test_every_contribution_names_a_command_that_exists() -> None:
    known = {command.id for command in COMMANDS}
    contributions = MANIFEST.contributions
    used = {
        item.command
        for kind in ("readers", "writers", "widgets", "sample_data")
        for item in getattr(contributions, kind)
    }
    assert used
    assert used <= known


def test_the_command_and_its_extension_are_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="brain-tumor")
    assert script.value == "napari_brain_tumor.cli:main"
    (train,) = entry_points(group="napari_brain_tumor.commands", name="train")
    assert train.value == "napari_brain_tumor_training.__main__:app"


def test_base_dependencies_bring_no_qt_binding() -> None:
    base = [name for name in requires("napari-brain-tumor") or [] if "extra ==" not in name]
    assert base
    assert not [name for name in base if re.match(r"(?i)pyqt|pyside|napari\[", name)]


def test_metadata_tells_licence_and_python() -> None:
    found = metadata("napari-brain-tumor")
    assert found["License-Expression"].split(" AND ")[0] == "BSD-3-Clause"  # the wheel's own is tested below
    assert found["Requires-Python"] == ">=3.11"
    assert "Framework :: napari" in found.get_all("Classifier", [])


LIGHT = (
    "import napari_brain_tumor",
    "import napari_brain_tumor.measure.volumes, napari_brain_tumor.metrics.overlap",
    "from napari_brain_tumor import list_models; list_models()",
    "from napari_brain_tumor import open_study; from napari_brain_tumor.sample import sample_case_folder;"
    "open_study(sample_case_folder())",
    "from napari_brain_tumor import open_segmentation; from napari_brain_tumor.sample import sample_truth_path;"
    "open_segmentation(sample_truth_path())",
)
LOADED = """
import sys
heavy = {"torch", "napari", "qtpy", "PyQt6", "PySide6", "matplotlib", "monai"}
for code in sys.argv[1:]:
    exec(code, {})
    assert not heavy & set(sys.modules), (code, heavy & set(sys.modules))
"""


def test_importing_and_opening_load_neither_torch_nor_a_window() -> None:
    run_python(LOADED, *LIGHT)


def test_the_plugins_reader_loads_neither_torch_nor_the_network() -> None:
    code = "import sys, napari_brain_tumor.plugin.reader; print('torch' in sys.modules, 'monai' in sys.modules)"
    assert run_python(code).split() == ["False", "False"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_everything_that_is_needed_and_no_more(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    for wanted in (
        "napari_brain_tumor/napari.yaml",
        "napari_brain_tumor/py.typed",
        "napari_brain_tumor_training/py.typed",
        "napari_brain_tumor/checkpoints/unet/card.json",
        "napari_brain_tumor/checkpoints/unet/weights.safetensors",
        "napari_brain_tumor_training/reproduce/experiments/unet-vs-classical.toml",
        "napari_brain_tumor_training/reproduce/templates/reproduction.html.j2",
    ):
        assert wanted in names
    assert "napari_brain_tumor/classical/template/tissues.nii.gz" in names
    assert sum(re.match(r"napari_brain_tumor/sample/.*\.nii\.gz$", name) is not None for name in names) == 5
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "napari_brain_tumor",
        "napari_brain_tumor_training",
    }
    assert not [name for name in names if "test" in name.lower() or name.endswith((".pyc", ".pt", ".pth"))]


def test_the_wheel_carries_licence_and_notice(wheel: zipfile.ZipFile) -> None:
    licences = {name.rsplit("/", 1)[1] for name in wheel.namelist() if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE", "LicenseRef-Weights-Research-Only.txt"}


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(name))


def test_the_wheel_says_that_its_weights_have_terms_of_their_own(wheel: zipfile.ZipFile) -> None:
    told = metadata_of(wheel)
    assert told["License-Expression"] == "BSD-3-Clause AND LicenseRef-Weights-Research-Only"
    assert "LICENSES/LicenseRef-Weights-Research-Only.txt" in told.get_all("License-File", [])
    (notice,) = [name for name in wheel.namelist() if name.endswith("licenses/NOTICE")]
    text = wheel.read(notice).decode()
    folders = {name.split("/")[2] for name in wheel.namelist() if re.search(r"checkpoints/.*/card\.json$", name)}
    assert folders
    assert all(f"napari_brain_tumor/checkpoints/{folder}\n" in text for folder in folders)
    assert "PyQt6 is under the GNU General Public License" in text


def test_the_description_of_the_wheel_has_no_link_that_is_broken_elsewhere(wheel: zipfile.ZipFile) -> None:
    description = metadata_of(wheel).get_payload()
    assert isinstance(description, str)
    assert "# napari-brain-tumor" in description
    targets = re.findall(r"\]\(([^)]*)\)", description)
    assert targets
    assert all(target.startswith("https://") for target in targets)


def test_the_icon_of_the_manifest_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert isinstance(MANIFEST.icon, str)
    package, _, file = MANIFEST.icon.partition(":")
    assert ElementTree.fromstring(wheel.read(f"{package}/{file}")).tag.endswith("svg")


def test_shipped_checkpoints_stay_small(wheel: zipfile.ZipFile) -> None:
    weights = [info.file_size for info in wheel.infolist() if info.filename.endswith(".safetensors")]
    assert sum(weights) <= 60e6


def test_constraints_pin_every_dependency_once() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    pinned = [canonical(line.split("==")[0]) for line in lines]
    assert len(pinned) == len(set(pinned))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [
        name for extra, names in project["project"]["optional-dependencies"].items() if extra != "all" for name in names
    ]
    groups = [name for names in project["dependency-groups"].values() for name in names if isinstance(name, str)]
    wanted = {
        canonical(re.split(r"[<>=!\[ ]", name)[0]) for name in (*project["project"]["dependencies"], *extras, *groups)
    }
    assert wanted <= set(pinned)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
