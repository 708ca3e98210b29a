"""The socket between a worker and one of its step hosts, at both of its ends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import select
import socket
import sys
import termios
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from quince.hosts.protocol import NONSENSE, VERBS, Answer, Call, Frames, Garbled, ToHost, ToWorker, frame
from quince_persistence.errors import PersistenceError, StoreUnavailable

PIECE = 1 << 16
"""Bytes that are read at a time; for many more, the allocator asks the kernel each time."""
LOOK_SECONDS = 0.2


class WorkerLink:
    """The worker's end: nothing blocks, and what is sent in one turn of the loop travels together.

    Args:
        on_message: Gets each message.
        on_closed: Called once when the other end has gone, or (True) what comes is garbled; not when this one
            is closed.

    Attributes:
        sent: Bytes.
    """

    def __init__(
        self, sock: socket.socket, on_message: Callable[[ToWorker], None], on_closed: Callable[[bool], None]
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_message = on_message
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(ToWorker)
        self._out: list[ToHost] = []
        self._rest = bytearray()
        self.sent = 0
        self._open = True
        self._loop.add_reader(sock, self._readable)

    def send(self, message: ToHost) -> None:
        """Send it, with this turn of the loop. A link that is closed takes it, and drops it."""
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(message)

    def flush(self) -> bool:
        """Send what has been gathered. True: all that was sent is on its way, and nothing waits here."""
        out, self._out = self._out, []
        if out and self._open:
            waits = bool(self._rest)
            self._rest += frame(out)
            if not waits:
                self._writable()
        return not self._rest

    @property
    def all_is_read(self) -> bool:
        """Nothing that was sent waits to be read at the other end."""
        with contextlib.suppress(OSError):
            return not int.from_bytes(fcntl.ioctl(self._sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return False

    def close(self) -> None:
        """Send and receive no more."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._rest)
        except BlockingIOError:
            sent = 0
        except OSError:  # it has gone: what it has said before is read
            self._rest.clear()
            self._loop.remove_writer(self._sock)
            return
        self.sent += sent
        del self._rest[:sent]
        if self._rest:
            self._loop.add_writer(self._sock, self._writable)
        else:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        garbled = False
        try:
            data = self._sock.recv(PIECE)
            messages = self._frames.feed(data)
        except BlockingIOError:
            return
        except Garbled:
            garbled, messages = True, []
        except OSError:
            data, messages = b"", []
        for message in messages:
            if self._open:
                self._on_message(message)
        if (garbled or not data) and self._open:
            self.close()
            self._on_closed(garbled)


class WorkerGone(ConnectionError):
    """The worker has closed its end, or has died."""


class HostLink:
    """The host's end. It is used by the main thread, inside its event loop and outside of it, and by threads
    of the user's.

    Args:
        loop: The one of the host; it serves the link while it runs.
        on_message: Gets each message that is no answer to a call, on the main thread.
        count: Gets how many bytes have come.

    Attributes:
        busy: The main thread is in the middle of something here, where nothing may break in.
        when_quiet: Called, once, when it is not any more.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        on_message: Callable[[Any], None],
        count: Callable[[int], None],
    ) -> None:
        self._count = count
        self._sock = sock
        self._loop = loop
        self._on_message = on_message
        self._frames = Frames(ToHost)
        self._lock = threading.RLock()
        self._careful = _Careful(self)
        self._inbox: deque[Any] = deque()
        self._answers: dict[int, Answer] = {}
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0
        self._out: list[ToWorker] = []
        self._arrivals = select.poll()
        self._arrivals.register(sock, select.POLLIN)
        self._main = threading.get_ident()
        self.busy = 0
        self.when_quiet: Callable[[], None] | None = None
        loop.add_reader(sock, self._readable)

    def abandon(self) -> None:
        """In a child that was forked: the link is the parent's."""
        self._lock = threading.RLock()
        self._out.clear()
        self._sock.close()

    def spoil(self) -> None:
        """The link is of no use any more: have the worker see that, if it can be reached."""
        with contextlib.suppress(OSError):
            self._sock.send(NONSENSE, socket.MSG_DONTWAIT)

    def on_main(self) -> bool:
        """Whether this is the main thread."""
        return threading.get_ident() == self._main

    # Sending

    def send(self, message: ToWorker) -> None:
        """Send it: with this turn of the loop, if that runs."""
        with self._careful:
            first = not self._out
            self._out.append(message)
        if not self._loop.is_running():
            self.flush()
        elif first and self.on_main():
            self._loop.call_soon(self._flush_late)
        elif first:
            self._loop.call_soon_threadsafe(self._flush_late)

    def flush(self) -> None:
        """Send what has been gathered, now."""
        with self._careful:
            out, self._out = self._out, []
            try:
                if out:
                    self._sock.sendall(frame(out))
            except ConnectionError as error:
                raise WorkerGone("the worker has gone") from error

    def _flush_late(self) -> None:
        """After what is ready to run just now."""
        self._loop.call_soon(self.flush)

    # Calls

    def call(self, pid: int, verb: str, *arguments: Any, within: float | None = None) -> Any:
        """Ask the worker, and wait for the answer.

        Raises:
            StoreUnavailable, PersistenceError: the store could not answer.
        """
        if self._loop.is_running() and not self.on_main():
            asking = self.ask(pid, verb, *arguments, within=within)
            return asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        number = self._new_call(pid, verb, arguments, within)
        self.flush()
        while True:
            with self._careful:
                answer = self._answers.pop(number, None)
                if answer is None and self._arrivals.poll(LOOK_SECONDS * 1000):
                    self._receive()
                    answer = self._answers.pop(number, None)
            if self.on_main():
                self._dispatch()
            if answer is not None:
                return _value(answer, verb)

    async def ask(self, pid: int, verb: str, *arguments: Any, within: float | None = None) -> Any:
        """The same, for a coroutine; outside of a loop it does not wait, but blocks."""
        if not self._loop.is_running():
            return self.call(pid, verb, *arguments, within=within)
        future: asyncio.Future[Answer] = self._loop.create_future()
        number = self._new_call(pid, verb, arguments, within)
        self._waiting[number] = future
        try:
            return _value(await future, verb)
        finally:
            self._waiting.pop(number, None)

    def _new_call(self, pid: int, verb: str, arguments: Any, within: float | None) -> int:
        with self._careful:
            self._number += 1
            number = self._number
        self.send(Call(number, pid, verb, list(arguments), within))
        return number

    # Receiving

    def wait(self) -> None:
        """Until something has come. For the main thread, outside of the loop."""
        while not self._inbox:
            alone = threading.active_count() == 1  # else another thread may take in what comes
            if self._arrivals.poll(None if alone else LOOK_SECONDS * 1000):
                return

    def look(self) -> None:
        """Take in what has come, without waiting. For the main thread."""
        with self._careful:
            while self._receive():
                pass
        self._dispatch()

    def unheard(self) -> Sequence[Any]:
        """What has come and is not dealt with yet; it stays to be dealt with. Without waiting, from any
        thread, in the midst of anything.

        Raises:
            WorkerGone: it has.
        """
        main, running = self.on_main(), self._loop.is_running()
        if (not self.busy if main else not running) and self._lock.acquire(blocking=False):
            known = len(self._inbox) + len(self._answers)
            try:
                with self._careful:
                    while self._receive():
                        pass
            except WorkerGone:
                raise
            except Garbled:
                self.spoil()
            except OSError:  # users' code has closed it, or this is a child that was forked
                return ()
            finally:
                self._lock.release()
            if running and len(self._inbox) + len(self._answers) > known:  # the loop will not be told
                self._loop.call_soon(self._dispatch)
        return tuple(self._inbox)

    def _readable(self) -> None:
        if self._lock.acquire(blocking=False):  # else a thread takes it in, and the loop is called again
            try:
                with self._careful:
                    self._receive()
            finally:
                self._lock.release()
            self._dispatch()

    def _receive(self) -> bool:
        """Take in a piece of what has come. False: there is none."""
        try:
            data = self._sock.recv(PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError as error:
            raise WorkerGone("the worker has gone") from error
        if not data:
            raise WorkerGone("the worker has gone")
        self._count(len(data))
        for message in self._frames.feed(data):
            if isinstance(message, Answer):
                self._answers[message.number] = message
            else:
                self._inbox.append(message)
        return len(data) == PIECE

    def _dispatch(self) -> None:
        if self._answers:
            for number in self._answers.keys() & self._waiting.keys():
                future = self._waiting[number]
                if not future.done():
                    future.set_result(self._answers.pop(number))
        while self._inbox:
            self._on_message(self._inbox.popleft())


class _Careful:
    """No signal breaks in here: what it means to do is done afterwards (`when_quiet`)."""

    def __init__(self, link: HostLink) -> None:
        self._link = link

    def __enter__(self) -> None:
        if self._link.on_main():
            self._link.busy += 1
        self._link._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        link = self._link
        link._lock.release()
        if not link.on_main():
            return
        link.busy -= 1
        if not link.busy and link.when_quiet is not None:
            do, link.when_quiet = link.when_quiet, None
            do()


def _value(answer: Answer, verb: str) -> Any:
    if answer.error is not None:
        raise StoreUnavailable(answer.error) if answer.away else PersistenceError(answer.error)
    return msgspec.msgpack.decode(answer.value, type=VERBS[verb])
