"""Requests as commands of the shell: options with help and refusals, and a request as the words that give it again."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import annotated_types
import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.requests.request import Request, arms_of, option_of

Check = Callable[[Any], Any]
R = TypeVar("R", bound=Request)


class Without:
    """Fields of a request that a command does not take: `Annotated[SegmentRequest, Without("model")]`."""

    def __init__(self, *names: str) -> None:
        self.names = names


def with_requests(function: Callable[..., Any], checks: Mapping[str, Check] | None = None) -> Callable[..., Any]:
    """A function as a command of typer: each parameter that is a request becomes the options of that request.

    Parameters
    ----------
    function : callable
        Its other parameters are as typer wants them.
    checks : mapping of field to callable
        Called with the value of an option before anything is done; raises `typer.BadParameter`.
    """
    parts: dict[str, tuple[type[Request], dict[str, FieldInfo]]] = {}
    parameters: list[Parameter] = []
    for own in inspect.signature(function, eval_str=True).parameters.values():
        request, left_out = _request_of(own.annotation)
        if request is None:
            parameters.append(own.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        fields = {name: field for name, field in request.model_fields.items() if name not in left_out}
        parts[own.name] = request, fields
        parameters += [_parameter(name, field, (checks or {}).get(name)) for name, field in fields.items()]

    @wraps(function)
    def command(**arguments: Any) -> Any:
        own = {
            name: request_from(request, {field: arguments.pop(field) for field in fields})
            for name, (request, fields) in parts.items()
        }
        return function(**arguments, **own)

    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def request_from(request: type[R], arguments: Mapping[str, Any]) -> R:
    """The request that options of the shell give; raises `typer.BadParameter` for one that is wrong."""
    values = {name: value.name if isinstance(value, StrEnum) else value for name, value in arguments.items()}
    values = {
        name: value for name, value in values.items() if name in request.model_fields and value not in (None, [], ())
    }
    try:
        return request.model_validate(values)
    except ValidationError as error:
        name, reason = request.refusal(error)
        option, flag = option_of(request.model_fields[name]), flag_of(name, request.model_fields[name])
        texts = values[name] if isinstance(values[name], list) else [values[name]]
        expected = f"not {option.expected}" if option.expected else reason
        example = f", for example {flag}={option.example}" if option.example else ""
        msg = f"{', '.join(map(repr, map(str, texts)))} is {expected}{example}."
        raise typer.BadParameter(msg, param_hint=flag) from error


def flag_of(name: str, field: FieldInfo) -> str:
    """How an option is called in the shell."""
    return option_of(field).flag or f"--{name.replace('_', '-')}"


def words_of(request: Request, *left_out: str) -> list[str]:
    """The words that give a request again; raises `RecordError` where the shell has none for a value."""
    fields = type(request).model_fields
    changed = [(name, value) for name, value in request.changed().items() if name not in left_out]
    changed.sort(key=lambda pair: not option_of(fields[pair[0]]).positional)
    return [word for name, value in changed for word in _words(name, value, fields[name])]


def word_of(value: Any) -> str:
    """A single value as the shell takes it."""
    text = repr(float(value)) if isinstance(value, float) else str(value)
    return f"./{text}" if isinstance(value, PurePath) and text.startswith("-") else text


def _words(name: str, value: Any, field: FieldInfo) -> Iterator[str]:
    option, flag = option_of(field), flag_of(name, field)
    if isinstance(value, bool):
        yield flag if value else f"--no-{name.replace('_', '-')}"
    elif isinstance(value, Mapping | tuple):
        texts = list(_texts(value))
        if not option.repeats and any("," in text for text in texts):
            raise RecordError(f"The shell separates the values of {flag} by commas, and one has a comma in it.")
        values = texts if option.repeats else [",".join(texts)]
        yield from values if option.positional else (f"{flag}={text}" for text in values)
    elif option.positional:
        yield word_of(value)
    else:
        text = _typed(value) if _is_choice(field) else word_of(value)
        yield from [f"{flag}={text}"] if text.startswith("-") or not text else [flag, text]


def _texts(values: Mapping[str, Any] | tuple[Any, ...]) -> Iterator[str]:
    if isinstance(values, Mapping):
        yield from (f"{key}={word_of(entry)}" for key, entry in values.items())
        return
    for entry in values:
        yield ",".join(map(word_of, entry)) if isinstance(entry, tuple) else "-" if entry is None else word_of(entry)


def _request_of(annotation: Any) -> tuple[type[Request] | None, tuple[str, ...]]:
    base, *extra = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    if not (isinstance(base, type) and issubclass(base, Request)):
        return None, ()
    return base, tuple(name for mark in extra if isinstance(mark, Without) for name in mark.names)


def _parameter(name: str, field: FieldInfo, check: Check | None) -> Parameter:
    """The option or argument of typer for a field; values that are no plain ones are taken as text."""
    option, kind, default = option_of(field), _kind(field), field.get_default()
    choice = _is_choice(field)
    words: dict[str, Any] = {
        "help": option.help,
        "metavar": option.metavar
        or ("|".join(map(_typed, get_args(arms_of(field.annotation)[0]))) if choice else None),
        "callback": check if kind is str else None,
        "case_sensitive": not choice,
    }
    if option.positional:
        parameter_info = typer.Argument(**words)
    else:
        flag = flag_of(name, field) + (f"/--no-{name.replace('_', '-')}" if default is True else "")
        bounds: dict[str, Any] = dict(_bounds(field)) if kind in (int, float) else {}
        parameter_info = typer.Option(flag, **words, **bounds)
    if field.is_required():
        return Parameter(name, Parameter.KEYWORD_ONLY, annotation=Annotated[kind, parameter_info])
    if kind not in (bool, int, float, Path) and not isinstance(default, str):
        default = None
    annotation: Any = Annotated[kind if default is not None else kind | None, parameter_info]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _kind(field: FieldInfo) -> Any:
    """What typer reads: a switch, a number, a path, a word of a list, a text, or several texts."""
    arms = arms_of(field.annotation)
    if _is_choice(field):
        return StrEnum("Choice", {word: _typed(word) for word in get_args(arms[0])})
    if len(arms) == 1 and arms[0] in (bool, int, float, Path):
        return arms[0]
    return list[str] if option_of(field).repeats else str


def _is_choice(field: FieldInfo) -> bool:
    """Whether it takes one of a list of words, and nothing else."""
    arms = arms_of(field.annotation)
    return len(arms) == 1 and get_origin(arms[0]) is Literal


def _typed(choice: str) -> str:
    """A word of a list as it is typed."""
    return choice.replace("_", "-")


def _bounds(field: FieldInfo) -> Iterator[tuple[str, Any]]:
    for part in field.metadata:
        if isinstance(part, annotated_types.Ge):
            yield "min", part.ge
        if isinstance(part, annotated_types.Le):
            yield "max", part.le
