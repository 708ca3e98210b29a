"""Where outputs are put: values at their places, so that none lies inside another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plumpy

from quince.errors import InvalidOutput
from quince.processes.fitting import fitted_values
from quince.processes.namespace import Namespace


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
