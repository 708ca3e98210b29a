"""What stops a step in its host, whatever its code does."""

from __future__ import annotations

import asyncio
import time

from quince.worker.step_host import StepHost

LOOK_SECONDS = 0.02
"""A coroutine that has run for so long without coming to an `await` is interrupted where it is."""
ASKED, LONGEST_ASKED = 0.2, 1.0
"""This part of the grace, and at most so many seconds, a function whose time is over has to see that."""
FORCE_SECONDS = 0.05
"""Seconds from the order to abandon a coroutine until its host is killed that has not answered."""


async def stop_step(host: StepHost, pid: int, how: str, grace: float) -> None:
    """Tell its code to end, and end its host when the grace is over. To be cancelled when the step has ended.

    A coroutine is cancelled; in a function, and in a coroutine that blocks the loop of its host, SIGTERM
    raises an exception. What goes on all the same: a function's host is killed, with all that it has started;
    a coroutine is abandoned by its host, and if that does not even answer, it is killed, and its other steps
    run again elsewhere.

    Args:
        how: "kill"; "timeout" if it has had its time (a function is asked before); "cut" if it is only this
            worker that does not go on with it.
    """
    if how == "timeout" and not host.shared:
        host.order(pid, "stop")
        host.nudge()
        await asyncio.sleep(min(ASKED * grace, LONGEST_ASKED))
    host.order(pid, how)
    deadline = time.monotonic() + grace
    patience = LOOK_SECONDS if host.shared else 0.0
    interrupted = 0.0
    while (rest := deadline - time.monotonic()) > 0:
        running = host.who_runs.now()
        due = running is not None and running.pid == pid and time.monotonic() - running.since >= patience
        if running is not None and due and running.since != interrupted and host.interrupt():
            host.retired = True  # it may have met anything, an import too
            interrupted = running.since
        host.thaw()
        await asyncio.sleep(min(LOOK_SECONDS, rest))
    await stop_by_force(host, pid)


async def stop_by_force(host: StepHost, pid: int) -> None:
    """End it at once. To be cancelled when the step has ended."""
    if host.shared:
        host.order(pid, "abandon")
        host.interrupt()  # it looks at the order also while a coroutine blocks its loop
        await asyncio.sleep(FORCE_SECONDS)
    host.kill(f"was killed to stop process {pid} there")
