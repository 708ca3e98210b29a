"""From a URI to what sends and receives there."""

from __future__ import annotations

import importlib
from pathlib import Path

from quince_messaging.clients.awaitable import AwaitableCommunicator
from quince_messaging.clients.blocking import TASK_PREFETCH, Communicator
from quince_messaging.contract import Transport
from quince_messaging.uri import DEFAULT_PREFIX, BrokerUri, parse_uri

_TRANSPORTS = {
    "amqp": ("quince_messaging.transports.amqp.transport", "AmqpTransport"),
    "amqps": ("quince_messaging.transports.amqp.transport", "AmqpTransport"),
    "local": ("quince_messaging.transports.local.transport", "LocalTransport"),
    "memory": ("quince_messaging.transports.memory", "MemoryTransport"),
}


def connect_async(uri: str, *, prefix: str | None = None) -> AwaitableCommunicator:
    """The awaitable communicator of a URI; `async with` (or `open()`) connects it.

    Args:
        uri: `amqp://user:password@host:port/vhost`, `amqps://...`, `local://FOLDER`, `memory://NAME`.
        prefix: First part of every name on the broker (default: `?prefix=` of the URI, or "quince").
            Communicators with different prefixes do not meet.

    Raises:
        InvalidUri: the URI names no transport, or lacks a part.
    """
    return AwaitableCommunicator(make_transport(uri, prefix=prefix))


def connect(uri: str, *, prefix: str | None = None, task_prefetch: int = TASK_PREFETCH) -> Communicator:
    """A connected communicator for threads, a `kiwipy.Communicator`; close it with `with` or `close()`.

    Args:
        uri: `amqp://user:password@host:port/vhost`, `amqps://...`, `local://FOLDER`, `memory://NAME`.
        prefix: First part of every name on the broker (default: `?prefix=` of the URI, or "quince").
        task_prefetch: Tasks that the subscribers of one queue hold at a time.

    Raises:
        InvalidUri: the URI names no transport, or lacks a part.
        ConnectionFailed: nobody answers there.
    """
    communicator = Communicator(make_transport(uri, prefix=prefix), task_prefetch=task_prefetch)
    communicator.open()
    return communicator


def make_transport(uri: str, *, prefix: str | None = None) -> Transport:
    """The bare transport of a URI, for those who bring their own event loop. It is not open yet."""
    parsed: BrokerUri = parse_uri(uri)
    module, name = _TRANSPORTS[parsed.scheme]
    kind = getattr(importlib.import_module(module), name)
    names = prefix or parsed.prefix or DEFAULT_PREFIX
    target: object = parsed.target
    if parsed.scheme in ("amqp", "amqps"):
        target = parsed
    elif parsed.scheme == "local":
        target = Path(parsed.target)
    transport: Transport = kind(target, prefix=names)
    return transport
