"""Whole frames leave a socket whole and in order, whichever thread writes them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from quince_messaging.transports.amqp.writer import Wire, WireWriter

SIZES = (8, 40, 3, 900, 70_000, 1)


class Protocol(asyncio.StreamReaderProtocol):
    """As the splitter does: it tells the wire when the socket goes."""

    def __init__(self, wire: Wire, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.wire = wire

    def connection_lost(self, exc: Exception | None) -> None:
        self.wire.ended()
        super().connection_lost(exc)


@asynccontextmanager
async def wired() -> AsyncIterator[tuple[Wire, asyncio.Transport, WireWriter, socket.socket]]:
    """A wire over one end of a socket pair with small buffers, and the other end."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    wire = Wire(loop)
    reader = asyncio.StreamReader()
    transport, protocol = await loop.create_connection(lambda: Protocol(wire, reader), sock=ours)
    wire.opened(transport)
    try:
        yield wire, transport, WireWriter(transport, protocol, reader, loop, wire), theirs
    finally:
        if not transport.is_closing():
            transport.abort()
        await asyncio.sleep(0)
        theirs.close()


@asynccontextmanager
async def reading(transport: asyncio.Transport, sock: socket.socket) -> AsyncIterator[bytearray]:
    """All that arrives until the end of this context, which writes what is left and hangs up."""
    got = bytearray()

    def read() -> None:
        while data := sock.recv(65536):
            got.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    yield got
    transport.close()
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()


def frame(writer: int, number: int) -> bytes:
    size = SIZES[number % len(SIZES)]
    return bytes([writer]) + number.to_bytes(4, "big") + size.to_bytes(4, "big") + bytes([writer]) * size


def taken_apart(data: bytes) -> dict[int, list[int]]:
    """The numbers of the frames of each writer. Fails if one is not whole."""
    seen: dict[int, list[int]] = {}
    at = 0
    while at < len(data):
        writer, number = data[at], int.from_bytes(data[at + 1 : at + 5], "big")
        size = int.from_bytes(data[at + 5 : at + 9], "big")
        assert data[at + 9 : at + 9 + size] == bytes([writer]) * size
        seen.setdefault(writer, []).append(number)
        at += 9 + size
    return seen


async def test_frames_of_many_threads_stay_whole_and_in_order() -> None:
    async with wired() as (wire, transport, aiormq_writer, theirs):
        here = {1: 0, 2: 0}

        def from_a_thread(writer: int) -> None:
            number = 0
            while number < 400:
                if wire.write_here(frame(writer, number)):
                    here[writer] += 1
                    number += 1
                else:
                    os.sched_yield()

        async with reading(transport, theirs) as got:
            threads = [threading.Thread(target=from_a_thread, args=(writer,)) for writer in here]
            for thread in threads:
                thread.start()
            for number in range(400):
                (wire.write if number % 3 else aiormq_writer.write)(frame(3 + (not number % 3), number))
                await asyncio.sleep(0)
            await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
            wire.flush()
        seen = taken_apart(bytes(got))
    assert here == {1: 400, 2: 400}
    assert seen[1] == seen[2] == list(range(400))
    assert seen[3] == [number for number in range(400) if number % 3]
    assert seen[4] == list(range(0, 400, 3))


async def test_what_the_socket_does_not_take_goes_first() -> None:
    async with wired() as (wire, transport, aiormq_writer, theirs):
        first, second, third = frame(1, 4) * 10, frame(2, 0), frame(3, 1)
        assert await asyncio.to_thread(wire.write_here, first)
        assert not wire.write_here(second), "something waits to be sent"
        aiormq_writer.write(second)
        wire.write(third)
        async with reading(transport, theirs) as got:
            wire.flush()
        assert bytes(got) == first + second + third


async def test_nothing_is_written_to_a_socket_that_is_gone() -> None:
    async with wired() as (wire, transport, _, theirs):
        assert wire.write_here(b"before")
        number = transport.get_extra_info("socket").fileno()
        transport.abort()
        assert not wire.write_here(b"closing")
        await asyncio.sleep(0.01)
        other = [socket.socketpair() for _ in range(3)]  # the number is given out again
        assert number in [end.fileno() for pair in other for end in pair]
        assert not wire.write_here(b"closed")
        for pair in other:
            for end in pair:
                end.close()
        assert theirs.recv(100) == b"before"


async def test_a_peer_that_has_hung_up_is_no_error_here() -> None:
    async with wired() as (wire, _, _, theirs):
        theirs.close()
        assert not await asyncio.to_thread(wire.write_here, b"hello?")


async def test_ctrl_c_while_a_thread_writes_leaves_the_wire_free(monkeypatch: pytest.MonkeyPatch) -> None:
    async with wired() as (wire, _, _writer, theirs):
        monkeypatch.setattr(wire, "_lock", InterruptedLock())
        with contextlib.suppress(KeyboardInterrupt):
            wire.write_here(b"first ")
        assert wire.write_here(b"second")
        assert theirs.recv(100).endswith(b"second")


class InterruptedLock:
    """A lock with Ctrl-C at the end of `acquire`; between `with` and its block there is no room for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, *, blocking: bool = True) -> bool:
        self._lock.acquire(blocking=blocking)
        raise KeyboardInterrupt

    def locked(self) -> bool:
        return self._lock.locked()

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()


async def test_a_forked_child_writes_nothing_to_its_parents_socket() -> None:
    async with wired() as (wire, _, _, theirs):
        pid = os.fork()
        if pid == 0:
            os._exit(1 if wire.write_here(b"child") else 0)
        waited = await asyncio.to_thread(os.waitpid, pid, 0)
        assert os.waitstatus_to_exitcode(waited[1]) == 0
        assert wire.write_here(b"parent")
        assert theirs.recv(100) == b"parent"
