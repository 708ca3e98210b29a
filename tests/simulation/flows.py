"""The processes of the simulated world; each step leaves its mark in a ledger outside the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from quince import Process, Retry, WorkChain, all_, any_, append_, if_, signal_, step, while_
from quince.processes.execution import execution_of
from tests.simulation.ledger import open_ledger

WISHES = ("limits", "deadline", "on_failure", "labels")
"""What a plan may ask for besides the inputs."""
BLASTS = 6
"""So many workers one bomb kills."""


def claim_of(process: Process) -> tuple[str, int]:
    """The worker that runs a process, and how many times it had been claimed then."""
    execution = execution_of(process)
    return execution.host.id, execution.row.epoch


def wishes_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a submission besides the inputs."""
    return {name: plan[name] for name in WISHES if name in plan}


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

    keep_checkpoints = True

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


class Retried(Marked):
    """Fails in its second step, or takes too long for it, as often as it is told; then it goes on.

    A host that hangs makes it late, too: it may be tried more often than that.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("fails", valid_type=int, default=1)
        spec.input("late", valid_type=bool, default=False)
        spec.outline(cls.begin, cls.work, cls.end)

    async def begin(self) -> None:
        self.mark()

    @step(retry=Retry(50, first=0.2, factor=10, longest=3.0, jitter=0), timeout=6.0, handler="look")
    async def work(self) -> None:
        self.mark()
        await asyncio.sleep(self.inputs.seconds)
        if execution_of(self).row.attempt < self.inputs.fails:
            if self.inputs.late:
                await asyncio.sleep(60.0)
            raise ConnectionError("as asked, for now")

    def look(self, error: BaseException) -> None:
        assert len(self.ctx.tokens) == 1, "the context is not as it was before the step"
        self.ctx.seen = self.ctx.get("seen", 0) + 1

    async def end(self) -> None:
        self.mark()
        failed = open_ledger().failed[self.pid]
        assert self.ctx.get("seen", 0) == failed, (
            f"it has failed {failed} times, and knows of {self.ctx.seen}"
        )
        self.put_out(1)


class Held(Retried):
    """Fails in its second step as often as it is told, and is put aside after each two times."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.begin, cls.try_twice, cls.end)

    @step(retry=Retry(2, first=0.2, jitter=0), on_failure="pause", handler="look")
    async def try_twice(self) -> None:
        self.mark()
        await asyncio.sleep(self.inputs.seconds)
        if open_ledger().failed[self.pid] < self.inputs.fails:
            raise ConnectionError("as asked, for now")


class Mending(Marked):
    """Raises in its second step until somebody has retried it, or played it when it was put aside."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("job", valid_type=int)
        spec.outline(cls.begin, cls.work, cls.end)

    async def begin(self) -> None:
        self.mark()

    async def work(self) -> None:
        self.mark()
        self.out("job", await self.once("job", self.act))
        await asyncio.sleep(self.inputs.seconds)
        if self.pid not in open_ledger().helped:
            raise ZeroDivisionError("as asked")

    async def act(self) -> int:
        return open_ledger().acted(self.pid, claim_of(self))

    async def end(self) -> None:
        self.mark()
        self.put_out(1)


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
    """Kills its worker, whichever it is, `BLASTS` times; only then it ends."""

    async def run(self) -> None:
        token = open_ledger().began(self.pid, 0, claim_of(self))
        await asyncio.sleep(self.inputs.seconds)
        if len(open_ledger().runs[self.pid, 0]) <= BLASTS:
            open_ledger().explode(claim_of(self)[0])
            await asyncio.sleep(0)
        self.out("tokens", [token])
        self.out("value", 1)


class Tree(Marked):
    """Waits for some children, perhaps for more, and adds up what they put out."""

    keep_checkpoints = True

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("first", valid_type=list)
        spec.input("second", valid_type=list, default=list)
        spec.input("at_once", valid_type=int, default=0)
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
        earlier = len(parts) - len(self.inputs.second) if self.inputs.second else 0
        foreign = self.pid in open_ledger().restart_of
        late = parts if foreign else parts[:earlier]  # others may have been retried by somebody, since
        ended = all(
            part.terminated or (part in late and open_ledger().retried[part.pid] > 0) for part in parts
        )
        assert ended, "the chain went on before its children had ended"
        self.put_out(1 + sum(part.outputs["value"] for part in parts if part.is_finished_ok))

    def _submit(self, plans: list[Mapping[str, Any]]) -> None:
        if self.inputs.at_once and plans:
            given, kind = [plan["inputs"] for plan in plans], KINDS[plans[0]["kind"]]
            for child in self.map(kind, given, at_once=self.inputs.at_once):
                self.to_context(parts=append_(child))
            return
        for plan in plans:
            self.to_context(parts=append_(self._child(plan)))

    def _child(self, plan: Mapping[str, Any]) -> Any:
        return self.submit(KINDS[plan["kind"]], **wishes_of(plan), **plan["inputs"])


class Hasty(Tree):
    """Waits for the first of its children, or a time; then for all of them, or a time; then for all."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("pause", valid_type=float, default=1.0)
        spec.outline(cls.launch, cls.look, while_(cls.lacking)(cls.wait_on), cls.collect)

    async def launch(self) -> Any:
        self.mark()
        plans = self.inputs.first
        parts = [self._child(plan) for plan in plans]
        await asyncio.sleep(self.inputs.seconds)
        return any_(parts=parts, timeout=self.inputs.pause)

    async def look(self) -> Any:
        self.mark()
        come = not self.ctx.parts or any(part.terminated for part in self.ctx.parts)
        assert come is not self.timed_out, "what has come, and whether the time was over, do not agree"
        return all_(parts=self.ctx.parts, timeout=60 * self.inputs.pause)

    def lacking(self) -> bool:
        lack = not all(part.terminated for part in self.ctx.parts)
        retried = any(open_ledger().retried[part.pid] for part in self.ctx.parts)  # since it was waited for
        assert lack is self.timed_out or retried, (
            "something lacks, and the time was not over; or the other way round"
        )
        return lack

    def wait_on(self) -> Any:
        self.mark()
        return all_(parts=self.ctx.parts)


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
        self.ctx.listeners = [self._child(plan) for plan in self.inputs.first]
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
    "retried": Retried,
    "mending": Mending,
    "held": Held,
    "plain": Plain,
    "bomb": Bomb,
    "tree": Tree,
    "caller": Caller,
    "hasty": Hasty,
    "listener": Listener,
}
