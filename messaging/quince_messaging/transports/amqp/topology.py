"""What stands on the broker, and what it is called.

    P.tasks.p9.QUEUE   a durable classic queue for each task queue, priorities 0 to 9
    P.dead             a durable classic queue for what nobody can read or wants
    P.answers.NAME     a durable classic queue for each communicator that waits for results of tasks; gone
                       when that closes, or when nobody has read from it for an hour
    P.rpc              a direct exchange; every communicator's inbox is bound to it
    P.broadcast        a topic exchange; routing key: sender, then subject

Queue arguments cannot be changed later, so what might change is part of the name. Inboxes are
exclusive and named by the broker, fresh on each connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pamqp import commands

from quince_messaging.contract import SubjectFilter
from quince_messaging.limits import MAX_PRIORITY
from quince_messaging.transports.amqp.channel import BrokerChannel
from quince_messaging.wire.filters import sender_key

ANSWERS_KEPT = 3_600_000
"""Milliseconds that results wait for a communicator that has lost its connection."""
_KEY_BYTES = 255
_SENDER_BYTES = 100


class Names:
    """The names under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.dead = f"{prefix}.dead"
        self.rpc = f"{prefix}.rpc"
        self.broadcast = f"{prefix}.broadcast"

    def tasks(self, queue: str) -> str:
        return f"{self.prefix}.tasks.p{MAX_PRIORITY}.{queue}"

    def answers(self, inbox: str) -> str:
        return f"{self.prefix}.answers.{inbox}"


async def declare_exchanges(channel: BrokerChannel, names: Names) -> None:
    """Declare the exchanges of a prefix."""
    for exchange, kind in ((names.rpc, "direct"), (names.broadcast, "topic")):
        await channel.rpc(commands.Exchange.Declare(exchange=exchange, exchange_type=kind, durable=True))


async def declare_task_queue(channel: BrokerChannel, name: str) -> int:
    """Declare a task queue; returns how many tasks wait on it."""
    declared = await declare_queue(channel, name, {"x-max-priority": MAX_PRIORITY})
    return int(declared.message_count)


async def declare_dead_queue(channel: BrokerChannel, names: Names) -> int:
    """Declare the dead-letter queue; returns how many messages are on it."""
    return int((await declare_queue(channel, names.dead)).message_count)


async def declare_inbox(channel: BrokerChannel) -> str:
    """Declare a queue for this connection alone; returns the name that the broker gave it."""
    arguments: dict[str, Any] = {"x-queue-type": "classic"}
    own = commands.Queue.Declare(queue="", exclusive=True, auto_delete=True, arguments=arguments)
    return str((await channel.rpc(own)).queue)


async def declare_queue(channel: BrokerChannel, name: str, arguments: dict[str, Any] | None = None) -> Any:
    """Declare a durable queue; returns what the broker says of it."""
    arguments = {"x-queue-type": "classic", **(arguments or {})}
    return await channel.rpc(commands.Queue.Declare(queue=name, durable=True, arguments=arguments))


def call_key(identifier: str) -> str:
    """The routing key of calls to an identifier."""
    return f"to.{identifier}"


def inbox_key(inbox: str) -> str:
    """The routing key of answers to an inbox."""
    return f"inbox.{inbox}"


async def bind(channel: BrokerChannel, queue: str, exchange: str, keys: Iterable[str]) -> None:
    """Bind a queue under each key."""
    for key in keys:
        await channel.rpc(commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=key))


async def unbind(channel: BrokerChannel, queue: str, exchange: str, keys: Iterable[str]) -> None:
    """Undo `bind`."""
    for key in keys:
        await channel.rpc(commands.Queue.Unbind(queue=queue, exchange=exchange, routing_key=key))


def broadcast_key(sender: object, subject: str | None) -> str:
    """The routing key of a broadcast: `sender.subject`, cut where AMQP's 255 bytes end."""
    key = f"{_sender_word(sender_key(sender))}.{subject or ''}"
    return key.encode()[:_KEY_BYTES].decode(errors="ignore")


def binding_keys(wanted: SubjectFilter) -> set[str]:
    """Topic patterns that match at least what the filter wants; the client drops the rest."""
    senders = [_sender_word(sender) for sender in wanted.senders] or ["*"]
    subjects = [_subject_pattern(subject) for subject in wanted.subjects] or ["#"]
    if wanted.senders or wanted.subjects:
        return {_pattern(sender, subject) for sender in senders for subject in subjects}
    return {"#"}


def _subject_pattern(subject: str) -> str:
    if not subject.endswith("*"):
        return subject
    whole_words = subject[:-1].rpartition(".")[0]
    return f"{whole_words}.#" if whole_words else "#"


def _pattern(sender: str, subject: str) -> str:
    """What matches the keys of a subject, wherever they are cut: the sooner the longer the sender is."""
    room = _KEY_BYTES - 1 - (_SENDER_BYTES if sender == "*" else len(sender.encode()))
    start = subject.encode()[:room].decode(errors="ignore")
    if start == subject:
        return f"{sender}.{subject}"
    if sender == "*" or subject.endswith("#"):  # no word can be asked for that is not there whole
        return ".".join([sender, *start.split(".")[:-1], "#"])
    return f"{sender}.{start}"


def _sender_word(sender: str) -> str:
    """A sender as one word of a routing key: no dots, no wildcards, bounded."""
    word = sender.replace("%", "%25").replace(".", "%2E").replace("*", "%2A").replace("#", "%23")
    return word.encode()[:_SENDER_BYTES].decode(errors="ignore")
