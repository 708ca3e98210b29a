"""The hidden thread: one event loop on which a transport lives, whatever its user does."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from quince_messaging.contract import Transport
from quince_messaging.errors import CommunicatorClosed, CommunicatorForked
from quince_messaging.loop_mailbox import LoopMailbox
from quince_messaging.structured_log import StructuredLogger

log = StructuredLogger(__name__)
T = TypeVar("T")

CLOSE_TIMEOUT = 5.0
"""Seconds after which closing gives up on a broker that does not answer."""
AGAIN_SECONDS = 0.05
"""Until a loop that has failed goes on: one whose descriptors were closed fails for ever."""


class LoopThread:
    """Owns a daemon thread, its loop, and the transport on it.

    Every method but the constructor may be called from any thread. A child made by `fork()` has the
    object but not the thread, so everything but `close` raises CommunicatorForked there.
    """

    def __init__(self, transport: Transport, name: str) -> None:
        self.transport = transport
        self.name = name
        self._pid = os.getpid()
        self._mailbox: LoopMailbox | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._closing: concurrent.futures.Future[None] | None = None

    @property
    def closed(self) -> bool:
        return self._closing is not None

    @property
    def here(self) -> bool:
        """Whether the caller is on the hidden thread."""
        return threading.current_thread() is self._thread

    def refuse_here(self) -> None:
        """Raise RuntimeError if the caller is on the hidden thread, which must not wait for itself."""
        if self.here:
            raise RuntimeError(
                "callbacks of futures run on the communication thread, which cannot wait for itself; "
                "have `communicator.on_pool(function)` call what waits, or wait on a thread of your own"
            )

    def start(self) -> concurrent.futures.Future[None]:
        """Start the thread and open the transport; the future ends when it is open, or raises."""
        loop = asyncio.new_event_loop()
        self._mailbox = LoopMailbox(loop)
        self._thread = threading.Thread(target=self._main, args=(loop,), name=self.name, daemon=True)
        self._thread.start()
        _OPEN.add(self)
        return self.submit(self.transport.open)

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a plain function on the loop, soon."""
        self.check().post(function, *args)

    @property
    def at_rest(self) -> bool:
        """Whether all that was posted by this caller has been called."""
        return self.check().at_rest

    def submit(
        self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[T]:
        """Run a coroutine function on the loop; its outcome comes in the future.

        Cancelling the future cancels the coroutine.
        """
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.post(self._begin, outcome, function, args, kwargs)
        return outcome

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """On the loop: run a coroutine as a task that `close` will end."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def forked(self) -> bool:
        """Whether this is a copy, in a child made by `fork()`."""
        return self._pid != os.getpid()

    def check(self) -> LoopMailbox:
        """Raise if this communicator cannot be used (any more, or in this process)."""
        if self.forked:
            raise CommunicatorForked(
                "this communicator was opened before fork(); open a new one in the child process"
            )
        if self._closing is not None or self._mailbox is None:
            raise CommunicatorClosed("the communicator is closed; open a new one")
        return self._mailbox

    def close(self) -> concurrent.futures.Future[None]:
        """Close the transport and end the thread; the same future every time. A copy has nothing to close."""
        if self.forked:  # its lock may be held by a thread that is not there
            self._closing = concurrent.futures.Future()
            self._closing.set_result(None)
            return self._closing
        with self._lock:
            if self._closing is not None:
                return self._closing
            self._closing = concurrent.futures.Future()
        _OPEN.discard(self)
        if self._mailbox is None:
            self._closing.set_result(None)
        else:
            self._mailbox.post(lambda: self.spawn(self._shut()))
        return self._closing

    def _begin(
        self,
        outcome: concurrent.futures.Future[T],
        function: Callable[..., Coroutine[Any, Any, T]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        task = self.spawn(function(*args, **kwargs))
        task.add_done_callback(lambda done: _copy(done, outcome))

    def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            while not self._run(loop):
                log.error(
                    "%(communicator)s: its loop was stopped by an exception, and goes on",
                    communicator=self.name,
                )
                time.sleep(AGAIN_SECONDS)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            if self._closing is not None and not self._closing.done():
                self._closing.set_result(None)

    def _run(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Run the loop; False if something ended it that was not `close`."""
        try:
            loop.run_forever()
        except BaseException:  # SystemExit in a callback, say: no reason to leave everybody without messages
            log.exception("%(communicator)s failed", communicator=self.name)
        return self._stopping

    async def _shut(self) -> None:
        try:
            await asyncio.wait_for(self.transport.close(), CLOSE_TIMEOUT)
        except TimeoutError:
            log.warning(
                "%(communicator)s: the broker did not answer within %(seconds)g s of closing",
                communicator=self.name,
                seconds=CLOSE_TIMEOUT,
            )
        except Exception:
            log.exception("%(communicator)s: closing failed", communicator=self.name)
        finally:
            await self._end_tasks()
            self._stopping = True
            asyncio.get_running_loop().stop()

    async def _end_tasks(self) -> None:
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)


def _copy(task: asyncio.Task[T], outcome: concurrent.futures.Future[T]) -> None:
    if task.cancelled():
        outcome.set_exception(CommunicatorClosed("the communicator was closed meanwhile"))
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


_OPEN: weakref.WeakSet[LoopThread] = weakref.WeakSet()


def _close_all() -> None:
    """At interpreter exit: close what is open, within `CLOSE_TIMEOUT`."""
    waiting = [thread.close() for thread in list(_OPEN)]
    concurrent.futures.wait(waiting, timeout=CLOSE_TIMEOUT)


atexit.register(_close_all)
