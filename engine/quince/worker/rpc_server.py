"""What a worker answers when it is called, and does when a control of all processes is broadcast."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quince.messages import APPLY_SECONDS, ARE_YOU_THERE, VERBS, asked_of_worker, shown
from quince.worker.runner import Runner
from quince_messaging.contract import BroadcastMessage
from quince_persistence.records import Control


class RpcServer:
    """Answers calls to one worker.

    Args:
        runners: What drives a process there, by pid.
        feed: Runs processes, as if tasks for them had come.
    """

    def __init__(
        self, worker_id: str, runners: Mapping[int, Runner], feed: Callable[[Sequence[int]], None]
    ) -> None:
        self._worker_id = worker_id
        self._runners = runners
        self._feed = feed

    def on_control(self, message: BroadcastMessage) -> None:
        """A control was written for all processes."""
        verb = _verb((message.subject or "").partition(".")[2])
        if verb is not None:
            for runner in list(self._runners.values()):
                runner.notify(verb)

    async def on_call(self, _communicator: object, body: Any) -> dict[str, Any]:
        """`{"verb": "pause", "pids": [...], "wait": seconds}`: which of them are still at work here.

        Raises:
            ValueError: that is no call to a worker.
        """
        answer: dict[str, Any] = {"worker": self._worker_id}
        if body == ARE_YOU_THERE:
            return answer
        asked, pids, seconds = asked_of_worker(body)
        runners = [self._runners[pid] for pid in pids if pid in self._runners]
        match asked:
            case "run":
                self._feed(pids)
                return answer
            case "look":
                for runner in runners:
                    runner.waiting.recheck()
                return answer
        verb = _verb(asked)
        if verb is None:
            raise ValueError(f"a worker takes pause, play and kill, not {shown(asked)}")
        for runner in runners:
            runner.notify(verb)
        if verb is not Control.PLAY and runners and seconds:
            await _settled(runners, min(seconds, APPLY_SECONDS))
        return answer | {"still": [runner.pid for runner in runners if not runner.settled.is_set()]}


async def _settled(runners: Sequence[Runner], seconds: float) -> None:
    """Wait until these do nothing any more, for so long at most."""
    waits = [asyncio.ensure_future(runner.settled.wait()) for runner in runners]
    _, late = await asyncio.wait(waits, timeout=seconds)
    for wait in late:
        wait.cancel()


def _verb(text: Any) -> Control | None:
    return Control(text) if isinstance(text, str) and text in VERBS else None
