"""What can go wrong in messaging.

MessagingError
├── InvalidUri             the URI names no transport, or lacks a part
├── ConnectionFailed       nobody answers at the URI
├── CommunicatorClosed     used after close()            (also kiwipy.CommunicatorClosed)
├── CommunicatorForked     used in a child made by fork()
├── ReconnectingError      the broker is away and the call does not wait for it
├── DeliveryFailed         the message was not accepted  (also kiwipy.DeliveryFailed)
│   └── UnroutableError    nobody listens there          (also kiwipy.UnroutableError)
├── MessageTimeout         no answer in time             (also TimeoutError)
├── RemoteError            the other side raised         (also kiwipy.RemoteException)
├── RemoteCancelled        the other side cancelled it   (also kiwipy.CancelledError)
├── TaskRejected           a subscriber passed the task on (also kiwipy.TaskRejected)
├── InvalidTaskState       a task taken by hand is settled already (also asyncio.InvalidStateError)
├── QueueEmpty             no task to pull               (also kiwipy.QueueEmpty)
├── DuplicateSubscriber    the identifier is taken       (also kiwipy.DuplicateSubscriberIdentifier)
├── BodyTooDeep            lists in lists in lists, ... (also ValueError)
└── UnreadableMessage      not an envelope of a version we know, or too large
"""

from __future__ import annotations

import asyncio

import kiwipy


class MessagingError(Exception):
    """Root of every error that this package raises."""


class InvalidUri(MessagingError, ValueError):
    """The URI names no transport, or lacks a part that its transport needs."""


class ConnectionFailed(MessagingError, ConnectionError):
    """Nobody answers at the URI, or they refuse us."""


class CommunicatorClosed(MessagingError, kiwipy.CommunicatorClosed):  # type: ignore[misc]  # kiwipy is untyped
    """The communicator was used after `close()`."""


class CommunicatorForked(MessagingError):
    """The communicator was used in a child made by `fork()`; make a new one there."""


class ReconnectingError(MessagingError, ConnectionError):
    """The broker is away just now and this call does not wait for it."""


class DeliveryFailed(MessagingError, kiwipy.DeliveryFailed):  # type: ignore[misc]  # kiwipy is untyped
    """The message was not accepted by the broker."""


class UnroutableError(DeliveryFailed, kiwipy.UnroutableError):  # type: ignore[misc]  # kiwipy is untyped
    """Nobody listens at that identifier."""


class MessageTimeout(MessagingError, kiwipy.TimeoutError):  # type: ignore[misc]  # kiwipy is untyped
    """No answer came within the time given."""


class RemoteError(MessagingError, kiwipy.RemoteException):  # type: ignore[misc]  # kiwipy is untyped
    """The other side raised.

    Attributes:
        type_name: Qualified name of the remote exception's class.
        remote_message: Its text.
        remote_traceback: Its formatted traceback, as text.
    """

    def __init__(self, type_name: str, remote_message: str, remote_traceback: str = "") -> None:
        super().__init__(f"{type_name}: {remote_message}")
        self.type_name = type_name
        self.remote_message = remote_message
        self.remote_traceback = remote_traceback


class RemoteCancelled(MessagingError, kiwipy.CancelledError):  # type: ignore[misc]  # kiwipy is untyped
    """The other side cancelled what it did, or the future that it had answered with."""


class TaskRejected(MessagingError, kiwipy.TaskRejected):  # type: ignore[misc]  # kiwipy is untyped
    """Raised by a task subscriber to pass the task on to another one."""


class InvalidTaskState(MessagingError, asyncio.InvalidStateError):
    """A task that was taken by hand is processed, finished or requeued already."""


class QueueEmpty(MessagingError, kiwipy.QueueEmpty):  # type: ignore[misc]  # kiwipy is untyped
    """There was no task to pull."""


class DuplicateSubscriber(MessagingError, kiwipy.DuplicateSubscriberIdentifier):  # type: ignore[misc]  # kiwipy is untyped
    """A subscriber with that identifier is there already."""


class BodyTooDeep(MessagingError, ValueError):
    """The body's lists and dictionaries are nested deeper than those who receive it could read."""


class UnreadableMessage(MessagingError):
    """The bytes are not an envelope of a version that we know, or are too large."""
