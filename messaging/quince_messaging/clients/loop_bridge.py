"""Between the loop of a user's coroutines and the hidden one."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from quince_messaging.clients.futures import arrive, ending
from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.contract import BroadcastHandler
from quince_messaging.errors import CommunicatorClosed
from quince_messaging.loop_mailbox import LoopMailbox
from quince_messaging.structured_log import StructuredLogger

log = StructuredLogger(__name__)
T = TypeVar("T")


class LoopBridge:
    """Runs coroutine functions of the hidden thread for a loop, and functions of that loop for the thread."""

    def __init__(self, thread: LoopThread) -> None:
        self.thread = thread
        self._mailbox: LoopMailbox | None = None
        self._home: int | None = None

    def open(self) -> None:
        """From now on the loop that runs here is the user's."""
        self._mailbox = LoopMailbox(asyncio.get_running_loop())
        self._home = threading.get_ident()

    async def run(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        """On the user's loop: run a method of the transport on the hidden one and await its outcome."""
        if threading.get_ident() != self._home:
            self.thread.check()
            raise RuntimeError("this communicator belongs to the event loop that opened it")
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        running: list[asyncio.Task[T]] = []
        self.thread.post(self._begin, outcome, running, function, args, kwargs)
        try:
            return await outcome
        except asyncio.CancelledError:
            if not self.thread.closed:
                self.thread.post(lambda: [task.cancel() for task in running])
            raise

    def _begin(
        self,
        outcome: asyncio.Future[T],
        running: list[asyncio.Task[T]],
        function: Callable[..., Coroutine[Any, Any, T]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        task = self.thread.spawn(function(*args, **kwargs))
        running.append(task)
        task.add_done_callback(lambda done: self.post(_settle, outcome, done))

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """From the hidden thread: call a function on the user's loop, unless that is closed."""
        if self._mailbox is None:
            return
        try:
            self._mailbox.post(function, *args)
        except RuntimeError:
            log.debug(
                "the loop of this communicator is closed; a message to it is dropped",
                communicator=self.thread.name,
            )

    async def call_subscriber(self, function: Callable[..., Any], *args: Any) -> Any:
        """On the hidden thread: run a subscriber on the user's loop and await what it gives."""
        arrival: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def call() -> None:
            try:
                result = function(*args)
                if inspect.iscoroutine(result):
                    result = await result
                if asyncio.isfuture(result):
                    self._answer(self._follow, arrival, result)
                    return
            except BaseException as error:
                self._answer(arrive, arrival, None, error)
                if not isinstance(error, Exception):
                    raise
            else:
                self._answer(arrive, arrival, result, None)

        self.post(lambda: self._spawn_here(call()))
        return await arrival

    def _answer(self, function: Callable[..., object], *args: Any) -> None:
        try:
            self.thread.post(function, *args)
        except CommunicatorClosed:
            log.debug(
                "the communicator was closed before a subscriber had answered", communicator=self.thread.name
            )

    def _follow(self, arrival: asyncio.Future[Any], future: asyncio.Future[Any]) -> None:
        """On the hidden thread: let a future of the user's loop arrive as one of this loop."""
        twin: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        arrive(arrival, twin, None)
        self.post(future.add_done_callback, lambda done: self.thread.post(arrive, twin, *ending(done)))

    def future(self, value: Awaitable[Any]) -> asyncio.Future[Any]:
        """An awaitable of the hidden loop as a future of the user's (nested ones too)."""
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def wait() -> Any:
            return await value

        def begin() -> None:
            task = self.thread.spawn(wait())
            task.add_done_callback(lambda done: self.post(self._settle_nested, outcome, done))

        self.thread.post(begin)
        return outcome

    def _settle_nested(self, outcome: asyncio.Future[Any], done: asyncio.Task[Any]) -> None:
        result, _ = ending(done)
        if isinstance(result, asyncio.Future) and not outcome.done():
            outcome.set_result(self.future(result))
        else:
            _settle(outcome, done)

    def spawning(self, function: Callable[..., Coroutine[Any, Any, None]]) -> BroadcastHandler:
        """A handler that starts a coroutine function on the user's loop."""
        return lambda message: self._spawn_here(function(message))

    def _spawn_here(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        _KEEP.add(task)
        task.add_done_callback(_forget_loudly)


_KEEP: set[asyncio.Task[None]] = set()


def _forget_loudly(task: asyncio.Task[None]) -> None:
    _KEEP.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a subscriber failed", work=task.get_name(), error=error, exc_info=error)


def _settle(outcome: asyncio.Future[Any], done: asyncio.Task[Any]) -> None:
    if not done.cancelled():
        arrive(outcome, *ending(done))
    elif not outcome.done():  # by `close`; to cancel the caller for that would look like his own cancellation
        outcome.set_exception(CommunicatorClosed("the communicator was closed meanwhile"))
        outcome.exception()  # he may be gone: no "never retrieved" in the log
