"""Chains that wait for the first of several, or for at most a time, and kill what they need no more."""

from __future__ import annotations

import asyncio
from typing import Any

from quince import Process, WorkChain, all_, any_, append_, if_, signal_


class Nap(Process):
    """Sleeps, a while or for ever."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("seconds", valid_type=(int, float))
        spec.output("slept", valid_type=(int, float))

    async def run(self) -> dict[str, Any]:
        await asyncio.sleep(self.inputs.seconds)
        return {"slept": self.inputs.seconds}


class Race(WorkChain):
    """Waits for the first of its children (or a signal), kills the others, and looks at all of them again."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("seconds", valid_type=list)
        spec.input("timeout", required=False)
        spec.input("queue", required=False)
        spec.output("seen", valid_type=dict)
        spec.outline(cls.start, if_(cls.late)(cls.note_late), cls.judge, cls.collect)

    def start(self) -> Any:
        self.ctx.late = False
        queue = self.inputs.get("queue")  # of those that sleep
        naps = [self.submit(Nap, seconds=one, queue=queue if one else None) for one in self.inputs.seconds]
        return any_(naps=naps, word=signal_("word"), timeout=self.inputs.get("timeout"))

    def late(self) -> bool:
        return self.timed_out

    def note_late(self) -> None:
        self.ctx.late = True

    def judge(self) -> Any:
        self.ctx.first = [nap.terminated for nap in self.ctx.naps]
        for nap in self.ctx.naps:
            if not nap.terminated:
                self.kill(nap)
        return all_(naps=self.ctx.naps)

    async def collect(self) -> None:
        states = [nap.state.value for nap in self.ctx.naps]
        slept = [nap.outputs.get("slept") for nap in self.ctx.naps]
        self.out(
            "seen",
            {
                "late": self.ctx.late, "first": self.ctx.first, "word": self.ctx.word, "states": states,
                "slept": slept, "now": self.timed_out,
            },
        )  # fmt: skip


class Patient(WorkChain):
    """Waits for all of its children and a signal, at most for a time, twice."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("seconds", valid_type=list)
        spec.input("timeout")
        spec.output("seen", valid_type=list)
        spec.outline(cls.start, cls.again, cls.end)

    async def start(self) -> None:
        self.ctx.seen = []
        for one in self.inputs.seconds:
            self.to_context(naps=append_(self.submit(Nap, seconds=one)), timeout=self.inputs.timeout)
        self.to_context(word=signal_("word"), timeout="1 d")

    async def again(self) -> None:
        self._look()
        self.to_context(naps=self.ctx.naps, timeout=30)

    async def end(self) -> None:
        self._look()
        self.out("seen", self.ctx.seen)

    def _look(self) -> None:
        self.ctx.seen.append([self.timed_out, [nap.terminated for nap in self.ctx.naps], self.ctx.word])


class Parent(WorkChain):
    """Has children below it: one that runs, one that is queued where nobody is."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("seconds", valid_type=(int, float), default=600)
        spec.outline(cls.start, cls.end)

    def start(self) -> None:
        self.to_context(
            a=self.submit(Nap, seconds=self.inputs.seconds),
            b=self.submit(Nap, seconds=1, queue="nowhere"),
        )

    def end(self) -> None:
        """Is not reached."""


class Brief(Nap):
    """Has a deadline of its own."""

    deadline = "0.3 s"


class Twice(WorkChain):
    """Waits for one child, and then for another one."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.first, cls.second, cls.third)

    def first(self) -> None:
        self.to_context(one=self.submit(Nap, seconds=0.2))

    def second(self) -> None:
        self.to_context(other=self.submit(Nap, seconds=0.2))

    def third(self) -> None:
        assert self.ctx.one.is_finished_ok
        assert self.ctx.other.is_finished_ok
