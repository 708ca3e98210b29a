"""Process classes that the tests run; importable by workers as `tests.flows`."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from quince import Process, ToContext, WorkChain, append_, if_, process, return_, signal_, submit, while_


def note(ledger: str, line: str) -> None:
    """Append a line to a file, in one write: the ledger that the engine knows nothing of."""
    if ledger:
        descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{line}\n".encode())
        os.close(descriptor)


@process
def add(x: int, y: int = 1) -> int:
    return x + y


@process
async def slow_add(x: int, y: int = 1, seconds: float = 0.1) -> int:
    await asyncio.sleep(seconds)
    return x + y


class Double(Process):
    """Doubles a number, blocking for a while if asked to."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("value", valid_type=int)
        spec.input("seconds", valid_type=(int, float), default=0)
        spec.input("ledger", valid_type=str, default="")
        spec.output("value", valid_type=int)

    def run(self) -> None:
        note(self.inputs.ledger, f"double {self.pid}")
        time.sleep(self.inputs.seconds)
        self.out("value", 2 * self.inputs.value)


class Sleeper(Process):
    """Sleeps in a coroutine."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("seconds", valid_type=(int, float), default=60)

    async def run(self) -> None:
        await asyncio.sleep(self.inputs.seconds)


class Approval(WorkChain):
    """Waits for signals between its two steps: a list of the values of each name."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("names", valid_type=list, default=["approval"])
        spec.input("timeout", valid_type=(int, float), required=False)
        spec.input("ledger", valid_type=str, default="")
        spec.output("values", valid_type=list)
        spec.outline(cls.ask, cls.decide)

    def ask(self) -> None:
        note(self.inputs.ledger, f"ask {self.pid}")
        for name in self.inputs.names:
            self.to_context(values=append_(signal_(name, timeout=self.inputs.get("timeout"))))

    def decide(self) -> None:
        note(self.inputs.ledger, f"decide {self.pid}")
        self.out("values", self.ctx.values)


class Clumsy(WorkChain):
    """Wants a signal appended to what is no list."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.ask, cls.decide)

    def ask(self) -> None:
        self.ctx.value = 7
        self.to_context(value=append_(signal_("go")))

    def decide(self) -> None:
        """Is not reached."""


class Rally(WorkChain):
    """Submits a chain that waits for signals, and sends them to it from its steps."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("values", valid_type=list)
        spec.outline(cls.call, cls.encourage, cls.collect)

    def call(self) -> None:
        self.ctx.child = self.submit(Approval, names=["go", "go"])
        self.signal(self.ctx.child, "go", 1)

    def encourage(self) -> None:
        self.signal(self.ctx.child, "go", 2)
        self.to_context(child=self.ctx.child)

    def collect(self) -> None:
        self.out("values", self.ctx.child.outputs["values"])


class Blocker(Process):
    """Blocks a thread until a file appears; makes another (`.blocked`) when it begins."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)

    def run(self) -> None:
        note(f"{self.inputs.gate}.blocked", "here")
        while not Path(self.inputs.gate).exists():
            time.sleep(0.01)


class Crowd(Process):
    """Fills asyncio's own threads until a file appears."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)

    async def run(self) -> None:
        note(f"{self.inputs.gate}.crowded", "here")
        await asyncio.gather(*(asyncio.to_thread(self.wait) for _ in range(64)))

    def wait(self) -> None:
        while not Path(self.inputs.gate).exists():
            time.sleep(0.05)


class ThreeSteps(WorkChain):
    """The smallest chain: three coroutine steps and one output."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("x", valid_type=int, default=1)
        spec.output("x", valid_type=int)
        spec.outline(cls.first, cls.second, cls.third)

    async def first(self) -> None:
        self.ctx.x = self.inputs.x + 1

    async def second(self) -> None:
        self.ctx.x *= 2

    async def third(self) -> None:
        self.out("x", self.ctx.x)


class ThreeFunctions(WorkChain):
    """The same chain, of functions."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("x", valid_type=int, default=1)
        spec.output("x", valid_type=int)
        spec.outline(cls.first, cls.second, cls.third)

    def first(self) -> None:
        self.ctx.x = self.inputs.x + 1

    def second(self) -> None:
        self.ctx.x *= 2

    def third(self) -> None:
        self.out("x", self.ctx.x)


class Stepwise(WorkChain):
    """Slow steps that each write to the ledger, so that a step that ran twice can be seen."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("steps", valid_type=int, default=5)
        spec.input("seconds", valid_type=(int, float), default=0.1)
        spec.input("ledger", valid_type=str, default="")
        spec.output("done", valid_type=list)
        spec.outline(cls.begin, while_(cls.more)(cls.work), cls.end)

    async def begin(self) -> None:
        self.ctx.done = []

    def more(self) -> bool:
        return bool(len(self.ctx.done) < self.inputs.steps)

    async def work(self) -> None:
        number = len(self.ctx.done)
        note(self.inputs.ledger, f"start {self.pid} {number}")
        await asyncio.sleep(self.inputs.seconds)
        note(self.inputs.ledger, f"end {self.pid} {number}")
        self.ctx.done.append(number)

    async def end(self) -> None:
        self.out("done", list(self.ctx.done))


class Family(WorkChain):
    """A parent that waits for its children and sums up what they put out."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("children", valid_type=int, default=5)
        spec.input("seconds", valid_type=(int, float), default=0)
        spec.input("ledger", valid_type=str, default="")
        spec.output("total", valid_type=int)
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> None:
        note(self.inputs.ledger, f"launch {self.pid}")
        for value in range(self.inputs.children):
            child = self.submit(Double, value=value, seconds=self.inputs.seconds, ledger=self.inputs.ledger)
            self.to_context(parts=append_(child))

    def collect(self) -> None:
        note(self.inputs.ledger, f"collect {self.pid}")
        self.out("total", sum(part.outputs["value"] for part in self.ctx.parts))


class Branching(WorkChain):
    """Every word of the outline's language."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("n", valid_type=int)
        spec.output("trail", valid_type=list)
        spec.exit_code(410, "NEGATIVE", "n must not be negative")
        spec.outline(
            cls.begin,
            if_(cls.is_negative)(return_(410)),
            while_(cls.more)(
                cls.count,
                if_(cls.even)(cls.say_even).else_(cls.say_odd),
            ),
            cls.end,
        )

    def begin(self) -> None:
        self.ctx.trail = []
        self.ctx.i = 0

    def is_negative(self) -> bool:
        return bool(self.inputs.n < 0)

    def more(self) -> bool:
        return bool(self.ctx.i < self.inputs.n)

    def count(self) -> None:
        self.ctx.i += 1

    def even(self) -> bool:
        return bool(self.ctx.i % 2 == 0)

    def say_even(self) -> None:
        self.ctx.trail.append(f"{self.ctx.i} even")

    async def say_odd(self) -> None:
        self.ctx.trail.append(f"{self.ctx.i} odd")

    def end(self) -> None:
        self.out("trail", self.ctx.trail)


class Fails(Process):
    """Raises."""

    def run(self) -> None:
        raise ZeroDivisionError("as asked")


class Codes(WorkChain):
    """Ends with an exit code, after a child that failed."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.exit_code(420, "CHILD_FAILED", "child {pid} ended as {state}")
        spec.outline(cls.launch, cls.look)

    def launch(self) -> ToContext:
        return ToContext(child=self.submit(Fails))

    def look(self) -> Any:
        child = self.ctx.child
        return self.exit_codes.CHILD_FAILED.format(pid=child.pid, state=child.state.value)


class Unsaveable(WorkChain):
    """Puts something into its context that no checkpoint can hold."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.begin, cls.end)

    def begin(self) -> None:
        self.ctx.box = {"deep": [1, object()]}

    def end(self) -> None:
        raise AssertionError("the step before could not be saved")


class Forgetful(Process):
    """Declares an output and does not put it out."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("x", valid_type=int)

    def run(self) -> None:
        return None


class Timed(WorkChain):
    """Waits for a timer between two steps."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("seconds", valid_type=(int, float), default=0.2)
        spec.output("waited", valid_type=float)
        spec.outline(cls.begin, cls.end)

    def begin(self) -> None:
        self.ctx.began = time.time()
        self.sleep(self.inputs.seconds)

    def end(self) -> None:
        self.out("waited", time.time() - self.ctx.began)


class Reporter(WorkChain):
    """Writes lines into its history."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("lines", valid_type=int)
        spec.outline(cls.begin, while_(cls.more)(cls.say))

    def begin(self) -> None:
        self.ctx.said = 0

    def more(self) -> bool:
        return bool(self.ctx.said < self.inputs.lines)

    async def say(self) -> None:
        self.report(f"line {self.ctx.said}")
        self.ctx.said += 1
        await asyncio.sleep(0.05)


class Shell(Process):
    """Runs a shell script."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("script", valid_type=str)
        spec.output("said", valid_type=str)

    async def run(self) -> None:
        completed = await self.command("sh", "-c", self.inputs.script)
        self.out("said", completed.stdout.decode())


class Does(WorkChain):
    """Does something odd in its second step."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("how", valid_type=str)
        spec.outline(cls.begin, cls.odd)

    def begin(self) -> None:
        self.ctx.n = 1

    def odd(self) -> Any:
        return getattr(self, self.inputs.how)()

    def base_exception(self) -> None:
        raise BaseException("the root of all")

    def generator_exit(self) -> None:
        raise GeneratorExit

    def system_exit(self) -> None:
        raise SystemExit(3)

    def speechless(self) -> None:
        raise Speechless

    def surrogates(self) -> None:
        self.report("\udc80")
        self.status = "\udc80\0"
        raise ValueError("\udc80\0")

    def surrogate_in_context(self) -> None:
        self.ctx.odd = {"deep": ["\udc80"]}

    def big_status(self) -> int:
        return 2**70

    def endless_sleep(self) -> None:
        self.sleep(float("nan"))


class Speechless(Exception):
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def _begun_in_a_child(x: int) -> None:
    submit(add, x=x).result(timeout=30)


class Forking(Process):
    """Uses Quince in forked children of its step, as multiprocessing does, and forgets to end one of them."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("x", valid_type=int)
        spec.output("statuses", valid_type=list)

    def run(self) -> None:
        child = multiprocessing.get_context("fork").Process(target=_begun_in_a_child, args=(self.inputs.x,))
        child.start()
        child.join(40)
        forgotten = os.fork()
        if not forgotten:
            return  # into the engine, which the child has no loop of
        _, status = os.waitpid(forgotten, 0)
        self.out("statuses", [child.exitcode, os.waitstatus_to_exitcode(status)])


class LeavesAChild(Process):
    """Forks a child that stays, in a session of its own, writes its process id down, and at first stays."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)

    def run(self) -> None:
        again = Path(self.inputs.ledger).exists()
        child = os.fork()
        if not child:
            os.setsid()
            time.sleep(120)
            os._exit(0)
        note(self.inputs.ledger, str(child))
        time.sleep(0 if again else 120)


class Talker(Process):
    """Prints and logs, and goes on when the gate is open."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("gate", valid_type=str)

    def run(self) -> None:
        print("printed by a step")
        logging.getLogger("users.own").warning("logged by a step")
        while not Path(self.inputs.gate).exists():
            time.sleep(0.01)


class Ticks(Process):
    """A function that writes who runs it, again and again, until a file appears; as `leave` says, so do
    children of it."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("folder", valid_type=str)
        spec.input("leave", valid_type=str, default="nothing")

    def run(self) -> None:
        folder = Path(self.inputs.folder)
        match self.inputs.leave:
            case "programs":
                script = f"while [ ! -e {folder}/over ]; do echo $$ >> {folder}/left; sleep 0.02; done"
                subprocess.Popen(["sh", "-c", script], start_new_session=True)
            case "forks":
                if not os.fork():
                    os.setsid()
                    if not os.fork():
                        _tick(folder, "left")
                    os._exit(0)
        _tick(folder, "ticks")


def _tick(folder: Path, name: str) -> None:
    while not (folder / "over").exists():
        note(str(folder / name), str(os.getpid()))
        time.sleep(0.02)
