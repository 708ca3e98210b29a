"""The clocks that our modules see during a simulation."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.simulation.world import World

OURS = ("quince", "quince_persistence", "quince_messaging")


class SimulatedTime:
    """In the place of the module `time`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def time(self) -> float:
        return self._world.wall()

    def monotonic(self) -> float:
        return self._world.now

    CLOCK_MONOTONIC = 1

    def clock_gettime(self, _clock: int) -> float:
        return self._world.now

    def monotonic_ns(self) -> int:
        return int(self._world.now * 1e9)

    def sleep(self, seconds: float) -> None:
        """A blocking step waits for what does not answer; when it goes on, that is back."""
        if self._world.current is not None:
            self._world.current.waits()


@contextmanager
def simulated_time(world: World) -> Iterator[None]:
    """Inside the block all modules of ours that have imported `time` go by the world's clock."""
    clock = SimulatedTime(world)
    modules = [
        module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in OURS and getattr(module, "time", None) is time
    ]
    try:
        for module in modules:
            setattr(module, "time", clock)  # noqa: B010 - another type on purpose
        yield
    finally:
        for module in modules:
            setattr(module, "time", time)  # noqa: B010
