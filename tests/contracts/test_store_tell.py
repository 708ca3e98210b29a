"""What steps say while they run, on every kind of store: written under their claim, each report once."""

from __future__ import annotations

from typing import Any

from quince_persistence.records import Claim, Control, NewEvent, ProcessRow, Progress, Selection, State
from quince_persistence.records.steps import Telling
from quince_persistence.store import Store
from tests.contracts.store_backends import held, step, store, store_url

__all__ = ["store", "store_url"]


def row(store: Store, pid: int) -> ProcessRow:
    found = store.get(pid)
    assert found is not None
    return found


def reports(*texts: str) -> list[NewEvent]:
    return [NewEvent("report", {"text": text}) for text in texts]


def telling(claim: Claim, *texts: str, **fields: Any) -> Telling:
    given = {"run": 1, "epoch": claim.row.epoch, "owner": claim.row.owner, **fields}
    return Telling(claim.row.pid, events=reports(*texts), **given)


def history(store: Store, pid: int) -> list[Any]:
    return [(e.body["text"], e.body.get("attempt")) for e in store.events(pid) if e.kind == "report"]


def test_it_is_seen_while_the_step_runs_and_gone_with_its_commit(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    before = row(store, pid)
    store.tell([telling(claim, status="warm", progress=Progress(3, 40, "ä"))]).result()
    stands = row(store, pid)
    assert (stands.progress, stands.status) == (Progress(3, 40, "ä"), "warm")
    assert (stands.state, stands.updated, stands.owner) == (before.state, before.updated, "w")
    step(store, claim, State.RUNNING, run=1)
    assert (row(store, pid).progress, row(store, pid).status) == (None, "warm")


def test_each_report_is_written_once_and_in_order(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    store.tell([telling(claim, "a", "b"), telling(claim, "c", first=2)]).result()
    store.tell([telling(claim, "b", "c", first=1)]).result()  # again: nobody knew whether it was written
    store.tell([telling(claim, "e", first=4)]).result()  # "d" was lost: it waits for the commit
    assert history(store, pid) == [("a", None), ("b", None), ("c", None)]
    events = [NewEvent("revision", {"from": "1", "to": "2"}), *reports(*"abcdef")]
    step(store, claim, State.RUNNING, run=1, events=events)
    assert [text for text, _ in history(store, pid)] == list("abcdef")
    assert [e.kind for e in store.events(pid)].count("revision") == 1
    step(store, claim, State.RUNNING, run=2, events=reports("a"))  # another step says the same
    assert [text for text, _ in history(store, pid)] == list("abcdefa")


def test_without_its_claim_nothing_is_written(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    store.tell([telling(claim, "x", owner="v"), telling(claim, "x", epoch=7)]).result()
    store.tell([Telling(10**9, "w", 1, 1, events=reports("nobody"))]).result()
    store.release(pid, "w", 1).result()
    store.tell([telling(claim, "late", status="late")]).result()
    assert (history(store, pid), row(store, pid).status) == ([], None)


def test_reports_of_a_step_that_began_again_stay_and_tell_the_attempt(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    store.tell([telling(claim, "one")]).result()
    death = NewEvent("death", {"text": "its host died"})
    store.record_death(pid, "w", 1, death, deaths=1, alone=True).result()
    store.tell([telling(claim, "one", run=2)]).result()
    step(store, claim, State.FINISHED, exit_status=0, run=2, events=reports("one", "two"))
    assert history(store, pid) == [("one", None), ("one", 2), ("two", 2)]
    assert row(store, pid).progress is None or row(store, pid).terminated


def test_a_paused_one_keeps_why(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    store.control(Control.PAUSE, Selection(pids=[pid]), author="ada", reason="lunch", now=True).result()
    store.suspend(pid, "w", 1).result()
    store.tell([telling(claim, status="busy", progress=Progress(1))]).result()
    stands = row(store, pid)
    assert (stands.status, stands.progress) == ("lunch", Progress(1))


def test_what_does_not_end_well_keeps_the_progress_of_its_commit(store: Store) -> None:
    ends: list[tuple[State, dict[str, Any]]] = [
        (State.EXCEPTED, {"error": b"{}"}),
        (State.FINISHED, {"exit_status": 7}),
        (State.FINISHED, {"exit_status": 0}),
    ]
    claims = held(store, "w", 3)
    for claim, (state, fields) in zip(claims, ends, strict=True):
        store.tell([telling(claim, "a", progress=Progress(1, 3))]).result()
        step(store, claim, state, run=1, events=reports("a", "b"), progress=Progress(2, 3), **fields)
        assert [text for text, _ in history(store, claim.row.pid)] == ["a", "b"]
    assert [row(store, claim.row.pid).progress for claim in claims] == [Progress(2, 3), Progress(2, 3), None]
