"""The processes of the simulated world; each step leaves its mark in a ledger outside the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from quince import Process, WorkChain, append_, if_, signal_, while_
from quince.processes.execution import execution_of
from tests.simulation.ledger import open_ledger


def claim_of(process: Process) -> tuple[str, int]:
    """The worker that runs a process, and how many times it had been claimed then."""
    execution = execution_of(process)
    return execution.host.id, execution.row.epoch


class Marked(WorkChain):
    """A chain whose steps leave their marks."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("number", valid_type=int, default=0)
        spec.input("seconds", valid_type=float, default=0.0)
        spec.output("tokens", valid_type=list)
        spec.output("value", valid_type=int)

    def mark(self) -> None:
        """Say, in the ledger and in the context, that a step runs."""
        tokens = [*self.ctx.get("tokens", ())]
        claim = claim_of(self)
        self.ctx.tokens = [*tokens, open_ledger().began(self.pid, len(tokens), claim)]

    def put_out(self, value: int) -> None:
        self.out("tokens", self.ctx.tokens)
        self.out("value", value)


class Leaf(Marked):
    """Steps in coroutines, a timer, and a once-block."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("pause", valid_type=float, default=0.0)
        spec.output("job", valid_type=int)
        spec.outline(cls.begin, cls.work, cls.end)

    async def begin(self) -> None:
        self.mark()
        await asyncio.sleep(self.inputs.seconds)
        if self.inputs.pause:
            self.sleep(self.inputs.pause)

    async def work(self) -> None:
        self.mark()
        self.out("job", await self.once("job", self.act))
        await asyncio.sleep(self.inputs.seconds)

    async def act(self) -> int:
        token = open_ledger().acted(self.pid, claim_of(self))
        await asyncio.sleep(self.inputs.seconds)
        return token

    async def end(self) -> None:
        self.mark()
        self.put_out(1)


class Block(Marked):
    """Steps on threads, with a loop."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("steps", valid_type=int, default=2)
        spec.output("job", valid_type=int)
        spec.outline(cls.begin, while_(cls.more)(cls.work))

    def begin(self) -> None:
        self.mark()
        self.out("job", self.once("job", self.act))
        self.put_out(1)

    def act(self) -> int:
        return open_ledger().acted(self.pid, claim_of(self))

    def more(self) -> bool:
        return bool(len(self.ctx.tokens) < self.inputs.steps)

    def work(self) -> None:
        self.mark()
        self.put_out(1)


class Failing(Marked):
    """Raises in its second step."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.begin, cls.fail)

    async def begin(self) -> None:
        self.mark()
        self.out("tokens", self.ctx.tokens)

    async def fail(self) -> None:
        self.mark()
        await asyncio.sleep(self.inputs.seconds)
        raise ZeroDivisionError("as asked")


class Plain(Process):
    """A single step."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("number", valid_type=int, default=0)
        spec.input("seconds", valid_type=float, default=0.0)
        spec.output("tokens", valid_type=list)
        spec.output("value", valid_type=int)

    async def run(self) -> None:
        token = open_ledger().began(self.pid, 0, claim_of(self))
        await asyncio.sleep(self.inputs.seconds)
        self.out("tokens", [token])
        self.out("value", 1)


class Bomb(Plain):
    """Kills its worker, whichever it is."""

    async def run(self) -> None:
        open_ledger().began(self.pid, 0, claim_of(self))
        await asyncio.sleep(self.inputs.seconds)
        open_ledger().explode(claim_of(self)[0])
        await asyncio.sleep(0)


class Tree(Marked):
    """Waits for some children, perhaps for more, and adds up what they put out."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("first", valid_type=list)
        spec.input("second", valid_type=list, default=list)
        spec.outline(cls.launch, if_(cls.more)(cls.launch_more), cls.collect)

    async def launch(self) -> None:
        self.mark()
        self._submit(self.inputs.first)
        await asyncio.sleep(self.inputs.seconds)

    def more(self) -> bool:
        return bool(self.inputs.second)

    def launch_more(self) -> None:
        self.mark()
        self._submit(self.inputs.second)

    async def collect(self) -> None:
        self.mark()
        parts = self.ctx.get("parts", [])
        assert all(part.terminated for part in parts), "the chain went on before its children had ended"
        self.put_out(1 + sum(part.outputs["value"] for part in parts if part.is_finished_ok))

    def _submit(self, plans: list[Mapping[str, Any]]) -> None:
        for plan in plans:
            child = self.submit(KINDS[plan["kind"]], **plan["inputs"])
            self.to_context(parts=append_(child))


class Listener(Marked):
    """Waits for two signals, and for one that nobody sends."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("pause", valid_type=float, default=0.0)
        spec.outline(cls.listen, cls.listen_in_vain, cls.end)

    async def listen(self) -> None:
        self.mark()
        await asyncio.sleep(self.inputs.seconds)
        for _ in range(2):
            self.to_context(words=append_(signal_("word")))

    def listen_in_vain(self) -> None:
        self.mark()
        self.to_context(silence=signal_("silence", timeout=self.inputs.pause))

    async def end(self) -> None:
        self.mark()
        heard = (self.ctx.words, self.ctx.silence)
        assert heard == ([1, 2], None), f"it heard {heard}"
        self.put_out(1)


class Caller(Tree):
    """Signals its children, in the step that submits them and in the next one."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.launch, cls.call, cls.collect)

    async def launch(self) -> None:
        self.mark()
        self.ctx.listeners = [self.submit(Listener, **plan["inputs"]) for plan in self.inputs.first]
        for listener in self.ctx.listeners:
            self.signal(listener, "word", 1)
        await asyncio.sleep(self.inputs.seconds)

    async def call(self) -> None:
        self.mark()
        await asyncio.sleep(self.inputs.seconds)
        for listener in self.ctx.listeners:
            self.signal(listener, "word", 2)
            self.to_context(parts=append_(listener))


KINDS: dict[str, Any] = {
    "leaf": Leaf,
    "block": Block,
    "failing": Failing,
    "plain": Plain,
    "bomb": Bomb,
    "tree": Tree,
    "caller": Caller,
}
