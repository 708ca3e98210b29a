"""Controlling processes with the broker's URI alone, without the database.

    with RemoteControl("amqp://me:secret@mq.example.org/") as remote:
        remote.pause(17, "a look")
        remote.status(17)["state"]

plumpy's own controllers work over `ProcessCommunicator`. Where workspaces with stores of their own share a
broker, `store=` says which is meant (`quince status --json` tells its identity, and so does the error that
comes without it).
"""

from __future__ import annotations

import concurrent.futures
import getpass
from typing import Any, Self

import kiwipy
from plumpy.process_comms import MessageBuilder

import quince_messaging
from quince.messages import APPLY_SECONDS, VERBS, control_queue, control_subject

ANSWER_SECONDS = APPLY_SECONDS + 10.0

_HANDED_ON = (
    "is_closed", "close", "task_send", "add_rpc_subscriber", "remove_rpc_subscriber", "add_task_subscriber",
    "remove_task_subscriber", "add_broadcast_subscriber", "remove_broadcast_subscriber",
)  # fmt: skip


class ProcessCommunicator(kiwipy.Communicator):  # type: ignore[misc]  # kiwipy is untyped
    """A communicator whose RPC reaches every process by its pid, whatever its state.

    Calls to pids go to the shared control queue, where any worker answers; if none runs they wait
    there. Everything else is the communicator's own.

    Args:
        communicator: An open communicator; who opened it closes it.
        store: Identity of the store that is meant, if there are several on the broker.
    """

    def __init__(self, communicator: quince_messaging.Communicator, store: str | None = None) -> None:
        self._communicator = communicator
        self._store = store
        for name in _HANDED_ON:  # kiwiPy's class has them all, and would be asked before `__getattr__`
            setattr(self, name, getattr(communicator, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._communicator, name)

    def rpc_send(self, recipient_id: Any, msg: Any) -> concurrent.futures.Future[Any]:
        """As plumpy expects it: the future of a status is the status; the future of a control gives a
        future that is true when it is applied."""
        if not str(recipient_id).isdigit():
            return self._communicator.rpc_send(recipient_id, msg)
        answer = self.ask(int(recipient_id), msg)
        if isinstance(msg, dict) and msg.get("intent") == "status":
            return answer
        applied: concurrent.futures.Future[bool] = concurrent.futures.Future()
        answer.add_done_callback(lambda done: _settle(done, applied))
        outer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        outer.set_result(applied)
        return outer

    def ask(self, pid: int, message: Any) -> concurrent.futures.Future[Any]:
        """Send a message to a process; the future of its answer (see `quince.worker.control_server`)."""
        body = {"pid": pid, "message": message, "author": getpass.getuser()}
        future = self._communicator.task_send(body, queue=control_queue(self._store))
        assert future is not None  # it is only without a reply
        return future

    def broadcast_send(
        self, body: Any, sender: Any = None, subject: Any = None, correlation_id: Any = None
    ) -> bool:
        if subject in VERBS:
            subject = control_subject(self._store, subject)
        return bool(self._communicator.broadcast_send(body, sender, subject, correlation_id))


class RemoteControl:
    """Pause, play, kill, retry, signal and status of any process, over the broker alone.

    Args:
        uri: The broker's URI.
        store: Identity of the store that is meant. Without it, what is asked is refused (RemoteError) while
            workers of several stores are on the broker.

    Raises:
        ConnectionFailed: nobody answers there.
    """

    def __init__(self, uri: str, store: str | None = None) -> None:
        self._communicator = quince_messaging.connect(uri)
        self._processes = ProcessCommunicator(self._communicator, store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._communicator.close()

    def status(self, pid: int, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Where a process stands, as plain values.

        Raises:
            RemoteError: there is no such process.
            TimeoutError: no worker answered in so many seconds.
        """
        return self._ask(pid, MessageBuilder.status(), timeout)

    def pause(
        self, pid: int, reason: str | None = None, *, now: bool = False, timeout: float = ANSWER_SECONDS
    ) -> dict[str, Any]:
        """Pause it. The answer tells `accepted`, `applied`, `by` and `message`.

        Args:
            now: In the midst of a step; see `ProcessHandle.pause`.

        Raises: as `status`.
        """
        message = MessageBuilder.pause(reason)
        return self._ask(pid, message | {"now": True} if now else message, timeout)

    def play(self, pid: int, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Let it go on; answers and raises as `pause`."""
        return self._ask(pid, MessageBuilder.play(), timeout)

    def kill(
        self, pid: int, reason: str | None = None, *, force: bool = False, timeout: float = ANSWER_SECONDS
    ) -> dict[str, Any]:
        """Kill it and its descendants; answers and raises as `pause`."""
        return self._ask(pid, MessageBuilder.kill(reason, force_kill=force), timeout)

    def retry(
        self, pid: int, reason: str | None = None, *, timeout: float = ANSWER_SECONDS
    ) -> dict[str, Any]:
        """Have it go on after it has ended, and not well; answers and raises as `pause`. With other inputs:
        `ProcessHandle.retry`."""
        return self._ask(pid, {"intent": "retry", "message": reason}, timeout)

    def signal(
        self, pid: int, name: str, value: Any = True, timeout: float = ANSWER_SECONDS
    ) -> dict[str, Any]:
        """Send it a value, for which it waits with `signal_(name)`; answers and raises as `pause`.

        Args:
            value: What a message can carry: plain values.
        """
        return self._ask(pid, {"intent": "signal", "name": name, "value": value}, timeout)

    def _ask(self, pid: int, message: Any, timeout: float) -> dict[str, Any]:
        answer: dict[str, Any] = self._processes.ask(pid, message).result(timeout)
        return answer


def _settle(done: concurrent.futures.Future[Any], applied: concurrent.futures.Future[bool]) -> None:
    error = done.exception()
    if error is not None:
        applied.set_exception(error)
    else:
        applied.set_result(bool(done.result().get("applied")))
