"""Receivers in the simulated world: what happens is written once, with what it is about, and is sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec
from sqlalchemy import func, select

from quince.concurrency import settle
from quince.notify.failures import NotSent
from quince.notify.messages import Message
from quince.worker import notices as rounds
from quince.workspace.receivers import Receiver
from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records import TERMINAL, State
from quince_persistence.records.notices import Happening
from quince_persistence.schema.mutable_row import readable_options
from quince_persistence.schema.tables import events, notices, processes
from quince_persistence.store import Store
from tests.simulation.lane import SLOW_THREAD, THREAD
from tests.simulation.world import Actor, Struck, World

TOLD = 0.25
"""In so many of the simulations somebody is told."""
LABELS = {"study": "simulated"}
RECEIVERS = (
    Receiver(
        "chat",
        frozenset({Happening.FAILED, Happening.ENDED, Happening.PAUSED, Happening.WAITING}),
        command=("simulated",),
        timeout=1.0,
    ),
    Receiver("mail", frozenset({Happening.FAILED}), command=("simulated",), timeout=0.2),
)
EXACT = (Happening.FAILED, Happening.ENDED)
"""Happenings that the states of processes tell, as history has them."""

Name = tuple[str, str]
"""Of a happening and a receiver."""

e, n, p = events, notices, processes
_lines = select(e.c.seq, e.c.pid, e.c.kind, e.c.body).order_by(e.c.seq)
_newest = select(func.max(e.c.seq))
_written = select(n.c.id, n.c.receiver, n.c.event, n.c.body)
_process = select(p.c.pid, p.c.parent, p.c.options)


class SteppedThreads:
    """In the place of threads that send: what they do is an event of the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        future: Future[Any] = Future()
        delay = self._world.delay(THREAD, SLOW_THREAD)
        settled = lambda: settle(future, lambda: work(*given))  # noqa: E731
        self._world.after(delay, self._world.current, "thread sends", settled)
        return future


class Told:
    """Those who are told, and what has happened to each notice.

    Attributes:
        kill: Kills the worker that is at work.
        wrong: What must not be, one sentence each.
    """

    def __init__(self, world: World, span: float, *, maybe: bool) -> None:
        self._world, self._span = world, span
        self._random = Random(f"receivers of {world.seed}")
        self.receivers = RECEIVERS if maybe and self._random.random() < TOLD else ()
        self.kill: Callable[[Actor], None] = lambda _: None
        self.wrong: list[str] = []
        self.pending: Mapping[Name, Happening] = {}
        self._gone: set[Name] = set()
        self._sent: defaultdict[Name, list[Actor]] = defaultdict(list)
        self._seen = 0

    def begin(self, store: Store, reads: RowReader) -> None:
        """Have them be known from the beginning."""
        if self.receivers:
            wanted = {one.name: one.on for one in self.receivers}
            store.want_notices(wanted, keep=rounds.KEEP_SECONDS, most=rounds.MOST).result()
            self._seen = reads.rows(_newest)[0][0] or 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Inside the block workers send to these."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(rounds, "StepThreads", lambda *_: SteppedThreads(self._world)))
            stack.enter_context(patch.object(rounds, "send", self.take))
            yield

    def take(self, receiver: Receiver, message: Message, _folder: object) -> None:
        """Be told by the worker that is at work: it may be refused, or die as soon as it has told it."""
        actor = self._world.current
        assert actor is not None
        if self._random.random() < 0.15:
            raise NotSent("not now", after=self._random.choice((None, 3.0)))
        for one in message.document.get("notices", [message.document]):
            before = self._sent[one["id"], receiver.name]
            if before and not before[-1].broken:
                self.wrong.append(f"{one['id']} was sent to {receiver.name} again, and nothing explains it")
            before.append(actor)
        self._world.note(f"{receiver.name} is told of {message.id}")
        if self._world.now < self._span and self._random.random() < 0.15:
            self.kill(actor)
            raise Struck("killed when it had told it")

    def look(self, reads: RowReader) -> None:
        """Something was committed: which notices are new, which are gone."""
        if not self.receivers:
            return
        rows = [
            (str(name), str(to), Happening(event), body) for name, to, event, body in reads.rows(_written)
        ]
        now = {(name, to): event for name, to, event, _ in rows}
        new: Counter[tuple[str, Happening, int]] = Counter()
        for name, to, event, body in rows:
            if (name, to) in self._gone:
                self.wrong.append(f"{name} for {to} is there again")
            elif (name, to) not in self.pending:
                new[to, event, msgspec.json.decode(body)["pid"]] += 1
        for gone in self.pending.keys() - now.keys():
            self._gone.add(gone)
            if not self._sent[gone]:
                self.wrong.append(f"{gone} is gone, and was not sent")
        self.pending = now
        expected = self._expected(reads)
        if (found := Counter({key: count for key, count in new.items() if key[1] in EXACT})) != expected:
            self.wrong.append(f"written were {dict(found)}, and has happened {dict(expected)}")

    def _expected(self, reads: RowReader) -> Counter[tuple[str, Happening, int]]:
        """What the lines of history tell that are new, for each who wants to be told of it."""
        expected: Counter[tuple[str, Happening, int]] = Counter()
        self._seen = min(self._seen, reads.rows(_newest)[0][0] or 0)  # the last lines were pruned
        for seq, pid, kind, text in reads.rows(_lines.where(e.c.seq > self._seen)):
            self._seen = seq
            after = msgspec.json.decode(text).get("to") if kind == "state" else None
            if after not in TERMINAL:
                continue
            ((_, parent, options),) = reads.rows(_process.where(p.c.pid == pid))
            for receiver in self.receivers:
                if after != State.FINISHED:
                    expected[receiver.name, Happening.FAILED, pid] += 1
                if Happening.ENDED in receiver.on and parent is None and readable_options(options).labels:
                    expected[receiver.name, Happening.ENDED, pid] += 1
        return expected
