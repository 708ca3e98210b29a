"""Controls of so many processes that like ones share their statements."""

from __future__ import annotations

from quince_persistence.records import Control, NewProcess, Selection, State
from quince_persistence.store import Store
from quince_persistence.writing.bulk import BULK_ROWS
from tests.contracts.store_backends import step, store, store_url

__all__ = ["store", "store_url"]

MANY = 3 * BULK_ROWS


def tree(store: Store) -> tuple[int, list[int]]:
    """A parent and many children on queues of three, so that there are groups of each size."""
    top, *pids = store.allocate_pids(MANY + 1)
    below = [NewProcess(pid, "flows:Child", b"inputs", parent=top, queue=str(pid % 3)) for pid in pids]
    store.insert([NewProcess(top, "flows:Top", b"inputs"), *below]).result()
    return top, pids


def lines(store: Store, pid: int) -> list[tuple[str, str | None]]:
    """Kind and verb, or the state that was entered, of each line of a history."""
    return [(event.kind, event.body.get("verb") or event.body.get("to")) for event in store.events(pid)]


def test_a_whole_tree_is_paused_played_and_killed(store: Store) -> None:
    top, pids = tree(store)
    for verb, paused in ((Control.PAUSE, True), (Control.PLAY, False)):
        outcomes = store.control(verb, Selection(trees=[top]), author="ada", reason="all").result()
        assert [outcome.pid for outcome in outcomes] == [top, *pids]
        rows = store.select(Selection(trees=[top]))
        assert {(row.state, row.paused, row.ready) for row in rows} == {(State.CREATED, paused, not paused)}
    store.control(Control.KILL, Selection(trees=[top]), author="ada", reason="enough").result()
    rows = store.select(Selection(trees=[top]))
    assert {(row.state, row.exit_message, row.ready) for row in rows} == {(State.KILLED, "enough", False)}
    told = [("control", "pause"), ("control", "play"), ("state", "killed"), ("control", "kill")]
    assert all(lines(store, pid) == told for pid in (top, *pids))


def test_unlike_ones_among_many_keep_what_is_their_own(store: Store) -> None:
    top, pids = tree(store)
    (claim, *_) = store.claim(pids[:5], "w").result()
    step(store, claim, State.WAITING, awaits=[pids[-1]], status="its own", step="later", release=True)
    store.control(Control.PAUSE, Selection(trees=[top]), author="ada").result()
    rows = {row.pid: row for row in store.select(Selection(trees=[top]))}
    assert [rows[pid].owner for pid in pids[:6]] == [None, "w", "w", "w", "w", None]
    assert [rows[pid].intent for pid in pids[:6]] == [None, *[Control.PAUSE] * 4, None]
    first = rows[pids[0]]
    assert (first.status, first.step, first.awaiting, first.paused) == ("its own", "later", 1, True)
    assert sum(row.paused for row in rows.values()) == MANY + 1 - 4
    outcomes = store.control(Control.KILL, Selection(trees=[top]), author="ada").result()
    assert sum(not outcome.applied for outcome in outcomes) == 4
    assert lines(store, pids[0])[-2:] == [("state", "killed"), ("control", "kill")]


def test_a_pause_in_the_middle_of_a_step_keeps_the_owner(store: Store) -> None:
    (pid,) = store.allocate_pids(1)
    store.insert([NewProcess(pid, "flows:Runs", b"inputs")]).result()
    (claim,) = store.claim([pid], "w").result()
    assert not store.suspend(pid, "w", claim.row.epoch).result().paused, "nobody asked for it"
    store.control(Control.PAUSE, Selection(pids=[pid]), author="ada", reason="a look").result()
    assert [row.pid for row in store.asked("w")] == [pid]
    assert store.suspend(pid, "w", claim.row.epoch).result().paused
    assert store.suspend(pid, "w", claim.row.epoch - 1).result().fenced
    row = store.get(pid)
    assert row is not None
    assert (row.paused, row.owner, row.intent, row.ready, row.status) == (True, "w", None, False, "a look")
    assert [row.pid for row in store.asked("w")] == [pid], "the owner must know that it is paused"
    (again,) = store.control(Control.PAUSE, Selection(pids=[pid]), author="ada").result()
    assert again.applied
    (played,) = store.control(Control.PLAY, Selection(pids=[pid]), author="ada").result()
    assert (played.applied, played.owner) == (True, "w"), "the owner is to be told"
    assert not store.asked("w")
