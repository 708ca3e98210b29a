"""A step host in which one step runs at a time, as in a script: functions on the main thread, with no event
loop around them; coroutines on an event loop that runs as long as they do."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any, TypeVar

from quince.hosts.direct_steppers import ExclusiveStepper
from quince.hosts.host import StepHost
from quince.hosts.protocol import Begin

T = TypeVar("T")


class Turns:
    """Steps that wait for their turn. For each there is a token, unless the worker takes that back: then it
    says that the process leaves, and this is read before a turn is begun.

    Args:
        permits: The semaphore with the tokens.
        look: Takes in what the worker has said.
    """

    def __init__(self, permits: int, look: Callable[[], None]) -> None:
        self._permits = permits
        self._look = look
        self._waiting: dict[int, Begin] = {}
        self._spare_token = False

    def add(self, begin: Begin) -> None:
        """It is the last one."""
        self._waiting[begin.pid] = begin

    def leave(self, pid: int) -> bool:
        """The step of a process does not begin here. False: it does not wait."""
        return self._waiting.pop(pid, None) is not None

    def take(self) -> Begin | None:
        """Whose turn it is; None: nobody's."""
        if not self._waiting or not self._take_token():
            return None
        self._look()
        if not self._waiting:
            self._spare_token = True
            return None
        return self._waiting.pop(next(iter(self._waiting)))

    def _take_token(self) -> bool:
        if self._spare_token:
            self._spare_token = False
            return True
        try:
            return bool(os.eventfd_read(self._permits))
        except BlockingIOError:
            return False


class ExclusiveHost(StepHost):
    """Steps run in turn.

    Args:
        permits: See `Turns`.
    """

    _stepper: ExclusiveStepper

    def __init__(self, *args: Any, permits: int) -> None:
        super().__init__(*args)
        self._turns = Turns(permits, self._link.look)
        self._stepper = ExclusiveStepper(self._loop, self._call, self._drive, self._traces.loading)
        self._turn = 0
        self._signalled = False

    def serve(self) -> None:
        self._open()
        while True:
            self._link.wait()
            self._link.look()
            while not self._traces.found and (begin := self._turns.take()) is not None:
                self._take_turn(begin)

    def _take_turn(self, begin: Begin) -> None:
        self._turn = begin.pid
        step = self._step(begin, self._steps[begin.pid])
        with suppress(StopIteration):
            step.send(None)
            step.close()
            raise RuntimeError("a step has waited outside of the event loop")
        self._turn = 0

    def _drive(self, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        return self._steps[self._turn].driver.drive(coroutine)

    # What comes

    def _begin(self, begin: Begin) -> None:
        self._turns.add(begin)

    def _leave(self, pid: int) -> None:
        super()._leave(pid)
        if self._turns.leave(pid):
            del self._steps[pid]

    def _cancel(self, _pid: int) -> None:
        self._stepper.cancel()

    # Functions of the user's

    async def _outside(self, function: Callable[..., T], *args: Any) -> T:
        return self._call(function, *args)

    def _call(self, function: Callable[..., T], *args: Any) -> T:
        """Call it; a signal of the worker's is obeyed meanwhile, also one that has come just before."""
        before = self._who_runs.enter(self._turn)
        try:
            if self._signalled:
                self._obey()
            return function(*args)
        finally:
            self._who_runs.leave(before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = not self._who_runs.pid  # then it is obeyed before the next function is called
        super()._on_signal(number, frame)

    def _obey(self) -> None:
        self._signalled = False
        super()._obey()
