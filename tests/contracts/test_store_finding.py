"""Finding processes: by labels, by how they ended, by what they say."""

from __future__ import annotations

from typing import Any

import pytest

from quince_persistence.reading import reads
from quince_persistence.records import ProcessOptions, Selection, State
from quince_persistence.records.steps import Step
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store, store_url

__all__ = ["store", "store_url"]


def labelled(**labels: str) -> ProcessOptions:
    return ProcessOptions(labels=labels)


def found(store: Store, **wanted: Any) -> list[int]:
    return [row.pid for row in store.select(Selection(**wanted))]


@pytest.mark.parametrize("rare", [0, 2000])
def test_a_label_is_found_in_each_state_however_many_have_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    monkeypatch.setattr(reads, "_RARE", rare)
    argon, xenon = (born(store, 4, options=labelled(study=study, n="1")) for study in ("argon", "xenon"))
    born(store, 2)
    finish(store, store.claim(argon[:1], "w").result()[0])
    for labels, pids in (
        ([("study", "argon")], argon), ([("study", None)], [*argon, *xenon]), ([("who", None)], []),
        ([("study", "argon"), ("n", None)], argon), ([("study", "a\0")], []),
    ):  # fmt: skip
        ended, live = set(argon[:1]) & set(pids), sorted(set(pids) - {argon[0]}, reverse=True)
        assert found(store, labels=labels, limit=9) == sorted(pids, reverse=True)
        assert found(store, labels=labels, live=True, limit=9) == live
        assert found(store, labels=labels, live=True, before=argon[2], limit=9) == [
            pid for pid in live if pid < argon[2]
        ]
        assert found(store, labels=labels, states=[State.FINISHED]) == list(ended)
        assert found(store, labels=labels, states=[State.CREATED, State.FINISHED], above=argon[2]) == [
            pid for pid in live if pid > argon[2]
        ]


def test_labels_are_kept_with_the_process_and_found(store: Store) -> None:
    both = born(store, options=labelled(study="argon", who="mia"))[0]
    argon, xenon = (born(store, options=labelled(study=of))[0] for of in ("argon", "xenon"))
    born(store)
    assert found(store, labels=[("study", "argon")]) == [argon, both]
    assert found(store, labels=[("study", None)]) == [xenon, argon, both]
    assert found(store, labels=[("who", "mia"), ("study", "argon")]) == [both]
    assert found(store, labels=[("who", "mia"), ("study", "xenon")]) == []
    assert found(store, labels=[("study", "argon")], before=argon, limit=1) == [both]
    assert found(store, labels=[("study", "Argon")]) == found(store, labels=[("Study", None)]) == []
    assert store.label_names() == ["study", "who"]
    row = store.get(both)
    assert row is not None
    assert row.options.labels == {"study": "argon", "who": "mia"}


def test_labels_of_children_come_with_the_step_that_makes_them(store: Store) -> None:
    (claim,) = held(store, "w")
    (child,) = new(store, parent=claim.row.pid, options=labelled(study="argon"))
    lost = Step(claim.row.pid, "w", claim.row.epoch - 1, State.RUNNING, children=[child])
    assert store.commit(lost).result().fenced
    assert found(store, labels=[("study", "argon")]) == []
    step(store, claim, State.RUNNING, children=[child])
    assert found(store, labels=[("study", "argon")]) == [child.pid]


def test_a_taken_key_gives_its_labels_to_nobody(store: Store) -> None:
    first = born(store, key="k", options=labelled(study="argon"))[0]
    assert born(store, key="k", options=labelled(study="xenon"))[0] == first
    assert found(store, labels=[("study", "xenon")]) == []


@pytest.fixture
def ended(store: Store) -> dict[str, int]:
    """Processes that ended in each way, and some that live."""
    ends: dict[str, dict[str, Any]] = {
        "well": {"state": State.FINISHED, "exit_status": 0},
        "badly": {"state": State.FINISHED, "exit_status": 410, "exit_message": "no 50 % of it"},
        "negative": {"state": State.FINISHED, "exit_status": -1},
        "excepted": {"state": State.EXCEPTED, "exit_message": "LinAlgError: Singular matrix"},
        "killed": {"state": State.KILLED, "reason": "too_long"},
    }
    pids = {"lives": born(store, class_path="a.b:Relax", key="Night-7")[0]}
    for name, end in ends.items():
        (claim,) = held(store, "w")
        step(store, claim, **end)
        pids[name] = claim.row.pid
    return pids


def names(pids: dict[str, int], found: list[int]) -> set[str]:
    return {name for name, pid in pids.items() if pid in found}


def test_failed_is_what_has_not_ended_well(store: Store, ended: dict[str, int]) -> None:
    assert names(ended, found(store, failed=True)) == {"badly", "negative", "excepted", "killed"}
    assert names(ended, found(store, failed=True, states=[State.EXCEPTED])) == {"excepted"}
    assert names(ended, found(store, exits=[410])) == {"badly"}
    assert names(ended, found(store, exits=[-1, 0])) == {"well", "negative"}
    assert found(store, exits=[1 << 40]) == []
    assert found(store, failed=True, live=True) == []


@pytest.mark.parametrize(
    ("text", "whose"),
    [
        ("singular MATRIX", {"excepted"}), ("relax", {"lives"}), ("night-7", {"lives"}), ("50 %", {"badly"}),
        ("too_long", {"killed"}), ("too-long", set()), ("5% o", set()), ("%", {"badly"}), ("_", {"killed"}),
        ("\\", set()), ("a\0b", set()), ("\ud800", set()), ("'; DROP TABLE processes; --", set()),
    ],
)  # fmt: skip
def test_a_text_is_found_as_it_is_written(
    store: Store, ended: dict[str, int], text: str, whose: set[str]
) -> None:
    assert names(ended, found(store, text=text)) == whose


@pytest.mark.parametrize("word", ["a\0b", "\ud800", "'", "é" * 3000])
def test_words_that_no_store_keeps_find_nothing(store: Store, word: str) -> None:
    born(store, key="k")
    for wanted in (
        {"labels": [(word, None)]}, {"labels": [("study", word)]}, {"key": word}, {"queue": word},
        {"classes": [word]}, {"text": word},
    ):  # fmt: skip
        assert found(store, **wanted) == []
    assert store.find_key(word) is None
    assert isinstance(store.keys_near(word), list)


def test_by_when_they_ended(store: Store, ended: dict[str, int]) -> None:
    row = store.get(ended["excepted"])
    assert row is not None
    assert row.ended is not None
    assert ended["excepted"] in found(store, ended_since=row.ended, ended_until=row.ended)
    assert found(store, ended_since=row.ended + 1000) == []
    assert len(found(store, ended_until=row.ended + 1000)) == 5


def test_failures_are_counted_by_what_they_are(store: Store, ended: dict[str, int]) -> None:
    path = "tests.things:Thing"
    assert store.failures(0.0) == {
        (path, State.FINISHED, 410): 1,
        (path, State.FINISHED, -1): 1,
        (path, State.EXCEPTED, None): 1,
        (path, State.KILLED, None): 1,
    }
    assert store.failures(4e9) == {}


def test_keys_near_one_that_is_not_there(store: Store) -> None:
    for key in ("argon-17", "argon-18", "xenon-1", "7"):
        born(store, key=key)
    assert {"argon-17", "argon-18"} <= set(store.keys_near("argno-17"))
    assert "argon-18" in store.keys_near("argon-1")
    assert "7" in store.keys_near("")
