"""Values of options that are words from a list: a wrong one is wrong usage, told before anything is read."""

import re

import typer

from napari_brain_tumor.errors import LabelSchemaError, ModelNotFoundError, RoleError, SaveError
from napari_brain_tumor.io.formats import format_named
from napari_brain_tumor.io.one_grid import FINEST
from napari_brain_tumor.io.sidecar_paths import PATH_STYLES
from napari_brain_tumor.io.study_folder import role_named
from napari_brain_tumor.label_schemas import schema_named


def known_format(text: str | None) -> str | None:
    """The name of a format that segmentations are saved in."""
    try:
        return None if text is None else format_named(text).name
    except SaveError as error:
        raise typer.BadParameter(str(error)) from error


def known_device(text: str | None) -> str | None:
    """A device that there may be; whether it is in this machine is another question."""
    if text is not None and not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        msg = f"{text!r} is not a device. Choose auto, cpu, cuda, cuda:1 or mps."
        raise typer.BadParameter(msg)
    return text


def known_schema(text: str | None) -> str | None:
    """The name of a schema, as it was typed."""
    try:
        if text is not None:
            schema_named(text)
    except LabelSchemaError as error:
        raise typer.BadParameter(str(error)) from error
    return text


def known_grid(text: str | None) -> str | None:
    """Whose grid sequences are brought onto: `finest`, or a role."""
    try:
        if text is not None and text.strip().lower() != FINEST:
            role_named(text)
    except RoleError as error:
        msg = f"It is neither {FINEST} nor a role: {error}"
        raise typer.BadParameter(msg) from error
    return text


def known_model(text: str | None) -> str | None:
    """The name of a model or method, or the folder of one."""
    from napari_brain_tumor import catalogue

    try:
        if text is not None:
            catalogue.find_model(text)
    except ModelNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    return text


def known_style(text: str) -> str:
    """How records name files."""
    if text not in PATH_STYLES:
        msg = f"{text!r} is not one of {', '.join(PATH_STYLES)}."
        raise typer.BadParameter(msg)
    return text
