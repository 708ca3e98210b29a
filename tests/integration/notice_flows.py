"""Processes of which somebody is told."""

from __future__ import annotations

from typing import Any

from quince import ToContext, WorkChain, process, signal_, step, submit
from quince.workspace.workspace import resolve
from quince_persistence.records.notices import Happening


@process
def boom(text: str) -> None:
    raise ValueError(text)


@process
def fine(n: int) -> int:
    return n


class Asks(WorkChain):
    """Waits for an answer, and is paused for a person then."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.ask, cls.fail)

    def ask(self) -> ToContext:
        return ToContext(answer=signal_("approval"))

    @step(on_failure="pause")
    def fail(self) -> None:
        raise ValueError("nobody knows")


class Told(WorkChain):
    """Has somebody told of what happens, and puts that out: it waits for a signal, a child fails, and so does
    a process with a label."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("told", valid_type=list)
        spec.outline(cls.begin, cls.launch, cls.look)

    def begin(self) -> ToContext:
        resolve(None).store.want_notices({"ops": list(Happening)}, keep=1e6, most=1000).result()
        return ToContext(nothing=signal_("never", timeout=0.05))

    def launch(self) -> ToContext:
        return ToContext(
            bad=self.submit(boom, text="x"),
            other=submit(boom, inputs={"text": "y"}, labels={"study": "ä"}, key="y"),
        )

    def look(self) -> None:
        notices = resolve(None).store.take_notices(["ops"], "nobody", most=1000, hold=0.0).result()
        of_processes = [one for one in notices if one.event is not Happening.TROUBLE]
        self.out("told", sorted([one.event.value, one.body.get("parent") is None] for one in of_processes))
