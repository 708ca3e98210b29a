"""One step in a step host, from the order to run it until the worker knows its end; and what stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from quince.errors import ProcessKilled, StepTimedOut
from quince.hosts.driver import Driver
from quince.hosts.failures import AwaitsAgain, CannotGoOn, CutOff, Fenced, Restored, Stopped, Unmet
from quince.hosts.protocol import Done
from quince.hosts.stepped import SteppedProcess
from quince.hosts.who_runs import WhoRuns
from quince.text import words_of
from quince_persistence.codec.temporary_errors import is_temporary


class HostedStep:
    """A step, also while it only waits for its turn.

    Args:
        cancel: Cancels the user's coroutine that runs in it.
        threads: Functions run in threads here, which nobody can stop.

    Attributes:
        driver: Drives its coroutines.
        process: Whose step it is, once it has begun.
        stopping: It was told to stop.
        to_stop: It can see, from when it begins, that it is to stop.
        told: The worker knows its end.
    """

    def __init__(self, pid: int, who_runs: WhoRuns, *, cancel: Callable[[int], None], threads: bool) -> None:
        self.pid = pid
        self.driver = Driver(pid, who_runs)
        self.process: SteppedProcess | None = None
        self.stopping = False
        self.to_stop = False
        self.told = False
        self._who_runs = who_runs
        self._cancel = cancel
        self._threads = threads
        self._error: BaseException | None = None

    async def done(self, run: Coroutine[Any, Any, Done]) -> Done:
        """Run it. Whatever happens, the worker is to be told: it waits for that."""
        try:
            if self.stopping:
                run.close()
                raise Stopped
            return await run
        except (Stopped, CutOff):
            return self.stopped
        except asyncio.CancelledError as error:
            if self.stopping or self.process is None:
                return self.stopped
            return Done(self.pid, self.process.excepted(error))  # it has cancelled its own task
        except Exception as error:
            return self.stopped if self.stopping else _failed(self.pid, error)

    @property
    def stopped(self) -> Done:
        """What the worker is told of one that was stopped in its midst."""
        return Done(self.pid, failure="Stopped")

    # Stopping it

    def stop(self, how: str) -> None:
        """Cancel its coroutine. Where its code runs just now, `interrupt` does that, in a signal handler.

        Args:
            how: One of `STOPS`.
        """
        error = STOPS[how](self)
        if error is None:
            return
        self.stopping, self._error = True, error
        if self.process is None:
            return  # it has not begun, and will not
        if how != "timeout":
            self.process.doom()
        self.driver.play()
        if self.process.cancellable and not self._runs:
            self._cancel(self.pid)

    def interrupt(self) -> None:
        """Raise in its code, which runs just now, what it is to be stopped with. Once for each `stop`."""
        error, self._error = self._error, None
        over = isinstance(error, StepTimedOut) and not (self.process is not None and self.process.timed)
        if error is not None and not over:
            raise error

    def abandon(self) -> bool:
        """Never resume it again. It may be called in a signal handler, in the midst of any code.

        Returns:
            That is its end; else its code runs just now, and may end with its next `await`, or before.
        """
        self.stop("kill")
        self.driver.abandon()
        return not (self._runs or self._is_in_thread)

    @property
    def _runs(self) -> bool:
        return self._who_runs.pid == self.pid

    @property
    def _is_in_thread(self) -> bool:
        return self._threads and self.process is not None and not self.process.cancellable

    # Pausing it

    def pause(self) -> bool:
        """Do not let it go on where it awaits something, and stop its programs. False: it cannot be done."""
        if self._is_in_thread:
            return False
        self.driver.pause()
        if self.process is not None:
            self.process.suspend(everything=True)
        return True

    def play(self) -> None:
        """Let it go on."""
        self.driver.play()
        if self.process is not None:
            self.process.resume()


STOPS: dict[str, Callable[[HostedStep], BaseException | None]] = {
    "kill": lambda step: ProcessKilled(step.pid, None),
    "cut": lambda _: CutOff(),
    "timeout": lambda step: None if step.process is None else step.process.time_over(),
}
"""What is raised in users' code to stop it, by the order that says so; None: it has ended.
(Why the worker gives that order, its own side knows: a kill, or a time that is over.)"""


def _failed(pid: int, error: Exception) -> Done:
    match error:
        case CannotGoOn():
            return Done(
                pid,
                failure="CannotGoOn",
                reason=error.reason,
                passing=error.passing,
                loading=error.loading,
                importing=error.importing,
            )
        case Fenced() | Restored() | AwaitsAgain():
            return Done(pid, failure=type(error).__name__)
        case Unmet():
            return Done(pid, failure="Unmet", reason=words_of(error.args[0]))
    return Done(
        pid,
        failure="EngineFailed",
        reason=f"{type(error).__name__}: {words_of(error)}",
        passing=is_temporary(error),
    )
