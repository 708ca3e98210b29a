"""Inputs and outputs that a work chain has taken over from the processes that it submits."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from quince.errors import InvalidDefinition
from quince.processes.definition import class_of
from quince.processes.execution import Execution


def exposed_inputs(execution: Execution, source: Any, namespace: str | None) -> dict[str, Any]:
    """What was given for the inputs that `spec.expose_inputs(source, namespace)` has taken over.

    What stands nearer to the namespace wins over what stands outside of it.

    Raises:
        InvalidDefinition: nothing was exposed so.
    """
    found: dict[str, Any] = {}
    for space, names in _exposed(execution, source, namespace, "inputs"):
        given: Any = execution.inputs
        for part in space.split(".") if space else ():
            given = dict.get(given, part, {})
        found.update({name: given[name] for name in names if name in given})
    return found


def exposed_outputs(execution: Execution, child: Any, source: Any, namespace: str | None) -> dict[str, Any]:
    """The outputs of a child, under the names that `spec.expose_outputs(source, namespace)` gives it.

    Raises:
        InvalidDefinition: nothing was exposed so.
    """
    exposed = list(_exposed(execution, source, namespace, "outputs"))
    if not hasattr(child, "outputs"):
        raise TypeError(
            f"exposed_outputs() takes a child that has ended (self.ctx.child) and its class, not "
            f"{reprlib.repr(child)} ({type(child).__name__})"
        )
    outputs, found = child.outputs, dict[str, Any]()
    for space, names in exposed:
        for name in names:
            if name in outputs:
                found[name] = (f"{space}.{name}" if space else name, outputs[name])
    return dict(found.values())


def _exposed(
    execution: Execution, given: Any, namespace: str | None, word: str
) -> Iterator[tuple[str | None, list[str]]]:
    """From the outermost namespace to the one that is meant, what was exposed there."""
    source = class_of(given)
    spec = execution.definition.spec
    memory = spec._exposed_inputs if word == "inputs" else spec._exposed_outputs
    if not isinstance(namespace, (str, type(None))):
        raise TypeError(f"exposed_{word}(): a namespace is a name, not {reprlib.repr(namespace)}")
    spaces: list[str | None] = [None]
    parts = namespace.split(".") if namespace else []
    spaces += [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    exposed = {space: _of(memory.get(space, {}), source) for space in spaces}
    if all(names is None for names in exposed.values()):
        name = source.__name__
        where = f" in {namespace!r}" if namespace else ""
        raise InvalidDefinition(
            f"the {word} of {name} are not exposed{where}: define() says spec.expose_{word}({name}"
            + (f", namespace={namespace!r})" if namespace else ")")
        )
    for space, names in exposed.items():
        if names is not None:
            yield space, names


def _of(exposed: Mapping[Any, list[str]], source: type) -> list[str] | None:
    """A class and the `@process` function that it comes from are the same source."""
    return next((names for one, names in exposed.items() if class_of(one) is source), None)
