"""Inputs from the command line: `name=value` words and `@file.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.cli.trouble import WrongUsage

OPTIONS = frozenset({"key", "queue", "priority", "workspace"})
"""Names that no input can have, since launching takes them for itself."""


def parse_inputs(words: Sequence[str], ports: Any = None) -> dict[str, Any]:
    """The mapping of inputs that the words mean; a later word wins over an earlier one.

    `name=value`: the value is JSON if it parses, else a plain string. `a.b=value` goes into the
    namespace `a`. `@file.json` reads a whole mapping.

    Args:
        ports: The input ports, if they are known: where one takes strings and not what the JSON says,
            the text itself is meant (`label=007`).

    Raises:
        WrongUsage: a word is neither, or a file holds no mapping.
    """
    inputs: dict[str, Any] = {}
    for word in words:
        if word.startswith("@"):
            inputs.update(_read(Path(word[1:])))
        else:
            name, equals, text = word.partition("=")
            if not equals or not all(part.isidentifier() for part in name.split(".")):
                raise WrongUsage(f"{word!r} is no input: write name=value, or @file.json for a whole mapping")
            path = name.split(".")
            _place(inputs, path, _meant(text, _valid_type(ports, path)))
    for name in OPTIONS.intersection(inputs):
        raise WrongUsage(f"no input can be called {name!r}; the option is --{name}")
    return inputs


def parse_value(text: str) -> Any:
    """JSON if it parses, else the text itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _meant(text: str, valid_type: Any) -> Any:
    value = parse_value(text)
    kinds = valid_type if isinstance(valid_type, tuple) else (valid_type,)
    return text if str in kinds and not isinstance(value, kinds) else value


def _valid_type(ports: Any, path: Sequence[str]) -> Any:
    """What the port of that path takes; None if there is none, or it takes anything."""
    for part in path:
        ports = ports.get(part) if isinstance(ports, Mapping) else None
    return getattr(ports, "valid_type", None)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


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
