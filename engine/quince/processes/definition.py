"""From a class that a user wrote to its spec, or to one sentence that says what is wrong with it."""

from __future__ import annotations

import inspect
import re
import reprlib
import traceback
from typing import Any

from quince.errors import InvalidDefinition
from quince.processes.child import ProcessReference
from quince.text import close_to, words_of

_FORGOT_SELF = re.compile(r"^(?:[\w<>]+\.)*(\w+)\(\) missing \d+ required positional arguments?: 'self'")


def declared(cls: Any) -> Any:
    """What a class declares in `define`, its own and its parents'; not sealed yet.

    Raises:
        InvalidDefinition: names the class, the line and the way out.
    """
    name = cls.__qualname__
    _check_signature(cls)
    spec = cls._spec_class()
    try:
        cls.define(spec)
    except (TypeError, ValueError, AttributeError, AssertionError, NameError) as error:
        raise InvalidDefinition(f"{name}: {_told(cls, error)}{_line(cls, error)}") from error
    if not spec.based:
        raise InvalidDefinition(
            f"{name}: its define() does not call super().define(spec); without it what its parents declare "
            "is missing"
        )
    return spec


def class_of(thing: Any) -> Any:
    """The process class that is meant: the thing itself, or that of a `@process` function.

    Raises:
        InvalidDefinition: it is neither; says what to write instead.
    """
    cls = getattr(thing, "process_class", thing)
    if isinstance(cls, type) and hasattr(cls, "_spec_class") and hasattr(cls, "_check_definition"):
        return cls
    words = reprlib.repr(thing)
    if isinstance(thing, type):
        instead = "it is no subclass of Process or WorkChain"
    elif inspect.isfunction(thing):
        words, instead = thing.__qualname__, "it is a plain function; write @process above it"
    elif isinstance(thing, ProcessReference):
        instead = f"it is process {thing.pid}, which is submitted already; give its class"
    elif isinstance(thing, str):
        instead = "it is a text; import the class and give it itself"
    else:
        instead = "give the class (or the @process function) itself, and its inputs by name: run(Square, x=3)"
    raise InvalidDefinition(f"{words} is no process class: {instead}")


def _check_signature(cls: Any) -> None:
    name = cls.__qualname__
    plain = inspect.getattr_static(cls, "define")
    if not isinstance(plain, classmethod):
        raise InvalidDefinition(f"{name}: define() is no class method; write @classmethod above it")
    if inspect.iscoroutinefunction(plain.__func__) or inspect.isgeneratorfunction(plain.__func__):
        raise InvalidDefinition(f"{name}: define() must be a plain `def`")
    try:
        inspect.signature(cls.define).bind(None)
    except TypeError:
        raise InvalidDefinition(
            f"{name}: define{inspect.signature(plain.__func__)} must be define(cls, spec)"
        ) from None


def _told(cls: Any, error: Exception) -> str:
    """What went wrong in `define`, and what to write instead, if that is known."""
    words = words_of(error)
    if isinstance(error, InvalidDefinition):
        return words
    if isinstance(error, AttributeError) and error.obj is cls and error.name:
        methods = [one for one in dir(cls) if not one.startswith("_")]
        return f"the class has no {error.name!r}{close_to(error.name, methods)}"
    if isinstance(error, AttributeError) and isinstance(error.obj, cls._spec_class) and error.name:
        if error.name == "outline":
            return "a Process has `run` and no outline; make it a WorkChain"
        return f"spec has no {error.name!r}{close_to(error.name, dir(error.obj))}"
    if isinstance(error, AttributeError) and isinstance(error.obj, property):
        return f"in define() the exit codes are those of the spec: write spec.exit_codes.{error.name}"
    forgot = _FORGOT_SELF.match(words) if isinstance(error, TypeError) else None
    if forgot:
        return f"write cls.{forgot[1]}, without brackets: the outline calls it when its turn comes"
    return f"define() failed with {type(error).__name__}: {words}"


def _line(cls: Any, error: Exception) -> str:
    """Where in `define` it happened."""
    code = cls.define.__func__.__code__
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == code.co_filename and frame.name == code.co_name
    ]
    return f" (line {lines[0]} of {code.co_filename})" if lines else ""
