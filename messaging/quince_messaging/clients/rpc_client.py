"""Calls made from blocking code, each by the shortest way that it can take."""

from __future__ import annotations

import concurrent.futures
import time
from typing import Any

import msgspec

from quince_messaging.clients.bridge import Bridge
from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.errors import DeliveryFailed, MessageTimeout
from quince_messaging.wire.broadcasts import body_size
from quince_messaging.wire.envelope import pack

MOST_KNOWN = 2_000
TRUST = 0.05
"""Seconds after an answer for which it is taken that somebody is still there."""


class RpcClient:
    """The calling side of RPC for threads, and what it knows of who answers."""

    def __init__(self, thread: LoopThread, bridge: Bridge) -> None:
        self._thread = thread
        self._transport = thread.transport
        self._bridge = bridge
        self._answered: dict[str, float] = {}

    def send(self, identifier: str, msg: Any) -> concurrent.futures.Future[Any]:
        """See `Communicator.rpc_send`."""
        known = time.monotonic() - self._answered.get(identifier, -TRUST) < TRUST
        outcome = self._begin(identifier, pack(msg), wait=not known and not self._thread.here)
        if len(self._answered) > MOST_KNOWN:
            self._answered.clear()
        self._answered[identifier] = time.monotonic()
        outcome.add_done_callback(lambda done: self._note_answer(identifier, done))
        return outcome

    def call(self, identifier: str, msg: Any, timeout: float | None) -> Any:
        """See `Communicator.rpc_call`."""
        self._thread.refuse_here()
        deadline = None if timeout is None else time.monotonic() + timeout
        answer: Any = self._begin(identifier, pack(msg), wait=False)
        while isinstance(answer, concurrent.futures.Future):
            try:
                answer = answer.result(None if deadline is None else deadline - time.monotonic())
            except TimeoutError as error:
                if answer.cancel():
                    raise MessageTimeout(f"no answer from {identifier!r} within {timeout:g} s") from error
                answer = answer.result()  # it has ended just now
        return answer

    def forget(self, identifier: str) -> None:
        """Nobody is known to be there any more."""
        self._answered.pop(identifier, None)

    def _begin(self, identifier: str, body: msgspec.Raw, *, wait: bool) -> concurrent.futures.Future[Any]:
        """With the broker's word that somebody is there; or from this thread, or from the hidden one."""
        transport = self._transport
        if not wait and (outcome := self._bridge.here(transport.ask_here, identifier, body)) is not None:
            return outcome
        return self._bridge.two_stages(
            transport.ask,
            identifier,
            body,
            wait=wait,
            at_once=transport.ask_at_once,
            size=body_size(body),
            routed=wait,
        )

    def _note_answer(self, identifier: str, done: concurrent.futures.Future[Any]) -> None:
        if done.cancelled() or isinstance(done.exception(), DeliveryFailed):
            self.forget(identifier)
        elif identifier in self._answered:
            self._answered[identifier] = time.monotonic()
