"""From a process class to what it declares."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from quince.monitor.code import Branch, Code, Part, PortFacts
from quince.processes.definition import definition_of
from quince.processes.hints import shown
from quince.processes.instructions import Block, If, Return, Step, While
from quince.processes.ports import PortNamespace

LONGEST = 80
"""Characters of a default that are given."""


def code_of(cls: type[Any], class_path: str) -> Code:
    """What a class declares.

    Raises:
        InvalidDefinition: it is one that cannot work.
    """
    definition = definition_of(cls)
    outline = definition.outline
    parts = (_step(cls.run),) if outline is None else tuple(_parts(outline.block))
    ports = (*_ports(definition.spec.inputs, "input", ()), *_ports(definition.spec.outputs, "output", ()))
    return Code(class_path, inspect.cleandoc(cls.__doc__ or ""), parts, ports)


def _parts(block: Block) -> Iterator[Part]:
    for one in block:
        if isinstance(one, Step):
            yield _step(one.function)
        elif isinstance(one, If):
            branches = tuple(
                Branch(None if turn.word == "else_" else turn.test.__name__, tuple(_parts(turn.steps)))
                for turn in one.branches
            )
            yield Part("if", one.branches[0].test.__name__, branches)
        elif isinstance(one, While):
            turn = one.conditional
            inner = Branch(turn.test.__name__, tuple(_parts(turn.steps)))
            yield Part("while", turn.test.__name__, (inner,))
        else:
            yield Part("return", _ending(one))


def _step(function: Any) -> Part:
    lines = inspect.cleandoc(function.__doc__ or "").splitlines()  # its own: not what `run` is in general
    return Part("step", function.__name__, help=lines[0] if lines else "")


def _ending(one: Return) -> str:
    code: Any = one.exit_code
    return "" if code is None else str(getattr(code, "status", code))


def _ports(namespace: Any, kind: str, path: tuple[str, ...]) -> Iterator[PortFacts]:
    for name, port in namespace.items():
        here = (*path, str(name))
        if isinstance(port, PortNamespace):
            yield from _ports(port, kind, here)
            if not port.dynamic:
                continue
            here = (*here, "*")
        yield PortFacts(
            ".".join(here),
            kind,
            type="" if port.valid_type is None else shown(port.valid_type),
            required=bool(port.required) and "*" not in here,
            default=_default(port) if kind == "input" and "*" not in here else None,
            help=str(port.help or ""),
        )


def _default(port: Any) -> str | None:
    if not port.has_default():
        return None
    value = port.default
    try:
        text = f"{value.__name__}()" if callable(value) else repr(value)
    except Exception:  # whatever the user's class says
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
