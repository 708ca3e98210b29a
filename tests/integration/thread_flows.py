"""Processes whose functions run in threads of one program, and one that kills it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from quince import Process, WorkChain
from tests.flows import note

_meeting = threading.Barrier(3, timeout=30)


class InThreads(WorkChain):
    """Meets two others in the memory of one program; and then as a coroutine."""

    isolation = "thread"

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        for name in ("thread", "place", "after"):
            spec.output(name)
        spec.outline(cls.meet, cls.look)

    def meet(self) -> None:
        _meeting.wait()
        self.out("thread", threading.current_thread() is not threading.main_thread())
        self.out("place", os.getpid())

    async def look(self) -> None:
        self.out("after", os.getpid())


class Gated(Process):
    """Waits until the gate is open."""

    isolation = "thread"

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.input("gate", valid_type=str)

    def run(self) -> None:
        note(self.inputs.ledger, type(self).__name__.lower())
        while not Path(self.inputs.gate).exists():
            time.sleep(0.01)


class Dies(Gated):
    """Ends its program then."""

    def run(self) -> None:
        super().run()
        os._exit(7)


class Lives(Gated):
    """Goes on for a little longer."""

    def run(self) -> None:
        super().run()
        time.sleep(0.3)
