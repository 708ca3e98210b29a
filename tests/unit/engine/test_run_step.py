"""One step of a process alone, without a workspace."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from quince import (
    InvalidInput,
    InvalidOutput,
    Process,
    Retry,
    ToContext,
    UnknownTarget,
    Unsaveable,
    WorkChain,
    any_,
    append_,
    process,
    signal_,
    step,
    while_,
)
from quince.testing import excepted, finished, killed, run_step, unfinished


@process
def square(x: int, *, more: int = 1) -> int:
    return x * x * more


class Sums(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("xs", valid_type=list[int])
        spec.output("total", valid_type=int)
        spec.exit_code(410, "LOST", "a part was lost")
        spec.outline(cls.launch, while_(cls.lacks)(cls.ask, cls.look), cls.collect)

    def launch(self) -> None:
        for x in self.inputs.xs:
            self.to_context(parts=append_(self.submit(square, x=x, queue="many", labels={"x": x})))
        self.report(f"{len(self.inputs.xs)} are to come")
        self.submit(square, x=0)
        self.status = "launched"

    def lacks(self) -> bool:
        return "answer" not in self.ctx

    async def ask(self) -> ToContext:
        await asyncio.sleep(0)
        self.signal(17, "asked", {"by": self.pid})
        return ToContext(answer=signal_("answer", timeout="1 h"))

    def look(self) -> None:
        self.ctx.token = self.once("look", lambda: threading.current_thread().name)
        self.sleep(60)

    def collect(self) -> Any:
        if not all(part.is_finished_ok for part in self.ctx.parts):
            self.ctx.lost = [part.exit_message for part in self.ctx.parts if not part.is_finished_ok]
            return self.exit_codes.LOST
        self.out("total", sum(part.outputs["result"] for part in self.ctx.parts))
        return None


def test_what_a_step_would_submit_is_told() -> None:
    done = run_step(Sums, "launch", inputs={"xs": [2, 3]})
    assert [(one.name, one.inputs["x"], one.queue, one.awaited) for one in done.children] == [
        ("square", 2, "many", True),
        ("square", 3, "many", True),
        ("square", 0, "default", False),
    ]
    assert done.children[0].inputs["more"] == 1
    assert done.children[0].options.labels == {"x": "2"}
    assert (done.reports, done.status) == (["2 are to come"], "launched")
    assert (done.waits, done.next_step, done.exit_status) == (True, "while(lacks)", None)


def test_children_are_stand_ins() -> None:
    parts = [finished({"result": 4}, of=square), finished({"result": 9})]
    done = run_step(Sums, "collect", ctx={"parts": parts}, inputs={"xs": [2, 3]})
    assert (done.outputs, done.exit_status, done.next_step) == ({"total": 13}, 0, None)


def test_children_that_did_not_end_well() -> None:
    parts = [finished({"result": 4}), finished({}, 7, "no"), excepted(OSError("disk")), killed("a look")]
    done = run_step(Sums, "collect", ctx={"parts": parts}, inputs={"xs": []})
    assert (done.exit_status, done.exit_message) == (410, "a part was lost")
    assert done.ctx["lost"] == ["no", "OSError: disk", "a look"]


def test_waits_are_told_exactly() -> None:
    asked = run_step(Sums, "ask", inputs={"xs": []})
    assert (asked.signals, asked.sleep, asked.next_step) == (["answer"], 3600.0, "look")
    assert asked.sent == [(17, "asked", {"by": 1})]
    looked = run_step(Sums, "look", inputs={"xs": []})
    assert (looked.sleep, looked.ctx) == (60.0, {"token": threading.current_thread().name})


async def test_it_runs_beside_a_loop() -> None:
    assert run_step(Sums, "ask", inputs={"xs": []}).signals == ["answer"]
    assert run_step(square, inputs={"x": 3}).outputs == {"result": 9}


class Asks(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.ask, cls.read, cls.fetch)

    def ask(self) -> ToContext:
        return any_(a=self.submit(square, x=1), word=signal_("word"), timeout="1 min")

    def read(self) -> None:
        self.ctx.seen = (self.timed_out, [one.terminated for one in self.ctx.asked])
        for one in self.ctx.asked:
            self.kill(one)

    @step(retry=5, handler="recover")
    def fetch(self) -> None:
        self.ctx.forgotten = True
        errors: dict[str, type[Exception]] = {
            "slow": TimeoutError, "lost": ConnectionError, "wrong": ZeroDivisionError, "odd": KeyError,
        }  # fmt: skip
        raise errors[self.ctx.kind]

    def recover(self, error: Exception) -> Any:
        self.ctx.name = "another"
        if isinstance(error, KeyError):
            raise LookupError("no idea")
        if isinstance(error, TimeoutError):
            return Retry(3, first=60, jitter=0)
        return 7 if isinstance(error, OSError) else "fail"


def test_waits_for_the_first_and_time_that_was_over() -> None:
    asked = run_step(Asks, "ask")
    assert (asked.first, asked.signals, asked.sleep) == (True, ["word"], 60.0)
    assert [child.awaited for child in asked.children] == [True]
    late = unfinished(of=square)
    seen = run_step(Asks, "read", ctx={"asked": [late, finished()]}, timed_out=True)
    assert seen.ctx["seen"] == (True, [False, True])
    assert late.pid in seen.kills
    assert run_step(Asks, "read", ctx={"asked": []}).ctx["seen"] == (False, [])


def test_a_handler_has_its_say() -> None:
    again = run_step(Asks, "fetch", ctx={"kind": "slow"})
    assert (type(again.failed), again.next_step, again.sleep) == (TimeoutError, "fetch", 60.0)
    assert again.ctx == {"kind": "slow", "name": "another"}
    ends = run_step(Asks, "fetch", ctx={"kind": "lost"})
    assert (type(ends.failed), ends.exit_status) == (ConnectionError, 7)
    with pytest.raises(ZeroDivisionError):
        run_step(Asks, "fetch", ctx={"kind": "wrong"})
    with pytest.raises(LookupError, match="no idea") as broken:
        run_step(Asks, "fetch", ctx={"kind": "odd"})
    assert isinstance(broken.value.__context__, KeyError), "the error of the step is gone"


class Raises(Process):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("what")

    def run(self) -> None:
        if self.inputs.what == "lock":
            self.report("then")
        raise ConnectionError(self.inputs.what)


class Keeps(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.keep, cls.end)

    def keep(self) -> None:
        self.ctx.values = []
        self.ctx.values.append(threading.Lock())

    def end(self) -> None: ...


def test_what_a_step_raises_is_raised_as_it_was() -> None:
    with pytest.raises(ConnectionError, match="lock") as raised:
        run_step(Raises, inputs={"what": "lock"})
    assert raised.traceback[-1].name == "run"
    with pytest.raises(Unsaveable, match="values"):
        run_step(Keeps, "keep")


def test_what_cannot_be_run_is_refused() -> None:
    with pytest.raises(UnknownTarget, match=r"no step 'colect'.*collect.*launch, ask, look, collect"):
        run_step(Sums, "colect", inputs={"xs": []})
    with pytest.raises(UnknownTarget, match="only one is 'run'"):
        run_step(Raises, "walk", inputs={"what": 1})
    with pytest.raises(InvalidInput, match="xs"):
        run_step(Sums, "launch")
    with pytest.raises(InvalidOutput, match="cube"):
        finished({"cube": 1}, of=square_only)


class square_only(Process):  # noqa: N801
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("square")

    def run(self) -> None: ...
