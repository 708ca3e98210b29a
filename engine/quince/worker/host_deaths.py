"""The step hosts that die with one process: each is in its history, and too many in a row end it."""

from __future__ import annotations

from quince.concurrency import aside
from quince.errors import StepHostDied
from quince.hosts.failures import HostDied
from quince.hosts.output_files import OutputFiles
from quince.hosts.step_writer import refused
from quince.text import storable
from quince.worker.claimed_process import ClaimedProcess
from quince.worker.interfaces import Owner
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import MAX_DEATHS, Claim, NewEvent, State
from quince_persistence.records.steps import Step

_log = StructuredLogger("quince.worker")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
PRINTED, LONGEST = 10, 300
"""So many of the lines are told that it has printed last, and so many characters of each."""
LACKED_MEMORY = 10
"""So many times as long it rests if there was no memory: that may pass."""


class HostDeaths:
    """Counts them, since its last commit, for the runner of a process."""

    def __init__(self, owner: Owner, claimed: ClaimedProcess, claim: Claim) -> None:
        self._owner = owner
        self._claimed = claimed
        self._last = ""
        self._deaths, self._own = claim.row.deaths, claim.row.deaths_alone

    def over(self) -> None:
        """It has got on."""
        self._deaths = self._own = 0

    async def record(self, error: HostDied) -> None:
        """A host has died, in the middle of a step of the process.

        Raises:
            Fenced: the claim was lost.
        """
        self._deaths += 1
        self._own += error.own
        words = await self._words(error)
        text = f"its step host {error.story}, in {self._claimed.place}"
        if not error.own:
            text += "; it was not to blame, and its step is run again"
        told = "\n".join(filter(None, (text, words)))
        _log.warning("process %(pid)s: %(reason)s", **self._claimed.facts, reason=told)
        body = {"text": text, "worker": self._owner.id} | ({"stderr": words} if words else {})
        if self._claimed.label is not None:
            body["step"] = self._claimed.label
        event = NewEvent("death", body, "quince")
        await self._claimed.record_death(event, deaths=self._deaths, alone=error.own)

    @property
    def too_many(self) -> bool:
        """It is not tried again."""
        return self._own >= MAX_DEATHS

    def pause(self, error: HostDied) -> float:
        """Seconds until its step is run again: longer and longer; none at first, if it is not to blame."""
        if not error.own and self._deaths == 1:
            return 0.0
        deaths = self._own if error.own else self._deaths
        pause: float = FIRST_PAUSE * 3 ** (deaths - 1) * (LACKED_MEMORY if error.lacked_memory else 1)
        return min(pause, LONGEST_PAUSE)

    def last_step(self, error: HostDied, *, pause: bool) -> Step:
        """It ends with the story, or is paused with it."""
        died = StepHostDied(error.story, self._claimed.place, self._own, self._last)
        self._owner.excepted(self._claimed.pid, died)
        claimed = self._claimed
        step = Step(claimed.pid, self._owner.id, claimed.epoch, State.EXCEPTED)
        return refused(step, died, place=claimed.label, pause=pause)

    async def _words(self, error: HostDied) -> str:
        """What the host has said at its end: where its code stood, and what it has printed last."""
        if not error.own:
            return ""
        files = OutputFiles(self._owner.location.folder)
        printed = await aside(files.last_lines, self._claimed.pid, PRINTED)
        lines = [error.words] if error.words else []
        self._last = storable("\n".join([*lines, *(f"| {line[:LONGEST]}" for line in printed)]))
        return self._last
