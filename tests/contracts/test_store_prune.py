"""Deleting what has ended: whole trees, everything of them, and nothing that anybody needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from quince_persistence.databases.opening import database_of
from quince_persistence.errors import UnknownProcess
from quince_persistence.records import Claim, Control, NewEvent, NewSignal, ProcessOptions, Selection, State
from quince_persistence.records.pruning import Pruned, Spared
from quince_persistence.schema.tables import (
    content_uses,
    contents,
    limits,
    metadata,
    processes,
    refers,
    schedules,
)
from quince_persistence.store import Store
from quince_persistence.writing.deleting import OF_PROCESSES
from tests.contracts.store_backends import born, finish, held, new, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]

SOON = 4e9
"""A time by which everything has ended."""


def prune(store: Store, *roots: int, before: float = SOON, **fields: Any) -> Pruned:
    return store.prune(roots, **({"before": before, "failed_before": before} | fields)).result()


@contextmanager
def raw(url: str) -> Iterator[Connection]:
    """The tables themselves."""
    database = database_of(url)
    with database.writer() as connection:
        database.begin(connection)
        yield connection
        connection.exec_driver_sql("COMMIT")
        connection.commit()
    database.dispose()


def rows_of(url: str, pid: int) -> dict[str, int]:
    """How many rows each table has of a process."""
    with raw(url) as connection:
        counts = {
            table.name: connection.execute(
                select(func.count()).select_from(table).where(table.c.pid == pid)
            ).scalar_one()
            for table in OF_PROCESSES
        }
    return {name: count for name, count in counts.items() if count}


def ended(store: Store, **fields: Any) -> int:
    (claim,) = held(store, "w", **fields)
    finish(store, claim)
    return claim.row.pid


def family(store: Store) -> tuple[Claim, Claim, Claim]:
    """A process, its child, and its child's child; all live."""
    (top,) = held(store, "w", class_path="t:Top")
    child = new(store, parent=top.row.pid)
    step(store, top, State.RUNNING, children=child)
    (middle,) = store.claim([child[0].pid], "w").result()
    grandchild = new(store, parent=middle.row.pid)
    step(store, middle, State.RUNNING, children=grandchild)
    (leaf,) = store.claim([grandchild[0].pid], "w").result()
    return top, middle, leaf


def test_nothing_is_left_of_a_pruned_tree(store: Store, store_url: str) -> None:
    (top,) = held(store, "w", key="k", options=ProcessOptions(labels={"a": "b"}))
    pid = top.row.pid
    children = new(store, 2, parent=pid)
    store.record_once(pid, "w", 1, "o", b"once").result()
    store.send([NewSignal(pid, "go", b"1")], author="me").result()
    step(store, top, State.RUNNING, checkpoint=b"c", children=children, events=[NewEvent("report", {"t": 1})])
    for child in children:
        finish(store, *store.claim([child.pid], "w").result())
    step(store, top, State.EXCEPTED, checkpoint=b"c", error=b"e")
    with raw(store_url) as connection:  # what else any table may have of it, now or later
        for table in OF_PROCESSES:
            there = connection.execute(select(func.count()).where(table.c.pid == pid)).scalar_one()
            if not there:
                connection.execute(insert(table), _made_up(table, pid))
        connection.execute(insert(limits), {"name": "own", "owner": pid})
    assert set(rows_of(store_url, pid)) == {table.name for table in OF_PROCESSES}
    stays = ended(store, key="other")
    before = rows_of(store_url, stays)

    assert prune(store, pid) == Pruned([pid], [pid, *(child.pid for child in children)])
    for gone in (pid, *(child.pid for child in children)):
        assert rows_of(store_url, gone) == {}
        assert store.get(gone) is None
    with raw(store_url) as connection:
        assert connection.execute(select(func.count()).select_from(limits)).scalar_one() == 0
    assert rows_of(store_url, stays) == before
    assert store.pruned_to() == max(child.pid for child in children)
    assert store.find_key("k") is None
    assert born(store, key="k")[0] not in {pid, stays}
    assert prune(store, pid) == Pruned([], [])


def _made_up(table: Any, pid: int) -> dict[str, Any]:
    values: dict[str, Any] = {"pid": pid}
    for column in table.columns:
        if column.name not in {"pid", "seq"} and not column.nullable:
            kind = column.type.python_type
            values[column.name] = b"x" if kind is bytes else kind(7)
    return values


def test_a_tree_that_lives_in_part_stays_as_a_whole(store: Store) -> None:
    top, middle, leaf = family(store)
    step(store, top, State.EXCEPTED)
    finish(store, middle)
    assert prune(store, top.row.pid) == Pruned([], [], {top.row.pid: Spared.LIVES})
    finish(store, leaf)
    assert prune(store, middle.row.pid).kept == {middle.row.pid: Spared.CHILD}
    assert prune(store, top.row.pid, dry=True).pids == [one.row.pid for one in (top, middle, leaf)]
    assert store.get(leaf.row.pid) is not None
    assert sorted(prune(store, top.row.pid).pids) == [one.row.pid for one in (top, middle, leaf)]


def test_what_failed_has_a_time_of_its_own(store: Store) -> None:
    well = ended(store)
    (claim,) = held(store, "w")
    step(store, claim, State.FINISHED, exit_status=3)
    found = prune(store, well, claim.row.pid, before=SOON, failed_before=1.0)
    assert found == Pruned([well], [well], {claim.row.pid: Spared.RECENT})
    assert prune(store, claim.row.pid, before=1.0, failed_before=SOON).roots == [claim.row.pid]


def test_a_tree_is_as_young_as_the_last_that_ended(store: Store) -> None:
    top, middle, leaf = family(store)
    for claim in (top, middle):
        finish(store, claim)
    then = store.clock()
    finish(store, leaf)
    late = store.get(leaf.row.pid)
    assert late is not None
    assert prune(store, top.row.pid, before=min(then, late.ended or 0) - 1e-6).kept == {
        top.row.pid: Spared.RECENT
    }


def test_what_is_awaited_stays(store: Store) -> None:
    pid = ended(store)
    (waiting,) = held(store, "w")
    live = born(store)[0]
    step(store, waiting, State.WAITING, awaits=[live, pid], release=True)
    assert prune(store, live).kept == {live: Spared.LIVES}
    store.control(Control.KILL, Selection(pids=[live]), author="me").result()
    assert set(prune(store, pid, live).roots) == {pid, live}


def test_what_a_living_process_was_given_stays_until_it_has_ended(store: Store) -> None:
    top, middle, leaf = family(store)
    for claim in (leaf, middle, top):
        finish(store, claim)
    (user,) = held(store, "w", refers=[leaf.row.pid, 10**9])
    root = top.row.pid
    assert prune(store, root).kept == {root: Spared.REFERRED}
    finish(store, user)
    assert prune(store, root).roots == [root]
    assert prune(store, user.row.pid).roots == [user.row.pid]


def options_with(name: str, pid: int) -> ProcessOptions:
    return ProcessOptions(**{name: pid})  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["cached_from", "restart_of"])
def test_what_one_that_stays_comes_from_stays(store: Store, store_url: str, how: Any) -> None:
    first = ended(store)
    second = ended(store, options=options_with(how, first))
    third = ended(store, options=options_with(how, second))
    assert prune(store, first, second).kept == {first: Spared.REFERRED, second: Spared.REFERRED}
    assert prune(store, first, gone=[second], dry=True).roots == [first]
    assert prune(store, first, second, third).roots == [first, second, third]
    with raw(store_url) as connection:
        assert connection.execute(select(func.count()).select_from(refers)).scalar_one() == 0


def test_the_last_of_a_schedule_stays(store: Store, store_url: str) -> None:
    pid = ended(store)
    with raw(store_url) as connection:
        connection.execute(insert(schedules), _schedule(pid))
    assert prune(store, pid).kept == {pid: Spared.SCHEDULED}


def _schedule(pid: int) -> dict[str, Any]:
    made: dict[str, Any] = {column.name: None for column in schedules.columns if column.nullable}
    for column in schedules.columns:
        if not column.nullable:
            made[column.name] = b"" if column.type.python_type is bytes else column.type.python_type(0)
    return made | {"name": "nightly", "last_pid": pid}


def test_contents_go_with_the_last_that_uses_them(store: Store, store_url: str) -> None:
    one, two = ended(store), ended(store)
    with raw(store_url) as connection:
        connection.execute(insert(contents), [{"digest": name, "blob": b"x"} for name in "abc"])
        uses = [("a", one), ("b", one), ("b", two)]
        connection.execute(insert(content_uses), [{"digest": d, "pid": p, "kind": 1} for d, p in uses])

    def left() -> list[str]:
        with raw(store_url) as connection:
            return list(connection.execute(select(contents.c.digest).order_by(contents.c.digest)).scalars())

    prune(store, one)
    store.drop_unused().result()
    assert left() == ["b"]
    prune(store, two)
    store.drop_unused().result()
    assert left() == []


def test_a_pruned_process_takes_nothing_any_more(store: Store) -> None:
    (claim,) = held(store, "w")
    finish(store, claim)
    pid = claim.row.pid
    prune(store, pid)
    assert store.claim([pid], "v").result() == []
    assert step(store, claim, State.RUNNING).fenced
    assert not store.control(Control.PLAY, Selection(pids=[pid]), author="me").result()[0].found
    assert not store.send([NewSignal(pid, "go", b"1")], author="me").result()[0].found
    with pytest.raises(UnknownProcess):
        store.report(pid, [NewEvent("report", {})]).result()
    assert [*store.tree(pid), *store.events(pid), *store.results([pid])] == []
    assert min(store.allocate_pids(1)) > pid


def test_a_key_is_taken_or_free_and_never_both(stores: tuple[Store, Store]) -> None:
    """Prune against submissions with the key, by two programs."""
    one, two = stores
    for number in range(15):
        key = f"k{number}"
        pid = ended(one, key=key)
        (again,) = new(two, key=key)
        futures = (one.prune([pid], before=SOON, failed_before=SOON), two.insert([again]))
        pruned, answers = futures[0].result().roots, futures[1].result()
        row = two.find_key(key)
        if list(answers) == [pid]:  # it came first, and was told of the one that there was
            assert pruned == [pid]
            assert row is None
        else:
            assert row is not None
            assert [row.pid] == list(answers) == [again.pid]
        assert one.get(pid) is None


def test_one_that_begins_to_refer_comes_first_or_finds_nothing(stores: tuple[Store, Store]) -> None:
    """Prune against restarts: what was restarted from is there as long as the new one."""
    one, two = stores
    for _ in range(15):
        pid = ended(one)
        (again,) = new(two, options=options_with("restart_of", pid))
        futures = (one.prune([pid], before=SOON, failed_before=SOON), two.insert([again]))
        pruned = futures[0].result()
        futures[1].result()
        there = one.get(pid) is not None
        assert there == (pruned.kept == {pid: Spared.REFERRED})
        prune(one, again.pid)
        assert one.get(again.pid) is not None  # it lives


def test_one_that_is_retried_comes_first_or_is_gone(stores: tuple[Store, Store]) -> None:
    """Prune against retries: what lives again has all that it had."""
    one, two = stores
    for _ in range(15):
        (claim,) = held(one, "w")
        step(one, claim, State.RUNNING, checkpoint=b"c")
        step(one, claim, State.EXCEPTED, error=b"e")
        pid = claim.row.pid
        futures = (
            one.prune([pid], before=SOON, failed_before=SOON),
            two.retry(Selection(pids=[pid]), author="me"),
        )
        pruned, (answer,) = futures[0].result(), futures[1].result()
        assert (answer.refused is None) == (pruned.kept == {pid: Spared.LIVES})
        assert (one.get(pid) is not None) == (pruned.roots == [])
        assert one.checkpoint(pid) == (None if pruned.roots else b"c")


def test_who_has_the_outputs_of_another_keeps_it_or_runs(stores: tuple[Store, Store]) -> None:
    """Prune against submissions that find what they ask for in the cache."""
    one, two = stores
    for number in range(15):
        asked = ProcessOptions(cache_key=f"r:{number}")
        (claim,) = held(one, "w", options=asked)
        step(one, claim, State.FINISHED, outputs=b"outputs", exit_status=0, revision="r")
        pid = claim.row.pid
        (again,) = new(two, options=asked)
        futures = (one.prune([pid], before=SOON, failed_before=SOON), two.insert([again]))
        pruned = futures[0].result()
        futures[1].result()
        row = two.get(again.pid)
        assert row is not None
        served = row.options.cached_from is not None
        assert served == row.terminated == (pruned.kept == {pid: Spared.REFERRED})
        assert (one.get(pid) is not None) == served
        assert two.outputs(again.pid) == (b"outputs" if served else None)


def test_a_turn_is_taken_once(stores: tuple[Store, Store]) -> None:
    taken = [store.take_turn("retention", every=3600.0) for store in stores for _ in range(3)]
    assert sum(future.result() for future in taken) == 1
    assert stores[0].take_turn("other", every=3600.0).result()
    assert stores[1].take_turn("retention", every=0.0).result()


def test_a_copy_knows_that_processes_were_pruned(store: Store, tmp_path: Any) -> None:
    first, stays = ended(store), ended(store)
    prune(store, first)
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    copied = store.copy_to(url, alive=10.0, author="me").result()
    assert copied["processes"] == 1
    with Store(url) as other:
        assert other.pruned_to() == first
        assert other.get(stays) is not None
        assert min(other.allocate_pids(1)) > stays


def test_every_table_has_its_rows_of_a_process_by_an_index() -> None:
    for table in OF_PROCESSES:
        first = [next(iter(index.columns)).name for index in table.indexes]
        assert next(iter(table.primary_key.columns)).name == "pid" or "pid" in first, table.name
    others = {
        "limits",
        "schedules",
        "contents",
        "workers",
        "counters",
        "quince_schema",
        "receivers",
        "notices",
    }
    assert {table.name for table in metadata.sorted_tables} - {t.name for t in OF_PROCESSES} == others
    assert processes in OF_PROCESSES


def test_the_file_gets_smaller(store: Store, store_url: str) -> None:
    pids = [ended(store, inputs=b"x" * 50_000) for _ in range(60)]
    prune(store, *pids[1:])
    before, after = store.vacuum()
    if store_url.startswith("sqlite"):
        assert before > 3_000_000 > 1_000_000 > after
    assert store.get(pids[0]) is not None
    assert store.damage() == []
