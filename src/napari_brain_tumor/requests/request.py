"""The base of every request: fields with the words that the shell, Python, the panels and the documents show."""

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from napari_brain_tumor.errors import BrainTumorError, OptionError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """How one field of a request is called and explained, wherever it is shown.

    Parameters
    ----------
    help : str
        What it does, in a sentence: the shell's help, the panel's tooltip, the docstring.
    label : str
        Beside its control in a panel.
    unit : str
        Of a number.
    flag : str
        In the shell, where it is not `--` and the field's name.
    metavar, example : str
        In the shell: the form of its text, and one such text.
    expected : str
        What a value has to be, for refusals: "six world coordinates x0,x1,y0,y1,z0,z1".
    error : type
        Of a refusal.
    repeats : bool
        Whether the shell gives several values by repeating the flag; else they are separated by commas.
    positional : bool
        Whether the shell takes it without a flag.
    networks_only : bool
        Whether it means nothing to a method without weights.
    """

    help: str
    label: str = ""
    unit: str = ""
    flag: str = ""
    metavar: str = ""
    example: str = ""
    expected: str = ""
    error: type[BrainTumorError] = OptionError
    repeats: bool = False
    positional: bool = False
    networks_only: bool = False


class Request(BaseModel, extra="forbid", frozen=True, arbitrary_types_allowed=True):
    """What an action is asked for. Every field is declared as `Annotated[type, Option(...)]`.

    Values may be given as Python has them or as the text that the shell takes.
    """

    not_recorded: ClassVar[tuple[str, ...]] = ()
    """Fields that the record of a result tells in another place."""

    def __init__(self, **options: Any) -> None:
        """Check the options; raises the error that the refused option names, `OptionError` as a rule."""
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise self._error(error, options) from None

    # So that `model_validate` goes on raising what pydantic raises.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def _error(cls, error: ValidationError, options: Mapping[str, Any]) -> BrainTumorError:
        name, reason = cls.refusal(error)
        if name not in cls.model_fields:
            return OptionError(f"There is no option {name}. The options are {', '.join(cls.model_fields)}.")
        if name not in options:
            return OptionError(f"{name} is missing. {option_of(cls.model_fields[name]).help}")
        option = option_of(cls.model_fields[name])
        expected = f"it should be {option.expected}" if option.expected else reason
        return option.error(f"{name} is {options[name]!r}: {expected}.")

    @classmethod
    def refusal(cls, error: ValidationError) -> tuple[str, str]:
        """The field that was refused first, and why."""
        first = error.errors()[0]
        reason = str(first.get("ctx", {}).get("error", first["msg"]))
        return str(first["loc"][0]) if first["loc"] else "", reason[:1].lower() + reason[1:].rstrip(".")

    def changed(self) -> dict[str, Any]:
        """The options that differ from their defaults, in the order of the fields."""
        entries = {name: (getattr(self, name), field) for name, field in type(self).model_fields.items()}
        return {name: value for name, (value, field) in entries.items() if not _same(value, field.get_default())}

    def with_options(self, **options: Any) -> Self:
        """The request with other options, checked again."""
        return type(self)(**(self.changed() | options))

    def recorded(self) -> dict[str, Any]:
        """The options as JSON, for the record of a result; those that are not set are left out."""
        entries = self.model_dump(mode="json", exclude=set(self.not_recorded), exclude_none=True)
        return {name: value for name, value in entries.items() if value not in ([], {})}

    @classmethod
    def recorded_in(cls, settings: Mapping[str, Any]) -> Self:
        """The request that a record tells; what else stands there is left out."""
        known = {name: value for name, value in settings.items() if name in cls.model_fields}
        return cls(**{name: value for name, value in known.items() if name not in cls.not_recorded})

    @field_validator("*", mode="before")
    @classmethod
    def _from_text(cls, value: Any, info: ValidationInfo) -> Any:
        return _parsed(
            value.tolist() if hasattr(value, "tolist") and info.field_name in cls._lists() else value,
            cls.model_fields[str(info.field_name)],
        )

    @classmethod
    def _lists(cls) -> set[str]:
        return {name for name, field in cls.model_fields.items() if _is_many(field)}


def option_of(field: FieldInfo) -> Option:
    """The words of a field."""
    return next(entry for entry in field.metadata if isinstance(entry, Option))


def arms_of(annotation: Any) -> list[Any]:
    """The types that a union names, without None; a type that is none is alone."""
    if get_origin(annotation) is Annotated:
        return arms_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [arm for argument in get_args(annotation) for arm in arms_of(argument)]
    return [] if annotation is type(None) else [annotation]


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def _mapping_of(field: FieldInfo) -> Any:
    return next((arm for arm in arms_of(field.annotation) if get_origin(arm) is dict), None)


def _tuple_of(field: FieldInfo) -> Any:
    return next((arm for arm in arms_of(field.annotation) if get_origin(arm) is tuple), None)


def _is_many(field: FieldInfo) -> bool:
    return _mapping_of(field) is not None or _tuple_of(field) is not None


def _parsed(value: Any, field: FieldInfo) -> Any:
    """A text of the shell, or several, as the values that they name; anything else as it is."""
    if not _is_many(field):
        return value
    mapping, many = _mapping_of(field), _tuple_of(field)
    if option_of(field).repeats:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
            return value
        if mapping is not None:
            return _pairs(texts, mapping)
        inner = arms_of(get_args(many)[0])
        return [_split(text) for text in texts] if get_origin(inner[0]) is tuple else texts
    if not isinstance(value, str):
        return value
    parts = _split(value)
    if mapping is not None and (many is None or any("=" in part for part in parts)):
        return _pairs(parts, mapping)
    return tuple(None if part == "-" else part for part in parts)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _pairs(texts: Iterable[str], mapping: Any) -> dict[str, Any]:
    takes_int = int in arms_of(get_args(mapping)[1])
    pairs: dict[str, Any] = {}
    for text in texts:
        key, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not key or not value or key.lower() in map(str.lower, pairs):
            raise ValueError(f"{text!r} is not a name and a value, each name once")
        pairs[key] = int(value) if takes_int and value.isdecimal() else value
    return pairs


def takes(request: type[Request], *positional: str) -> Callable[[F], F]:
    """Let the `**options` of a function be known as the fields of a request, in its signature and its docstring.

    The line `{options}` of the docstring is replaced by all options; `positional` fields are the function's own.
    """
    fields = {name: field for name, field in request.model_fields.items() if name not in positional}

    def decorate(function: F) -> F:
        own = signature(function)
        plain = [parameter for parameter in own.parameters.values() if parameter.kind is not Parameter.VAR_KEYWORD]
        options = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=field.get_default(), annotation=field.annotation)
            for name, field in fields.items()
        ]
        combined = Signature([*plain, *options], return_annotation=own.return_annotation)
        function.__signature__ = combined  # type: ignore[attr-defined]
        words = "\n    ".join(
            f"{name} : {_type_words(field)}\n        {option_of(field).help}" for name, field in fields.items()
        )
        function.__doc__ = (function.__doc__ or "").replace("{options}", words)
        return function

    return decorate


def _type_words(field: FieldInfo) -> str:
    names = []
    for arm in arms_of(field.annotation):
        if get_origin(arm) is Literal:
            names.append("{" + ", ".join(f'"{word}"' for word in get_args(arm)) + "}")
        elif get_origin(arm) is None:
            names.append("path" if isinstance(arm, type) and issubclass(arm, PurePath) else arm.__name__)
        else:
            names.append(str(arm).replace("typing.", ""))
    unit = option_of(field).unit
    return " or ".join(names) + (f", {unit}" if unit else "")
