"""Values as the ports of a class take them: inputs with defaults, outputs, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plumpy

from quince.errors import InvalidInput, InvalidOutput
from quince.processes.fitting import fitted_values
from quince.processes.namespace import Namespace
from quince.processes.ports import listed
from quince.text import close_to, name_problem


def parse_inputs(spec: plumpy.ProcessSpec, class_name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in defaults and check.

    Returns:
        Plain nested dictionaries of every input, ready for the codec.

    Raises:
        InvalidInput: names the port, what is wrong, and what the class takes.
    """
    known = spec.inputs
    if not isinstance(values, Mapping):
        raise InvalidInput(f"{class_name}: inputs are a mapping of names, not {type(values).__name__}")
    for name in values:
        wrong = name_problem(name)
        if wrong:
            raise InvalidInput(f"{class_name}: the name of an input {wrong}")
        if name not in known and not known.dynamic:
            hint = close_to(name, known)
            raise InvalidInput(
                f"{class_name} has no input {name!r}; it takes {listed(known)}{hint}", f"inputs.{name}"
            )
    try:
        filled = fitted_values(known, known.filled(values))
    except InvalidInput as error:
        raise InvalidInput(f"{class_name}: {error}", error.port) from error
    problem = known.validate(filled)
    if problem is not None:
        raise InvalidInput(
            f"{class_name}: {_port_name('input', problem.port)}: {problem.message}", problem.port
        )
    return filled


def check_output(spec: plumpy.ProcessSpec, class_name: str, path: str, value: Any) -> tuple[str, ...]:
    """Where an output belongs, as a path of keys.

    Raises:
        InvalidOutput: the spec has no such output, or not of this type.
    """
    wrong = name_problem(path)
    if wrong:
        raise InvalidOutput(f"{class_name}: the name of an output {wrong}")
    parts = tuple(path.split(spec.namespace_separator))
    if not all(parts):
        raise InvalidOutput(f"{class_name}: output {path!r}: there is no name between its dots", path)
    namespace, last = spec.outputs, parts[-1]
    for depth, name in enumerate(parts[:-1]):
        if name not in namespace and namespace.dynamic:
            last = name
            break
        outer = ".".join(parts[: depth + 1])
        if name not in namespace:
            raise InvalidOutput(f"{class_name} has no output namespace {outer!r}", path)
        namespace = namespace[name]
        if not isinstance(namespace, plumpy.PortNamespace):
            raise InvalidOutput(f"{class_name}: output {outer!r} is not a namespace", path)
    if last in namespace:
        problem = namespace[last].validate(value)
    elif namespace.dynamic:
        problem = namespace.validate_dynamic_ports({last: value})
    else:
        hint = close_to(last, namespace) or "; define() declares outputs: spec.output(...)"
        raise InvalidOutput(
            f"{class_name} has no output {path!r}; its outputs are {listed(namespace)}{hint}", path
        )
    if problem is not None:
        raise InvalidOutput(f"{class_name}: output {path!r}: {problem.message}", path)
    return parts


def put_out(outputs: dict[str, Any], declared: Any, path: Sequence[str], value: Any) -> None:
    """Put a value at its place, as its port says it; of a mapping for a declared namespace each at its own.

    Args:
        outputs: All outputs so far; what is a `Namespace` in them is no value.
        declared: The output ports.
        path: Names from the outermost namespace to the output.

    Raises:
        InvalidOutput: it would lie inside a value, or in the place of a namespace.
    """
    *around, last = path
    place, ports = outputs, declared
    for depth, name in enumerate(around):
        inner = dict.setdefault(place, name, Namespace())
        if type(inner) is not Namespace:
            outer = ".".join(path[: depth + 1])
            raise InvalidOutput(
                f"output {'.'.join(path)!r} would lie inside {outer!r}, which is a value",
                ".".join(path),
            )
        place, ports = inner, ports.get(name, {})
    if isinstance(ports.get(last), plumpy.PortNamespace) and isinstance(value, Mapping):
        dict.setdefault(place, last, Namespace())
        for name in value:
            put_out(outputs, declared, (*path, name), value[name])
    elif type(dict.get(place, last)) is Namespace:
        raise InvalidOutput(
            f"output {'.'.join(path)!r} would drop the outputs inside it ({', '.join(place[last])})",
            ".".join(path),
        )
    else:
        dict.__setitem__(place, last, fitted_values(ports, {last: value})[last])


def missing_outputs(spec: plumpy.ProcessSpec, outputs: Mapping[str, Any]) -> str | None:
    """One sentence about what the outputs lack, or None if they are complete."""
    problem = spec.outputs.validate(outputs)
    return None if problem is None else f"{_port_name('output', problem.port)}: {problem.message}"


def _port_name(word: str, breadcrumbs: str) -> str:
    """`input 'a.b'`, from plumpy's breadcrumbs; `inputs` for all of them."""
    name = breadcrumbs.partition(".")[2]
    return f"{word} {name!r}" if name else f"its {word}s"
