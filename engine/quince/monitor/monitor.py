"""What is to be seen of a workspace, for every face: terminal, web page, notebook, command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from quince.client.handle import WorkspaceLike
from quince.client.why import Why, why
from quince.monitor import printing
from quince.monitor.changes import Changes
from quince.monitor.code import Code
from quince.monitor.code_loading import CodeReader
from quince.monitor.dear import Dear
from quince.monitor.details import Details, details_of
from quince.monitor.filters import Filter
from quince.monitor.fleet import Limit, Queue, ScheduleView, Worker, queues_of, workers_of
from quince.monitor.history import Line, line_of
from quince.monitor.lists import page_of
from quince.monitor.overview import MINUTES, Overview, Throughput, counted_ends, overview_of
from quince.monitor.printing import Printed
from quince.monitor.rows import Order, Page, Row, rows_of
from quince.monitor.spent import KINDS
from quince.monitor.timelines import Timeline, timeline_of
from quince.monitor.trees import Node, levels, read_tree
from quince.monitor.words import shown
from quince.workspace.workspace import Workspace, resolve
from quince_persistence.contract import StoreContract
from quince_persistence.records import ProcessRow, Selection, State

PAGE = 100
TREE = 1000
"""Processes of a tree, or a timeline, that are read, unless more are asked for."""
NAMED = 50
"""Holders of a limit, and processes that wait for it, that are named."""


class Monitor:
    """What is to be seen of a workspace, as frozen records. Every call asks the store a few times, and blocks
    for that: a thread's work. It may be used from any thread.

    Args:
        workspace: A `Workspace`, its folder, or None for the one that is found from here.

    Attributes:
        workspace: That.
    """

    def __init__(self, workspace: WorkspaceLike = None) -> None:
        self.workspace: Workspace = resolve(workspace)
        self._dear = Dear()
        self._codes = CodeReader(self.workspace)

    @property
    def _store(self) -> StoreContract:
        return self.workspace.store

    # Lists

    def processes(
        self,
        chosen: Filter | Selection | str | None = None,
        *,
        order: Order = Order.LIVE,
        after: str | None = None,
        limit: int = PAGE,
    ) -> Page:
        """A page of processes. One that has fewer rows than `limit` may have a `next` all the same: it has
        looked for as long as a read may take, and others may follow.

        Args:
            chosen: Which; None: all. As `quince ps` takes it (`"--state running argon"`, `"class=Relax"`); or
                a `Filter`; or a `Selection`, of which `before`, `above` and `limit` do not count.
            order: In which order.
            after: `next` of the page before; None: the first page.
            limit: At most so many rows.

        Raises:
            InvalidFilter: the filter makes no sense, or there is no such page.
            ProcessNotFound: no process has a key that the filter names.
            StoreUnavailable: the store does not answer.
        """
        if isinstance(chosen, str):
            chosen = Filter.from_words(chosen)
        selection = self.selection(chosen)
        found, following = page_of(self._store, selection, order, after, limit)
        missing: Sequence[int] = ()
        if isinstance(chosen, Filter) and selection.pids and not (chosen.narrowed or after or following):
            missing = sorted(set(selection.pids) - {row.pid for row in found})
        return Page(self.rows(found), following, missing)

    def selection(self, chosen: Filter | Selection | str | None) -> Selection:
        """What the store, or a control, is asked for by a filter.

        Raises:
            InvalidFilter: it makes no sense.
            ProcessNotFound: no process has a key that it names.
        """
        if chosen is None:
            return Selection()
        if isinstance(chosen, Selection):
            return chosen
        return (Filter.from_words(chosen) if isinstance(chosen, str) else chosen).selection(self.workspace)

    def rows(self, found: Sequence[ProcessRow]) -> list[Row]:
        """Rows of the store with what else is to be seen of them."""
        return rows_of(self._store, found)

    # One process

    def row(self, pid: int) -> Row:
        """A process as in a list.

        Raises:
            ProcessNotFound: there is none.
        """
        return self.rows([self._row(pid)])[0]

    def process(self, pid: int) -> Details:
        """All about one process.

        Raises:
            ProcessNotFound: there is none.
            StoreUnavailable: the store does not answer.
        """
        return details_of(self.workspace, pid, self.rows, self._codes.read)

    def why(self, pid: int) -> Why:
        """Why a process does not move, or that it does: `sentence` and `evidence`.

        Raises:
            ProcessNotFound: there is none.
        """
        return why(self.workspace, pid)

    def code(self, class_path: str) -> Code:
        """What a class declares, read in a program of its own when it is asked for the first time. Of one
        that cannot be loaded here, `error` says why."""
        return self._codes.read(class_path)

    def history(self, pid: int, *, after: int = 0, limit: int | None = None) -> Sequence[Line]:
        """The history of a process, oldest first.

        Args:
            after: Only lines with a greater `seq`.
            limit: At most so many.

        Raises:
            ProcessNotFound: there is none.
        """
        events = self._store.events(pid, after=after, limit=limit)
        if not events:
            self._row(pid)
        return [line_of(event) for event in events]

    def printed(self, pid: int, *, after: str | None = None, most: int = printing.PIECE) -> Printed:
        """A piece of what the steps of a process have printed on this host.

        Args:
            after: `after` of the piece before; None: the last piece that is there.
            most: Bytes at most.

        Raises:
            ProcessNotFound: there is none.
        """
        row = self._row(pid)
        taken = self._store.histories([pid], ("state", "claim")).get(pid, ())
        return printing.printed(self.workspace, row, taken, after, most)

    # Trees

    def tree(self, pid: int, *, depth: int | None = None, limit: int = TREE) -> Node:
        """A process with those below it: level by level, until there are enough.

        Args:
            depth: Only so many levels below it; None: all.
            limit: At most so many processes; `hidden` of a node tells how many children were left out.

        Raises:
            ProcessNotFound: there is none.
        """
        return read_tree(self._store, self._row(pid), depth, limit, self.rows)

    def timeline(self, pid: int, *, limit: int = TREE) -> Timeline:
        """When each process of a tree was what, and where; and the critical path.

        Args:
            limit: At most so many processes.

        Raises:
            ProcessNotFound: there is none.
        """
        rows = self.rows(levels(self._store, self._row(pid), None, limit))
        pids = [row.pid for row in rows]
        hidden = sum(self._store.child_counts(pids).values()) - len(rows) + 1
        return timeline_of(rows, self._store.histories(pids, KINDS), max(0, hidden))

    # The fleet

    def workers(self) -> Sequence[Worker]:
        """All workers that are registered, by host and name."""
        return workers_of(self._store.workers(), self._store.clock())

    def queues(self) -> Sequence[Queue]:
        """The queues on which something waits, or from which a worker that lives takes, by name."""
        rows = self._dear.get("queues", self._store.queues)
        return queues_of(rows, self.workers(), self._store.clock())

    def limits(self) -> Sequence[Limit]:
        """All limits that are set, or asked for by processes that live, by name."""
        store = self._store
        return [
            Limit(
                row,
                [one.pid for one in store.limit_users(row.name, held=True, most=NAMED)] if row.held else (),
                [one.pid for one in store.limit_users(row.name, held=False, most=NAMED)]
                if row.waiting
                else (),
            )
            for row in store.limits()
        ]

    def schedules(self) -> Sequence[ScheduleView]:
        """All schedules, by name."""
        rows = sorted(self._store.schedules(), key=lambda one: one.name)
        made = [row.last_pid for row in rows if row.last_pid is not None]
        last = {one.pid: shown(one) for one in self._store.select(Selection(pids=made))} if made else {}
        return [ScheduleView(row, last.get(row.last_pid or 0)) for row in rows]

    # All of it

    def overview(self) -> Overview:
        """The workspace at a glance. Counts of a store with very many processes may be some seconds old; at
        the first time, or after a minute, those that take longer than a moment are None.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return overview_of(self, self._dear)

    def counts(self) -> Mapping[State, int]:
        """How many processes are in each state."""
        return self._dear.get("counts", self._store.counts)

    def paused_counts(self) -> Mapping[State, int]:
        """How many processes are paused, by state (they are in `counts` too)."""
        return self._dear.get("paused", self._store.paused_counts)

    def throughput(self, minutes: int = MINUTES) -> Throughput:
        """How many processes have ended in each of the last minutes.

        Args:
            minutes: How many.
        """
        return self._dear.get(("throughput", minutes), lambda: counted_ends(self._store, minutes))

    def changes(self, pids: Iterable[int] | None = None, *, least: float = 0.1) -> Changes:
        """Changes from now on, to be closed: `with monitor.changes() as changes: for change in changes: ...`,
        or `async for`. After each, read anew what is shown; one comes every second, told or not.

        Args:
            pids: Of these processes alone; None: of all.
            least: Seconds between two of them.
        """
        return Changes(self.workspace, None if pids is None else frozenset(pids), least=least)

    def _row(self, pid: int) -> ProcessRow:
        row = self._store.get(pid)
        if row is None:
            raise self.workspace.not_found(pid)
        return row
