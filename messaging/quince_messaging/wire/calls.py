"""Both ends of a question and its answer, the same for every transport.

The asking side numbers its calls and waits in `PendingCalls`; the answering side works in `Answering`.
An answer may be "later" (PENDING): then the call's result is itself a future, as in kiwiPy.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from quince_messaging.contract import RpcHandler
from quince_messaging.errors import (
    CommunicatorClosed,
    DeliveryFailed,
    MessageTimeout,
    MessagingError,
    RemoteCancelled,
    RemoteError,
    TaskRejected,
    UnreadableMessage,
)
from quince_messaging.wire.envelope import Address, Call, Replies, Reply, Status, encode, pack

MOST_TEXT = 100_000
"""Characters of an exception's text, and of its traceback, that travel; the middle of more is left out."""
STOPPING = 1.0
"""Seconds that handlers which are being cancelled may take for it."""


class PendingCalls:
    """Calls that wait for their answers, which come on one event loop."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._notes: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, loop: asyncio.AbstractEventLoop | None = None) -> tuple[int, asyncio.Future[Any]]:
        """A fresh call number, and the future of its answer; forgotten when that is done.

        Another thread may ask as well, if it names the loop.
        """
        number = next(self._numbers)
        future: asyncio.Future[Any] = (loop or asyncio.get_running_loop()).create_future()
        self._expect(number, future)
        return number, future

    def note(self, number: int, note: Any) -> None:
        """Keep something about a call for as long as it waits."""
        if number in self._waiting:
            self._notes[number] = note

    @property
    def notes(self) -> Mapping[int, Any]:
        """What is noted of the calls that wait."""
        return self._notes

    def settle(self, reply: Reply) -> None:
        """Hand an answer to the caller that waits for it, if it still does."""
        future = self._waiting.pop(reply.call, None)
        if reply.status is not Status.PENDING:
            self._notes.pop(reply.call, None)
        if future is None or future.done():
            return
        if reply.status is Status.RESULT:
            future.set_result(reply.body)
        elif reply.status is Status.PENDING:
            later: asyncio.Future[Any] = future.get_loop().create_future()
            self._expect(reply.call, later)
            future.set_result(later)
        else:
            future.set_exception(_error_of(reply))
            if reply.status is not Status.ERROR:
                future.exception()  # whoever dropped it need not hear of this in the log

    def fail(self, number: int, error: BaseException) -> None:
        """Let one call fail here, if it still waits."""
        future = self._waiting.pop(number, None)
        self._notes.pop(number, None)
        if future is not None and not future.done():
            future.set_exception(error)
            future.exception()  # its caller may be gone: no "never retrieved" in the log

    def forget(self, number: int) -> None:
        """Nothing was sent for a call after all; its future stays open."""
        self._waiting.pop(number, None)

    def close(self) -> None:
        """Let every waiting call fail: this communicator closes."""
        for number in list(self._waiting):
            self.fail(number, CommunicatorClosed("the communicator was closed meanwhile"))

    def _expect(self, number: int, future: asyncio.Future[Any]) -> None:
        self._waiting[number] = future
        future.add_done_callback(lambda done: self._forget(number, done))

    def _forget(self, number: int, future: asyncio.Future[Any]) -> None:
        if self._waiting.get(number) is future:
            del self._waiting[number]
            self._notes.pop(number, None)


async def in_time(asked: Awaitable[Any], identifier: str, timeout: float | None) -> Any:
    """What is awaited. Raises MessageTimeout if it takes more than so many seconds."""
    try:
        async with asyncio.timeout(timeout):
            return await asked
    except TimeoutError as error:
        raise MessageTimeout(f"no answer from {identifier!r} within {timeout:g} s") from error


class Arrival(asyncio.Future[Any]):
    """The result of a handler that runs on another thread.

    Attributes:
        answer_here: Sends a result from that thread, if it can be done without the loop; True if it was.
    """

    answer_here: Callable[[Any], bool] | None = None


class Answering:
    """The calls that are worked on here, each until its answer has been sent.

    A handler's result that is itself a future is answered PENDING, and answered again when that ends.

    Args:
        send: Sends one answer to whoever waits for it. Called on the loop.
        send_here: Sends one from any thread, if nothing else waits to be sent; False if that cannot be.
    """

    def __init__(
        self,
        send: Callable[[Address, Reply], None],
        send_here: Callable[[Address, Reply], bool] | None = None,
    ) -> None:
        self._send = send
        self._send_here = send_here
        self._working: dict[asyncio.Future[Any], Address | None] = {}
        self._closing = False

    def begin(self, handler: RpcHandler, call: Call) -> None:
        """Run a handler; what comes of it is sent if somebody waits for it."""
        try:
            self._follow(asyncio.ensure_future(handler(call.body)), call.reply_to)
        except Exception as error:
            if call.reply_to is not None:
                self._send(call.reply_to, error_reply(call.reply_to.call, error))

    def among(self, inbox: str, numbers: Sequence[int]) -> list[int]:
        """Those of one caller's calls that are worked on here."""
        known = list(self._working.values())
        ours = {address.call for address in known if address is not None and address.inbox == inbox}
        return [number for number in numbers if number in ours]

    async def close(self) -> None:
        """Stop the handlers, and let their callers know that they have GONE."""
        self._closing = True
        stopped = list(self._working)
        for work in stopped:
            work.cancel()
        if stopped:
            await asyncio.wait(stopped, timeout=STOPPING)

    def _follow(self, work: asyncio.Future[Any], address: Address | None) -> None:
        self._working[work] = address
        work.add_done_callback(self._ended)
        if isinstance(work, Arrival) and self._send_here is not None and address is not None:
            work.answer_here = functools.partial(self._answered_here, work, address)
        if self._closing:
            work.cancel()

    def _answered_here(self, work: Arrival, address: Address, result: Any) -> bool:
        """On a handler's thread: answer from there, if no other call is worked on.

        Of many, the answers of one turn of the loop go together, which is cheaper for everybody.
        """
        if self._send_here is None or len(self._working) > 1 or self._closing:
            return False
        try:
            reply = Reply(address.call, Status.RESULT, pack(result))
        except Exception:  # the loop tells the caller
            return False
        if not self._send_here(address, reply):
            return False
        self._working.pop(work, None)
        work.answer_here = None  # it holds the future that holds it
        return True

    def _ended(self, work: asyncio.Future[Any]) -> None:
        address = self._working.pop(work, None)
        if isinstance(work, Arrival):
            work.answer_here = None
        error = None if work.cancelled() else work.exception()  # looked at even if nobody waits for it
        if address is None:  # nobody waits, or it was answered from its thread meanwhile
            return
        if work.cancelled():
            self._send(address, Reply(address.call, Status.GONE if self._closing else Status.CANCELLED))
        elif error is not None:
            self._send(address, error_reply(address.call, error))
        elif isinstance(result := work.result(), asyncio.Future):
            self._send(address, Reply(address.call, Status.PENDING))
            self._follow(result, address)
        else:
            self._send(address, Reply(address.call, Status.RESULT, result))


def raisable(error: BaseException) -> BaseException:
    """The error, or one that tells of it, such that it can be raised in a coroutine of the hidden thread.

    SystemExit and its like would end the thread's loop, and no future carries StopIteration.
    """
    if isinstance(error, asyncio.CancelledError):
        return error
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RemoteError(*_told(error))


def error_reply(call: int, error: BaseException) -> Reply:
    """The reply that carries an exception across, as text."""
    status = Status.REJECTED if isinstance(error, TaskRejected) else Status.ERROR
    return Reply(call, status, list(_told(error)))


def _told(error: BaseException) -> tuple[str, str, str]:
    """The name of an exception's class, its text, and its traceback, whatever the exception is like."""
    if isinstance(error, RemoteError):
        return (
            _text(lambda: error.type_name),
            _text(lambda: error.remote_message),
            _text(lambda: error.remote_traceback),
        )
    return (
        _text(lambda: _name(type(error))),
        _text(lambda: str(error)),
        _text(lambda: "".join(traceback.format_exception(error))),
    )


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(tell: Callable[[], str]) -> str:
    """What `tell` gives, such that it can be sent: not too long, and with no half characters."""
    try:
        text = tell()
        if len(text) > MOST_TEXT:
            half, left_out = MOST_TEXT // 2, len(text) - MOST_TEXT
            text = f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"
        return str.encode(text, "utf-8", "backslashreplace").decode()
    except BaseException as trouble:  # it is an exception's own code that runs here
        return f"<cannot be told: {type(trouble).__qualname__} was raised by the attempt>"


def packed(reply: Reply) -> Reply:
    """The reply, its body encoded; one that cannot be is an error for its caller."""
    try:
        return Reply(reply.call, reply.status, pack(reply.body))
    except Exception as error:  # whatever it is: the caller waits
        failed = error_reply(reply.call, error)
        return Reply(failed.call, failed.status, pack(failed.body))


def encode_replies(replies: Sequence[Reply]) -> list[bytes]:
    """Replies as one message, if that can be; one that is too large is an error for its caller."""
    try:
        return [encode(Replies(list(replies)))]
    except UnreadableMessage as error:
        if len(replies) == 1:
            return [encode(Replies([error_reply(replies[0].call, error)]))]
    return [message for reply in replies for message in encode_replies([reply])]


def _error_of(reply: Reply) -> MessagingError:
    if reply.status is Status.GONE:
        return DeliveryFailed("its server was closed before it answered")
    if reply.status is Status.CANCELLED:
        return RemoteCancelled("the other side cancelled it before it was done")
    parts = reply.body if isinstance(reply.body, list) else []
    name, message, trace = [str(part) for part in parts[:3]] + ["?", "", ""][len(parts[:3]) :]
    if reply.status is Status.REJECTED:
        return TaskRejected(message)
    return RemoteError(name, message, trace)
