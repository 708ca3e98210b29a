"""The blocking calls once more, for coroutines."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def twin(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same call from a coroutine, named as it with an `a` before: others go on while it reads or writes.

    Cancelled, what it writes may have been written or not.
    """

    @functools.wraps(function)
    async def called(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(function, *args, **kwargs)

    called.__name__ = f"a{function.__name__}"
    called.__qualname__ = "".join(function.__qualname__.rpartition(".")[:2]) + called.__name__
    called.__doc__ = f"`{function.__name__}` from a coroutine. {inspect.getdoc(function) or ''}"
    return called
