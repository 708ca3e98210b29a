"""Process classes that fail until a file is there, or an input is another one; importable by workers."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from quince import ControlRefused, Process, WorkChain, append_, get_process, signal_, while_
from tests.flows import note


class Part(Process):
    """Fails until its file is there; puts out its number."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("n", valid_type=int)
        spec.input("mended", valid_type=str, default="")
        spec.input("ledger", valid_type=str, default="")
        spec.output("n", valid_type=int)
        spec.exit_code(410, "BROKEN", "it is broken")

    def run(self) -> Any:
        note(self.inputs.ledger, f"part {self.inputs.n}")
        if self.inputs.mended and not Path(self.inputs.mended).exists():
            if self.inputs.n % 2:
                raise ConnectionError(f"part {self.inputs.n} cannot be reached")
            return self.exit_codes.BROKEN
        self.out("n", self.inputs.n)
        return None


class Sum(WorkChain):
    """Submits parts, of which those of `broken` fail until the file is there; the sum fails with them."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("parts", valid_type=int, default=3)
        spec.input("broken", valid_type=list, default=list)
        spec.input("mended", valid_type=str)
        spec.input("ledger", valid_type=str)
        spec.input("factor", valid_type=int, default=1)
        spec.output("total", valid_type=int)
        spec.outline(cls.prepare, cls.launch, cls.collect)

    def prepare(self) -> None:
        note(self.inputs.ledger, "prepare")
        self.ctx.prepared = True

    def launch(self) -> None:
        for n in range(self.inputs.parts):
            mended = self.inputs.mended if n in self.inputs.broken else ""
            part = self.submit(Part, n=n, mended=mended, ledger=self.inputs.ledger)
            self.to_context(parts=append_(part))

    def collect(self) -> None:
        note(self.inputs.ledger, "collect")
        if self.inputs.factor < 0:
            raise ValueError("factor is negative")
        failed = [part.pid for part in self.ctx.parts if not part.is_finished_ok]
        if failed:
            raise RuntimeError(f"parts {failed} have failed")
        assert self.ctx.prepared
        self.out("total", self.inputs.factor * sum(part.outputs["n"] for part in self.ctx.parts))


class Decides(WorkChain):
    """Waits for a signal and pays by a once-block, then fails until the file is there."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("mended", valid_type=str)
        spec.input("ledger", valid_type=str)
        spec.output("answer", valid_type=str)
        spec.outline(cls.ask, cls.act)

    def ask(self) -> None:
        self.to_context(answer=signal_("answer"))

    def act(self) -> None:
        self.once("pay", note, self.inputs.ledger, "paid")
        note(self.inputs.ledger, f"act {self.ctx.answer}")
        if not Path(self.inputs.mended).exists():
            raise OSError("no file")
        self.out("answer", self.ctx.answer)


class Turns(WorkChain):
    """Goes round; keeps all of its checkpoints."""

    keep_checkpoints = True

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("turns", valid_type=int)
        spec.input("step", valid_type=int, default=1)
        spec.input("ledger", valid_type=str)
        spec.output("n", valid_type=int)
        spec.outline(cls.begin, while_(cls.more)(cls.turn, cls.check), cls.end)

    def begin(self) -> None:
        note(self.inputs.ledger, "begin")
        self.ctx.turns = self.ctx.n = 0

    def more(self) -> bool:
        return bool(self.ctx.turns < self.inputs.turns)

    def turn(self) -> None:
        note(self.inputs.ledger, f"turn {self.ctx.turns}")
        self.ctx.turns += 1
        self.ctx.n += self.inputs.step

    def check(self) -> None:
        """Only that a turn has two steps."""

    def end(self) -> None:
        note(self.inputs.ledger, "end")
        self.out("n", self.ctx.n)


class Broken(WorkChain):
    """Fails in its second step unless it is told not to."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("mended", valid_type=bool, default=False)
        spec.output("value", valid_type=int)
        spec.outline(cls.begin, cls.work)

    async def begin(self) -> None:
        self.ctx.value = 7

    async def work(self) -> None:
        if not self.inputs.mended:
            raise OSError("broken")
        self.out("value", self.ctx.value)


class Mends(WorkChain):
    """Retries its child with another input, and waits for it once more."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("value", valid_type=int)
        spec.outline(cls.launch, cls.mend, cls.collect)

    def launch(self) -> None:
        self.to_context(part=self.submit(Broken))

    def mend(self) -> None:
        part = self.ctx.part
        if not part.is_finished_ok:  # else it was retried before this step was cut off
            with contextlib.suppress(ControlRefused):
                get_process(part.pid).retry(mended=True)
        self.to_context(part=part)

    def collect(self) -> None:
        self.out("value", self.ctx.part.outputs["value"])
