"""Process classes with large values, and such as are cached; importable by workers."""

from __future__ import annotations

from typing import Any

import numpy as np

from quince import Process, WorkChain, append_, process, while_
from tests.flows import note


@process
def head(array: np.ndarray, n: int) -> float:
    return float(array[n])


@process(cache=True)
def noted(ledger: str, options: dict[str, int], source: Any = None) -> int:
    note(ledger, "noted")
    return sum(options.values()) + (0 if source is None else source.outputs["result"])


class Spread(WorkChain):
    """Gives one array to many children, which goes through its context and out again."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("parts", valid_type=int)
        spec.output("total", valid_type=float)
        spec.output("array", valid_type=np.ndarray)
        spec.outline(cls.begin, while_(cls.more)(cls.turn), cls.spread, cls.collect)

    def begin(self) -> None:
        self.ctx.array = np.random.default_rng(1).random(125_000)
        self.ctx.turn = 0

    def more(self) -> bool:
        return bool(self.ctx.turn < 3)

    def turn(self) -> None:
        self.ctx.turn += 1

    def spread(self) -> None:
        for n in range(self.inputs.parts):
            self.to_context(parts=append_(self.submit(head, array=self.ctx.array, n=n)))

    def collect(self) -> None:
        kept = self.once("array", lambda: self.ctx.array)
        assert (kept == self.ctx.array).all()
        self.out("array", self.ctx.array)
        self.out("total", sum(part.outputs["result"] for part in self.ctx.parts))


class Costly(Process):
    """Is worth a cache, by its class."""

    cache = True

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.input("n", valid_type=int)
        spec.input("table", valid_type=dict, default=dict)
        spec.output("squares", valid_type=np.ndarray)

    def run(self) -> None:
        note(self.inputs.ledger, f"costly {self.inputs.n}")
        self.out("squares", np.arange(self.inputs.n) ** 2)


class Twice(WorkChain):
    """Asks for the same in two steps; then for what depends on it."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.output("total", valid_type=int)
        spec.output("served", valid_type=list)
        spec.outline(cls.first, cls.second, cls.third, cls.collect)

    def first(self) -> None:
        self.to_context(one=self.submit(noted, ledger=self.inputs.ledger, options={"a": 1, "b": 2}))

    def second(self) -> None:
        self.to_context(two=self.submit(noted, ledger=self.inputs.ledger, options={"b": 2, "a": 1}))

    def third(self) -> None:
        for source in (self.ctx.one, self.ctx.two):
            child = self.submit(noted, ledger=self.inputs.ledger, options={}, source=source)
            self.to_context(more=append_(child))

    def collect(self) -> None:
        self.out("total", sum(one.outputs["result"] for one in (self.ctx.one, self.ctx.two, *self.ctx.more)))
        self.out("served", [self.ctx.one.pid, self.ctx.two.pid])


@process
def row_of(n: int) -> np.ndarray:
    return np.full(10_000, float(n))


class Gather(WorkChain):
    """Reads large outputs of its children, in a step of either kind."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("total", valid_type=float)
        spec.outline(cls.launch, cls.look, cls.look_again)

    def launch(self) -> None:
        self.to_context(parts=[self.submit(row_of, n=n) for n in range(3)])

    def look(self) -> None:
        self.ctx.total = sum(float(part.outputs["result"].mean()) for part in self.ctx.parts)

    async def look_again(self) -> None:
        self.out(
            "total", self.ctx.total + sum(float(part.outputs["result"].mean()) for part in self.ctx.parts)
        )


class Both(WorkChain):
    """Has a child that spreads a large value, and one that asks for the same twice."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.outline(cls.launch)

    def launch(self) -> None:
        twice = self.submit(Twice, ledger=self.inputs.ledger)
        self.to_context(large=self.submit(Spread, parts=2), cached=twice)
