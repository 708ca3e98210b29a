"""Process classes that are copied into the workspaces of the command line's tests."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from quince import Process, ToContext, WorkChain, append_, process, signal_


@process
def add(x: int, y: int = 1) -> int:
    return x + y


class Part(Process):
    """Waits until a file is there, if it is given one; fails on negative numbers."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("n", valid_type=int)
        spec.input("gate", valid_type=str, default="")
        spec.output("double", valid_type=int)

    def run(self) -> None:
        self.report(f"part {self.inputs.n} begins")
        while self.inputs.gate and not Path(self.inputs.gate).exists():
            time.sleep(0.01)
        if self.inputs.n < 0:
            raise ValueError(f"{self.inputs.n} is negative")
        self.out("double", 2 * self.inputs.n)


class Speaks(WorkChain):
    """Prints in two steps, by itself and by a program; in the second until a file is there."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)
        spec.outline(cls.begin, cls.silent, cls.end)

    def begin(self) -> None:
        print("to everybody:\t\x1b[32mgreen\x1b[0m, amqp://me:secret@host/")
        os.system("echo 10%; echo 'by a program' >&2")

    def silent(self) -> None:
        pass

    def end(self) -> None:
        for percent in range(0, 101, 10):
            print(f"\r{percent} %", end="", flush=True)
        print()
        os.system("echo it waits")
        while not Path(self.inputs.gate).exists():
            time.sleep(0.01)
        print("the end", end="")


class Asks(WorkChain):
    """Waits for a signal, and puts out its value."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("answer")
        spec.outline(cls.ask, cls.tell)

    def ask(self) -> Any:
        return ToContext(answer=signal_("answer"))

    def tell(self) -> None:
        self.out("answer", self.ctx.answer)


class Whole(WorkChain):
    """A parent of `n` parts; `n` below 1 is its exit code 410."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("n", valid_type=int)
        spec.input("gate", valid_type=str, default="")
        spec.output("total", valid_type=int)
        spec.exit_code(410, "TOO_SMALL", "{n} is too small")
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> Any:
        if self.inputs.n < 1:
            return self.exit_codes.TOO_SMALL.format(n=self.inputs.n)
        for n in range(self.inputs.n):
            self.to_context(parts=append_(self.submit(Part, n=n, gate=self.inputs.gate)))
        return None

    def collect(self) -> None:
        self.out("total", sum(part.outputs["double"] for part in self.ctx.parts))
