"""A user's mistakes: each line with the word `wrong` is reported by type checkers, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import quince_messaging
from quince import (
    ExitCode,
    Process,
    ProcessHandle,
    ProcessSpec,
    ToContext,
    WorkChain,
    WorkChainSpec,
    append_,
    asubmit,
    find,
    get_process,
    if_,
    process,
    return_,
    run,
    signal_,
    submit,
    submit_many,
    while_,
)


@process
def square(x: int) -> int:
    return x**2


@process
async def scaled(x: float, *, factor: float = 2.0) -> float:
    return x * factor


class Square(Process):
    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        super().define(spec)
        spec.input("x", valid_type=int)
        spec.input("a", valid_type="int")  # wrong: no type
        spec.input(valid_type=int)  # wrong: no name
        spec.input("b", valid_typ=int)  # wrong: no such option
        spec.input("c", required="no")  # wrong: no bool
        spec.input("d", validator=3)  # wrong: no function
        spec.input("e", validator=len)  # wrong: what it returns is no sentence
        spec.output("f", default=1)  # wrong: outputs have no defaults
        spec.input_namespace("g", dynamic=1.5)  # wrong: no bool
        spec.exit_code("410", "LABEL", "message")  # wrong: no number
        spec.outline(cls.run)  # wrong: a Process has no outline
        spec.expose_inputs("Square")  # wrong: no class

    def run(self) -> None:
        self.out(3, "square")  # wrong: the name comes first
        self.submit(square, x="a")  # wrong: x is an int
        self.submit(square, y=1)  # wrong: there is no y
        self.submit(square)  # wrong: x is missing
        self.submit(square, inputs={"x": 1}, priority="first")  # wrong: no number
        self.submit("Square", x=1)  # wrong: no class
        self.submit(Square, x=1, queue=5)  # wrong: no name
        self.signal("approval", True)  # wrong: to whom
        self.once("key", self.helper, "a")  # wrong: it takes a number
        self.once("key", self.helper)  # wrong: it takes a number
        text: str = self.once("key", self.helper, 1)  # wrong: it returns a number
        self.report(text, 3)  # wrong: one text

    def helper(self, n: int) -> int:
        return n


class Chain(WorkChain):
    isolation = "process"  # wrong: one of two words

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.outline(
            cls.begin,
            cls.helper,  # wrong: takes an argument
            cls.text,  # wrong: a step returns no text
            cls.yields,  # wrong: it yields
            "begin",  # wrong: no method
            cls.begin(),  # wrong: called
            if_(cls.test)(cls.begin, cls.helper),  # wrong: takes an argument
            if_(cls.begin)(cls.begin),  # wrong: no test
            if_(cls.test),  # wrong: no steps
            while_(True)(cls.begin),  # wrong: no method
            while_(cls.test)(cls.begin).else_(cls.begin),  # wrong: only if_ has one
            if_(cls.test)(cls.begin).elif_(cls.text)(cls.begin),  # wrong: no test
            if_(cls.test)(cls.begin).else_(cls.helper),  # wrong: takes an argument
            return_("no"),  # wrong: no exit code
            [cls.begin, cls.begin],  # wrong: a list
        )

    def begin(self) -> ToContext | None:
        child = self.submit(Square, x=1)
        self.to_context(child)  # wrong: no name
        self.to_context(child=Square)  # wrong: a class
        self.to_context(n=3)  # wrong: a number
        append_([child])  # wrong: a list
        signal_(3)  # wrong: no name
        signal_("a", timeout=[60])  # wrong: no duration
        self.sleep(["1"])  # wrong: no duration
        return ToContext(child=child, n=3)  # wrong: a number

    def helper(self, n: int) -> None: ...

    def text(self) -> str:
        return "a"

    def yields(self) -> Iterator[int]:
        yield 1

    def test(self) -> bool:
        return True

    def ends(self) -> ExitCode:
        return self.exit_codes.LABEL.format("a")  # wrong: fields have names


def programs(handle: ProcessHandle) -> None:
    submit(square, x="a")  # wrong: x is an int
    submit(square, y=2)  # wrong: there is no y
    submit(square, x=2, y=3)  # wrong: there is no y
    submit(scaled, x=2.0, factor="a")  # wrong: a text
    submit(square, x=2, key=5)  # wrong: no text
    submit(Square, x=2, priority="high")  # wrong: no number
    submit(print)  # wrong: no process
    submit(handle)  # wrong: no process
    run(square)  # wrong: x is missing
    run(square, x=2, workspace=5)  # wrong: no workspace
    square("a")  # wrong: x is an int
    first: str = run(square, x=2)["result"]  # wrong: an int
    second: ProcessHandle[str] = submit(square, x=2)  # wrong: an int
    third: str = submit(scaled, x=2.0).result()["result"]  # wrong: a float
    submit_many(square, {"x": 2})  # wrong: no list
    handle.pause(5)  # wrong: no text
    handle.result(timeout="a")  # wrong: no number
    handle.paws()  # wrong: no such method
    handle.state = "running"  # wrong: it cannot be set
    get_process(1.5)  # wrong: no pid
    find(state=3)  # wrong: no state
    find(states="running")  # wrong: no such argument
    print(first, second, third)


async def coroutines(handle: ProcessHandle[int]) -> None:
    await asubmit(square, x="a")  # wrong: x is an int
    await asubmit(square, x=1, priority="a")  # wrong: no number
    text: str = (await handle)["result"]  # wrong: an int
    print(text)


def messages(body: Any) -> None:
    with quince_messaging.connect(5) as communicator:  # wrong: no URI
        communicator.add_rpc_subscriber(lambda body: body, "cook")  # wrong: two arguments
        communicator.send_tasks(body, "letters")  # wrong: queue is given by name
        communicator.queue_size(queue=3)  # wrong: no name


asyncio.run(coroutines)  # wrong: not called
