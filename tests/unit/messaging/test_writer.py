"""Whole frames leave a socket whole and in order, whichever thread writes them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import FrameType
from typing import NamedTuple

import pytest

from quince_messaging.transports.amqp import writer
from quince_messaging.transports.amqp.protocol import FrameProtocol
from quince_messaging.transports.amqp.writer import FrameWriter, SocketWriter

SIZES = (8, 40, 3, 900, 70_000, 1)


class Wired(NamedTuple):
    """What one end of a socket pair with small buffers is written with, and the other end."""

    frames: FrameWriter
    stream: asyncio.StreamWriter
    protocol: FrameProtocol
    peer: socket.socket

    @property
    def socket(self) -> SocketWriter:
        assert isinstance(self.stream.transport, SocketWriter)
        return self.stream.transport


@asynccontextmanager
async def wired() -> AsyncIterator[Wired]:
    ours, peer = socket.socketpair()
    for end in (ours, peer):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    _, protocol = await loop.create_connection(lambda: FrameProtocol(reader, loop), sock=ours)
    frames, stream = protocol.writers(reader)
    try:
        yield Wired(frames, stream, protocol, peer)
    finally:
        protocol.abort()
        await asyncio.sleep(0)
        peer.close()


@asynccontextmanager
async def reading(wire: Wired) -> AsyncIterator[bytearray]:
    """All that arrives until the end of this context, which writes what is left and hangs up."""
    got = bytearray()

    def read() -> None:
        while data := wire.peer.recv(65536):
            got.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    yield got
    wire.stream.close()
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()


def read_what_is_there(peer: socket.socket, got: bytearray) -> None:
    with contextlib.suppress(BlockingIOError):
        while data := peer.recv(65536, socket.MSG_DONTWAIT):
            got.extend(data)


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
    here = {1: 0, 2: 0}
    async with wired() as wire:

        def from_a_thread(writer: int) -> None:
            number = 0
            while number < 400:
                if wire.frames.write_here(frame(writer, number)):
                    here[writer] += 1
                    number += 1
                else:
                    os.sched_yield()

        async with reading(wire) as got:
            threads = [threading.Thread(target=from_a_thread, args=(writer,)) for writer in here]
            for thread in threads:
                thread.start()
            for number in range(400):
                (wire.frames.write if number % 3 else wire.stream.write)(frame(3 + (not number % 3), number))
                await asyncio.sleep(0)
            await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
            wire.frames.flush()
    seen = taken_apart(bytes(got))
    assert here == {1: 400, 2: 400}
    assert seen[1] == seen[2] == list(range(400))
    assert seen[3] == [number for number in range(400) if number % 3]
    assert seen[4] == list(range(0, 400, 3))


async def test_no_thread_gets_into_a_frame_that_the_loop_is_writing() -> None:
    """Another thread has its turn whenever a call of C returns to the loop's, where it may lose the GIL."""
    got = bytearray()
    here = 0

    def meanwhile() -> None:
        nonlocal here
        read_what_is_there(wire.peer, got)
        here += wire.frames.write_here(frame(1, here))

    async with wired() as wire:
        with ThreadPoolExecutor(1) as other:
            sys.setprofile(lambda _frame, event, _: event == "c_return" and other.submit(meanwhile).result())
            try:
                for number in range(60):
                    (wire.frames.write if number % 3 else wire.stream.write)(frame(3, number))
                    await asyncio.sleep(0)
            finally:
                sys.setprofile(None)
        wire.frames.flush()
        while wire.socket.get_write_buffer_size():
            read_what_is_there(wire.peer, got)
            await asyncio.sleep(0)
        read_what_is_there(wire.peer, got)
    seen = taken_apart(bytes(got))
    assert seen[1] == list(range(here))
    assert here
    assert len(seen[3]) == 60


async def test_what_the_socket_does_not_take_goes_first() -> None:
    async with wired() as wire:
        first, second, third = frame(1, 4) * 10, frame(2, 0), frame(3, 1)
        assert await asyncio.to_thread(wire.frames.write_here, first)
        assert not wire.frames.write_here(second), "something waits to be sent"
        wire.stream.write(second)
        wire.frames.write(third)
        async with reading(wire) as got:
            wire.frames.flush()
        assert bytes(got) == first + second + third


@pytest.mark.parametrize("from_a_thread", [False, True])
async def test_who_writes_too_much_is_asked_to_wait(from_a_thread: bool) -> None:
    async with wired() as wire:
        much = frame(1, 4) * 5
        if from_a_thread:
            assert await asyncio.to_thread(wire.frames.write_here, much)
            await asyncio.sleep(0)
        else:
            wire.stream.write(much)
        assert not wire.protocol.writable.is_set()
        drained = asyncio.create_task(wire.stream.drain())
        await asyncio.sleep(0)
        assert not drained.done()
        async with reading(wire) as got:
            await asyncio.wait_for(drained, 10)
            assert wire.protocol.writable.is_set()
            assert wire.socket.get_write_buffer_size() < len(much) / 2
        assert bytes(got) == much


async def test_what_is_unsent_at_the_end_is_sent_before_it() -> None:
    async with wired() as wire:
        wire.stream.write(frame(1, 4) * 5)
        wire.stream.write_eof()
        wire.stream.close()  # as aiormq ends a connection
        assert wire.stream.is_closing()
        assert not wire.frames.write_here(frame(2, 0))
        wire.stream.write(frame(3, 0))
        async with reading(wire) as got:
            await asyncio.wait_for(wire.stream.wait_closed(), 10)
        assert taken_apart(bytes(got)) == {1: [4] * 5}
        assert wire.protocol.lost.result() is None


async def test_a_connection_that_breaks_within_a_frame_is_lost_with_its_error() -> None:
    async with wired() as wire:
        wire.stream.write(frame(1, 4) * 5)
        drained = asyncio.create_task(wire.stream.drain())
        await asyncio.sleep(0)
        wire.socket._transport.pause_reading()  # or the end is read before it is written to
        wire.peer.close()
        assert isinstance(await asyncio.wait_for(wire.protocol.lost, 10), ConnectionError)
        with pytest.raises(ConnectionError):
            await drained
        assert wire.protocol.writable.is_set(), "nobody waits for it any more"
        assert not wire.frames.write_here(b"lost")
        wire.stream.write(b"lost")


async def test_a_peer_that_stops_reading_is_dropped_at_once() -> None:
    async with wired() as wire:
        while wire.frames.write_here(frame(1, 3)):
            pass
        wire.frames.write(frame(2, 4))
        wire.frames.flush()
        wire.stream.close()
        await asyncio.sleep(0.01)
        assert not wire.protocol.lost.done(), "there is more to send"
        wire.protocol.abort()
        assert await asyncio.wait_for(wire.protocol.lost, 1) is None


async def test_nothing_is_written_to_a_socket_that_is_gone() -> None:
    async with wired() as wire:
        assert wire.frames.write_here(b"before")
        numbers = set(wire.protocol._descriptors())
        assert len(numbers) == 2
        wire.protocol.abort()
        assert not wire.frames.write_here(b"closing")
        await asyncio.sleep(0.01)
        other = [socket.socketpair() for _ in range(3)]  # the numbers are given out again
        assert numbers <= {end.fileno() for pair in other for end in pair}
        assert not wire.frames.write_here(b"closed")
        for pair in other:
            for end in pair:
                end.close()
        assert wire.peer.recv(100) == b"before"


async def test_a_peer_that_has_hung_up_is_no_error_in_the_thread_that_writes() -> None:
    async with wired() as wire:
        wire.peer.close()
        wire.socket._transport.pause_reading()
        assert not await asyncio.to_thread(wire.frames.write_here, b"hello?")
        assert wire.protocol.ended, "what is to be sent now is kept for the next connection"
        assert isinstance(await asyncio.wait_for(wire.protocol.lost, 10), ConnectionError)


async def test_nothing_is_written_to_a_peer_whose_end_was_read() -> None:
    async with wired() as wire:
        wire.peer.shutdown(socket.SHUT_WR)
        wire.protocol.eof_received()
        assert wire.protocol.ended
        assert not wire.frames.write_here(b"nobody reads this")


async def test_a_transport_that_is_asyncios_is_written_on_the_loop_alone() -> None:
    """As one under TLS is."""
    ours, peer = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    frames = FrameWriter(loop, transport)
    assert not frames.write_here(b"here")
    frames.write(b"first ")
    frames.write(b"second")
    frames.flush()
    assert peer.recv(100) == b"first second"
    transport.abort()
    peer.close()


@pytest.mark.parametrize("size", [10, 500_000])
async def test_ctrl_c_while_a_thread_writes_tears_nothing(size: int) -> None:
    """It comes when a call of C returns: at each of them in turn."""
    for moment in range(1, 20):
        async with wired() as wire:
            first, left = bytes([1]) * size, moment

            def interrupt(running: FrameType, event: str, _: object) -> None:
                nonlocal left
                if event == "c_return" and running.f_code.co_filename == writer.__file__:
                    left -= 1
                    if not left:
                        raise KeyboardInterrupt

            sys.setprofile(interrupt)
            with contextlib.suppress(KeyboardInterrupt):
                wire.frames.write_here(first)
            sys.setprofile(None)
            async with reading(wire) as got:
                wire.stream.write(b"second")
            assert bytes(got) in (first + b"second", b"second")
        if left > 0:
            break
    assert 3 < moment < 19


async def test_a_forked_child_writes_nothing_to_its_parents_socket_and_does_not_keep_it_open() -> None:
    async with wired() as wire:
        until, end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(end)
            os.read(until, 1)
            os._exit(1 if wire.frames.write_here(b"child") else 0)
        os.close(until)
        assert wire.frames.write_here(b"parent")
        assert wire.peer.recv(100) == b"parent"
        wire.protocol.abort()
        wire.peer.settimeout(10)
        assert await asyncio.to_thread(wire.peer.recv, 100) == b"", (
            "the child lives, and does not keep it open"
        )
        os.close(end)
        waited = await asyncio.to_thread(os.waitpid, pid, 0)
        assert os.waitstatus_to_exitcode(waited[1]) == 0
