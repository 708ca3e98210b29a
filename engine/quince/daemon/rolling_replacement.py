"""Replacing the workers of a daemon one by one, so that nearly all of them are always at work."""

from __future__ import annotations

import time
from collections import deque

from quince.daemon.pool import WorkerPool
from quince.daemon.wanted_worker import WantedWorker
from quince.daemon.worker_process import Limits, Stage, WorkerProcess
from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger("quince.daemon")


class RollingReplacement:
    """Replaces one worker after the other: each new process is at work before its old one drains. When that
    has ended, or cannot be waited for, or may take for ever, it is the next worker's turn.

    Attributes:
        rounds: How many times all workers have been replaced.
    """

    def __init__(self, pool: WorkerPool, limits: Limits) -> None:
        self.rounds = 0
        self._pool = pool
        self._limits = limits
        self._to_do: deque[int] = deque()
        self._current: WantedWorker | None = None
        self._deadline = 0.0
        self._leaver: WorkerProcess | None = None

    @property
    def active(self) -> bool:
        """Some worker is still to be replaced, or its old process is draining."""
        return bool(self._to_do or self._current or self._leaver)

    def begin(self) -> None:
        """Replace every worker that is wanted now, those whose turn is yet to come once."""
        self._to_do.extend(number for number in sorted(self._pool.wanted) if number not in self._to_do)

    def cancel(self) -> None:
        """Replace no further worker."""
        self._to_do.clear()

    def advance(self) -> None:
        """Do what can be done now, without waiting."""
        if self._leaver is not None:
            drains = self._leaver.stage in (Stage.LEAVING, Stage.HURRIED, Stage.KILLED)
            if drains and not self._leaver.frozen and self._limits.ceiling:
                return
            self._leaver = None
            self._end_turn()
        if self._current is None:
            self._next_turn()
        if self._current is not None:
            self._replace(self._current)

    def _next_turn(self) -> None:
        while self._to_do:
            worker = self._pool.wanted.get(self._to_do.popleft())
            if worker is not None and worker.process is not None:
                self._deadline = time.monotonic() + self._limits.start
                worker.not_before = 0.0
                self._current = worker
                return
            self._end_turn()

    def _end_turn(self) -> None:
        """One worker is done with; after the last one, so is the whole round."""
        self._current = None
        if not self._to_do:
            self.rounds += 1
            _log.info("the workers have been replaced", count=len(self._pool.wanted))

    def _replace(self, worker: WantedWorker) -> None:
        if self._pool.wanted.get(worker.number) is not worker:  # it is not wanted any more
            self._end_turn()
            return
        if worker.replacement is None and worker.due:
            worker.replacement = worker.start(self._pool.launch)
        stage = worker.replacement.look() if worker.replacement is not None else None
        if stage is Stage.RUNNING:
            self._current, self._leaver = None, worker.replace()
            if self._leaver is None:
                self._end_turn()
            else:
                self._pool.dismiss(self._leaver)
        elif stage is Stage.ENDED or time.monotonic() > self._deadline:
            self._give_up(worker)
            self._end_turn()

    def _give_up(self, worker: WantedWorker) -> None:
        failed, worker.replacement = worker.replacement, None
        why = failed.complaint if failed is not None else worker.trouble
        worker.trouble = f"{worker.name} cannot be replaced, the old one stays: {why or 'it hangs'}"
        _log.error("%(reason)s", reason=worker.trouble, worker=worker.name)
        if failed is not None:
            self._pool.dismiss(failed)
