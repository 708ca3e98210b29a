"""What a worker answers when it is called, and does when a control of all processes is broadcast."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quince.messages import APPLY_SECONDS, ARE_YOU_THERE, VERBS, asked_of_worker, is_now, shown
from quince.worker.runner import Runner
from quince_messaging.contract import BroadcastMessage
from quince_persistence.records import Control


class RpcServer:
    """Answers calls to one worker.

    Args:
        runners: What drives a process there, by pid.
        feed: Runs processes, as if tasks for them had come.
        heard: Is told of each control; None: nobody is.
    """

    def __init__(
        self,
        worker_id: str,
        runners: Mapping[int, Runner],
        feed: Callable[[Sequence[int]], None],
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self._heard = heard
        self._worker_id = worker_id
        self._runners = runners
        self._feed = feed

    def on_control(self, message: BroadcastMessage) -> None:
        """A control was written for all processes."""
        verb = _verb((message.subject or "").partition(".")[2])
        if verb is not None:
            if self._heard is not None:
                self._heard(verb.value)
            for runner in list(self._runners.values()):
                runner.notify(verb, now=is_now(message.body))

    async def on_call(self, _communicator: object, body: Any) -> dict[str, Any]:
        """`{"verb": "pause", "pids": [...], "wait": seconds, "now": true}`: to which of them that is not
        applied yet.

        Raises:
            ValueError: that is no call to a worker.
        """
        answer: dict[str, Any] = {"worker": self._worker_id}
        if body == ARE_YOU_THERE:
            return answer
        asked = asked_of_worker(body)
        runners = [self._runners[pid] for pid in asked.pids if pid in self._runners]
        match asked.verb:
            case "run":
                self._feed(asked.pids)
                return answer
            case "look":
                for runner in runners:
                    runner.waiting.recheck()
                return answer
        verb = _verb(asked.verb)
        if verb is None:
            raise ValueError(f"a worker takes pause, play and kill, not {shown(asked.verb)}")
        if self._heard is not None:
            self._heard(verb.value)
        for runner in runners:
            runner.notify(verb, now=asked.now)
        if verb is not Control.PLAY and runners and asked.wait:
            await _applied(runners, verb, min(asked.wait, APPLY_SECONDS))
        return answer | {"still": [runner.pid for runner in runners if not runner.has_applied(verb)]}


async def _applied(runners: Sequence[Runner], verb: Control, seconds: float) -> None:
    """Wait until these have applied a control, for so long at most."""
    waits = [asyncio.ensure_future(runner.until_applied(verb)) for runner in runners]
    _, late = await asyncio.wait(waits, timeout=seconds)
    for wait in late:
        wait.cancel()


def _verb(text: Any) -> Control | None:
    return Control(text) if isinstance(text, str) and text in VERBS else None
