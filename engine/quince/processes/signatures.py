"""What a function says of its parameters and its return, decorated or not, as far as it can be known."""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from quince.processes.hints import is_hint

_LAZY: Mapping[str, Any] = {}
if sys.version_info >= (3, 14):  # where annotations are evaluated when they are asked for
    import annotationlib

    _LAZY = {"annotation_format": annotationlib.Format.FORWARDREF}


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Its signature; that of what `functools.wraps` and its like have wrapped."""
    return inspect.signature(function, **_LAZY)


def takes_self(function: Callable[..., Any]) -> bool:
    """It can be called with the process alone."""
    return _takes(function, 1)


def takes_error(function: Callable[..., Any]) -> bool:
    """It can be called with the process and an error."""
    return _takes(function, 2)


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # one that does not tell
        pass
    return True


def yields(function: Callable[..., Any]) -> bool:
    """It is a generator function, under whatever decorators."""
    inner = inspect.unwrap(function)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def hints_of(function: Callable[..., Any], signature: inspect.Signature) -> dict[str, Any]:
    """The hints of its parameters, and of its `return`, that mean a type here.

    One that is a text is evaluated; what is no type, or names what only type checkers import, is left out.
    """
    inner: Any = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    names = getattr(inner, "__globals__", None) or vars(builtins)
    found: dict[str, Any] = {
        name: _evaluated(one.annotation, names) for name, one in signature.parameters.items()
    }
    found["return"] = _result(_evaluated(signature.return_annotation, names))
    return {
        name: hint for name, hint in found.items() if hint is not inspect.Parameter.empty and is_hint(hint)
    }


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:
    """The annotation without texts in it; `empty` if one of them cannot be evaluated here."""
    if annotation is inspect.Parameter.empty:
        return annotation
    holder = types.SimpleNamespace(__annotations__={"hint": annotation})
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["hint"]
    except Exception:  # a name that is not there, a text that is no Python, a number
        return inspect.Parameter.empty


def _result(hint: Any) -> Any:
    """What comes of awaiting it, if the hint says that it is awaited."""
    if typing.get_origin(hint) in (Awaitable, Coroutine):
        return typing.get_args(hint)[-1]
    return hint
