"""Processes of which somebody is told."""

from __future__ import annotations

from typing import Any

from quince import ToContext, WorkChain, process, signal_, step


@process
def boom(text: str) -> None:
    raise ValueError(text)


@process
def fine(n: int) -> int:
    return n


class Asks(WorkChain):
    """Waits for an answer, and is paused for a person then."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.ask, cls.fail)

    def ask(self) -> ToContext:
        return ToContext(answer=signal_("approval"))

    @step(on_failure="pause")
    def fail(self) -> None:
        raise ValueError("nobody knows")
