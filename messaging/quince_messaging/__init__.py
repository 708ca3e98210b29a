"""Messages without tears: task queue, RPC and broadcast from one URI.

    with quince_messaging.connect("amqp://guest:guest@127.0.0.1/") as communicator: ...        # threads
    async with quince_messaging.connect_async("local:///var/lib/quince") as communicator: ...  # coroutines

`amqp://` and `amqps://` speak to RabbitMQ, `local://FOLDER` joins the processes of one machine without
a server, `memory://NAME` those of one operating-system process.

What is exported is loaded when it is first asked for: who only reads a URI loads no client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quince_messaging.clients.awaitable import AwaitableCommunicator
    from quince_messaging.clients.blocking import Communicator
    from quince_messaging.connecting import connect, connect_async, make_transport
    from quince_messaging.contract import (
        DEFAULT_QUEUE,
        EVERYTHING,
        AsyncCommunicator,
        BroadcastMessage,
        DeadLetter,
        LinkState,
        SubjectFilter,
        TaskConsumer,
        TaskHandle,
        Transport,
    )
    from quince_messaging.errors import (
        BodyTooDeep,
        CommunicatorClosed,
        CommunicatorForked,
        ConnectionFailed,
        DeliveryFailed,
        DuplicateSubscriber,
        InvalidUri,
        MessageTimeout,
        MessagingError,
        QueueEmpty,
        ReconnectingError,
        RemoteCancelled,
        RemoteError,
        TaskRejected,
        UnreadableMessage,
        UnroutableError,
    )
    from quince_messaging.uri import DEFAULT_PREFIX

_HOMES = {
    "quince_messaging.clients.awaitable": ("AwaitableCommunicator",),
    "quince_messaging.clients.blocking": ("Communicator",),
    "quince_messaging.connecting": ("connect", "connect_async", "make_transport"),
    "quince_messaging.contract": (
        "DEFAULT_QUEUE", "EVERYTHING", "AsyncCommunicator", "BroadcastMessage", "DeadLetter", "LinkState",
        "SubjectFilter", "TaskConsumer", "TaskHandle", "Transport",
    ),
    "quince_messaging.errors": (
        "BodyTooDeep", "CommunicatorClosed", "CommunicatorForked", "ConnectionFailed", "DeliveryFailed",
        "DuplicateSubscriber", "InvalidUri", "MessageTimeout", "MessagingError", "QueueEmpty",
        "ReconnectingError", "RemoteCancelled", "RemoteError", "TaskRejected", "UnreadableMessage",
        "UnroutableError",
    ),
    "quince_messaging.uri": ("DEFAULT_PREFIX",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "DEFAULT_PREFIX",
    "DEFAULT_QUEUE",
    "EVERYTHING",
    "AsyncCommunicator",
    "AwaitableCommunicator",
    "BodyTooDeep",
    "BroadcastMessage",
    "Communicator",
    "CommunicatorClosed",
    "CommunicatorForked",
    "ConnectionFailed",
    "DeadLetter",
    "DeliveryFailed",
    "DuplicateSubscriber",
    "InvalidUri",
    "LinkState",
    "MessageTimeout",
    "MessagingError",
    "QueueEmpty",
    "ReconnectingError",
    "RemoteCancelled",
    "RemoteError",
    "SubjectFilter",
    "TaskConsumer",
    "TaskHandle",
    "TaskRejected",
    "Transport",
    "UnreadableMessage",
    "UnroutableError",
    "connect",
    "connect_async",
    "make_transport",
]
