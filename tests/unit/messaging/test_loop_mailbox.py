"""Calls into a loop from other threads: all of them, in order, and never the loop's whole time."""

from __future__ import annotations

import asyncio
import threading

from quince_messaging.loop_mailbox import LoopMailbox


async def test_calls_of_many_threads_all_come_in_each_ones_order() -> None:
    mailbox = LoopMailbox(asyncio.get_running_loop())
    seen: list[tuple[int, int]] = []
    all_there = asyncio.Event()

    def note(thread: int, number: int) -> None:
        seen.append((thread, number))
        if len(seen) == 8_000:
            all_there.set()

    def work(thread: int) -> None:
        for number in range(2_000):
            mailbox.post(note, thread, number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    async with asyncio.timeout(20):
        await all_there.wait()
    for number in range(4):
        assert [n for t, n in seen if t == number] == list(range(2_000))


async def test_calls_that_bring_further_calls_leave_the_loop_its_turns() -> None:
    mailbox = LoopMailbox(asyncio.get_running_loop())
    stopped = False

    def again() -> None:
        if not stopped:
            mailbox.post(again)

    mailbox.post(again)
    async with asyncio.timeout(5):
        await asyncio.sleep(0.01)
    stopped = True


async def test_a_call_that_ends_its_loop_turn_in_an_error_does_not_stop_the_others() -> None:
    mailbox = LoopMailbox(asyncio.get_running_loop())
    came = asyncio.Event()
    mailbox.post(lambda: 1 / 0)
    mailbox.post(came.set)
    async with asyncio.timeout(5):
        await came.wait()
