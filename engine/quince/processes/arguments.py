"""The inputs of a call of `submit` or `run`: given by name, or in one mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quince.errors import InvalidInput
from quince.processes.definition import class_of, definition_of


def gathered(
    process_class: Any, inputs: Any, named: Mapping[str, Any], **arguments: Any
) -> Mapping[str, Any]:
    """All inputs of one call.

    Args:
        inputs: The mapping that was given as `inputs`, or None.
        named: Those given by name.
        arguments: What else the call was given, by name; None is not given.

    Raises:
        InvalidDefinition: it is no process class.
        InvalidInput: one is given twice; `inputs` is no mapping; or the process has an input of the name of
            an argument, so that nobody knows which of the two is meant.
    """
    cls = class_of(process_class)
    ports, name = definition_of(cls).spec.inputs, cls.__name__
    if inputs is None:
        for argument, value in arguments.items():
            if value is not None and argument in ports:
                raise InvalidInput(
                    f"{name} has an input called {argument!r}, and so has submit() an argument: write "
                    f"inputs={{{argument!r}: ..., ...}} with all inputs, and {argument}= for the argument",
                    argument,
                )
        return named
    if not isinstance(inputs, Mapping):
        own = "; an input of that name is given as inputs={'inputs': ...}" if "inputs" in ports else ""
        raise InvalidInput(f"inputs must be a mapping of {name}'s inputs, not {type(inputs).__name__}{own}")
    if twice := sorted(set(inputs) & set(named), key=str):
        raise InvalidInput(f"{name}: the input {twice[0]!r} is given twice, by name and in inputs", twice[0])
    return {**inputs, **named}


def refuse_unnamed(verb: str, process_class: Any, unnamed: Sequence[Any]) -> None:
    """Inputs have names.

    Raises:
        InvalidDefinition: it is no process class.
        InvalidInput: one is given without.
    """
    if unnamed:
        cls = class_of(process_class)
        first = next(iter(definition_of(cls).spec.inputs), "x")
        raise InvalidInput(
            f"{cls.__name__}: inputs are given by name: {verb}({cls.__name__}, {first}=...), or "
            f"{verb}({cls.__name__}, inputs={{{first!r}: ...}})"
        )


def each_given(
    inputs: Iterable[Mapping[str, Any]], keys: Sequence[str | None] | None
) -> list[Mapping[str, Any]]:
    """The inputs of many processes.

    Raises:
        InvalidInput: it is no list of mappings, or the keys are not as many.
    """
    if isinstance(inputs, (Mapping, str, bytes)) or not isinstance(inputs, Iterable):
        raise InvalidInput(
            "submit_many() takes a list of mappings, one for each process: [{'x': 1}, {'x': 2}]"
        )
    given = list(inputs)
    if keys is not None and (isinstance(keys, str) or len(keys) != len(given)):
        raise InvalidInput(f"submit_many() takes one key for each of the {len(given)} processes, in a list")
    return given
