"""Inputs and outputs that a work chain has taken over from the processes that it submits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from quince.errors import InvalidDefinition


def exposed_inputs(
    spec: Any, inputs: Mapping[str, Any], source: Any, namespace: str | None
) -> dict[str, Any]:
    """What was given for the inputs that `spec.expose_inputs(source, namespace)` has taken over.

    What stands nearer to the namespace wins over what stands outside of it.

    Raises:
        InvalidDefinition: nothing was exposed so.
    """
    found: dict[str, Any] = {}
    for space, names in _exposed(spec._exposed_inputs, source, namespace, "inputs"):
        given: Any = inputs
        for part in space.split(".") if space else ():
            given = given.get(part, {})
        found.update({name: given[name] for name in names if name in given})
    return found


def exposed_outputs(
    spec: Any, outputs: Mapping[str, Any], source: Any, namespace: str | None
) -> dict[str, Any]:
    """What a process has put out, under the names that `spec.expose_outputs(source, namespace)` gives it.

    Raises:
        InvalidDefinition: nothing was exposed so.
    """
    found: dict[str, Any] = {}
    for space, names in _exposed(spec._exposed_outputs, source, namespace, "outputs"):
        for name in names:
            if name in outputs:
                found[name] = (f"{space}.{name}" if space else name, outputs[name])
    return dict(found.values())


def _exposed(
    memory: Mapping[Any, Any], source: Any, namespace: str | None, word: str
) -> Iterator[tuple[str | None, list[str]]]:
    """From the outermost namespace to the one that is meant, what was exposed there."""
    spaces: list[str | None] = [None]
    parts = namespace.split(".") if namespace else []
    spaces += [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    exposed = {space: _of(memory.get(space, {}), source) for space in spaces}
    if all(names is None for names in exposed.values()):
        name = getattr(source, "__name__", source)
        where = f" in {namespace!r}" if namespace else ""
        raise InvalidDefinition(
            f"the {word} of {name} are not exposed{where}: define() says spec.expose_{word}({name}"
            + (f", namespace={namespace!r})" if namespace else ")")
        )
    for space, names in exposed.items():
        if names is not None:
            yield space, names


def _of(exposed: Mapping[Any, list[str]], source: Any) -> list[str] | None:
    """A class and the `@process` function that it comes from are the same source."""
    wanted = getattr(source, "process_class", source)
    for one, names in exposed.items():
        if getattr(one, "process_class", one) is wanted:
            return names
    return None
