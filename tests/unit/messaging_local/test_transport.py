"""Several communicators on one directory, in one process: what is particular to this transport.

What every transport must do is in `tests/contracts`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from quince_messaging.contract import BroadcastMessage, LinkState, SubjectFilter
from quince_messaging.errors import (
    CommunicatorClosed,
    ConnectionFailed,
    DeliveryFailed,
    DuplicateSubscriber,
    RemoteError,
    UnroutableError,
)
from quince_messaging.transports.local import LocalTransport
from tests.unit.messaging_local.transports import Open, Tray, opened, settled

__all__ = ["opened"]


async def test_tasks_are_shared_between_the_idle(opened: Open) -> None:
    client, first, second = await opened(), await opened(), await opened()
    trays = Tray(), Tray()
    await first.consume(trays[0].deliver, queue="q", prefetch=100)
    await second.consume(trays[1].deliver, queue="q", prefetch=100)
    for number in range(20):
        await client.send_tasks([number], queue="q")
    await asyncio.gather(trays[0].until(8), trays[1].until(8))


async def test_what_one_has_no_room_for_goes_to_the_other(opened: Open) -> None:
    client, small, large = await opened(), await opened(), await opened()
    trays = Tray(), Tray()
    await small.consume(trays[0].deliver, queue="q", prefetch=1)
    await large.consume(trays[1].deliver, queue="q", prefetch=100)
    await client.send_tasks(list(range(30)), queue="q")
    await trays[1].until(29)
    assert len(trays[0].tasks) == 1


async def test_a_bell_at_a_paused_consumer_reaches_another(opened: Open) -> None:
    client, first, second = await opened(), await opened(), await opened()
    trays = Tray(), Tray()
    pausing = await first.consume(trays[0].deliver, queue="q", prefetch=10)
    await second.consume(trays[1].deliver, queue="q", prefetch=10)
    paused = asyncio.ensure_future(pausing.pause())
    await asyncio.gather(*(client.send_tasks([number], queue="q") for number in range(6)))
    await paused
    await client.send_tasks(["after"], queue="q")
    tasks = await trays[1].until(7 - len(trays[0].tasks))
    assert "after" in [task.body for task in tasks]

    await pausing.resume()
    before = len(trays[0].tasks)
    for number in range(4):
        await client.send_tasks([number], queue="q")
    await trays[0].until(before + 1)


async def test_no_more_than_the_prefetch_is_held_and_room_is_filled_at_once(opened: Open) -> None:
    client, worker = await opened(), await opened()
    tray = Tray()
    await worker.consume(tray.deliver, queue="q", prefetch=3)
    await client.send_tasks(list(range(10)), queue="q")
    for settled_so_far in range(7):
        tasks = await tray.until(3 + settled_so_far)
        await settled(worker)
        assert len(tasks) == 3 + settled_so_far
        tasks[settled_so_far].ack()
    assert [task.body for task in tray.tasks] == list(range(9))


async def test_a_claim_that_failed_is_made_again(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince_messaging.transports.local.file_lock.PATIENCE", 0.1)
    monkeypatch.setattr("quince_messaging.transports.local.consumer.BETWEEN_FAILURES", 0.05)
    transport = await opened()
    tray = Tray()
    await transport.consume(tray.deliver, queue="q", prefetch=1)
    await transport.send_tasks([1, 2], queue="q")
    (first,) = await tray.until(1)
    in_the_way = sqlite3.connect(tmp_path / "d" / "quince" / "tasks.sqlite", isolation_level=None)
    in_the_way.execute("BEGIN IMMEDIATE")
    first.ack()
    with pytest.raises(DeliveryFailed):
        await transport.send_tasks([3], queue="q")
    in_the_way.close()
    _, second = await tray.until(2)
    second.ack()
    await settled(transport)
    assert [task.body for task in tray.tasks] == [1, 2]
    assert await transport.queue_size(queue="q") == 0


async def test_only_the_first_verdict_counts(opened: Open) -> None:
    transport = await opened()
    tray = Tray()
    await transport.consume(tray.deliver, queue="q", prefetch=1)
    answer = await transport.call_task("t", queue="q")
    (task,) = await tray.until(1)
    task.ack("first")
    task.requeue()
    task.fail(ValueError("late"))
    assert await answer == "first"
    await settled(transport)
    assert len(tray.tasks) == 1


async def test_verdicts_come_from_any_thread(opened: Open) -> None:
    transport = await opened()
    tray = Tray()
    await transport.consume(tray.deliver, queue="q", prefetch=50)
    answers = [await transport.call_task(number, queue="q") for number in range(50)]
    tasks = await tray.until(50)
    await asyncio.gather(*(asyncio.to_thread(task.ack, task.body) for task in tasks))
    assert [await answer for answer in answers] == list(range(50))


async def test_a_refused_task_is_offered_to_the_other_first(opened: Open) -> None:
    client, first, second = await opened(), await opened(), await opened()
    trays = Tray(), Tray()
    await first.consume(trays[0].deliver, queue="q", prefetch=5)
    await client.send_tasks(["t"], queue="q")
    (task,) = await trays[0].until(1)
    await second.consume(trays[1].deliver, queue="q", prefetch=5)
    await settled(second)
    task.requeue()
    (again,) = await trays[1].until(1)
    assert again.redelivered
    assert len(trays[0].tasks) == 1


async def test_what_a_closed_consumer_held_goes_to_others_and_its_handles_are_dead(opened: Open) -> None:
    client, first, second = await opened(), await opened(), await opened()
    trays = Tray(), Tray()
    closing = await first.consume(trays[0].deliver, queue="q", prefetch=5)
    await client.send_tasks([1, 2], queue="q")
    kept, acked = await trays[0].until(2)
    acked.ack()
    await closing.close()
    await closing.close()
    kept.ack()
    await second.consume(trays[1].deliver, queue="q", prefetch=5)
    (again,) = await trays[1].until(1)
    assert (again.body, again.redelivered) == (kept.body, True)


async def test_a_result_that_cannot_be_sent_is_an_error_for_its_sender(opened: Open) -> None:
    client, worker = await opened(), await opened()
    tray = Tray()
    await worker.consume(tray.deliver, queue="q", prefetch=5)
    answers = [await client.call_task(number, queue="q") for number in range(2)]
    first, second = await tray.until(2)
    first.ack(object())
    second.ack("fine")
    with pytest.raises(RemoteError, match=r"msgpack|object"):
        await answers[0]
    assert await answers[1] == "fine"


async def test_an_identifier_is_served_once_in_the_directory(opened: Open) -> None:
    first, second = await opened(), await opened()

    async def echo(body: Any) -> Any:
        return body

    await first.serve("i", echo)
    for other in (first, second):
        with pytest.raises(DuplicateSubscriber):
            await other.serve("i", echo)
    assert await second.call("i", 1, timeout=5) == 1
    await first.unserve("i")
    with pytest.raises(UnroutableError):
        await second.call("i", 1, timeout=5)
    await second.serve("i", echo)
    assert await first.call("i", 2, timeout=5) == 2


async def test_a_call_follows_an_identifier_that_has_moved(opened: Open) -> None:
    first, second, client = await opened(), await opened(), await opened()

    async def serve(transport: LocalTransport, name: str) -> None:
        async def handle(body: Any) -> Any:
            return [name, body]

        await transport.serve("i", handle)

    await serve(first, "first")
    assert await client.call("i", 1, timeout=5) == ["first", 1]
    await first.unserve("i")
    await serve(second, "second")
    assert await client.call("i", 2, timeout=5) == ["second", 2]


async def test_large_calls_and_answers_wait_for_room(opened: Open) -> None:
    server, client = await opened(), await opened()

    async def echo(body: Any) -> Any:
        return body

    await server.serve("i", echo)
    bodies = [bytes([number]) * 6_000_000 for number in range(6)]
    assert await asyncio.gather(*(client.call("i", body, timeout=30) for body in bodies)) == bodies


async def test_a_large_task_arrives_whole(opened: Open) -> None:
    client, worker = await opened(), await opened()
    tray = Tray()
    await worker.consume(tray.deliver, queue="q", prefetch=1)
    answer = await client.call_task(b"\x00\xff" * 5_000_000, queue="q")
    (task,) = await tray.until(1)
    assert task.body == b"\x00\xff" * 5_000_000
    task.ack(task.body)
    assert await answer == task.body


async def test_a_call_that_waits_when_its_server_closes_fails(opened: Open) -> None:
    server, client = await opened(), await opened()
    asked = asyncio.Event()

    async def hang(body: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    await server.serve("i", hang)
    answer = await client.ask("i", 1)
    await asked.wait()
    await server.close()
    with pytest.raises(DeliveryFailed):
        await answer


async def test_what_waits_when_it_closes_itself_ends(opened: Open) -> None:
    transport = await opened()
    answer = await transport.call_task(1, queue="nobody")
    await transport.close()
    with pytest.raises(CommunicatorClosed):
        await answer
    with pytest.raises(CommunicatorClosed):
        await transport.send_tasks([1], queue="q")


async def test_broadcasts_go_only_where_they_are_wanted(opened: Open) -> None:
    sender, wanting, other = await opened(), await opened(), await opened()
    heard: list[tuple[str, Any]] = []
    done = asyncio.Event()

    def hear(message: BroadcastMessage) -> None:
        heard.append(("wanting", message.body))
        if message.body == "last":
            done.set()

    await wanting.subscribe(hear, SubjectFilter(("a.*",), ("me",)))
    gone = await other.subscribe(lambda m: heard.append(("other", m.body)), SubjectFilter(("b",)))
    wanted = [("me", "a.1"), ("you", "a.1"), ("me", "b"), (None, "a.2")]
    await sender.broadcast([BroadcastMessage(n, who, what, None) for n, (who, what) in enumerate(wanted)])
    await settled(other)
    await other.unsubscribe(gone)
    await sender.broadcast([BroadcastMessage("dropped", "me", "b", None)])
    await sender.broadcast([BroadcastMessage("last", "me", "a.9", None)])
    await asyncio.wait_for(done.wait(), 10)
    assert heard.count(("wanting", 0)) == heard.count(("other", 2)) == 1
    assert len(heard) == 3


async def test_a_newcomer_is_told_what_the_others_want(opened: Open) -> None:
    old = await opened()
    heard = asyncio.Event()
    await old.subscribe(lambda _: heard.set(), SubjectFilter(("a",)))
    new = await opened()
    await new.broadcast([BroadcastMessage(1, None, "a", None)])
    await asyncio.wait_for(heard.wait(), 10)


async def test_it_says_how_the_link_stands(tmp_path: Path) -> None:
    transport = LocalTransport(tmp_path)
    states: list[LinkState] = []
    transport.on_link(states.append)
    assert transport.state is LinkState.CLOSED
    await transport.close()
    await transport.open()
    await transport.close()
    await transport.close()
    assert states == [LinkState.CONNECTED, LinkState.CLOSED]


async def test_comings_and_goings_leave_nothing_behind(opened: Open) -> None:
    staying = await opened()
    await staying.subscribe(lambda _: None, SubjectFilter(("a",)))
    process = psutil.Process()

    async def come_and_go() -> None:
        guest = await opened()
        await guest.subscribe(lambda _: None, SubjectFilter(("b",)))
        await guest.consume(lambda _: None, queue="q", prefetch=1)
        await guest.close()

    async def crowd() -> None:
        await asyncio.gather(*(come_and_go() for _ in range(10)))
        await settled(staying)

    await crowd()  # SQLite keeps files that were closed beside an open one, for the next to open them
    descriptors, threads = process.num_fds(), process.num_threads()
    await crowd()
    assert process.num_fds() == descriptors
    assert process.num_threads() <= threads  # some of earlier tests may have ended meanwhile


async def test_many_filters_that_come_and_go_at_once_are_known_and_forgotten(opened: Open) -> None:
    sender, listener = await opened(), await opened()
    heard: list[Any] = []
    last = asyncio.Event()
    filters = [SubjectFilter((f"s{number}",)) for number in range(300)]
    names = await asyncio.gather(*(listener.subscribe(lambda m: heard.append(m.body), f) for f in filters))
    await listener.subscribe(lambda _: last.set(), SubjectFilter(("last",)))
    for name in names[::2]:
        await listener.unsubscribe(name)
    await sender.broadcast([BroadcastMessage(n, None, f"s{n}", None) for n in range(300)])
    await sender.broadcast([BroadcastMessage("end", None, "last", None)])
    await asyncio.wait_for(last.wait(), 10)
    assert heard == list(range(1, 300, 2))


async def test_closing_leaves_no_file_of_its_own(tmp_path: Path) -> None:
    transport = LocalTransport(tmp_path)
    await transport.open()
    assert list((tmp_path / "quince" / "peers").iterdir())
    await transport.close()
    assert not list((tmp_path / "quince" / "peers").iterdir())


async def test_a_failed_opening_leaves_no_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "quince").mkdir()
    (tmp_path / "quince" / "tasks.sqlite").write_bytes(b"no database" * 200)
    with pytest.raises(ConnectionFailed):
        await LocalTransport(tmp_path).open()
    assert not list((tmp_path / "quince" / "peers").iterdir())


async def test_an_opening_that_is_cut_off_leaves_no_socket(tmp_path: Path, opened: Open) -> None:
    """What the garbage collector finds unclosed fails this test."""
    await opened()  # somebody to meet
    for turns in range(60):
        transport = LocalTransport(tmp_path / "d")
        opening = asyncio.create_task(transport.open())
        await asyncio.sleep(turns * 0.0001)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await transport.close()
        del transport, opening
    gc.collect()


async def test_a_connection_that_comes_at_the_last_moment_leaves_no_socket(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the garbage collector finds unclosed fails this test."""
    for turns in range(6):
        transport = await opened()
        hang_up = transport._peers.close
        with socket.socket(socket.AF_UNIX) as late:
            late.setblocking(False)

            async def close(
                transport: LocalTransport = transport,
                late: socket.socket = late,
                turns: int = turns,
                hang_up: Callable[[], Awaitable[None]] = hang_up,
            ) -> None:
                late.connect(transport._registration.address)
                for _ in range(turns):
                    await asyncio.sleep(0)
                await hang_up()

            monkeypatch.setattr(transport._peers, "close", close)
            await transport.close()
    gc.collect()


async def test_a_communicator_that_closes_leaves_the_dead_to_others_without_a_word(
    opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A short command that meets a dead worker has no news of it for whoever typed it."""
    peers = (await opened())._peers

    async def closed(_peer: str) -> None:
        raise CommunicatorClosed("this communicator is closed")

    monkeypatch.setattr(peers._directory, "release_dead", lambda _peer: contextlib.nullcontext(True))
    monkeypatch.setattr(peers, "_release_tasks", closed)
    await asyncio.wait_for(peers._connect_or_release("1-gone"), 10)
    assert [record.getMessage() for record in caplog.records if "released" in record.getMessage()] == []
