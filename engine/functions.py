"""Processes from plain functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

from engine.errors import InvalidDefinition
from engine.process import Process

P = ParamSpec("P")
R = TypeVar("R")


class ProcessFunction(Generic[P, R]):
    """A function that can also be submitted: `run(add, x=1, y=2)`, `submit(add, x=1, y=2)`.

    Its parameters are the inputs (annotations that are plain classes are checked). What it returns
    is the output `result`; a mapping whose keys are names gives one output for each. Calling it calls the
    function.

    Attributes:
        process_class: The process class that runs it.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.process_class = _class_of(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def spec(self) -> Any:
        """The spec of its process class."""
        return self.process_class.spec()


def process(function: Callable[P, R]) -> ProcessFunction[P, R]:
    """Make a function (`def` or `async def`) a process.

    Raises:
        InvalidDefinition: it takes `*args` or positional-only parameters.
    """
    return ProcessFunction(function)


def _class_of(function: Callable[..., Any]) -> type[Process]:
    signature = inspect.signature(function)
    name = function.__name__
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise InvalidDefinition(
                f"@process {name}: parameter {parameter} cannot be an input (inputs have names)"
            )

    def define(cls: type[Process], spec: Any) -> None:
        _define_ports(function, signature, spec)

    def arguments(self: Process) -> dict[str, Any]:
        return {key: _thawed(value) for key, value in self.inputs.items()}

    def run_blocking(self: Process) -> Any:
        return _as_outputs(function(**arguments(self)))

    async def run_async(self: Process) -> Any:
        return _as_outputs(await function(**arguments(self)))

    return type(
        name,
        (Process,),
        {
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__doc__": function.__doc__,
            "define": classmethod(define),
            "run": run_async if inspect.iscoroutinefunction(function) else run_blocking,
        },
    )


def _define_ports(function: Callable[..., Any], signature: inspect.Signature, spec: Any) -> None:
    try:
        hints = get_type_hints(function)
    except NameError:
        hints = {}
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            spec.inputs.dynamic = True
            continue
        options: dict[str, Any] = {}
        hint = hints.get(parameter.name)
        if isinstance(hint, type) and hint is not object:
            options["valid_type"] = (int, float) if hint is float else hint
        if parameter.default is not parameter.empty:
            default = parameter.default
            options["default"] = lambda value=default: value
            if default is None and "valid_type" in options:
                del options["valid_type"]
        spec.input(parameter.name, **options)
    spec.outputs.dynamic = True
    promised = hints.get("return")
    if (
        isinstance(promised, type)
        and promised not in (object, type(None))
        and not issubclass(promised, Mapping)
    ):
        spec.output("result", valid_type=(int, float) if promised is float else promised)


def _as_outputs(answer: Any) -> Mapping[str, Any]:
    """A mapping gives one output for each key, if its keys can be names of outputs."""
    if isinstance(answer, Mapping) and all(isinstance(key, str) and key.isidentifier() for key in answer):
        return answer
    return {"result": answer}


def _thawed(value: Any) -> Any:
    return (
        {k: _thawed(v) for k, v in value.items()} if type(value).__name__ == "AttributesFrozendict" else value
    )
