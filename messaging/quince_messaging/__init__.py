"""Messages without tears: task queue, RPC and broadcast from one URI.

    with quince_messaging.connect("amqp://guest:guest@127.0.0.1/") as communicator: ...        # threads
    async with quince_messaging.connect_async("local:///var/lib/quince") as communicator: ...  # coroutines

`amqp://` and `amqps://` speak to RabbitMQ, `local://FOLDER` joins the processes of one machine without
a server, `memory://NAME` those of one operating-system process.

What is exported is loaded when it is first asked for: who only reads a URI loads no client.
"""

# isort: skip_file
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quince_messaging.clients.awaitable import AwaitableCommunicator as AwaitableCommunicator
    from quince_messaging.clients.blocking import Communicator as Communicator
    from quince_messaging.connecting import (
        connect as connect, connect_async as connect_async, make_transport as make_transport,
    )  # fmt: skip
    from quince_messaging.contract import (
        DEFAULT_QUEUE as DEFAULT_QUEUE, EVERYTHING as EVERYTHING, AsyncCommunicator as AsyncCommunicator,
        BroadcastMessage as BroadcastMessage, DeadLetter as DeadLetter, LinkState as LinkState,
        SubjectFilter as SubjectFilter, TaskConsumer as TaskConsumer, TaskHandle as TaskHandle,
        Transport as Transport,
    )  # fmt: skip
    from quince_messaging.errors import (
        BodyTooDeep as BodyTooDeep, CommunicatorClosed as CommunicatorClosed,
        CommunicatorForked as CommunicatorForked, ConnectionFailed as ConnectionFailed,
        DeliveryFailed as DeliveryFailed, DuplicateSubscriber as DuplicateSubscriber,
        InvalidTaskState as InvalidTaskState, InvalidUri as InvalidUri, MessageTimeout as MessageTimeout,
        MessagingError as MessagingError, QueueEmpty as QueueEmpty, ReconnectingError as ReconnectingError,
        RemoteCancelled as RemoteCancelled, RemoteError as RemoteError, TaskRejected as TaskRejected,
        UnreadableMessage as UnreadableMessage, UnroutableError as UnroutableError,
    )  # fmt: skip
    from quince_messaging.uri import DEFAULT_PREFIX as DEFAULT_PREFIX

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
        "DuplicateSubscriber", "InvalidTaskState", "InvalidUri", "MessageTimeout", "MessagingError",
        "QueueEmpty", "ReconnectingError", "RemoteCancelled", "RemoteError", "TaskRejected",
        "UnreadableMessage", "UnroutableError",
    ),
    "quince_messaging.uri": ("DEFAULT_PREFIX",),
}  # fmt: skip
"""Where each name is, as above; a test compares them."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
