"""How subscribers of the blocking face are called, and how the results of those to calls come back."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import kiwipy

from quince_messaging.clients.futures import arrive, is_future, when_done
from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.clients.thread_pool import ThreadPool
from quince_messaging.contract import Communicator, RpcHandler
from quince_messaging.errors import CommunicatorClosed
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.wire.calls import Arrival, raisable

log = StructuredLogger(__name__)


def rpc_handler(
    subscriber: Callable[..., Any], owner: Communicator, thread: LoopThread, pool: ThreadPool
) -> RpcHandler:
    """A handler for the transport that calls `subscriber(owner, msg)` on the pool."""

    def handle(body: Any) -> asyncio.Future[Any]:
        arrival = Arrival(loop=asyncio.get_running_loop())
        pool.submit(_call, arrival, body)
        return arrival

    def _call(arrival: Arrival, body: Any) -> None:
        result, error = call_subscriber(subscriber, owner, body)
        here = None if error is not None or is_future(result) else arrival.answer_here
        if here is None or not here(result):
            _deliver(thread, arrival, result, error)

    return handle


def _deliver(
    thread: LoopThread, arrival: asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    """From any thread: let a result arrive; a future arrives as a future, which then follows it."""
    try:
        if error is not None:
            cancelled = isinstance(error, kiwipy.CancelledError)
            thread.post(arrive, arrival, None, asyncio.CancelledError() if cancelled else raisable(error))
        elif is_future(result):
            twin: asyncio.Future[Any] = arrival.get_loop().create_future()
            thread.post(arrive, arrival, twin, None)
            when_done(result, lambda value, failure: _deliver(thread, twin, value, failure))
        else:
            thread.post(arrive, arrival, result, None)
    except CommunicatorClosed:
        log.debug("a call was answered after its communicator closed", communicator=thread.name)


def call_subscriber(
    subscriber: Callable[..., Any], owner: Communicator, body: Any
) -> tuple[Any, BaseException | None]:
    """Call a subscriber here; what it returned, or raised, were it SystemExit."""
    try:
        result = subscriber(owner, body)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except BaseException as error:
        return None, error
    return result, None
