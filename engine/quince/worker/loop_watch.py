"""Seeing which coroutine holds up the event loop that it shares with others, and where it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from quince.hosts.last_words import place
from quince.hosts.protocol import Kind
from quince.troubles import BLOCKED, sentences_of
from quince.worker.interfaces import Owner
from quince.worker.step_host import Guest, StepHost
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import NewEvent

_log = StructuredLogger("quince.worker")

LATE = 1.0
"""Seconds for which a coroutine may keep the others of its host from going on."""
LOOK_SECONDS = 0.25
STOPPED_SECONDS = 1.0
DEAF_LOOKS = 5
"""So many looks later a host must have answered, if nobody's code runs there."""

DEAF = (
    "its event loop does not go on; a coroutine has changed that, or a thread keeps the interpreter lock. "
    "`quince kill` ends what stands still there"
)
CURE = "a step that blocks is to be `def`, or to call what blocks with `await asyncio.to_thread(...)`"


@dataclass(slots=True)
class _Block:
    """A coroutine that holds a loop up.

    Attributes:
        since: Since when (`time.monotonic()`).
        told: What is said of it; None until it is known where it stands.
        pids: Of all whose steps run there.
    """

    culprit: Guest
    since: float
    told: str | None = None
    pids: Collection[int] = ()


class LoopWatch:
    """Watches the hosts that coroutines share. Who holds one up for long is named in the log, in its history,
    and, as long as it lasts, among the troubles of the worker, as are hosts of any kind that are stopped
    (SIGSTOP) in a step, and those whose event loop does not go on, though nobody's code runs there.

    Args:
        hosts: All hosts that there are now.
        on_blocked: Called once for each step that holds a host up.
    """

    def __init__(
        self,
        owner: Owner,
        hosts: Callable[[], Iterable[StepHost]],
        on_blocked: Callable[[StepHost, Guest], None],
    ) -> None:
        self._owner = owner
        self._hosts = hosts
        self._on_blocked = on_blocked
        self._blocks: dict[StepHost, _Block] = {}
        self._known: set[tuple[StepHost, int]] = set()
        self._stopped: dict[int, str] = {}
        owner.side.also.append(self.sentences)
        owner.side.keep("the watch on step hosts", self._look, every=LOOK_SECONDS, longest=LOOK_SECONDS)
        owner.side.keep("the look for stopped step hosts", self._look_for_stopped, every=STOPPED_SECONDS)

    def sentences(self) -> list[str]:
        """What is to be said just now, from any thread."""
        blocks, now = list(self._blocks.values()), time.monotonic()
        told = {pid: _now(block, now) for block in blocks if block.told is not None for pid in block.pids}
        return sentences_of(told | self._stopped)

    async def _look_for_stopped(self) -> None:
        told = {}
        for host in self._hosts():
            if host.guests and host.stopped:
                host.unanswered = 0
                told[host] = f"{BLOCKED}: it is stopped (SIGSTOP); `kill -CONT {host.ospid}` lets it go on"
            elif self._is_deaf(host):
                host.retire()
                told[host] = f"{BLOCKED}: {DEAF}"
        self._stopped = {pid: text for host, text in told.items() for pid in host.guests}

    def _is_deaf(self, host: StepHost) -> bool:
        """Whether its event loop does not go on. It is asked, and may be late while somebody's code runs."""
        asked = host.kind is not Kind.THREADS and host.guests and host.ospid and not host.frozen
        if not asked or host.who_runs.now() is not None:
            host.unanswered = 0
            return False
        host.ask_whether_it_hears()
        return host.unanswered > DEAF_LOOKS

    async def _look(self) -> None:
        now, blocks = time.monotonic(), {}
        for host in self._hosts():
            shared = host.kind is Kind.COROUTINES and not host.over
            running = host.who_runs.now() if shared else None
            culprit = None if running is None else host.guests.get(running.pid)
            if running is None or culprit is None or host.blocked_by:
                continue
            loaded = host.classes.get(culprit.class_path, now)  # an import takes what it takes
            since = max(running.since, loaded)
            if now - since < LATE:
                continue
            block = self._blocks.get(host)
            if block is None or block.since != since:
                block = _Block(culprit, since)
                host.ask_where()  # the answer is there at the next look
            else:
                self._tell(host, block)
            blocks[host] = block
        self._blocks = blocks
        self._known = {(host, pid) for host, pid in self._known if not host.over}

    def _tell(self, host: StepHost, block: _Block) -> None:
        culprit, block.pids = block.culprit, list(host.guests)
        if block.told is not None:
            return
        found = place(host.words.new())
        block.told = "" if found is None else f", in {found}"
        if (host, culprit.pid) in self._known:
            return
        self._known.add((host, culprit.pid))
        text = f"it has held up the event loop of its step host for more than {LATE:g} s{block.told}: {CURE}"
        _log.warning(
            "process %(pid)s: %(reason)s",
            pid=culprit.pid,
            class_=culprit.class_path,
            worker=self._owner.id,
            reason=text,
        )
        self._owner.store.report(
            culprit.pid, [NewEvent("blocked", {"text": text, "worker": self._owner.id}, "quince")]
        )
        self._on_blocked(host, culprit)


def _now(block: _Block, now: float) -> str:
    who = f"process {block.culprit.pid} ({block.culprit.class_path.rpartition(':')[2]}){block.told}"
    return f"{BLOCKED} for {now - block.since:.0f} s by {who}: {CURE}"
