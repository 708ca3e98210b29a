"""How the driving of a process, or the running of its step, breaks off."""

from __future__ import annotations


class Fenced(Exception):
    """The claim was lost; whatever is known here of the process no longer counts."""

    def __str__(self) -> str:
        return "the claim was lost"


class Restored(Exception):
    """The store was restored from a backup under this worker; what is known here is of another history."""

    def __str__(self) -> str:
        return "the store was restored from a backup"


class AwaitsAgain(Exception):
    """One of those that it had waited for was retried when it had been claimed already."""

    def __str__(self) -> str:
        return "one that it had waited for was retried, and it waits for that again"


class InDoubt(Exception):
    """Whether the last step was committed is not known."""

    def __str__(self) -> str:
        return "its last step may be committed or not"


class Unmet(Exception):
    """A coroutine step needed the store, which was away."""

    def __str__(self) -> str:
        return f"its step needed the store ({self.args[0]})"


class Stopped(Exception):
    """The step was stopped in the middle, as its worker had asked."""

    def __str__(self) -> str:
        return "its step was stopped"


class StepFailed(Exception):
    """A step has failed, or what it did cannot be kept. Attribute `error`: why."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class CutOff(BaseException):
    """Raised in a step: this worker does not go on with it. (Another one runs it again.)"""


class CannotGoOn(Exception):
    """The process cannot be loaded, or what it needs cannot be read.

    Attributes:
        reason: Why, and what to do.
        passing: It may go on when that is tried again; else it is put on hold.
        loading: It cannot be loaded.
        importing: Because its class cannot be imported.
    """

    def __init__(self, reason: str, *, passing: bool, loading: bool = False, importing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing
        self.loading = loading
        self.importing = importing


class EngineFailed(Exception):
    """The engine failed where the step ran.

    Attributes:
        passing: That may pass, and the process is begun anew.
    """

    def __init__(self, reason: str, *, passing: bool) -> None:
        super().__init__(reason)
        self.passing = passing


class HostDied(Exception):
    """The step host has ended while a step of the process ran in it.

    Attributes:
        story: How it ended, in words; goes on after "its step host".
        words: What it has said at its end; may be empty.
        own: The code of this process was running at that moment; else it is not to blame.
        sure: Whether that is known.
        lacked_memory: The kernel has ended it for want of memory.
    """

    def __init__(
        self, story: str, words: str = "", *, own: bool, sure: bool = True, lacked_memory: bool = False
    ) -> None:
        super().__init__(f"its step host {story}")
        self.story = story
        self.words = words
        self.own = own
        self.sure = sure
        self.lacked_memory = lacked_memory
