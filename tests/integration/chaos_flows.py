"""Trees of processes for the chaos run; every step leaves a line in a ledger outside the engine.

A line is `pid index token ospid`: the process, the number of the step, a word that is new with every
execution, and the operating-system process of the worker. The token also goes into the context, so
the tokens that a process puts out in the end are those of the executions that were committed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from pathlib import Path
from typing import Any

from quince import Process, WorkChain, append_, signal_, while_
from quince.processes.execution import execution_of
from tests.flows import note

FORKS = ".forks"
"""While a file of the ledger's name with this suffix is there, steps that block fork a child."""

FORK_SECONDS = 9.0


def worker_of(process: Process) -> str:
    """The operating-system process of the worker under whose claim this runs."""
    return execution_of(process).host.id.split(":")[-2]


class Marked(WorkChain):
    """A chain whose steps leave their marks."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.output("tokens", valid_type=list)
        spec.output("total", valid_type=int)

    def mark(self) -> None:
        """Say, in the ledger and in the context, that a step runs."""
        tokens = [*self.ctx.get("tokens", ()), secrets.token_hex(4)]
        note(self.inputs.ledger, f"{self.pid} {len(tokens) - 1} {tokens[-1]} {worker_of(self)}")
        self.ctx.tokens = tokens

    def put_out(self, total: int) -> None:
        self.out("tokens", self.ctx.tokens)
        self.out("total", total)


class Leaf(Marked):
    """A few short steps in coroutines; after the first it waits for a timer and for two signals."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("steps", valid_type=int, default=3)
        spec.input("seconds", valid_type=float, default=0.03)
        spec.outline(cls.begin, while_(cls.more)(cls.work), cls.end)

    async def begin(self) -> None:
        self.mark()
        self.sleep(self.inputs.seconds)
        self.to_context(first=signal_("word"), second=signal_("word"))

    def more(self) -> bool:
        return bool(len(self.ctx.tokens) < self.inputs.steps - 1)

    async def work(self) -> None:
        self.mark()
        await asyncio.sleep(self.inputs.seconds)

    async def end(self) -> None:
        self.mark()
        assert (self.ctx.first, self.ctx.second) == (1, 2), f"it heard {self.ctx.first}, {self.ctx.second}"
        self.put_out(1)


class Block(Marked):
    """Two steps that block a thread; in a storm the first one forks a child that outlives it."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("seconds", valid_type=float, default=0.03)
        spec.outline(cls.work, cls.end)

    def work(self) -> None:
        self.mark()
        if Path(self.inputs.ledger).with_suffix(FORKS).exists() and os.fork() == 0:
            time.sleep(FORK_SECONDS)
            os._exit(0)
        time.sleep(self.inputs.seconds)

    def end(self) -> None:
        self.mark()
        self.put_out(1)


class Branch(Marked):
    """Signals its leaves, in two steps, waits for its children, and counts the processes below itself, and
    itself."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("depth", valid_type=int)
        spec.input("width", valid_type=int)
        spec.outline(cls.launch, cls.call, cls.collect)

    def launch(self) -> None:
        self.mark()
        depth, width, ledger = self.inputs.depth, self.inputs.width, self.inputs.ledger
        for number in range(width):
            if depth > 1:
                child = self.submit(Branch, depth=depth - 1, width=width, ledger=ledger)
            else:
                child = self.submit(Leaf if number % 2 else Block, ledger=ledger)
            self.to_context(below=append_(child)) if depth > 1 else self._signal(child, 1)
            self.ctx.children = [*self.ctx.get("children", ()), child]

    def call(self) -> None:
        self.mark()
        if self.inputs.depth == 1:
            for child in self.ctx.children:
                self._signal(child, 2)
                self.to_context(below=append_(child))

    def _signal(self, child: Any, word: int) -> None:
        if child.class_name == "Leaf":
            self.signal(child, "word", word)

    def collect(self) -> None:
        self.mark()
        self.put_out(1 + sum(child.outputs["total"] for child in self.ctx.below))


def size(depth: int, width: int) -> int:
    """How many processes a `Branch` of this shape becomes."""
    return sum(width**level for level in range(depth + 1))
