"""The classes of the processes in `store.sql`, which was written before the packages were renamed."""

from __future__ import annotations

from typing import Any

from quince import ExitCode, Process, ProcessState, WorkChain, append_, process, signal_, while_


@process
def square(n: int) -> int:
    return n**2


@process
def bad(n: int) -> int:
    raise ValueError("no")


class Signalled(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("any", required=False)
        spec.output("seen", required=False)
        spec.output("kept", required=False)
        spec.outline(cls.one, while_(cls.more)(cls.two), cls.end)

    def one(self) -> None:
        self.ctx.exit = ExitCode(7, "seven")
        self.ctx.state = ProcessState.WAITING
        self.ctx.n, self.ctx.done = 0, None
        self.ctx.child = self.submit(square, n=3)
        self.to_context(sq=self.submit(square, n=4), go=signal_("go"))

    def more(self) -> bool:
        return bool(self.ctx.n < 2)

    def two(self) -> None:
        self.ctx.n += 1
        self.to_context(parts=append_(self.submit(square, n=self.ctx.n)))

    def end(self) -> Any:
        self.out("seen", [part.outputs["result"] for part in self.ctx.parts])
        self.out("kept", [self.ctx.exit, self.ctx.state, self.ctx.done])
        return self.ctx.exit


class BadOut(Process):
    def run(self) -> None:
        self.out("x", "text")
