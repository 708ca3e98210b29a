"""Processes that ask for limits, for the tests of the engine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from quince import Process, WorkChain, process
from tests.flows import note


class Licensed(Process):
    """Notes when it begins and ends, and how long it takes."""

    limits = ("licence", "user:{user}")

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.input("user", valid_type=str, default="ada")
        spec.input("seconds", valid_type=float, default=0.05)
        spec.output("done", valid_type=bool)

    def run(self) -> None:
        note(self.inputs.ledger, f"+{self.pid}")
        time.sleep(self.inputs.seconds)
        note(self.inputs.ledger, f"-{self.pid}")
        self.out("done", True)


@process
def noted(ledger: str, number: int) -> int:
    """The square, with a note of its beginning and its end."""
    note(ledger, f"+{number}")
    time.sleep(0.02)
    note(ledger, f"-{number}")
    return number**2


class Study(WorkChain):
    """Many of one kind, some at once."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.input("count", valid_type=int)
        spec.input("at_once", valid_type=int)
        spec.output("squares", valid_type=list)
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> None:
        inputs = [{"ledger": self.inputs.ledger, "number": n} for n in range(self.inputs.count)]
        self.to_context(parts=self.map(noted, inputs, at_once=self.inputs.at_once))

    def collect(self) -> None:
        self.out("squares", [part.outputs["result"] for part in self.ctx.parts])


class Twice(Study):
    """The same again, one after the other."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.launch, cls.collect, cls.again, cls.collect)

    def again(self) -> None:
        self.launch()


class Owner(WorkChain):
    """Holds the licence, and its child asks for it as well."""

    limits = ("licence",)

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.output("done", valid_type=bool)
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> None:
        self.to_context(child=self.submit(Licensed, ledger=self.inputs.ledger))

    def collect(self) -> None:
        self.out("done", self.ctx.child.outputs["done"])


def most_at_once(ledger: Path) -> int:
    """How many were at work at the same time, of those that have noted their beginnings and ends."""
    there, most = set[str](), 0
    for line in ledger.read_text().split():
        there.discard(line[1:]) if line[0] == "-" else there.add(line[1:])
        most = max(most, len(there))
    return most
