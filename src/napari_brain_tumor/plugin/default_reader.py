"""Who opens the files that several plugins read: what napari prefers, and whether to offer ourselves."""

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from typing import Final

from napari.settings import get_settings
from npe2 import PluginManager

from napari_brain_tumor.io.formats import offered_suffixes
from napari_brain_tumor.plugin.preferences import PLUGIN, read_preferences, write_preference

OUR_PATTERNS: Final = tuple(f"*{suffix}" for suffix in offered_suffixes())
"""File patterns of which napari's own reader claims to be capable too."""

FOLDERS: Final = f"*{os.sep}"
"""What matches every folder in napari's list of preferred readers."""

_TYPICAL: Final = "case.nii.gz"


def make_default_reader(*, folders: bool = False) -> None:
    """Let napari open `OUR_PATTERNS` with this plugin from now on, without asking each time.

    Parameters
    ----------
    folders : bool
        Folders too. Of one that is no case napari then asks who else should open it, as it did before.
    """
    plugins = get_settings().plugins
    patterns = (*OUR_PATTERNS, FOLDERS) if folders else OUR_PATTERNS
    plugins.extension2reader = {**plugins.extension2reader, **dict.fromkeys(patterns, PLUGIN)}


def may_offer() -> bool:
    """Whether to offer it: others read `.nii.gz` too, nobody was preferred yet, and it was never offered before."""
    if not read_preferences().opening.offer_default_reader:
        return False
    return not is_chosen(get_settings().plugins.extension2reader) and is_contested(_readers(_TYPICAL))


def remember_offer() -> None:
    """Never offer it again."""
    write_preference("opening", "offer_default_reader", False)


def is_chosen(preferred: Mapping[str, str]) -> bool:
    """Whether napari's preferences, pattern to plugin, decide who opens a `.nii.gz`."""
    return any(fnmatch(f"{os.sep}{_TYPICAL}", pattern) for pattern in preferred)


def is_contested(readers: Iterable[str]) -> bool:
    """Whether both we and others are among the plugins that read a file."""
    return {PLUGIN} < set(readers)


def _readers(path: str) -> set[str]:
    return {reader.plugin_name for reader in PluginManager.instance().iter_compatible_readers([path])}
