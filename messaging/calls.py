"""Both ends of a question and its answer, the same for every transport.

The asking side numbers its calls and waits in `PendingCalls`; the answering side runs `answer`.
An answer may be "later" (PENDING): then the call's result is itself a future, as in kiwiPy.
"""

from __future__ import annotations

import asyncio
import itertools
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from messaging.envelope import Reply, Status, pack
from messaging.errors import DeliveryFailed, MessagingError, RemoteCancelled, RemoteError, TaskRejected

MOST_TEXT = 100_000
"""Characters of an exception's text, and of its traceback, that travel; the middle of more is left out."""


class PendingCalls:
    """Calls that wait for their answers. Used on one event loop."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._notes: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self) -> tuple[int, asyncio.Future[Any]]:
        """A fresh call number, and the future of its answer; forgotten when that is done."""
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
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

    def fail_all(self, make_error: Callable[[], BaseException]) -> None:
        """Let every waiting call fail."""
        for number in list(self._waiting):
            self.fail(number, make_error())

    def _expect(self, number: int, future: asyncio.Future[Any]) -> None:
        self._waiting[number] = future
        future.add_done_callback(lambda done: self._forget(number, done))

    def _forget(self, number: int, future: asyncio.Future[Any]) -> None:
        if self._waiting.get(number) is future:
            del self._waiting[number]
            self._notes.pop(number, None)


async def answer(
    call: int, handler: Callable[[Any], Awaitable[Any]], body: Any, send: Callable[[Reply], None]
) -> None:
    """Run a handler and send what came of it: its result, its error, or PENDING and then those.

    If this is cancelled, that is because the communicator closes: the answer is that it has GONE.
    """
    try:
        result = await handler(body)
        while isinstance(result, asyncio.Future):
            send(Reply(call, Status.PENDING))
            result = await result
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # not the handler's doing: this communicator closes
            send(Reply(call, Status.GONE))
            raise
        send(Reply(call, Status.CANCELLED))
    except Exception as error:
        send(error_reply(call, error))
    else:
        send(Reply(call, Status.RESULT, result))


def bearable(error: BaseException) -> BaseException:
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
