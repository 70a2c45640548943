"""Whether what the booted process has answered is what the protocol says (inside/protocol.py).

Standard library at import time: nothing else has to be loaded to see that a project has booted.
"""

from __future__ import annotations

from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
    overload,
)

if TYPE_CHECKING:
    from dbmigrate.inside.protocol import Booted, Question

T = TypeVar("T")


class ReplyError(Exception):
    """The process answered what the protocol does not have: the two sides of dbmigrate differ, which is a bug of it."""


@overload
def read_reply(question: Question, answer: object, kind: type[T]) -> T: ...


@overload
def read_reply(question: Question, answer: object, kind: object) -> Any: ...


def read_reply(question: Question, answer: object, kind: Any) -> Any:
    """Return what a question was answered, as a value of this type of our side.

    Raises:
        ReplyError: it is something else.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(answer)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = "".join(f"[{part!r}]" for part in first["loc"])
        raise ReplyError(f"the answer to {question}{at} is {first['input']!r}: {first['msg']}") from error


def read_booted(answer: object) -> Booted:
    """Return what the process says once the project has booted.

    Raises:
        ReplyError: it is something else.
    """
    from dbmigrate.inside.protocol import Booted

    if find_misfit(answer, Booted, "") is not None:  # what does not fit may be secret
        raise ReplyError("the answer to the boot does not have the expected form")
    return cast("Booted", answer)


def find_misfit(answer: object, shape: Any, at: str) -> str | None:
    """Return what is wrong with something of JSON that is to have a type of the protocol; None if it has it.

    `at`: what it is, for the sentence.
    """
    origin, parameters = get_origin(shape), get_args(shape)
    if shape is Any:
        return None
    if is_typeddict(shape):
        return _find_misfit_of_keys(answer, shape, at)
    if origin in (Union, UnionType):
        misfits = [find_misfit(answer, one, at) for one in parameters]
        return None if None in misfits else misfits[0]
    if origin is Literal:
        fits = answer in parameters
    elif origin is list:
        fits = isinstance(answer, list)
        parameters *= len(answer) if isinstance(answer, list) else 0
    elif origin is tuple:
        fits = isinstance(answer, list) and len(answer) == len(parameters)
    elif origin is dict:
        fits = isinstance(answer, dict)
        parameters = parameters[1:] * (len(answer) if isinstance(answer, dict) else 0)
    else:
        allowed: Any = {None: type(None), float: (int, float)}.get(shape, shape)
        fits = isinstance(answer, allowed) and (shape is bool or not isinstance(answer, bool))
    if not fits:
        return f"{at} is {answer!r}, not {shape if get_args(shape) or shape is None else shape.__name__}"
    if not isinstance(answer, (list, dict)):
        return None
    items = answer.items() if isinstance(answer, dict) else enumerate(answer)
    inner = (find_misfit(item, one, f"{at}[{key!r}]") for (key, item), one in zip(items, parameters, strict=True))
    return next((misfit for misfit in inner if misfit is not None), None)


def _find_misfit_of_keys(answer: object, shape: Any, at: str) -> str | None:
    if not isinstance(answer, dict):
        return f"{at} is {answer!r}, not {shape.__name__}"
    hints = get_type_hints(shape)
    if missing := shape.__required_keys__ - answer.keys():
        return f"{at} lacks {', '.join(sorted(missing))}"
    if unknown := answer.keys() - hints.keys():
        return f"{at} has {', '.join(sorted(unknown))} too"
    inner = (find_misfit(item, hints[key], f"{at}[{key!r}]") for key, item in answer.items())
    return next((misfit for misfit in inner if misfit is not None), None)
