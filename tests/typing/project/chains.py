"""A user's workflows: everything that is documented, with types and without casts."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

import quince_persistence
from quince import (
    ChildProcess,
    ExitCode,
    InvalidInput,
    Process,
    ProcessFunction,
    ProcessSpec,
    Retry,
    ToContext,
    WorkChain,
    WorkChainSpec,
    append_,
    if_,
    process,
    return_,
    signal_,
    step,
    while_,
)


class Limits(TypedDict):
    low: float
    high: float


@process
def square(x: int) -> int:
    """A plain function."""
    return x**2


@process(retry=Retry(3, first="2 s", on=OSError), timeout="1 h", on_failure="pause")
def fetched_later(name: str) -> str:
    return name


class Careful(WorkChain):
    """Its step is tried again; a handler looks at the error."""

    on_failure = "pause"

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.outline(cls.compute)

    @step(retry=3, timeout=5.0, handler="look")
    async def compute(self) -> ExitCode | None:
        return None

    def look(self, error: BaseException) -> str | Retry | None:
        return "fail" if isinstance(error, MemoryError) else Retry(2)


@process
def scaled(x: float, *, factor: float = 2.0) -> float:
    return x * factor


@process
def limits(values: list[float]) -> Limits:
    """Its outputs are `low` and `high`."""
    return {"low": min(values), "high": max(values)}


@process
async def fetched(name: str, /, timeout: float | None = None, **more: int) -> str:
    await asyncio.sleep(timeout or 0.0)
    return name + str(more)


P = ParamSpec("P")
R = TypeVar("R")


def told(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator of the user's, for steps and functions."""

    @functools.wraps(function)
    def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        print(function.__name__)
        return function(*args, **kwargs)

    return telling


@process
@told
def mean(values: NDArray[np.float64]) -> float:
    return float(values.mean())


@dataclass
class Cell:
    length: float


class Lattice:
    def __init__(self, length: float) -> None:
        self.length = length


def to_plain(lattice: Lattice) -> float:
    return lattice.length


quince_persistence.register_type(Lattice, "lattice", to_plain, Lattice)


def positive(value: int) -> str | None:
    return None if value > 0 else "it must be positive"


def fits(values: dict[str, Any], port: object) -> str | None:
    return None if values else f"{port} is empty"


class Square(Process):
    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        super().define(spec)
        spec.input("x", valid_type=int, validator=positive, help="the number to square")
        spec.input("note", valid_type=str | None, default=None)
        spec.input("mode", valid_type=Literal["fast", "exact"], default="fast", required=False)
        spec.input("grid.points", valid_type=list[float], default=list)
        spec.input_namespace("options", dynamic=True, valid_type=(int, float), validator=fits, required=False)
        spec.output("square", valid_type=int)
        spec.output("cube", valid_type=int, required=False)
        spec.inputs.dynamic = False
        spec.exit_code(410, "TOO_LARGE", "{x} is too large")

    def run(self) -> ExitCode | dict[str, int] | None:
        x: int = self.inputs.x
        if x > 1000:
            return self.exit_codes.TOO_LARGE.format(x=x)
        if self.stopping:
            return None
        self.logger.info("squaring %s with %s", x, self.inputs["mode"])
        self.out("square", x**2)
        self.out_many({"cube": x**3})
        return {"square": x**2}


class Program(Process):
    async def run(self) -> None:
        done = await self.command("cp", Path("a"), "b", folder="work", check=False)
        self.report(f"{done.status}: {done.stdout.decode()}")


class Scan(WorkChain):
    """Children, tests, signals, once-blocks, a helper."""

    version = "2"
    isolation = "thread"

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input("points", valid_type=int, default=3)
        spec.input("scale", valid_type=float, required=False)
        spec.expose_inputs(Square, namespace="square", exclude=("x",))
        spec.expose_inputs(scaled, namespace="scaled")
        spec.expose_outputs(Square)
        spec.output("total", valid_type=int, required=False)
        spec.output_namespace("parts", dynamic=True)
        spec.exit_code(411, "NOTHING_TO_DO", "there are no points")
        spec.outline(
            cls.check,
            if_(cls.many)(cls.launch, cls.ask).elif_(cls.is_one)(cls.launch).else_(return_(411)),
            while_(cls.more)(
                cls.turn,
                if_(cls.broken)(return_),
            ),
            if_(cls.none)(return_(spec.exit_codes.NOTHING_TO_DO)),
            cls.collect,
        )

    @classmethod
    def migrate(cls, memory: dict[str, Any], version: str) -> dict[str, Any]:
        memory["position"][0] += int(version)
        return memory

    def check(self) -> ExitCode | None:
        self.ctx.turns = 0
        self.ctx["seen"] = []
        return self.exit_codes.NOTHING_TO_DO if self.inputs.points < 1 else None

    def many(self) -> bool:
        points: int = self.inputs.points
        return points > 1

    def none(self) -> bool:
        return "parts" not in self.ctx

    async def is_one(self) -> bool:
        return bool(self.inputs.points == 1)

    def launch(self) -> ToContext:
        for x in range(1, self.inputs.points + 1):
            self.to_context(parts=append_(self.submit(Square, x=x, **self.exposed_inputs(Square, "square"))))
        child = self.submit(square, x=2)
        others = [self.submit(scaled, x=0.5, factor=3.0, priority=9) for _ in range(2)]
        self.to_context(others=others, named={"a": child})
        return ToContext(first=child, answer=signal_("approval", timeout=0.1))

    async def ask(self) -> ToContext | None:
        reply = await self.once("ask", self.post, "question", retries=2)
        self.signal(self.ctx.first, "go", len(reply))
        if reply == "wait":
            return ToContext(votes=append_(signal_("vote")))
        return None

    async def post(self, question: str, *, retries: int = 1) -> str:
        await asyncio.sleep(0.1 * retries)
        return question

    def sent(self, token: str) -> int:
        return len(token)

    def more(self) -> bool:
        return bool(self.ctx.turns < 3)

    def turn(self) -> int | None:
        self.ctx.turns += 1
        self.ctx.update(last=self.ctx.get("turns"))
        self.status = f"turn {self.ctx.turns}"
        self.sleep(0.01)
        return None

    def broken(self) -> bool:
        return "last" not in self.ctx

    def collect(self) -> None:
        if not self.ctx.first.is_finished_ok:
            raise InvalidInput(f"{self.ctx.first.exit_message} ({self.pid})", "points")
        self.out("total", sum(part.outputs["square"] for part in self.ctx.parts))
        self.out_many(self.exposed_outputs(self.ctx.parts[0], Square))
        number: int = self.once("send", self.sent, self.token("send"))
        self._helper((number, self.ctx.answer))

    def _helper(self, answer: object) -> None:
        self.report(f"{answer} {dict(self.outputs)}")


class Steps:
    """A mixin of the user's."""

    def near(self) -> np.bool_:
        return np.bool_(True)

    async def far(self) -> bool:
        return False


class Relaxed(Scan, Steps):
    """A chain that goes on where another ends."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input("cell", valid_type=Cell)
        spec.input("grid", valid_type=NDArray[np.float64], help="of the cell")
        spec.input("either", valid_type=(int, str), default=1)
        spec.input("items", valid_type=int, default=3)
        steps = [cls.check, cls.relax]
        spec.outline(*steps, while_(cls.far)(cls.each), if_(cls.near)(cls.each), cls.collect)

    @told
    def relax(self) -> ToContext:
        cell: Cell = self.inputs.cell
        items: int = self.inputs.items
        self.ctx.answer = cell.length * items
        return ToContext(
            {"first": self.submit(mean, values=self.inputs.grid)}, parts=append_(self.child(Square))
        )

    def child(self, of: type[Process] | ProcessFunction[..., Any, Any]) -> ChildProcess:
        return self.submit(of, inputs={"x": 2})

    async def each(self) -> None:
        self.report("near")
