"""Where any worker answers for any process: the shared control queue.

A program that knows nothing but the broker's URI sends its request there, and any worker that is free
answers, for every process in every state. There is no broker object for each process.

It has the names that all stores on a broker have in common, and one queue for each store beside the one for
those who do not say which store they mean. Such a request is refused when several stores are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from quince.concurrency import aside, landed
from quince.errors import EngineError, ProcessNotFound, SeveralStores
from quince.messages import (
    APPLY_SECONDS,
    VERBS,
    change_of,
    changes_of,
    control_message,
    control_messages,
    control_queue,
    control_subject,
    is_now,
    is_pid,
    shown,
    status_of,
)
from quince.processes.signals import new_signal
from quince.settings import host_name
from quince.text import storable
from quince.worker.interfaces import Owner
from quince.workspace.neighbours import Card, Neighbours
from quince_messaging import connect_async
from quince_messaging.contract import AsyncCommunicator, BroadcastMessage, SubjectFilter, TaskHandle
from quince_messaging.errors import MessagingError
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.databases.sqlite_url import quoted
from quince_persistence.errors import PersistenceError
from quince_persistence.records import Control, Selection
from quince_persistence.records.controls import ControlOutcome

_log = StructuredLogger("quince.worker")

MOST_AUTHOR = 200
MOST_REASON = 4_000
"""Characters of a name and of a reason that come over the wire."""


class ControlServer:
    """Answers status, signal, pause, play, kill and retry for any process."""

    def __init__(self, worker: Owner, communicator: AsyncCommunicator) -> None:
        self._worker = worker
        self._communicator = communicator
        self._store = worker.store.identity
        self._apart: AsyncCommunicator | None = None
        self._neighbours: Neighbours
        self._answers: set[asyncio.Task[None]] = set()
        self._closing = False

    async def open(self) -> None:
        """Begin to answer."""
        location, outside = self._worker.location, self._communicator
        if location.names(self._store) is not None:
            outside = self._apart = connect_async(location.broker)
            await self._apart.open()
        card = Card(self._store, self._worker.id, quoted(location.folder), host_name())
        self._neighbours = Neighbours(outside, card, self._worker.side)
        await self._neighbours.open(announce=self._apart is not None or location.has_guests)
        subjects = [control_subject(store, verb) for store in (None, self._store) for verb in VERBS]
        await outside.subscribe(self._on_broadcast, SubjectFilter(subjects=tuple(subjects)))
        for store in (self._store, None):
            deliver = partial(self._deliver, addressed=store is not None)
            await outside.consume(deliver, queue=control_queue(store), prefetch=64)

    async def close(self) -> None:
        """Leave what is not answered yet to other workers."""
        self._closing = True
        for answer in self._answers:
            answer.cancel()
        try:
            await asyncio.gather(*self._answers, return_exceptions=True)
        finally:
            if self._apart is not None:
                await self._apart.close()

    def _deliver(self, tasks: Sequence[TaskHandle], *, addressed: bool) -> None:
        for task in tasks:
            self._spawn(self._answer(task, addressed=addressed))

    async def _require_alone(self) -> None:
        """Refuse what does not say which store it means, if there are several.

        Raises:
            SeveralStores: names them.
        """
        others = await self._neighbours.others()
        if others:
            raise SeveralStores([str(self._neighbours.own), *map(str, others)])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        answer = self._worker.side.spawn("an answer to a control", work)
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _answer(self, task: TaskHandle, *, addressed: bool) -> None:
        """Whatever comes of it, the task is settled: what is not would be kept from the broker's count, and a
        few of them would end all control."""
        try:
            if not addressed:
                await self._require_alone()
            task.ack(await self._handle(task.body))
        except asyncio.CancelledError:
            if not self._closing:
                task.requeue()
            raise
        except (EngineError, PersistenceError, MessagingError, ValueError) as error:
            task.fail(error)
        except Exception as error:
            task.fail(error)
            raise

    async def _handle(self, body: Any) -> dict[str, Any]:
        """`{"pid": 7, "message": <plumpy's message>, "author": "ada"}`.

        Returns:
            For a control or a signal: accepted, applied, by (the worker that answers), message. For
            status: the row.
        """
        pid, message = _parts(body)
        verb = message.get("intent")
        if verb == "status":
            return await self._status(pid)
        if verb == "signal":
            return await self._signal(pid, message, _author(body))
        if verb == "retry":
            return await self._retry(pid, message, _author(body))
        if not isinstance(verb, str) or verb not in VERBS:
            raise ValueError(
                f"a process takes status, signal, pause, play, kill and retry, not {shown(verb)}"
            )
        outcomes = await landed(
            self._worker.store.control(
                Control(verb),
                Selection(pids=[pid]),
                author=_author(body),
                reason=_reason(message.get("message")),
                force=bool(message.get("force_kill", False)),
                now=is_now(message),
            )
        )
        return await self._apply(Control(verb), pid, outcomes, now=is_now(message))

    async def _status(self, pid: int) -> dict[str, Any]:
        row = await aside(self._worker.store.get, pid)
        if row is None:
            raise ProcessNotFound(f"there is no process {pid}")
        return status_of(row) | {"by": self._worker.name}

    async def _signal(self, pid: int, message: dict[str, Any], author: str) -> dict[str, Any]:
        signal = new_signal(pid, message.get("name", ""), message.get("value"))
        (outcome,) = await landed(self._worker.store.send([signal], author=author))
        if not outcome.found:
            raise ProcessNotFound(f"there is no process {pid}")
        accepted = outcome.refused is None
        if outcome.after is not None and accepted:
            self._worker.wakeups.wake_signalled(outcome.woken)
            self._worker.outbox.announce(change_of(pid, outcome.after.state, outcome.after.state))
        answer = {"pid": pid, "verb": "signal", "by": self._worker.name}
        return answer | {"accepted": accepted, "applied": accepted, "message": outcome.refused or "sent"}

    async def _retry(self, pid: int, message: dict[str, Any], author: str) -> dict[str, Any]:
        """With the inputs that it has: to check others, its class would have to be imported here."""
        retried = self._worker.store.retry(
            Selection(pids=[pid]), author=author, reason=_reason(message.get("message"))
        )
        outcomes = await landed(retried)
        own = next(outcome for outcome in outcomes if outcome.pid == pid)
        if not own.found:
            raise ProcessNotFound(f"there is no process {pid}")
        self._send_results(outcomes)
        accepted = own.refused is None
        answer = {"pid": pid, "verb": "retry", "by": self._worker.name}
        return answer | {"accepted": accepted, "applied": accepted, "message": own.refused or "goes on"}

    async def _apply(
        self, verb: Control, pid: int, outcomes: Sequence[ControlOutcome], *, now: bool
    ) -> dict[str, Any]:
        self._send_results(outcomes)
        own = next((outcome for outcome in outcomes if outcome.pid == pid), None)
        if own is None or not own.found:
            raise ProcessNotFound(f"there is no process {pid}")
        answer = {"pid": pid, "verb": verb.value, "by": self._worker.name}
        if own.refused is not None:
            return answer | {"accepted": False, "applied": False, "message": own.refused}
        self._call_owners(verb, [outcome for outcome in outcomes if outcome.applied], now=now)
        owned = [(o.owner, o.pid) for o in outcomes if o.owner is not None and not o.applied]
        still = await asyncio.gather(*(self._notify_owner(verb, owner, one, now=now) for owner, one in owned))
        applied = own.applied or not any(
            late for (_, one), late in zip(owned, still, strict=True) if one == pid
        )
        word = "applied" if applied else f"accepted; {own.owner} applies it when its step ends"
        return answer | {"accepted": True, "applied": applied, "message": word}

    async def _notify_owner(self, verb: Control, owner: str | None, pid: int, *, now: bool) -> bool:
        """Have the owner apply it; True if it has not done so in time."""
        call = control_message(verb, [pid], wait=APPLY_SECONDS, now=now)
        try:
            reply = await self._communicator.rpc_send(owner, call, timeout=APPLY_SECONDS + 5)
        except (MessagingError, TimeoutError) as error:
            _log.info(
                "%(worker)s cannot be called to %(verb)s process %(pid)d (%(error)s)",
                pid=pid,
                worker=owner,
                error=error,
                verb=verb,
            )
            return True
        return bool(reply.get("still"))

    def _send_results(self, outcomes: Sequence[ControlOutcome]) -> None:
        outbox = self._worker.outbox
        outbox.enqueue_unowned(woken for outcome in outcomes for woken in outcome.woken)
        for message in changes_of(outcomes):
            outbox.announce(message)

    def _on_broadcast(self, message: BroadcastMessage) -> None:
        """plumpy's pause_all, play_all, kill_all: one worker writes it down, for all processes."""
        store, _, verb = str(message.subject).rpartition(".")
        self._spawn(self._control_all(Control(verb), message.body, addressed=bool(store)))

    async def _control_all(self, verb: Control, body: Any, *, addressed: bool) -> None:
        try:
            if not addressed:
                await self._require_alone()
        except SeveralStores as error:
            _log.warning(
                "a broadcast to %(verb)s all processes is left alone: %(error)s",
                worker=self._worker.id,
                error=error,
                verb=verb,
            )
            return
        workers = await aside(self._worker.store.workers)
        if min((worker.id for worker in workers), default=self._worker.id) != self._worker.id:
            return
        reason = _reason(body.get("message")) if isinstance(body, dict) else None
        outcomes = await landed(
            self._worker.store.control(
                verb, Selection(live=True), author="remote", reason=reason, now=is_now(body)
            )
        )
        self._send_results(outcomes)
        self._call_owners(verb, outcomes, now=is_now(body))

    def _call_owners(self, verb: Control, outcomes: Sequence[ControlOutcome], *, now: bool) -> None:
        for owner, message in control_messages(verb, outcomes, now=now):
            self._worker.outbox.call(owner, message)


def _author(body: Any) -> str:
    author = body.get("author")
    return _text(author, MOST_AUTHOR) if author else "remote"


def _reason(said: Any) -> str | None:
    return None if said is None else _text(said, MOST_REASON)


def _text(said: Any, most: int) -> str:
    """What somebody calls himself, or gives as a reason: text, whatever came, and no book."""
    return storable(said[:most]) if isinstance(said, str) else shown(said)


def _parts(body: Any) -> tuple[int, dict[str, Any]]:
    if isinstance(body, dict):
        pid, message = body.get("pid"), body.get("message")
        if is_pid(pid) and isinstance(message, dict):
            return pid, message
    raise ValueError(f"not a message to a process: {shown(body)}")
