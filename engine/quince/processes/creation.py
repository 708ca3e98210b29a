"""A process that is about to be inserted: its inputs gathered and checked, its row made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quince.errors import InvalidInput
from quince.processes.definition import class_of, definition_of
from quince.processes.fitting import fitted
from quince.processes.port_values import parse_inputs
from quince.text import name_problem
from quince_messaging.limits import check_priority, check_queue
from quince_persistence.codec import check, encode_each
from quince_persistence.records import NewProcess, ProcessRow

LONGEST_KEY = 500
"""Characters; an index of PostgreSQL holds no more than 2,700 bytes."""


def new_process(
    process_class: Any,
    inputs: Mapping[str, Any],
    *,
    pid: int,
    class_path: str,
    parent: ProcessRow | None = None,
    queue: str | None = None,
    priority: int | None = None,
    key: str | None = None,
) -> NewProcess:
    """Check the inputs and make the row that is inserted.

    Args:
        parent: The row of the parent (for pid, root, queue and priority), or None.

    Raises:
        InvalidInput, Unsaveable: as `Process.submit`.
        InvalidDefinition: it is no process class, or one that cannot work.
    """
    cls = class_of(process_class)
    definition = definition_of(cls)
    definition.require_makeable()
    values = parse_inputs(definition.spec, cls.__name__, inputs)
    for name, value in values.items():
        check(value, f"inputs.{name}")
    wrong = None if key is None else name_problem(key, LONGEST_KEY)
    if wrong:
        raise InvalidInput(f"{cls.__name__}: its key {wrong}")
    priority = fitted(priority, int)
    try:
        if priority is not None:
            check_priority(priority)
        if queue is not None:
            check_queue(queue)
            if not queue:
                raise ValueError("the name of a queue is empty")
    except ValueError as error:
        raise InvalidInput(f"{cls.__name__}: {error}") from None
    return NewProcess(
        pid=pid,
        class_path=class_path,
        class_version=definition.version,
        inputs=encode_each(values, "inputs"),
        parent=parent.pid if parent is not None else None,
        root=parent.root if parent is not None else pid,
        queue=queue or (parent.queue if parent is not None else "default"),
        priority=priority if priority is not None else (parent.priority if parent is not None else 0),
        key=key,
    )


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
