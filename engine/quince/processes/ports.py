"""What a port takes: plumpy's ports, with checks that name the port and fail in no other way."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plumpy
from plumpy.ports import UNSPECIFIED, PortValidationError

from quince.errors import InvalidDefinition, InvalidInput
from quince.processes.child import ProcessReference
from quince.processes.hints import is_hint, mismatch
from quince.text import close_to, words_of

Validator = Callable[[Any], str | None] | Callable[[Any, Any], str | None]
"""Of a value, or of a value and its port: None if the value is good, else one sentence of what is wrong."""

MISSING: Any = object()
_OPTIONS = ("default", "help", "required", "valid_type", "validator")
_NAMESPACE_OPTIONS = (*_OPTIONS, "dynamic", "populate_defaults")


class _Checked:
    """Checks of a single value; mixed into plumpy's ports."""

    name: str
    valid_type: Any
    validator: Callable[..., Any] | None
    nullable = False

    def validate(self, value: Any, breadcrumbs: Sequence[str] = ()) -> PortValidationError | None:
        """What is wrong with a value, or None."""
        problem = self._problem(value)
        return None if problem is None else PortValidationError(problem, ".".join((*breadcrumbs, self.name)))

    def _problem(self, value: Any) -> str | None:
        if value is None and self.nullable:
            return None
        wrong = None if self.valid_type is None else mismatch(value, self.valid_type)
        if wrong and isinstance(value, ProcessReference):
            return f"{wrong}; wait for process {value.pid} and give one of its outputs (child.outputs[...])"
        return str(wrong) if wrong else verdict(self.validator, value, self)


class InputPort(_Checked, plumpy.InputPort):  # type: ignore[misc]  # plumpy is not followed
    """An input. One whose default is None takes None, whatever else it says."""

    def __init__(self, name: str, **options: Any) -> None:
        check_options(options, _OPTIONS)
        default = options.get("default", UNSPECIFIED)
        self.nullable = default is None
        if "default" in options and default is UNSPECIFIED:  # an empty tuple is one object with plumpy's mark
            options["default"] = tuple
        super().__init__(name, **options)


class OutputPort(_Checked, plumpy.OutputPort):  # type: ignore[misc]  # as above
    """An output."""

    def __init__(self, name: str, **options: Any) -> None:
        check_options(options, tuple(one for one in _OPTIONS if one != "default"))
        super().__init__(name, **options)


class PortNamespace(plumpy.PortNamespace):  # type: ignore[misc]  # as above
    """Ports under one name."""

    def __init__(self, name: str = "", **options: Any) -> None:
        check_options(options, _NAMESPACE_OPTIONS)
        super().__init__(name, **options)

    def filled(self, values: Mapping[Any, Any], path: tuple[str, ...] = ()) -> dict[Any, Any]:
        """The values with defaults where there are none, as nested dictionaries.

        Raises:
            InvalidInput: a default cannot be made.
        """
        full = dict(values)
        for name, port in self.items():
            inner = isinstance(port, PortNamespace)
            if name not in full:
                if port.has_default() and not (inner and not port.populate_defaults):
                    full[name] = _default(port, (*path, name))
                elif inner and port.ports and port.populate_defaults:
                    full[name] = {}
                else:
                    continue
            if inner and isinstance(full[name], Mapping):
                full[name] = port.filled(full[name], (*path, name))
        return full

    def validate(
        self, port_values: Any = None, breadcrumbs: Sequence[str] = ()
    ) -> PortValidationError | None:
        """The first problem of what is given for these ports, or None."""
        here = (*breadcrumbs, self.name)
        values = {} if port_values is None else port_values
        if not isinstance(values, Mapping):
            words = f"it is {type(values).__name__}, and must be a mapping of {listed(self, 'values')}"
            return PortValidationError(words, ".".join(here))
        if not values and not self.required:
            return None
        rest = dict(values)
        for name, port in self.items():
            value = rest.pop(name, MISSING)
            if value is MISSING and not isinstance(port, PortNamespace):
                if port.required:
                    return PortValidationError("required value was not provided", ".".join((*here, name)))
                continue
            problem: PortValidationError | None = port.validate(None if value is MISSING else value, here)
            if problem is not None:
                return problem
        found = self.validate_dynamic_ports(rest, breadcrumbs)
        if found is not None:
            return found
        words_or_none = verdict(self.validator, dict(values), self)
        return None if words_or_none is None else PortValidationError(words_or_none, ".".join(here))

    def validate_dynamic_ports(
        self, port_values: Mapping[Any, Any], breadcrumbs: Sequence[str] = ()
    ) -> PortValidationError | None:
        """The first problem of values that no port is declared for, or None."""
        here = (*breadcrumbs, self.name)
        if port_values and not self.dynamic:
            name = next(iter(port_values))
            there = listed(self)
            hint = close_to(name, self)
            return PortValidationError(
                f"there is no such port; there are: {there}{hint}", _dotted(here, name)
            )
        for name in port_values:
            value = port_values[name]
            wrong = None if self.valid_type is None else mismatch(value, self.valid_type)
            if wrong and isinstance(value, Mapping):  # a namespace that nobody declared
                inner = self.validate_dynamic_ports(value, (*here, str(name)))
                if inner is not None:
                    return inner
            elif wrong:
                return PortValidationError(str(wrong), _dotted(here, name))
        return None


def verdict(validator: Callable[..., Any] | None, value: Any, port: Any) -> str | None:
    """What a validator of the user's says against a value, or None; it may fail in any way."""
    if validator is None:
        return None
    try:
        answer = validator(value, port) if _takes_port(validator) else validator(value)
    except Exception as error:
        words = words_of(error)
        return f"its validator raised {type(error).__name__}" + (f": {words}" if words else "")
    if answer is None:
        return None
    if isinstance(answer, str):
        return answer.strip() or "its validator refuses it, and does not say why"
    if inspect.iscoroutine(answer):
        answer.close()
    return (
        f"its validator returned {reprlib.repr(answer)} ({type(answer).__name__}); a validator returns None "
        "if the value is good, else a sentence that says what is wrong"
    )


def check_options(options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse options of a port that make no sense.

    Raises:
        InvalidDefinition: says which, and what there is.
    """
    for option in options:
        if option not in known:
            raise InvalidDefinition(
                f"there is no option {option!r}; there are: {', '.join(known)}{close_to(option, known)}"
            )
    kind = options.get("valid_type")
    if not is_hint(kind):
        raise InvalidDefinition(
            f"valid_type={kind!r} is no type; write a class or a hint (int, list[float], int | None), "
            "or a tuple of classes"
        )
    validator = options.get("validator")
    if validator is not None and not callable(validator):
        raise InvalidDefinition(f"validator={validator!r} is no function")
    if inspect.iscoroutinefunction(validator):
        raise InvalidDefinition("its validator is a coroutine function; make it `def`")


def _takes_port(validator: Callable[..., Any]) -> bool:
    """It has a second parameter, for the port. One with a default (`lambda n, least=3: ...`) has a value."""
    try:
        parameters = inspect.signature(validator).parameters.values()
    except (TypeError, ValueError):  # a builtin that does not tell
        return False
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ours = [one for one in parameters if one.default in (one.empty, None)]
    return sum(one.kind in places for one in ours) > 1 or any(one.kind is one.VAR_POSITIONAL for one in ours)


def _default(port: Any, path: tuple[str, ...]) -> Any:
    if not callable(port.default):
        return port.default
    try:
        return port.default()
    except Exception as error:
        name = ".".join(path)
        words = f"its default cannot be made: {type(error).__name__}: {words_of(error)}"
        raise InvalidInput(f"input {name!r}: {words}", name) from error


def listed(ports: Mapping[str, Any], otherwise: str = "none") -> str:
    """The names of ports, for people."""
    return ", ".join(sorted(ports)) or otherwise


def _dotted(path: Sequence[str], name: Any) -> str:
    return ".".join((*path, str(name)))
