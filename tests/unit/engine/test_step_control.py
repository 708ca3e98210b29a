"""What a worker does with the step of a process when controls reach it late, or in another order."""

from __future__ import annotations

import asyncio
from typing import Any

from quince.worker.step_control import StepControl
from quince_persistence.records import Control


class Stage:
    """A step that runs for ever, and what the store says of its process.

    Attributes:
        paused: As the store has it.
        stopped: The step stands still.
    """

    def __init__(self) -> None:
        self.paused = self.stopped = self.draining = False
        self.control = StepControl(*[self] * 4)  # type: ignore[arg-type]
        self.running = asyncio.ensure_future(self.control.step())

    async def heard(self, verb: Control) -> bool:
        """Have the worker hear of a control; whether the step stands still then."""
        await asyncio.sleep(0)
        self.control.interrupt(verb, now=True)
        for _ in range(5):
            await asyncio.sleep(0)
        return self.stopped

    # A seat

    async def step(self, results: Any = ()) -> Any:
        await asyncio.Event().wait()

    async def suspend(self, *, now: bool = False) -> bool:
        self.stopped = True
        return True  # for a claimed process: it is paused

    def resume(self) -> None:
        self.stopped = False

    # A claimed process, and slots

    async def is_paused(self) -> bool:
        return self.paused

    def lend_slot(self) -> None: ...

    def take_back_slot(self) -> None: ...


async def test_a_play_that_is_heard_after_a_later_pause_was_applied_does_not_let_the_step_go_on() -> None:
    """Pause, play and pause were written in turn; the worker has applied the last one when it hears of the
    play, and nobody knows whether it will hear of that pause."""
    stage = Stage()
    stage.paused = await stage.heard(Control.PAUSE)
    assert stage.paused
    assert await stage.heard(Control.PLAY)
    stage.paused = False
    assert not await stage.heard(Control.PLAY)
    stage.running.cancel()
