"""The link to RabbitMQ is broken in every way there is, and everything comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence

import pytest

import quince_messaging
from quince_messaging import (
    AwaitableCommunicator,
    BroadcastMessage,
    ConnectionFailed,
    LinkState,
    MessagingError,
    SubjectFilter,
    TaskHandle,
)
from tests.integration.messaging.proxy import Proxy
from tests.integration.messaging.watching import stubbornly, until, until_state
from tests.services import RabbitMQ

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(120)]


class Service:
    """A consumer, an RPC subscriber and a broadcast subscriber on one communicator."""

    def __init__(self, communicator: AwaitableCommunicator) -> None:
        self.communicator = communicator
        self.tasks: list[object] = []
        self.heard: list[object] = []

    async def start(self) -> None:
        await self.communicator.consume(self._done, prefetch=10)
        await self.communicator.add_rpc_subscriber(lambda _comm, msg: ["pong", msg], "service")
        await self.communicator.subscribe(self._hear, SubjectFilter(subjects=("news.*",)))

    def _done(self, tasks: Sequence[TaskHandle]) -> None:
        for task in tasks:
            self.tasks.append(task.body)
            task.ack()

    def _hear(self, message: BroadcastMessage) -> None:
        self.heard.append(message.body)

    async def works(self, client: AwaitableCommunicator, token: str) -> None:
        """Prove that all three come through from another communicator."""
        await stubbornly(lambda: client.send_tasks([token]))
        assert await stubbornly(lambda: client.rpc_send("service", token, timeout=2.0)) == ["pong", token]
        await client.broadcast_send(token, subject="news.today")
        await until(lambda: token in self.tasks, what="the task")
        await until(lambda: token in self.heard, what="the broadcast")


def stop_and_start_the_application(node: RabbitMQ, _proxy: Proxy) -> None:
    node.ctl("stop_app")
    node.ctl("start_app")


def kill_and_start(node: RabbitMQ, _proxy: Proxy) -> None:
    node.kill()
    node.start()


def close_all_connections(node: RabbitMQ, _proxy: Proxy) -> None:
    node.ctl("close_all_connections", "test")


FAULTS: dict[str, Callable[[RabbitMQ, Proxy], None]] = {
    "cable cut": lambda _node, proxy: proxy.cut(),
    "connections closed by the broker": close_all_connections,
    "stop_app and start_app": stop_and_start_the_application,
    "node restarted": lambda node, _proxy: node.restart(),
    "node killed": kill_and_start,
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_everything_comes_back(
    fault: str, node: RabbitMQ, proxy: Proxy, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    states: list[LinkState] = []
    async with (
        quince_messaging.connect_async(proxy.uri(uri)) as worker,
        quince_messaging.connect_async(proxy.uri(uri)) as client,
    ):
        service = Service(worker)
        await service.start()
        worker.on_link(states.append)
        await service.works(client, "before")
        await asyncio.to_thread(FAULTS[fault], node, proxy)
        await until(lambda: LinkState.CONNECTED in states, what="the reconnect")
        await until_state(client, LinkState.CONNECTED)
        await service.works(client, "after")
        assert states[:2] == [LinkState.RECONNECTING, LinkState.CONNECTED]
    told = [record for record in caplog.records if "the connection is lost" in record.message]
    assert 1 <= len(told) <= 2 * len(states)


async def test_confirmed_tasks_survive_a_killed_node(node: RabbitMQ, uri: str) -> None:
    async with quince_messaging.connect_async(uri) as client:
        assert await client.queue_size(queue="kept") == 0
        # RabbitMQ can forget a queue, with all that is on it, that was declared a moment before `kill -9`
        await asyncio.to_thread(node.ctl, "eval", "mnesia:dump_log().")
        await client.send_tasks(list(range(200)), queue="kept")
        await asyncio.to_thread(node.kill)
        await asyncio.to_thread(node.start)
        await until_state(client, LinkState.CONNECTED, within=60)
        seen: set[int] = set()

        def take(tasks: Sequence[TaskHandle]) -> None:
            for task in tasks:
                seen.add(task.body)
                task.ack()

        await client.consume(take, queue="kept", prefetch=50)
        await until(lambda: len(seen) == 200, what="every task")


async def test_a_half_open_connection_is_noticed_by_its_silence(proxy: Proxy, uri: str) -> None:
    async with (
        quince_messaging.connect_async(uri) as client,
        quince_messaging.connect_async(proxy.uri(uri)) as worker,
    ):
        service = Service(worker)
        await service.start()
        await service.works(client, "before")
        proxy.freeze()
        noticed = await until_state(worker, LinkState.RECONNECTING, within=15)
        assert noticed < 8.0
        with pytest.raises(MessagingError):
            await worker.send_tasks(["into the void"], queue="elsewhere")
        proxy.cut()
        proxy.thaw()
        await until_state(worker, LinkState.CONNECTED)
        await service.works(client, "after")


async def test_calls_under_way_fail_when_the_link_goes(proxy: Proxy, uri: str) -> None:
    async with (
        quince_messaging.connect_async(uri) as server,
        quince_messaging.connect_async(proxy.uri(uri)) as caller,
    ):
        called, never = asyncio.Event(), asyncio.Event()

        async def hangs(_comm: object, _msg: object) -> None:
            called.set()
            await never.wait()

        await server.add_rpc_subscriber(hangs, "hangs")
        call = asyncio.create_task(caller.rpc_send("hangs", 1))
        await asyncio.wait_for(called.wait(), 10)
        proxy.cut()
        with pytest.raises(MessagingError, match="connection"):
            await asyncio.wait_for(call, 10)
        never.set()


@pytest.mark.parametrize("side", ["caller", "server"])
def test_calls_one_by_one_across_a_cable_that_is_cut_again_and_again(
    side: str, proxy: Proxy, uri: str
) -> None:
    """Lone calls and answers are written by the threads that make them, also while the link goes."""
    across = proxy.uri(uri)
    answered = 0
    with (
        quince_messaging.connect(across if side == "server" else uri) as server,
        quince_messaging.connect(across if side == "caller" else uri) as caller,
    ):
        server.add_rpc_subscriber(lambda _comm, number: number, "echo")

        def cut_again_and_again() -> None:
            for _ in range(15):
                time.sleep(0.15)
                proxy.cut()

        cutting = threading.Thread(target=cut_again_and_again)
        cutting.start()
        while cutting.is_alive():
            with contextlib.suppress(MessagingError):
                assert caller.rpc_call("echo", answered, timeout=10) == answered
                answered += 1
        assert answered > 20
        assert asyncio.run(stubbornly(lambda: asyncio.to_thread(caller.rpc_call, "echo", "over", timeout=5)))


def test_the_answer_of_a_task_that_was_delivered_again_at_once(proxy: Proxy, uri: str) -> None:
    """The consumer comes back on a new link, is done with the task in no time, and has a way to say so."""
    hold, runs = threading.Event(), []
    with quince_messaging.connect(uri) as sender, quince_messaging.connect(proxy.uri(uri)) as worker:

        def work(_comm: object, number: int) -> int:
            runs.append(number)
            if len(runs) == 1:
                proxy.cut()
                hold.wait(20)
            return number

        worker.add_task_subscriber(work)
        answer = sender.task_send(7)
        assert answer is not None
        assert answer.result(20) == 7
        hold.set()
        assert runs == [7, 7]


@pytest.mark.parametrize("away", ["sender", "worker"])
def test_an_answer_waits_for_those_who_are_away(away: str, proxy: Proxy, uri: str) -> None:
    across = proxy.uri(uri)
    asked, answer = threading.Event(), threading.Event()

    def work(_comm: object, number: int) -> int:
        asked.set()
        answer.wait(20)
        return number

    with (
        quince_messaging.connect(across if away == "sender" else uri) as sender,
        quince_messaging.connect(across if away == "worker" else uri) as worker,
    ):
        worker.add_task_subscriber(work)
        worker.add_rpc_subscriber(work, "work")
        futures = [sender.task_send(8)]
        if away == "worker":  # a caller who is away gives his calls up
            futures.append(sender.rpc_send("work", 8))
        asked.wait(20)
        assert sender.queue_size() == 0, "it is confirmed"
        proxy.refuse()
        far = sender if away == "sender" else worker  # what it sends before it knows is lost with its link
        asyncio.run(until(lambda: far.state is not LinkState.CONNECTED, what="the end of the link"))
        answer.set()
        time.sleep(0.4)
        proxy.refuse(False)
        assert [future and future.result(20) for future in futures] == [8] * len(futures)


def test_an_answer_that_went_into_a_dead_link_comes_again(proxy: Proxy, uri: str) -> None:
    """The broker has sent it, and does not know yet that nobody reads there."""
    asked, answer = threading.Event(), threading.Event()

    def work(_comm: object, number: int) -> int:
        asked.set()
        answer.wait(20)
        return number

    with quince_messaging.connect(proxy.uri(uri)) as sender, quince_messaging.connect(uri) as worker:
        worker.add_task_subscriber(work)
        future = sender.task_send(9)
        asked.wait(20)
        assert sender.queue_size() == 0, "it is confirmed"
        proxy.freeze()
        answer.set()
        time.sleep(0.3)
        proxy.cut()
        proxy.thaw()
        assert future is not None
        assert future.result(20) == 9


def test_the_queue_of_answers_goes_with_its_communicator(node: RabbitMQ, uri: str) -> None:
    def queues() -> list[str]:
        return [name for name in node.ctl("-q", "list_queues", "name").split() if ".answers." in name]

    before = queues()
    with quince_messaging.connect(uri) as sender:
        sender.task_send("to whom it may concern", queue="nobody", no_reply=True)
        assert queues() == before, "it asked for no answer"
        sender.task_send("to whom it may concern", queue="nobody")
        sender.queue_size(queue="nobody")
        assert len(queues()) == len(before) + 1
    assert queues() == before


async def test_a_promise_ends_when_the_caller_loses_his_link(proxy: Proxy, uri: str) -> None:
    async with (
        quince_messaging.connect_async(uri) as server,
        quince_messaging.connect_async(proxy.uri(uri)) as caller,
    ):
        promise: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        await server.add_rpc_subscriber(lambda _comm, _msg: promise, "promises")
        promised = await caller.rpc_send("promises", 1)
        proxy.cut()
        with pytest.raises(MessagingError, match="connection"):
            await asyncio.wait_for(promised, 10)


async def test_a_reply_to_a_task_arrives_though_the_sender_reconnected(proxy: Proxy, uri: str) -> None:
    async with (
        quince_messaging.connect_async(uri) as worker,
        quince_messaging.connect_async(proxy.uri(uri)) as sender,
    ):
        held: list[TaskHandle] = []
        await worker.consume(held.extend)
        outcome = await sender.task_send("slow")
        assert outcome is not None
        await until(lambda: bool(held), what="the task")
        states: list[LinkState] = []
        sender.on_link(states.append)
        proxy.cut()
        await until(lambda: LinkState.CONNECTED in states, what="the reconnect")
        held[0].ack("worth the wait")
        assert await asyncio.wait_for(outcome, 10) == "worth the wait"


async def test_a_consumer_survives_the_deletion_of_its_queue(node: RabbitMQ, uri: str) -> None:
    async with quince_messaging.connect_async(uri) as worker, quince_messaging.connect_async(uri) as client:
        service = Service(worker)
        await service.start()
        await service.works(client, "before")
        prefix = uri.split("prefix=")[1].split("&")[0]
        await asyncio.to_thread(node.ctl, "delete_queue", f"{prefix}.tasks.p9.default")
        await service.works(client, "after")
        assert worker.state is LinkState.CONNECTED


ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "0.00000001"), ("set_vm_memory_high_watermark", "0.4")),
    "disk": (("set_disk_free_limit", "1000000000000000"), ("set_disk_free_limit", "50000000")),
}
"""What raises each alarm of the broker, and what ends it."""


@pytest.mark.parametrize("alarm", ALARMS)
async def test_a_blocked_broker_is_told_and_waited_for(alarm: str, node: RabbitMQ, uri: str) -> None:
    raised, ended = ALARMS[alarm]
    async with quince_messaging.connect_async(uri) as client:
        await client.send_tasks(["before"])
        await asyncio.to_thread(node.ctl, *raised)
        try:
            sending = asyncio.create_task(client.send_tasks(["meanwhile"]))
            await until_state(client, LinkState.BLOCKED)
            assert not sending.done()
        finally:
            await asyncio.to_thread(node.ctl, *ended)
        await until_state(client, LinkState.CONNECTED)
        await asyncio.wait_for(sending, 30)
        assert await client.queue_size() == 2


async def test_a_sender_consumes_and_acknowledges_on_during_an_alarm(node: RabbitMQ, uri: str) -> None:
    raised, ended = ALARMS["memory"]
    async with quince_messaging.connect_async(uri) as client:
        await client.send_tasks(["one", "two"])
        held: list[TaskHandle] = []
        await client.consume(held.extend, prefetch=1)
        await until(lambda: len(held) == 1, what="the first task")
        await asyncio.to_thread(node.ctl, *raised)
        try:
            sending = asyncio.create_task(client.send_tasks(["meanwhile"]))
            await until_state(client, LinkState.BLOCKED)
            held[0].ack()
            await until(lambda: len(held) == 2, what="the task that comes when the first is acknowledged")
            assert await client.queue_size() == 0
            await client.subscribe(lambda _message: None)
        finally:
            await asyncio.to_thread(node.ctl, *ended)
        await asyncio.wait_for(sending, 30)


async def test_an_alarm_is_outwaited_however_long_it_lasts(
    node: RabbitMQ, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised, ended = ALARMS["memory"]
    states: list[LinkState] = []
    async with quince_messaging.connect_async(uri) as client:
        await client.send_tasks(["before"])
        client.on_link(states.append)
        await asyncio.to_thread(node.ctl, *raised)
        try:
            sending = [asyncio.create_task(client.send_tasks(["tells of the alarm"]))]
            await until_state(client, LinkState.BLOCKED)
            with monkeypatch.context() as patched:
                patched.setattr("quince_messaging.transports.amqp.tasks.CONFIRM_TIMEOUT", 0.2)
                sending.append(asyncio.create_task(client.send_tasks(["waits longer than that"])))
                done, _ = await asyncio.wait(sending, timeout=1.0)
                assert not done
        finally:
            await asyncio.to_thread(node.ctl, *ended)
        await asyncio.wait_for(asyncio.gather(*sending), 30)
        assert await client.queue_size() == 3
        assert states == [LinkState.BLOCKED, LinkState.CONNECTED]


async def test_a_slow_network_changes_nothing_but_the_time(proxy: Proxy, uri: str) -> None:
    async with (
        quince_messaging.connect_async(proxy.uri(uri)) as worker,
        quince_messaging.connect_async(proxy.uri(uri)) as client,
    ):
        service = Service(worker)
        await service.start()
        proxy.delay(0.1)
        await service.works(client, "slowly")


@pytest.mark.parametrize(
    ("broken", "advice"),
    [
        ("amqp://guest:secret@127.0.0.1:1/", "broker runs there"),
        ("amqp://guest:secret@127.0.0.1:{port}/", "user name and the password"),
        ("amqp://guest:guest@127.0.0.1:{port}/no-such-vhost", "virtual host"),
        ("amqp://guest:secret@no-such-host.invalid/", "host and port"),
        ("amqps://guest:secret@127.0.0.1:{port}/", "TLS"),
    ],
)
async def test_nobody_there_is_one_clear_sentence(node: RabbitMQ, broken: str, advice: str) -> None:
    uri = broken.format(port=node.port)
    with pytest.raises(ConnectionFailed, match=advice) as caught:
        await quince_messaging.connect_async(uri).open()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
