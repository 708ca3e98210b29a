"""Services that fail for a while: a function that raises a few times, a program that ends badly at first."""

from __future__ import annotations

import functools
import inspect
import itertools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from quince.testing.arguments import text, whole

Raised = BaseException | type[BaseException]


class Failing(Protocol):
    """A function that fails at first.

    Attributes:
        calls: How often it was called.
    """

    calls: int

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Fail, or do what the function does."""


def failing(
    function: Callable[..., Any] | None = None,
    *,
    times: int = 1,
    error: Raised = ConnectionError,
    returns: Any = None,
) -> Failing:
    """A function that raises the first few times, and then does what it is there for.

    Steps run in the program of the test (in a sandbox, in `run()` and in `run_step`), so they meet it:
    `monkeypatch.setattr(jobs, "fetch", failing(jobs.fetch, times=2))`.

    Args:
        function: What it stands for, `def` or `async def`; None: something that returns `returns`.
        times: How often it fails.
        error: What it raises: an exception, or its class.
        returns: What is returned in the end, if there is no function.

    Raises:
        ValueError: One of them makes no sense; says which.
    """
    times = whole("failing()", "times", times, least=0)
    if function is not None and not callable(function):
        raise ValueError(f"failing(): {function!r} is no function; a value is given as returns={function!r}")
    if function is not None and returns is not None:
        raise ValueError("failing(): a function returns what it returns: leave returns out, or the function")
    make = _maker(error)
    calls = itertools.count(1)  # several threads may call

    def count() -> None:
        number = next(calls)
        wrapper.calls = max(wrapper.calls, number)
        if number <= times:
            raise make(f"failure {number} of {times}")

    def call(*args: Any, **kwargs: Any) -> Any:
        count()
        return returns if function is None else function(*args, **kwargs)

    async def call_async(*args: Any, **kwargs: Any) -> Any:
        count()
        return await cast("Callable[..., Any]", function)(*args, **kwargs)

    wrapper = cast("Failing", call_async if inspect.iscoroutinefunction(function) else call)
    if function is not None:
        functools.update_wrapper(wrapper, function)
    wrapper.calls = 0
    return wrapper


def _maker(error: object) -> Callable[[str], BaseException]:
    """Makes the exception that is raised, from what it is to say."""
    if isinstance(error, BaseException):
        return lambda _: error
    if not (isinstance(error, type) and issubclass(error, BaseException)):
        raise ValueError(f"failing(): error is {error!r}, and must be an exception, or its class")
    try:
        error("failure")
    except Exception as refused:
        raise ValueError(
            f"failing(): {error.__name__} cannot be made of a sentence ({refused}): give one, error="
            f"{error.__name__}(...)"
        ) from None
    return error


def write_program(file: Path, *, fails: int, prints: str, complains: str, exit_status: int) -> None:
    """Write a program that ends badly the first few times, and then well.

    Args:
        fails: How often.
        prints: What it writes to its standard output when it ends well.
        complains: What it writes to its standard error when it does not.
        exit_status: With which it ends then.

    Raises:
        ValueError: One of them makes no sense; says which.
    """
    call = "program()"
    for name, value in (("prints", prints), ("complains", complains)):
        text(call, name, value)
    fails, exit_status = (
        whole(call, "fails", fails, least=0),
        whole(call, "exit_status", exit_status, least=1, most=255),
    )
    calls = shlex.quote(f"{file}.calls")
    file.write_text(
        "#!/bin/sh\n"
        "call=$(printf '%s' \"$*\" | tr '\\n' ' ')\n"
        f"printf '%s\\n' \"$call\" >> {calls}\n"
        f"if [ $(wc -l < {calls}) -le {fails} ]; then\n"
        f"  printf '%s\\n' {shlex.quote(complains)} >&2\n"
        f"  exit {exit_status}\n"
        "fi\n"
        f"printf '%s\\n' {shlex.quote(prints)}\n"
    )
    file.chmod(0o755)


def calls_of(file: Path) -> list[str]:
    """The arguments of each call of such a program."""
    calls = Path(f"{file}.calls")
    return calls.read_text().splitlines() if calls.exists() else []
