"""A new process begins where another one stood, and shares what that one has got done: on every store."""

from __future__ import annotations

import os
import time

import pytest

from quince_persistence.codec import encode
from quince_persistence.errors import RecordRefused, UnknownProcess
from quince_persistence.records import Claim, Control, NewSignal, ProcessOptions, Selection, State
from quince_persistence.records.controls import PastStep, Restarted
from quince_persistence.store import Store
from tests.contracts.store_backends import finish, held, new, step, store, store_url
from tests.contracts.test_store_retry import claim, fails, family, row_of

__all__ = ["store", "store_url"]


def restart(store: Store, pid: int, **more: object) -> Restarted:
    return store.restart(pid, author="ann", reason="again", **more).result()  # type: ignore[arg-type]


def goes_on(store: Store, claim: Claim, name: str, before: str, **more: object) -> None:
    """It commits a step after which comes the one of that name, whose predecessor is kept."""
    step(
        store, claim, State.RUNNING, step=name, ran=before, checkpoint=f"before {name}".encode(),
        keep=True, **more,
    )  # fmt: skip


def test_it_begins_from_the_newest_checkpoint_and_is_like_the_old_one(store: Store) -> None:
    options = ProcessOptions(labels={"study": "argon"}, limits=("licence",))
    (old,) = held(store, "w", options=options, queue="fast", priority=7, key="only")
    step(store, old, State.RUNNING, step="collect", checkpoint=b"before collect")
    store.send([NewSignal(old.row.pid, "go", b"1")], author="ann").result()
    fails(store, old)
    made = restart(store, old.row.pid)
    row = row_of(store, made.pid)
    assert (row.state, row.step, row.parent, row.root) == (State.CREATED, "collect", None, made.pid)
    assert (row.queue, row.priority, row.key, row.ready) == ("fast", 7, None, True)
    assert (row.options.labels, row.options.limits) == ({"study": "argon"}, ("licence",))
    assert row.options.restart_of == old.row.pid
    assert ([one.pid for one in made.woken], list(made.made)) == ([made.pid], [row])
    assert row_of(store, old.row.pid).state is State.EXCEPTED
    again = claim(store, made.pid)
    assert (again.checkpoint, again.inputs, again.replaced) == (b"before collect", b"inputs", {})
    assert [(one.name, one.value) for one in store.signals(made.pid)] == [("go", b"1")]
    told = [(e.kind, e.body.get("of"), e.body.get("as")) for e in store.events(old.row.pid)][-1]
    assert told == ("restart", None, made.pid)
    assert store.events(made.pid)[0].body == {"of": old.row.pid, "step": "collect", "reason": "again"}


def test_from_the_beginning_with_other_inputs(store: Store) -> None:
    (old,) = held(store, "w")
    step(store, old, State.RUNNING, step="collect", checkpoint=b"before collect")
    made = restart(store, old.row.pid, number=0, inputs=b"other")
    again = claim(store, made.pid)
    assert (again.checkpoint, again.inputs, again.row.step) == (None, b"other", None)
    assert row_of(store, old.row.pid).owner == "w", "it lives on"
    with pytest.raises(RecordRefused, match="no checkpoint 5"):
        restart(store, old.row.pid, number=5)
    with pytest.raises(UnknownProcess):
        restart(store, 10**9)


def test_those_that_ended_well_are_shared_and_the_others_made_anew(store: Store) -> None:
    parent, (good, bad, live) = family(store, 3)
    finish(store, good)
    grandchildren = new(store, 2, parent=bad.row.pid)
    step(
        store, bad, State.WAITING, step="inner", checkpoint=b"inner", children=grandchildren,
        awaits=[one.pid for one in grandchildren], release=True,
    )  # fmt: skip
    finish(store, claim(store, grandchildren[0].pid))
    fails(store, claim(store, grandchildren[1].pid))
    fails(store, claim(store, bad.row.pid))
    made = restart(store, parent.row.pid)
    rows = {row.options.restart_of: row for row in made.made}
    anew, below = rows[bad.row.pid], rows[grandchildren[1].pid]
    assert len(rows) == 3
    assert (anew.parent, below.parent, below.root) == (made.pid, anew.pid, made.pid)
    assert list(made.shared) == [good.row.pid, live.row.pid]
    assert [row.awaiting for row in (rows[parent.row.pid], anew, below)] == [2, 1, 0]
    assert [one.pid for one in made.woken] == [below.pid]
    assert [one.pid for one in finish(store, claim(store, below.pid)).woken] == [anew.pid]
    second = claim(store, anew.pid)
    assert (second.checkpoint, second.replaced) == (b"inner", {grandchildren[1].pid: below.pid})
    finish(store, second)
    assert {one.pid for one in finish(store, live).woken} == {made.pid, parent.row.pid}
    first = claim(store, made.pid)
    assert (first.checkpoint, first.replaced) == (b"before collect", {bad.row.pid: anew.pid})
    step(store, first, State.RUNNING, checkpoint=b"mine", release=True)
    assert claim(store, made.pid).replaced == {}, "its own checkpoint names the new ones"


def test_a_restart_of_a_restart_finds_the_newest_children(store: Store) -> None:
    parent, (bad, other) = family(store)
    fails(store, bad)
    finish(store, other)
    fails(store, claim(store, parent.row.pid))
    first = restart(store, parent.row.pid)
    anew = next(row.pid for row in first.made if row.pid != first.pid)
    fails(store, claim(store, anew))
    fails(store, claim(store, first.pid))
    second = restart(store, first.pid)
    newest = next(row.pid for row in second.made if row.pid != second.pid)
    finish(store, claim(store, newest))
    assert claim(store, second.pid).replaced == {bad.row.pid: newest, anew: newest}
    store.retry(Selection(pids=[first.pid]), author="ann").result()
    finish(store, claim(store, anew))
    assert claim(store, first.pid).replaced == {bad.row.pid: anew}, "the first one goes on as it was"


def test_every_checkpoint_is_kept_for_one_that_asks_for_it(store: Store) -> None:
    (old,) = held(store, "w")
    pid = old.row.pid
    goes_on(store, old, "turn", "begin")
    goes_on(store, old, "while(more)", "turn")
    goes_on(store, old, "end", "turn")
    numbers = [PastStep(1, "begin"), PastStep(2, "turn"), PastStep(3, "turn")]
    assert store.past_steps(pid) == [*numbers, PastStep(None, "end")]
    fails(store, old)
    assert store.past_steps(pid) == [*numbers, PastStep(None, "collect")]
    store.retry(Selection(pids=[pid]), author="ann").result()
    last = claim(store, pid)
    step(store, last, State.FINISHED, ran="end", keep=True, exit_status=0)
    assert store.past_steps(pid) == [*numbers, PastStep(4, "end")]
    with pytest.raises(RecordRefused, match="ended well"):
        restart(store, pid)
    for number, blob in ((1, None), (2, b"before turn"), (3, b"before while(more)"), (4, b"before end")):
        made = restart(store, pid, number=number)
        assert claim(store, made.pid).checkpoint == blob


def test_what_waits_is_begun_anew_waiting(store: Store) -> None:
    (old,) = held(store, "w")
    step(store, old, State.WAITING, checkpoint=b"c", signals=["go"], release=True)
    made = restart(store, old.row.pid)
    row = row_of(store, made.pid)
    assert (row.state, row.awaiting, row.signals, row.ready) == (State.WAITING, 1, ("go",), False)
    store.control(Control.KILL, Selection(pids=[old.row.pid]), author="ann").result()
    store.send([NewSignal(made.pid, "go", b"1")], author="ann").result()
    assert claim(store, made.pid).checkpoint == b"c"


def test_a_failed_attempt_changes_the_checkpoint_and_nothing_that_it_waits_for(store: Store) -> None:
    parent, (bad, other) = family(store)
    finish(store, bad)
    finish(store, other)
    again = claim(store, parent.row.pid)
    step(
        store, again, State.WAITING, attempt=1, due=time.time() + 1000, checkpoint=b"by its handler",
        keep=True, release=True,
    )  # fmt: skip
    assert store.past_steps(parent.row.pid) == [PastStep(None, None)]
    store.control(Control.KILL, Selection(pids=[parent.row.pid]), author="ann").result()
    made = restart(store, parent.row.pid)
    assert list(made.shared) == [bad.row.pid, other.row.pid]
    retried = store.retry(Selection(pids=[parent.row.pid]), author="ann").result()
    assert [one.pid for one in retried[0].woken] == [parent.row.pid]
    second = claim(store, parent.row.pid)
    assert (second.checkpoint, second.row.attempt) == (b"by its handler", 0)


def test_large_parts_of_values_live_on_with_the_checkpoints_that_have_them(store: Store) -> None:
    blobs = [encode({"large": os.urandom(100_000), "n": n}, "") for n in range(3)]
    (old,) = held(store, "w", inputs=blobs[0])
    step(store, old, State.RUNNING, step="b", ran="a", checkpoint=blobs[1], keep=True)
    step(store, old, State.RUNNING, step="c", ran="b", checkpoint=blobs[2], keep=True)
    store.drop_unused().result()
    made = restart(store, old.row.pid, number=2)
    latest = restart(store, old.row.pid)
    step(store, old, State.FINISHED, ran="c", keep=True, exit_status=0)
    store.drop_unused().result()
    first, second = claim(store, made.pid), claim(store, latest.pid)
    assert [one.inputs for one in (first, second)] == [blobs[0]] * 2
    assert [one.checkpoint for one in (first, second)] == blobs[1:]
    finish(store, first)
    finish(store, second)
    store.drop_unused().result()
    third = restart(store, old.row.pid, number=3)
    assert claim(store, third.pid).checkpoint == blobs[2]
