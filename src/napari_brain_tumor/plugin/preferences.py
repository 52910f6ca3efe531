"""What the user prefers: kept in napari's own settings, under Preferences > Brain Tumor.

napari shows the settings that the manifest declares from its version 0.9 on. Under an older one, or where this plugin
is not among napari's, the same entries are read from `preferences.json` in `home_folder()`.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.home import home_folder
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.formats import saved_suffixes
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.label_schemas import SCHEMAS

logger = logging.getLogger(__name__)

PLUGIN: Final = "napari-brain-tumor"
"""Our name among napari's plugins."""

AS_THE_SCANS: Final = "as the scans"
DEVICES: Final = ("auto", "cpu", "cuda", "mps")
FILE_FORMATS: Final = (AS_THE_SCANS, *saved_suffixes(labels=True))


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in allowed:
            msg = f"{value!r} is none of {', '.join(allowed)}"
            raise ValueError(msg)
        return value

    return check


class _Section(BaseModel):
    # What another version of the plugin has left is no error.
    model_config = ConfigDict(frozen=True, extra="ignore")


class SegmentPreferences(_Section):
    """What the panels choose at first.

    Parameters
    ----------
    device : str
        One of `DEVICES`.
    model : str
        Name of a model or method; empty for the one that suits the scans.
    results : {"add", "replace"}
        Whether another run on the same scans adds a layer, or puts its labels into the layer of the one before.
    """

    device: Annotated[str, AfterValidator(_one_of(DEVICES))] = "auto"
    model: str = ""
    results: Literal["add", "replace"] = "add"


class SavingPreferences(_Section):
    """How the panels save at first.

    Parameters
    ----------
    label_numbers : str
        Name of a schema.
    file_format : str
        One of `FILE_FORMATS`.
    """

    label_numbers: Annotated[str, AfterValidator(_one_of(tuple(SCHEMAS)))] = "MSD"
    file_format: Annotated[str, AfterValidator(_one_of(FILE_FORMATS))] = AS_THE_SCANS


class JournalPreferences(_Section):
    """Whether each stroke is written to the disk, and where; an empty folder is `journal_folder()`."""

    keep: bool = True
    folder: str = ""

    @property
    def place(self) -> Path | None:
        """The chosen folder; None for the usual one."""
        return Path(self.folder).expanduser() if self.folder.strip() else None


class OpeningPreferences(_Section):
    """What is done with a case that is opened.

    Parameters
    ----------
    open_dock : bool
        Whether the dock opens with it.
    offer_default_reader : bool
        Whether to offer, at the next one, to open such files always.
    """

    open_dock: bool = True
    offer_default_reader: bool = True


class Preferences(_Section):
    """All preferences; the fields and their defaults are those of the manifest's `configurations`."""

    segment: SegmentPreferences = Field(default_factory=SegmentPreferences)
    saving: SavingPreferences = Field(default_factory=SavingPreferences)
    journal: JournalPreferences = Field(default_factory=JournalPreferences)
    opening: OpeningPreferences = Field(default_factory=OpeningPreferences)


def read_preferences() -> Preferences:
    """The preferences as they are now; an entry that cannot be used counts as not set, and the log says so."""
    settings = _napari_settings()
    return _understood(settings.model_dump() if settings is not None else _read_file(preferences_file()))


def write_preference(section: str, name: str, value: Any) -> None:
    """Change one preference for good; a disk that refuses is told in the log only.

    Parameters
    ----------
    section, name : str
        Of the entry, such as `"opening"` and `"offer_default_reader"`.
    value : bool or str

    Raises
    ------
    KeyError
        If there is no such entry.
    ValidationError
        If it cannot have that value.
    """
    entries = read_preferences().model_dump()
    if name not in entries.get(section, {}):
        msg = f"There is no preference {section}.{name}."
        raise KeyError(msg)
    entries[section][name] = value
    checked = Preferences.model_validate(entries)
    settings = _napari_settings()
    if settings is not None:
        setattr(getattr(settings, section), name, value)
    else:
        _write_file(preferences_file(), checked)


def _napari_settings() -> Any:
    """What napari keeps for us; None where it keeps nothing."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # before 0.9
        return None
    try:
        return get_plugin_settings(PLUGIN)
    except KeyError:  # disabled, or napari does not know us
        return None


# The file -----------------------------------------------------------------------------------------------------------


def preferences_file() -> Path:
    """Where preferences are kept if napari does not: `preferences.json` in `home_folder()`."""
    return home_folder() / "preferences.json"


def _read_file(path: Path) -> Mapping[str, Any]:
    try:
        entries = read_json(path) if path.exists() else {}
    except (OSError, ValueError):
        logger.warning("The preferences in %s cannot be read and count as not set", path, exc_info=True)
        return {}
    return entries if isinstance(entries, dict) else {}


def _write_file(path: Path, preferences: Preferences) -> None:
    try:
        write_text(path, preferences.model_dump_json(indent=2))
    except SaveError:
        logger.warning("The preferences were not saved", exc_info=True)


def _understood(entries: Mapping[str, Any]) -> Preferences:
    """The preferences of these entries without the ones that cannot be used."""
    sections = {section: dict(values) for section, values in entries.items() if isinstance(values, Mapping)}
    try:
        return Preferences.model_validate(sections)
    except ValidationError as error:
        for problem in error.errors():
            section, name = (str(part) for part in problem["loc"][:2])
            logger.warning("The preference %s.%s is not used: %s", section, name, problem["msg"])
            sections[section].pop(name, None)
        return Preferences.model_validate(sections)
