"""napari's default reader for files that several plugins can read, and whether to offer this plugin as default."""

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from typing import Final

from napari.settings import get_settings
from npe2 import PluginManager

from napari_brain_tumor.io.formats import offered_suffixes
from napari_brain_tumor.plugin.preferences import PLUGIN, read_preferences, write_preference

OUR_PATTERNS: Final = tuple(f"*{suffix}" for suffix in offered_suffixes())
"""File patterns that napari's built-in reader also claims to support."""

FOLDERS: Final = f"*{os.sep}"
"""Pattern that matches every folder in napari's list of preferred readers."""

_TYPICAL: Final = "case.nii.gz"


def make_default_reader(*, folders: bool = False) -> None:
    """Make this plugin napari's default reader for `OUR_PATTERNS`, so that napari no longer asks each time.

    Parameters
    ----------
    folders : bool
        Also for folders. For a folder that is not a case, napari then asks which other plugin to use, as before.
    """
    plugins = get_settings().plugins
    patterns = (*OUR_PATTERNS, FOLDERS) if folders else OUR_PATTERNS
    plugins.extension2reader = {**plugins.extension2reader, **dict.fromkeys(patterns, PLUGIN)}


def may_offer() -> bool:
    """Whether to offer it: other plugins read `.nii.gz` too, none is preferred, and it was never offered before."""
    if not read_preferences().opening.offer_default_reader:
        return False
    return not is_chosen(get_settings().plugins.extension2reader) and is_contested(_readers(_TYPICAL))


def remember_offer() -> None:
    """Remember that the offer was made, so that it is never made again."""
    write_preference("opening", "offer_default_reader", False)


def is_chosen(preferred: Mapping[str, str]) -> bool:
    """Whether napari's preferences (pattern to plugin) determine the reader of a `.nii.gz` file."""
    return any(fnmatch(f"{os.sep}{_TYPICAL}", pattern) for pattern in preferred)


def is_contested(readers: Iterable[str]) -> bool:
    """Whether both this plugin and others can read a file."""
    return {PLUGIN} < set(readers)


def _readers(path: str) -> set[str]:
    return {reader.plugin_name for reader in PluginManager.instance().iter_compatible_readers([path])}
