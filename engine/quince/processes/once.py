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
import reprlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any

from quince.concurrency import aside
from quince.errors import ClaimLost, MisusedOnce
from quince.patience import on_loop, until_store_answers, wait_for_store
from quince.processes.interfaces import Host
from quince.text import name_problem
from quince_persistence.codec import check, decode, encode
from quince_persistence.records import ProcessRow
from quince_persistence.records.steps import Recorded

_LONGEST_KEY = 500

_inside: ContextVar[tuple[str, ...]] = ContextVar("quince_once", default=())


class OnceBlocks:
    """The once-blocks of one process under one claim.

    Args:
        row: The process as it was claimed.
        host: Who runs it.
    """

    def __init__(self, row: ProcessRow, host: Host) -> None:
        self._row = row
        self._host = host
        self._lock = threading.Lock()
        self._busy: dict[str, Future[None]] = {}

    def token(self, key: str) -> str:
        seed = f"{self._row.pid}\0{self._row.created!r}\0{key}"
        return f"quince-{self._row.pid}-{hashlib.blake2b(seed.encode(), digest_size=8).hexdigest()}"

    def __call__(
        self, key: str, function: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        """See `Process.once`: the result, or in an `async` step an awaitable of it."""
        if wrong := name_problem(key, _LONGEST_KEY):
            raise MisusedOnce(f"the key of a once-block {wrong}")
        if key in _inside.get():
            raise MisusedOnce(f"once({key!r}, ...) is called by its own function; choose another key")
        if not callable(function):
            raise MisusedOnce(
                f"once({key!r}, ...) takes a function and then its arguments, not {reprlib.repr(function)}: "
                "write once(key, function, x), and not once(key, function(x))"
            )
        if inspect.iscoroutinefunction(function):
            if not on_loop():
                raise MisusedOnce(
                    f"once({key!r}, ...): {_name(function)} is a coroutine function; "
                    "make the step `async def`"
                )
            return self._awaitable(key, function, arguments, options)
        if on_loop():
            raise MisusedOnce(
                f"once({key!r}, ...): {_name(function)} would block the worker's event loop; make the step "
                "`def`, or the function `async def`"
            )
        return self._blocking(key, function, arguments, options)

    def _blocking(
        self, key: str, function: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        host, pid = self._host, self._row.pid
        while (busy := self._enter(key)) is not None:
            busy.result()
        try:
            found = wait_for_store(host, pid, lambda: host.store.recorded(pid, key))
            known = self._known(key, found)
            if known is None:
                with _marked(key):
                    result = function(*arguments, **options)
                known = _encoded(result, f"once({key!r})")
                written = wait_for_store(host, pid, lambda: self._write(key, known).result())
                self._require(written, key)
            return decode(known)
        finally:
            self._leave(key)

    async def _awaitable(
        self, key: str, function: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        host, pid = self._host, self._row.pid
        while (busy := self._enter(key)) is not None:
            await asyncio.shield(asyncio.wrap_future(busy))  # its cancellation is not the other one's
        try:
            found = await until_store_answers(host, pid, lambda: aside(host.store.recorded, pid, key))
            known = self._known(key, found)
            if known is None:
                with _marked(key):
                    result = await function(*arguments, **options)
                known = _encoded(result, f"once({key!r})")
                # A step that is cancelled now still leaves the record: what the function did is done.
                written = await until_store_answers(
                    host, pid, lambda: asyncio.shield(asyncio.wrap_future(self._write(key, known)))
                )
                self._require(written, key)
            return decode(known)
        finally:
            self._leave(key)

    def _enter(self, key: str) -> Future[None] | None:
        """Take the turn, one for each key, or get what ends when that of another one does."""
        with self._lock:
            busy = self._busy.get(key)
            if busy is None:
                self._busy[key] = Future()
            return busy

    def _leave(self, key: str) -> None:
        with self._lock:
            turn = self._busy.pop(key)
        turn.set_result(None)

    def _known(self, key: str, found: Recorded | None) -> bytes | None:
        """What is recorded. A worker that has lost its claim runs nothing."""
        self._require(
            found is not None and (found.owner, found.epoch) == (self._host.id, self._row.epoch), key
        )
        return found.result if found is not None else None

    def _write(self, key: str, result: bytes) -> Future[bool]:
        return self._host.store.record_once(self._row.pid, self._host.id, self._row.epoch, key, result)

    def _require(self, claimed: bool, key: str) -> None:
        if not claimed:
            raise ClaimLost(self._row.pid, key)


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


def _encoded(result: Any, where: str) -> bytes:
    check(result, where)
    return encode(result, where)


@contextlib.contextmanager
def _marked(key: str) -> Iterator[None]:
    mark = _inside.set((*_inside.get(), key))
    try:
        yield
    finally:
        _inside.reset(mark)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or repr(function)
