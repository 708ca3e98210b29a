"""Inputs from the command line: `name=value` words and `@file.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quince.cli.errors import WrongUsage
from quince.cli.input_values import Word, WrongValue, read_value
from quince.errors import InvalidInput
from quince.processes.hints import shown

OPTIONS = frozenset({"key", "queue", "priority", "workspace"})
"""Options of launching, which are easily taken for inputs."""


def parse_inputs(words: Sequence[str], ports: Any = None) -> dict[str, Any]:
    """The mapping of inputs that the words mean; a later word wins over an earlier one.

    `name=value`: what the port of that name takes is made of the text; else the value is JSON if it parses,
    else a plain string. `a.b=value` goes into the namespace `a`. `@file.json` reads a whole mapping.

    Args:
        ports: The input ports, if they are known.

    Raises:
        WrongUsage: a word is neither, or a file holds no mapping.
        InvalidInput: a value is nothing that its port takes; says what to write.
    """
    inputs: dict[str, Any] = {}
    for word in words:
        if word.startswith("@"):
            inputs.update(_by_ports(_read(Path(word[1:])), ports))
        else:
            name, equals, text = word.partition("=")
            if not equals or not all(part.isidentifier() for part in name.split(".")):
                raise WrongUsage(f"{word!r} is no input: write name=value, or @file.json for a whole mapping")
            path = name.split(".")
            _place(inputs, path, _of_port(Word(text), ports, path))
    if ports is not None:
        for name in OPTIONS.intersection(inputs).difference(ports):
            raise WrongUsage(f"there is no input {name!r}; the option is --{name}")
    return inputs


def _of_port(given: Any, ports: Any, path: Sequence[str], around: Sequence[str] = ()) -> Any:
    """The value for the port of that path, from the ports that stand in the namespace `around`."""
    hint, name = None, ".".join((*around, *path))
    for part in path:
        hint = getattr(ports, "valid_type", None)  # of what a dynamic namespace takes
        ports = ports.get(part) if isinstance(ports, Mapping) else None
    if isinstance(ports, Mapping):
        value = given.value if isinstance(given, Word) else given
        if not isinstance(value, dict):
            inner = next(iter(ports), "name")
            words = f"input {name!r} has several values: write {name}.{inner}=..., or a JSON object"
            raise InvalidInput(words, name)
        return _by_ports(value, ports, name.split("."))
    if getattr(ports, "nullable", False) and given in (Word("null"), Word("None"), None):
        return None
    hint = hint if ports is None else ports.valid_type
    try:
        return read_value(given, hint)
    except WrongValue as error:
        said = repr(given.text) if isinstance(given, Word) else json.dumps(given)
        raise InvalidInput(
            f"input {name!r}: it is {said}, and must be {shown(hint)}; {error}", name
        ) from error


def _by_ports(values: Mapping[str, Any], ports: Any, around: Sequence[str] = ()) -> dict[str, Any]:
    return {name: _of_port(value, ports, [name], around) for name, value in values.items()}


def _place(inputs: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *namespaces, last = path
    for namespace in namespaces:
        inner = inputs.setdefault(namespace, {})
        if not isinstance(inner, dict):
            raise WrongUsage(f"{'.'.join(path)!r} goes into {namespace!r}, which is given as a plain value")
        inputs = inner
    inputs[last] = value


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUsage(f"cannot read the inputs in {str(file)!r}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise WrongUsage(f"{str(file)!r} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise WrongUsage(f"{str(file)!r} holds no mapping of inputs but a {type(values).__name__}")
    return values
