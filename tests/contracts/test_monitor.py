"""What the monitor shows is what the store has, on every database: pages, trees, the overview."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quince.errors import InvalidFilter, ProcessNotFound
from quince.monitor import dear, lists
from quince.monitor.filters import Filter
from quince.monitor.monitor import Monitor
from quince.monitor.rows import Order, Row
from quince.monitor.words import Shown
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace
from quince_persistence.records import Control, ProcessOptions, Selection, State
from quince_persistence.records.workers import Vitals, WorkerRow
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store_url

__all__ = ["store_url"]


@pytest.fixture
def monitor(store_url: str, tmp_path: Path) -> Iterator[Monitor]:
    with Workspace(Location(tmp_path, store_url, f"local://{tmp_path}/.quince/messages")) as home:
        yield Monitor(home)


@pytest.fixture
def store(monitor: Monitor) -> Store:
    return monitor.workspace.store


@pytest.fixture
def crowd(store: Store) -> list[int]:
    """Thirty processes of two classes, some of which have ended in each way."""
    labels = ProcessOptions(labels={"study": "argon"})
    pids = [*born(store, 15), *born(store, 15, class_path="tests.things:Other", queue="q", options=labels)]
    for number, claim in enumerate(store.claim(pids[::2], "w").result()):
        if number % 3 == 0:
            finish(store, claim)
        elif number % 3 == 1:
            step(store, claim, State.EXCEPTED, error=b"e", exit_message="no")
    store.control(Control.PAUSE, Selection(pids=pids[1:5]), author="me").result()
    return pids


def all_pages(monitor: Monitor, chosen: Filter | str | None, order: Order, limit: int) -> list[Row]:
    rows: list[Row] = []
    after: str | None = None
    while True:
        page = monitor.processes(chosen, order=order, after=after, limit=limit)
        assert len(page.rows) <= limit
        rows += page.rows
        after = page.next
        if after is None:
            return rows


FILTERS = [
    "", "--failed", "state=running", "state=paused", "state=live", "state=ended", "class=Other",
    "class=Other state=live", "queue=q state=ended", "no", "since=1h", "older-than=1h", "ended-since=1h",
    "exit=0", "exit=0,1", "class=Nothing", "state=created,finished", "label=study=argon", "label=study",
    "label=study=argon state=ended", "label=study state=live", "label=other", "--failed no",
    "--failed ended-since=1h", "ended-since=1h state=excepted",
]  # fmt: skip


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize("hurried", [False, True])
def test_pages_have_each_process_once_and_those_that_the_filter_chooses(
    monitor: Monitor, store: Store, monkeypatch: pytest.MonkeyPatch, hurried: bool
) -> None:
    if hurried:  # as in a store in which it takes long to find any
        monkeypatch.setattr(lists, "FIRST_WINDOW", 4)
        monkeypatch.setattr(lists, "MOMENT", 0.0)
    for words in FILTERS:
        wanted = store.select(monitor.selection(words))
        newest = [row.row for row in all_pages(monitor, words, Order.NEWEST, 4)]
        assert newest == list(wanted), words
        live = [row.row for row in all_pages(monitor, words, Order.LIVE, 4)]
        assert live == sorted(wanted, key=lambda row: (row.terminated, -row.pid)), words


def test_a_page_tells_what_is_missing_and_refuses_what_is_none(monitor: Monitor, crowd: list[int]) -> None:
    page = monitor.processes(f"{crowd[0]} 999999")
    assert ([row.pid for row in page.rows], page.missing) == ([crowd[0]], [999999])
    for after in ("x", "live:", "live:-1", "all:3", "live:99999999999999999999999"):
        with pytest.raises(InvalidFilter, match="no page"):
            monitor.processes(after=after)
    with pytest.raises(ProcessNotFound, match="no process has the key"):
        monitor.processes(Filter(pids=["nokey"]))
    for read in (monitor.process, monitor.tree, monitor.timeline, monitor.history, monitor.printed):
        with pytest.raises(ProcessNotFound):
            read(999999)


def test_a_tree_is_read_as_far_as_is_asked_and_tells_what_is_left_out(monitor: Monitor, store: Store) -> None:
    (top,) = held(store, "w")
    children = new(store, 6, parent=top.row.pid)
    step(store, top, State.WAITING, children=children, awaits=[child.pid for child in children])
    claims = store.claim([child.pid for child in children[:3]], "w").result()
    finish(store, claims[0])
    (grandchild,) = new(store, parent=claims[1].row.pid)
    step(store, claims[1], State.WAITING, children=[grandchild], awaits=[grandchild.pid])
    step(store, claims[2], State.FINISHED, exit_status=3)

    whole = monitor.tree(top.row.pid)
    order = [top.row.pid]
    for child in children:
        order += [child.pid, grandchild.pid] if child.pid == claims[1].row.pid else [child.pid]
    assert [node.pid for node in whole] == order
    assert len(whole) == 8
    assert whole.tally == {Shown.FINISHED: 1, Shown.FAILED: 1, Shown.WAITING: 1, Shown.CREATED: 3}
    assert (whole.ended, whole.child_count, whole.hidden) == (2, 6, 0)
    assert sorted(whole.waits_for) == sorted(store.awaited_in_tree(top.row.pid)[top.row.pid])
    assert whole.children[1].children[0].depth == 2

    shallow = monitor.tree(top.row.pid, depth=1)
    assert [node.hidden for node in shallow.children] == [0, 1, 0, 0, 0, 0]
    few = monitor.tree(top.row.pid, limit=4)
    assert (len(few), few.hidden, few.tally, few.ended) == (4, 3, whole.tally, 2)
    below = monitor.tree(claims[1].row.pid)
    assert ([node.pid for node in below], below.depth) == ([claims[1].row.pid, grandchild.pid], 0)
    timeline = monitor.timeline(top.row.pid, limit=5)
    assert (len(timeline.rows), timeline.hidden) == (5, 3)
    assert {bar.pid for bar in timeline.bars} <= {row.pid for row in timeline.rows}


def test_the_overview_counts_what_there_is(monitor: Monitor, store: Store, crowd: list[int]) -> None:
    now = store.clock()
    store.register_worker(WorkerRow("w", "h", 1, "one", ("default",), 2, None, "running", now, now)).result()
    store.heartbeat("w", vitals=Vitals(load=1.5, memory=5)).result()
    store.set_limit("licence", slots=1).result()
    overview = monitor.overview()
    assert overview.counts == store.counts()
    assert sum(overview.paused.values()) == len(store.select(Selection(paused=True))) == 2
    assert not any(row.row.paused for row in overview.running)
    assert {queue.name: (queue.depth, queue.workers) for queue in overview.queues} == {
        name: (depth, int(name == "default")) for name, depth in store.backlog().items()
    }
    assert all(queue.age is not None and 0 <= queue.age < 60 for queue in overview.queues)
    (worker,) = overview.workers
    assert (worker.alive, worker.state, worker.load, worker.memory) == (True, "running", 1.5, 5)
    assert overview.throughput is not None
    assert overview.failures is not None
    ended = store.select(Selection(states=[State.FINISHED, State.EXCEPTED]))
    assert sum(overview.throughput.per_minute) == len(ended)
    assert sum(overview.throughput.well) == sum(row.exit_status == 0 for row in ended)
    assert sum(overview.failures.values()) == len(overview.failed) > 0
    assert {row.pid for row in overview.running} == {
        row.pid for row in store.select(Selection(states=[State.RUNNING]))
    }
    assert [limit.row.name for limit in overview.limits] == ["licence"]
    assert monitor.row(crowd[0]).worker in (None, "one")


def test_counts_that_take_long_are_counted_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dear, "QUICK", -1.0)
    monkeypatch.setattr(dear, "SHARE", 0)
    counts, kept = iter(range(100)), dear.Dear()
    assert kept.get("x", lambda: next(counts)) == 0
    seen = {kept.get("x", lambda: next(counts)) for _ in range(20)}
    assert 0 in seen
    assert kept.get("y", lambda: 7) == 7
