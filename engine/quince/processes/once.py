"""Once-blocks: a function whose recorded result is returned when its step runs again.

The result is written in a transaction of its own, under the claim of the worker that runs the step,
before it is returned. Until then the function may run again: a crash between what it does and the
record is a crash before it, as far as anybody can know.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from quince.concurrency import aside
from quince.errors import ClaimLost, MisusedOnce
from quince.patience import on_loop, until_store_answers, wait_for_store
from quince.text import name_problem
from quince_persistence.codec import check, decode, encode
from quince_persistence.records import Recorded

if TYPE_CHECKING:
    from quince.processes.process import Process

_LONGEST_KEY = 500

_inside: ContextVar[tuple[str, ...]] = ContextVar("quince_once", default=())


def once(
    process: Process,
    key: str,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: Mapping[str, Any],
) -> Any:
    """See `Process.once`: the result, or in an `async` step an awaitable of it."""
    if wrong := name_problem(key, _LONGEST_KEY):
        raise MisusedOnce(f"the key of a once-block {wrong}")
    if key in _inside.get():
        raise MisusedOnce(f"once({key!r}, ...) is called by its own function; choose another key")
    if inspect.iscoroutinefunction(function):
        if not on_loop():
            raise MisusedOnce(
                f"once({key!r}, ...): {_name(function)} is a coroutine function; make the step `async def`"
            )
        return _awaitable(process, key, function, arguments, options)
    if on_loop():
        raise MisusedOnce(
            f"once({key!r}, ...): {_name(function)} would block the worker's event loop; make the step "
            "`def`, or the function `async def`"
        )
    return _blocking(process, key, function, arguments, options)


def token(process: Process, key: str) -> str:
    """See `Process.token`."""
    seed = f"{process.pid}\0{process._row.created!r}\0{key}"
    return f"quince-{process.pid}-{hashlib.blake2b(seed.encode(), digest_size=8).hexdigest()}"


def forbid_inside(verb: str, name: str) -> None:
    """Refuse, inside a once-block, what would be missing when the block is skipped.

    Raises:
        MisusedOnce: a once-block is running.
    """
    keys = _inside.get()
    if keys:
        raise MisusedOnce(
            f"{verb} {name!r} inside once({keys[-1]!r}, ...) would be missing when the step runs again, "
            "since the function is skipped then; let the function return a value, and use it after the block"
        )


class Turns:
    """Who is in a once-block of this process: one at a time for each key, of threads and coroutines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: dict[str, Future[None]] = {}

    def enter(self, key: str) -> Future[None] | None:
        """Take the turn, or get what ends when the turn of another one does."""
        with self._lock:
            busy = self._busy.get(key)
            if busy is None:
                self._busy[key] = Future()
            return busy

    def leave(self, key: str) -> None:
        with self._lock:
            turn = self._busy.pop(key)
        turn.set_result(None)


def _blocking(
    process: Process,
    key: str,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: Mapping[str, Any],
) -> Any:
    store = process._host.store
    while (busy := process._turns.enter(key)) is not None:
        busy.result()
    try:
        found = wait_for_store(process._host, process.pid, lambda: store.recorded(process.pid, key))
        known = _known(process, key, found)
        if known is None:
            with _marked(key):
                result = function(*arguments, **options)
            known = _encoded(result, f"once({key!r})")
            written = wait_for_store(process._host, process.pid, lambda: _write(process, key, known).result())
            _settle(process, key, written)
        return decode(known)
    finally:
        process._turns.leave(key)


async def _awaitable(
    process: Process,
    key: str,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: Mapping[str, Any],
) -> Any:
    store = process._host.store
    while (busy := process._turns.enter(key)) is not None:
        await asyncio.shield(asyncio.wrap_future(busy))  # its cancellation is not the other one's
    try:
        found = await until_store_answers(
            process._host, process.pid, lambda: aside(store.recorded, process.pid, key)
        )
        known = _known(process, key, found)
        if known is None:
            with _marked(key):
                result = await function(*arguments, **options)
            known = _encoded(result, f"once({key!r})")
            written = await until_store_answers(
                process._host, process.pid, lambda: _shielded_write(process, key, known)
            )
            _settle(process, key, written)
        return decode(known)
    finally:
        process._turns.leave(key)


def _encoded(result: Any, where: str) -> bytes:
    check(result, where)
    return encode(result, where)


def _known(process: Process, key: str, found: Recorded | None) -> bytes | None:
    """What is recorded. A worker that has lost its claim runs nothing.

    Raises:
        ClaimLost: the process is somebody else's now.
    """
    if found is None or (found.owner, found.epoch) != (process._host.id, process._row.epoch):
        raise ClaimLost(process.pid, key)
    return found.result


def _settle(process: Process, key: str, written: bool) -> None:
    if not written:
        raise ClaimLost(process.pid, key)


def _write(process: Process, key: str, result: bytes) -> Future[bool]:
    host = process._host
    future: Future[bool] = host.store.record_once(process.pid, host.id, process._row.epoch, key, result)
    return future


def _shielded_write(process: Process, key: str, result: bytes) -> asyncio.Future[bool]:
    """A step that is cancelled now still leaves the record: what the function did is done."""
    return asyncio.shield(asyncio.wrap_future(_write(process, key, result)))


@contextlib.contextmanager
def _marked(key: str) -> Iterator[None]:
    mark = _inside.set((*_inside.get(), key))
    try:
        yield
    finally:
        _inside.reset(mark)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or repr(function)
