"""What can go wrong in the engine.

EngineError
├── InvalidInput            a missing, unknown or wrong input of a process
├── InvalidOutput           an output that the spec does not allow
├── InvalidSchedule         a schedule that says no times, or none that can be
├── InvalidFilter           a filter of processes that makes no sense
├── InvalidDefinition       a process class that cannot work (its spec, outline or signature)
├── UnknownTarget           no such module, file or class
│   └── UnloadableClass     a stored class path that cannot be loaded here, and why
│       └── UnloadableNow   the machine is short of something, or a file is half-written: try again
├── UnreadableCheckpoint    a stored checkpoint that this code cannot continue from
├── Unrestorable            a checkpoint written just now that nobody could continue from
├── ClaimLost               the process is not this worker's any more
├── MisusedOnce             a once-block that could not keep its promise
├── InvalidWait             a step that waits for what cannot be waited for together
├── MissingName             the context or the inputs have no value of that name
├── UnexpectedReturn        a step returned something that is not an answer
├── ProcessNotFound         no process has that pid (or key)
├── ControlRefused          pause, play, kill or a signal makes no sense there (for example: terminated)
├── SeveralStores           a control that does not say which of the stores on a broker it means
├── ResultUnavailable       a result is asked of a process that has none
│   ├── ProcessExcepted     it ended with an exception
│   ├── ProcessKilled       it was killed
│   ├── ProcessFailed       it ended with an exit status other than 0
│   └── ProcessHeld         the engine paused it, because it cannot go on with it
├── WaitTimeout             not there in time (also TimeoutError)
├── WouldDeadlock           a step waits inside for a process that cannot end before the step does
├── WorkspaceError          the workspace cannot be found, read or made
├── DaemonError             the daemon cannot be started, reached or stopped
├── StepHostDied            a step ended the program in which it ran, again and again
├── StepTimedOut            an attempt of a step took longer than it may (also TimeoutError)
├── CommandFailed           a program that a step ran ended with a status other than 0
└── CrashTestFailed         a workflow cannot be tried (of quince.testing)

KeyboardInterrupt
└── RunInterrupted          Ctrl-C during run(): its process is killed

What the store and the messages raise passes through as it is: `PersistenceError` and `MessagingError` are the
roots of `quince_persistence.errors` and `quince_messaging.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quince.showing import ShowsItself


class EngineError(Exception):
    """Root of every error that this package raises."""


def _listed(pids: list[int]) -> str:
    return ", ".join(map(str, pids[:5])) + (", ..." if len(pids) > 5 else "")


class InvalidInput(EngineError, ValueError):
    """A missing, unknown or wrong input. Attribute `port`: the full name of the port."""

    def __init__(self, message: str, port: str | None = None) -> None:
        super().__init__(message)
        self.port = port


class InvalidOutput(EngineError, ValueError):
    """An output that the spec does not allow. Attribute `port`: its full name."""

    def __init__(self, message: str, port: str | None = None) -> None:
        super().__init__(message)
        self.port = port


class InvalidSchedule(EngineError, ValueError):
    """What was said of a schedule makes none; says what is wrong, and what to write."""


class InvalidFilter(EngineError, ValueError):
    """Words that choose no processes: no state, time or pid, or they contradict each other; says which."""


class InvalidDefinition(EngineError, TypeError):
    """A process class, an outline or a `@process` function that cannot work; says why, and what to write."""


class UnknownTarget(EngineError, LookupError):
    """There is no such module, file or class; or no worker could find it."""


class UnloadableClass(UnknownTarget):
    """The class of a stored process cannot be loaded here; says why."""


class UnloadableNow(UnloadableClass):
    """A class could not be loaded for a reason that passes by itself: a half-written file, no memory left."""


class UnreadableCheckpoint(EngineError):
    """A stored checkpoint that this code cannot continue from."""


class Unrestorable(EngineError):
    """A checkpoint written just now, from which no worker could continue as it was."""


class ClaimLost(EngineError):
    """The worker has lost its claim on the process: nothing it does counts any more.

    Attributes:
        pid: The process.
        key: Of the once-block that could not be recorded.
    """

    def __init__(self, pid: int, key: str) -> None:
        super().__init__(
            f"process {pid} is not this worker's any more (killed by force, or taken over); "
            f"once({key!r}, ...) is not recorded"
        )
        self.pid, self.key = pid, key


class MisusedOnce(EngineError, TypeError):
    """A once-block that could not keep its promise: it would block, or do what is lost when it is skipped."""


class UnexpectedReturn(EngineError, TypeError):
    """A step, or a test of an outline, returned something that has no meaning there; says what has."""


class MissingName(EngineError, AttributeError, KeyError):
    """The context, or what a process was given, has no value of that name."""

    __str__ = Exception.__str__  # not KeyError's, which quotes the sentence


class ProcessNotFound(EngineError, LookupError):
    """No process of this workspace has that pid or key."""


class InvalidWait(EngineError, ValueError):
    """A step waits for what cannot be waited for together: `sleep`, and signals with a timeout."""


class ControlRefused(EngineError):
    """Pause, play, kill or a signal makes no sense there: the process has terminated. Attribute `pid`."""

    def __init__(self, pid: int, message: str) -> None:
        super().__init__(message)
        self.pid = pid


class ResultUnavailable(EngineError, ShowsItself):
    """A result is asked of a process that has none. Attribute `pid`."""

    def __init__(self, pid: int, message: str) -> None:
        super().__init__(message)
        self.pid = pid


class ProcessExcepted(ResultUnavailable):
    """The process ended with an exception.

    Attributes:
        pid: The process.
        type_name: Qualified name of the exception's class.
        text: The exception's message.
        traceback: The formatted traceback, as text.
    """

    def __init__(self, pid: int, type_name: str, text: str, traceback: str) -> None:
        super().__init__(pid, f"process {pid} excepted with {type_name}: {text}")
        self.type_name = type_name
        self.text = text
        self.traceback = traceback


class ProcessKilled(ResultUnavailable):
    """The process was killed. Attribute `reason`: why, if it was said."""

    def __init__(self, pid: int, reason: str | None) -> None:
        super().__init__(pid, f"process {pid} was killed" + (f": {reason}" if reason else ""))
        self.reason = reason


class ProcessFailed(ResultUnavailable):
    """The process ended with an exit status other than 0.

    Attributes:
        exit_status: The status.
        exit_message: Its message, or None.
        outputs: What it had put out.
    """

    def __init__(
        self, pid: int, exit_status: int, exit_message: str | None, outputs: Mapping[str, Any]
    ) -> None:
        super().__init__(
            pid,
            f"process {pid} ended with exit status {exit_status}"
            + (f": {exit_message}" if exit_message else ""),
        )
        self.exit_status = exit_status
        self.exit_message = exit_message
        self.outputs = outputs


class ProcessHeld(ResultUnavailable):
    """The engine paused it: it cannot go on with it, or its step has failed.

    Attributes:
        reason: Why.
        traceback: The formatted traceback of the error of its step, as text; empty if there is none.
    """

    def __init__(self, pid: int, reason: str | None, traceback: str = "") -> None:
        super().__init__(pid, f"process {pid} is {reason}; `quince play {pid}` tries again")
        self.reason = reason
        self.traceback = traceback


class WaitTimeout(EngineError, TimeoutError):
    """What was waited for did not come in time; it may still come."""


class WouldDeadlock(EngineError, RuntimeError):
    """A step waits, inside, for a process that cannot end, or is not run, before the step itself has ended.

    Attributes:
        pid: The process whose step it is.
        awaited: Those for which it would wait.
        reason: Why that cannot be, and the way out.
    """

    def __init__(self, pid: int, awaited: list[int], reason: str) -> None:
        super().__init__(f"a step of process {pid} cannot wait for process {_listed(awaited)}: {reason}")
        self.pid = pid
        self.awaited = awaited
        self.reason = reason


class WorkspaceError(EngineError):
    """The workspace cannot be found, read or made."""


class SeveralStores(EngineError):
    """A control came over a broker that several stores use, and says of none that it is meant.

    Attribute `stores`: their identities, with their folders.
    """

    def __init__(self, stores: list[str]) -> None:
        super().__init__(
            f"workers of {len(stores)} stores are on this broker: {'; '.join(sorted(stores))}. Say which one "
            "is meant: RemoteControl(uri, store=...), ProcessCommunicator(communicator, store=...)"
        )
        self.stores = stores


class StepHostDied(EngineError):
    """A step ended the program in which it ran, its step host, in each of several attempts.

    Attributes:
        words: What the host has said on stderr at its end; may be empty.
    """

    def __init__(self, story: str, place: str, times: int, words: str = "") -> None:
        super().__init__(f"its step host {story}, in {place}, {times} times in a row; it is not tried again")
        self.words = words
        for line in words.splitlines():
            self.add_note(line)


class StepTimedOut(EngineError, TimeoutError):
    """An attempt of a step took longer than its `timeout` says. Attribute `seconds`: how long it had."""

    def __init__(self, seconds: float, step: str = "the step") -> None:
        super().__init__(f"{step} has not ended within {seconds:g} s")
        self.seconds = seconds


class DaemonError(EngineError):
    """The daemon cannot be started, reached or stopped."""
