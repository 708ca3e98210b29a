"""What a worker makes of what comes from a step host, whoever has written it; and what a host has not dealt
with yet."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from quince.hosts.link import HostLink, WorkerGone, WorkerLink
from quince.hosts.protocol import Done, Frames, Garbled, Order, Said, ToWorker, frame

NONSENSE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\0" * 100,
    b"\xff" * 100,
    frame([Done(1)])[:4] + b"\0\0\0\x04\xc1\xc1\xc1\xc1",
    frame([{"neither": "a list"}]),
    frame([[99, 1]]),
    frame([[4, "no pid"]]),
    frame([Done(1)])[:4] + b"\0\0\x40\0" + b"\x91" * (1 << 14),
]


async def heard_of(*sent: bytes) -> tuple[list[ToWorker], bool]:
    """The messages that a worker gets, and whether it finds the link garbled, before that ends."""
    ours, its = socket.socketpair()
    heard: list[ToWorker] = []
    closed = asyncio.get_running_loop().create_future()
    WorkerLink(ours, heard.append, closed.set_result)
    for data in sent:
        its.sendall(data)
    its.close()
    return heard, await closed


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_is_known_as_such(nonsense: bytes) -> None:
    _, garbled = await heard_of(frame([Said(1, "suspend", True)]), frame([Done(1)]), nonsense)
    assert garbled


async def test_an_end_is_not_taken_for_nonsense() -> None:
    assert await heard_of(frame([Done(1)]), frame([Done(2)])[:9]) == ([Done(1)], False)


def test_frames_are_taken_apart_wherever_they_are_cut() -> None:
    data = b"".join(frame([Done(pid)]) for pid in range(20))
    for size in range(1, 40):
        frames = Frames(ToWorker)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [done.pid for piece in pieces for done in frames.feed(piece)] == list(range(20))


def test_random_bytes() -> None:
    for _ in range(1000):
        with pytest.raises(Garbled):
            Frames(ToWorker).feed(os.urandom(64))


STOP, GO = Order(1, "stop"), Order(1, "go")


def test_what_is_not_dealt_with_is_seen_from_any_thread_and_stays() -> None:
    ours, its = socket.socketpair()
    loop, heard, unheard = asyncio.new_event_loop(), list[Any](), list[Any]()
    link = HostLink(its, loop, heard.append, lambda _: None)
    assert link.unheard() == ()
    ours.sendall(frame([STOP]))
    assert link.unheard() == (STOP,)
    ours.sendall(frame([GO]))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(link.unheard).result() == (STOP, GO)
        with link._lock:  # somebody else takes in what comes: it is not waited for
            ours.sendall(frame([STOP]))
            assert pool.submit(link.unheard).result() == (STOP, GO)
    with link._careful:  # a signal handler, in the midst of that
        assert link.unheard() == (STOP, GO)
    assert heard == []
    link.look()
    assert heard == [STOP, GO, STOP]
    assert link.unheard() == ()

    async def block() -> None:
        ours.sendall(frame([GO]))
        unheard.extend(link.unheard())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.run_until_complete(block())
    assert unheard == [GO]
    assert heard == [STOP, GO, STOP, GO], "the loop deals with it afterwards"
    ours.close()
    with pytest.raises(WorkerGone):
        link.unheard()
    link.abandon()
    assert link.unheard() == (), "of a child that was forked"
    loop.close()
