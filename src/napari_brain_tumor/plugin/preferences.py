"""The user's preferences, stored in napari's own settings under Preferences > Brain Tumor.

napari supports settings declared in a plugin's manifest from version 0.9. With older versions, or if this plugin is not
registered with napari, the same entries are read from `preferences.json` in `home_folder()`.
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
"""Name of this plugin in napari."""

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
    # Entries left by another version of the plugin are not an error.
    model_config = ConfigDict(frozen=True, extra="ignore")


class SegmentPreferences(_Section):
    """Initial choices in the panels.

    Parameters
    ----------
    device : str
        One of `DEVICES`.
    model : str
        Name of a model or method; empty to choose one that suits the scans.
    results : {"add", "replace"}
        Whether another run on the same scans adds a layer or replaces the labels of the earlier one.
    """

    device: Annotated[str, AfterValidator(_one_of(DEVICES))] = "auto"
    model: str = ""
    results: Literal["add", "replace"] = "add"


class SavingPreferences(_Section):
    """Initial choices for saving in the panels.

    Parameters
    ----------
    label_numbers : str
        Name of a label schema.
    file_format : str
        One of `FILE_FORMATS`.
    """

    label_numbers: Annotated[str, AfterValidator(_one_of(tuple(SCHEMAS)))] = "MSD"
    file_format: Annotated[str, AfterValidator(_one_of(FILE_FORMATS))] = AS_THE_SCANS


class JournalPreferences(_Section):
    """Whether each stroke is saved to disk, and where; an empty folder means `journal_folder()`."""

    keep: bool = True
    folder: str = ""

    @property
    def place(self) -> Path | None:
        """The chosen folder; None for the default one."""
        return Path(self.folder).expanduser() if self.folder.strip() else None


class OpeningPreferences(_Section):
    """What happens when a case is opened.

    Parameters
    ----------
    open_dock : bool
        Whether the dock is opened as well.
    offer_default_reader : bool
        Whether to offer, the next time, to make this plugin the default reader.
    """

    open_dock: bool = True
    offer_default_reader: bool = True


class Preferences(_Section):
    """All preferences; fields and defaults match the manifest's `configurations`."""

    segment: SegmentPreferences = Field(default_factory=SegmentPreferences)
    saving: SavingPreferences = Field(default_factory=SavingPreferences)
    journal: JournalPreferences = Field(default_factory=JournalPreferences)
    opening: OpeningPreferences = Field(default_factory=OpeningPreferences)


def read_preferences() -> Preferences:
    """Return the current preferences; invalid entries are logged and replaced by their defaults."""
    settings = _napari_settings()
    return _understood(settings.model_dump() if settings is not None else _read_file(preferences_file()))


def write_preference(section: str, name: str, value: Any) -> None:
    """Change one preference permanently; failure to write it to disk is only logged.

    Parameters
    ----------
    section, name : str
        Section and name of the entry, such as `"opening"` and `"offer_default_reader"`.
    value : bool or str

    Raises
    ------
    KeyError
        If there is no such entry.
    ValidationError
        If the value is invalid.
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
    """Return napari's settings for this plugin; None if there are none."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # before 0.9
        return None
    try:
        return get_plugin_settings(PLUGIN)
    except KeyError:  # disabled, or not registered with napari
        return None


# The file -----------------------------------------------------------------------------------------------------------


def preferences_file() -> Path:
    """Return the path for preferences that napari does not store: `preferences.json` in `home_folder()`."""
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
    """Return the preferences from these entries, without invalid ones."""
    sections = {section: dict(values) for section, values in entries.items() if isinstance(values, Mapping)}
    try:
        return Preferences.model_validate(sections)
    except ValidationError as error:
        for problem in error.errors():
            section, name = (str(part) for part in problem["loc"][:2])
            logger.warning("The preference %s.%s is not used: %s", section, name, problem["msg"])
            sections[section].pop(name, None)
        return Preferences.model_validate(sections)
