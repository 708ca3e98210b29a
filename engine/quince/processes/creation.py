"""A process that is about to be inserted: its inputs gathered and checked, its row made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from msgspec import structs

from quince.errors import InvalidInput
from quince.processes.caching import Origin, Revision, cache_key, is_wanted
from quince.processes.child import collect_references
from quince.processes.definition import class_of, definition_of
from quince.processes.fitting import fitted
from quince.processes.limits import limits_of
from quince.processes.options import NO_WISHES, Wishes, deadline_of, options_of
from quince.processes.port_values import parse_inputs
from quince_persistence.codec import check, encode_each
from quince_persistence.records import NewProcess, ProcessRow


def new_process(
    process_class: Any,
    inputs: Mapping[str, Any],
    *,
    pid: int,
    class_path: str,
    parent: ProcessRow | None = None,
    wishes: Wishes = NO_WISHES,
    revision: Revision | None = None,
    origin: Origin = lambda pid: pid,
    span: str | None = None,
) -> NewProcess:
    """Check the inputs and make the row that is inserted.

    Args:
        parent: The row of the parent (for pid, root, queue, priority and labels), or None.
        revision, origin: As of `cache_key`; nothing is cached without.
        span: Under which it is submitted, as a `traceparent`.

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
    if wishes is not NO_WISHES:
        wishes.check(cls.__name__)
    within, until = deadline_of(cls, wishes)
    limits, below = limits_of(cls, wishes, values, parent)
    queue, priority = wishes.queue, None if wishes.priority is None else fitted(wishes.priority, int)
    with collect_references() as refers:
        blob = encode_each(values, "inputs")
    options = options_of(cls, wishes, parent)
    if limits or below:
        options = structs.replace(options, limits=limits, below=below)
    if revision is not None and is_wanted(cls, wishes):
        key = cache_key(class_path, definition.version, blob, revision=revision, origin=origin)
        options = structs.replace(options, cache_key=key)
    if span is not None:
        options = structs.replace(options, trace=span)
    return NewProcess(
        pid=pid,
        class_path=class_path,
        class_version=definition.version,
        inputs=blob,
        parent=parent.pid if parent is not None else None,
        root=parent.root if parent is not None else pid,
        queue=queue or (parent.queue if parent is not None else "default"),
        priority=priority if priority is not None else (parent.priority if parent is not None else 0),
        key=wishes.key,
        within=within,
        until=until,
        step=definition.first_step,
        refers=tuple(dict.fromkeys(refers)),
        inherits=() if parent is None else _inherited(wishes),
        options=options,
    )


def _inherited(wishes: Wishes) -> tuple[str, ...]:
    """What a child has from its parent, since nothing was said."""
    return ("queue",) * (not wishes.queue) + ("priority",) * (wishes.priority is None)


def gathered(
    process_class: Any, inputs: Any, named: Mapping[str, Any], wishes: Wishes, **arguments: Any
) -> Mapping[str, Any]:
    """All inputs of one call.

    Args:
        inputs: The mapping that was given as `inputs`, or None.
        named: Those given by name.
        wishes: What the call asks for by arguments.
        arguments: What else the call was given, by name; None is not given.

    Raises:
        InvalidDefinition: it is no process class.
        InvalidInput: one is given twice; `inputs` is no mapping; or the process has an input of the name of
            an argument, so that nobody knows which of the two is meant.
    """
    cls = class_of(process_class)
    ports, name = definition_of(cls).spec.inputs, cls.__name__
    if inputs is None:
        given = {field.name: getattr(wishes, field.name) for field in fields(wishes)}
        for argument, value in (given | arguments).items():
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
    call: str, inputs: Iterable[Mapping[str, Any]], keys: Sequence[str | None] | None
) -> list[Mapping[str, Any]]:
    """The inputs of many processes.

    Args:
        call: What was given them.

    Raises:
        InvalidInput: it is no list of mappings, or the keys are not as many.
    """
    if isinstance(inputs, (Mapping, str, bytes)) or not isinstance(inputs, Iterable):
        raise InvalidInput(f"{call} takes a list of mappings, one for each process: [{{'x': 1}}, {{'x': 2}}]")
    given = list(inputs)
    if keys is not None and (isinstance(keys, str) or len(keys) != len(given)):
        raise InvalidInput(f"{call} takes one key for each of the {len(given)} processes, in a list")
    return given
