"""What is said of a step besides its code: how often it is tried, how long it may take, what happens when it
fails."""

from __future__ import annotations

import inspect
import math
import random
import reprlib
from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from quince.errors import (
    ClaimLost,
    InvalidDefinition,
    InvalidOutput,
    InvalidWait,
    MisusedOnce,
    ProcessKilled,
    UnexpectedReturn,
    Unrestorable,
)
from quince.moments import Duration, seconds_of
from quince_persistence.errors import Unsaveable

Function = TypeVar("Function", bound=Callable[..., Any])
Errors = type[BaseException] | tuple[type[BaseException], ...]

POLICY = "__quince_step__"
"""The attribute of a function that has what `step` was told; `functools.wraps` hands it on."""
ON_FAILURE = ("fail", "pause")
MOST_ATTEMPTS = 1_000_000
NEVER = (
    ProcessKilled, ClaimLost, InvalidDefinition, InvalidOutput, InvalidWait, MisusedOnce, UnexpectedReturn,
    Unrestorable, Unsaveable,
)  # fmt: skip
"""What the next attempt would meet again: mistakes in a class, and ends that somebody has wanted."""

_random = random.SystemRandom()  # users seed the other one


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried, and after which pauses.

    `Retry(5, first="2 s", on=(OSError,))`: after 2, 4, 8 and 16 seconds. The pauses hold no slot, and outlast
    workers.

    Attributes:
        attempts: At most so many in all, the first one included.
        first: The pause after the first failure: seconds, `"2 s"`, `"5 min"` or a `timedelta`.
        factor: By which each pause is longer than the one before.
        longest: No pause is longer, unless `first` is.
        jitter: Each pause is longer or shorter by up to this part of it, by chance, so that many that have
            failed together do not come back together. 0: none is.
        on: Only after these errors.
        not_on: Not after these, though `on` names them.

    Raises:
        InvalidDefinition: one of them makes no sense; says which.
    """

    attempts: int = 3
    first: Duration = 1.0
    factor: float = 2.0
    longest: Duration = 600.0
    jitter: float = 0.1
    on: Errors = (Exception,)
    not_on: Errors = ()

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or not 1 <= self.attempts <= MOST_ATTEMPTS:
            _refuse(f"attempts={reprlib.repr(self.attempts)}: write a whole number from 1 to a million")
        for name in ("first", "longest"):
            object.__setattr__(self, name, _seconds(f"Retry: {name}", getattr(self, name)))
        object.__setattr__(self, "longest", max(self.first, self.longest))
        if not _is_number(self.factor) or not self.factor >= 1:
            _refuse(f"factor={reprlib.repr(self.factor)}: write a number from 1 on")
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            _refuse(f"jitter={reprlib.repr(self.jitter)}: write a part of the pause, from 0 to 1")
        for name in ("on", "not_on"):
            object.__setattr__(self, name, _errors(name, getattr(self, name)))

    def takes(self, error: BaseException) -> bool:
        """Whether a step that has failed with it may be tried again. A `CancelledError` that nobody else has
        brought about counts as an `Exception`."""
        own = isinstance(error, CancelledError) and issubclass(Exception, self.on)
        wanted = own or isinstance(error, self.on)
        return wanted and not isinstance(error, self.not_on) and not is_final(error)

    def pause(self, failed: int) -> float:
        """Seconds until the next attempt, when so many have failed."""
        first, longest = seconds_of(self.first), seconds_of(self.longest)
        try:
            pause = min(longest, first * self.factor ** (failed - 1))
        except OverflowError:
            pause = longest
        return pause * (1 + self.jitter * _random.uniform(-1, 1))


def is_final(error: BaseException) -> bool:
    """No step is tried again after it, whatever its `retry` says."""
    return isinstance(error, NEVER)


@dataclass(frozen=True, slots=True)
class StepPolicy:
    """What `step` was told.

    Attributes:
        retry: None: it is tried once.
        timeout: Seconds that an attempt has; None: any.
        handler: Name of the method that is asked after a failed attempt.
        on_failure: `fail` or `pause`; None: as the process says.
    """

    retry: Retry | None = None
    timeout: float | None = None
    handler: str | None = None
    on_failure: str | None = None

    @property
    def attempts(self) -> int:
        """How many there are at most."""
        return 1 if self.retry is None else self.retry.attempts


ONCE = StepPolicy()
"""That of a step of which nothing is said."""


def step(
    function: Any = None,
    /,
    *,
    retry: Retry | int | None = None,
    timeout: Duration | None = None,
    handler: str | None = None,
    on_failure: str | None = None,
) -> Callable[[Function], Function]:
    """Say of a step how often it is tried and how long it may take: `@step(retry=3, timeout="1 h")`.

    It stands above a step (or a test) of a work chain, or the `run` of a process, `def` or `async def`.

    Args:
        retry: A `Retry`, or how many attempts there are in all.
        timeout: How long an attempt may take. Then it is stopped, as by a kill, and has failed with
            `StepTimedOut`.
        handler: Name of a method of the class, `def` or `async def`, that takes the error. It is called after
            each failed attempt, with the context as it was before the step; it may change that, and returns
            None, `"retry"`, a `Retry`, `"fail"`, `"pause"`, or an exit code with which the process ends.
        on_failure: `"pause"`: when it is not tried again, the process is paused as it was before the step,
            instead of ending with the error. `"fail"`: it ends.

    Raises:
        InvalidDefinition: one of them makes no sense; says which.
    """
    policy = policy_from("@step", retry, timeout, on_failure, handler)
    if function is not None:
        raise InvalidDefinition(
            "@step says nothing by itself: write @step(retry=3) above the step, or leave it out"
        )

    def decorated(function: Function) -> Function:
        if hasattr(function, "process_class"):
            raise InvalidDefinition(
                f"@step stands above @process {function.__name__}: write @process(retry=..., timeout=...)"
            )
        if not inspect.isroutine(function):
            raise InvalidDefinition(f"@step stands above a step, a method of the class, and not {function!r}")
        setattr(function, POLICY, policy)
        return function

    return decorated


def policy_from(word: str, retry: Any, timeout: Any, on_failure: Any, handler: Any = None) -> StepPolicy:
    """What was told, checked.

    Args:
        word: The decorator, for messages.

    Raises:
        InvalidDefinition: one of them makes no sense; says which.
    """
    if retry is not None and not isinstance(retry, Retry):
        if type(retry) is not int:
            raise InvalidDefinition(
                f"{word}: retry={reprlib.repr(retry)}: write a Retry, or how many attempts there are in all"
            )
        retry = Retry(retry)
    if timeout is not None and not (timeout := _seconds(f"{word}: timeout", timeout)):
        raise InvalidDefinition(f"{word}: a timeout of 0 leaves no time for an attempt; leave it out")
    if handler is not None and not (isinstance(handler, str) and handler.isidentifier()):
        raise InvalidDefinition(
            f"{word}: handler={reprlib.repr(handler)}: write the name of a method of the class, as a text"
        )
    if handler is not None:
        retry = retry or HANDLED
    return StepPolicy(retry, timeout, handler, checked_on_failure(word, on_failure))


def checked_on_failure(where: str, value: Any) -> str | None:
    """What was said, if it is known.

    Raises:
        InvalidDefinition: it is not.
    """
    if value is None or value in ON_FAILURE:
        return value  # type: ignore[no-any-return]
    raise InvalidDefinition(
        f"{where}: on_failure={reprlib.repr(value)}: write 'fail' (the process ends with the error) or "
        "'pause' (it is paused as it was before the step)"
    )


def policy_of(function: Any) -> StepPolicy:
    """What was said of a step."""
    found = getattr(function, POLICY, ONCE)
    return found if isinstance(found, StepPolicy) else ONCE


def _refuse(problem: str) -> None:
    raise InvalidDefinition(f"Retry: {problem}")


def _seconds(what: str, value: Any) -> float:
    try:
        return seconds_of(value)
    except ValueError as error:
        raise InvalidDefinition(f"{what}: {error}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _errors(name: str, value: Any) -> tuple[type[BaseException], ...]:
    given = value if isinstance(value, (tuple, list, set, frozenset)) else (value,)
    for one in given:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            _refuse(f"{name} has {reprlib.repr(one)}, which is no class of exceptions: {name}=(OSError, ...)")
    return tuple(given)


HANDLED = Retry(5, first=0.0, jitter=0.0)
"""The `retry` of a step which has a handler and no `retry`."""
