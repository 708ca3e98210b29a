"""The public surface: changing it is a decision, so it is written down here."""

from __future__ import annotations

import quince_messaging
from quince_messaging import errors

SURFACE = [
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
    "InvalidTaskState",
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


def test_the_surface_is_what_is_written_here() -> None:
    assert sorted(quince_messaging.__all__) == sorted(SURFACE)
    assert all(hasattr(quince_messaging, name) for name in SURFACE)


def test_every_error_has_the_one_root() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert all(issubclass(kind, errors.MessagingError) for kind in kinds)


def test_the_awaitable_communicator_keeps_its_contract() -> None:
    promised = {name for name in vars(quince_messaging.AsyncCommunicator) if not name.startswith("_")}
    assert promised <= set(dir(quince_messaging.AwaitableCommunicator))
