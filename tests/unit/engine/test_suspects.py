"""Suspects: one at a time, and who joins others does so alone."""

from __future__ import annotations

from engine.suspects import ALONE, GAP, TURNS, Suspects
from persistence.records import MAX_DEATHS, SUSPECT


def test_who_is_no_suspect_runs_at_once_beside_whomever() -> None:
    suspects = Suspects(lambda: 0.0)
    assert suspects.admit(1, SUSPECT)
    assert all(suspects.admit(pid, SUSPECT - 1) for pid in (2, 3))


def test_a_second_one_waits_for_its_turns_and_a_third_for_the_gap() -> None:
    now = 0.0
    suspects = Suspects(lambda: now)
    assert suspects.admit(1, SUSPECT)
    answers = [(suspects.admit(2, SUSPECT), suspects.admit(3, SUSPECT)) for _ in range(TURNS)]
    assert answers == [(False, False)] * TURNS
    assert suspects.admit(2, SUSPECT)
    assert not suspects.admit(3, SUSPECT)
    now = GAP
    assert suspects.admit(3, SUSPECT)


def test_when_nobody_of_its_kind_is_left_it_runs_at_once() -> None:
    suspects = Suspects(lambda: 0.0)
    assert suspects.admit(1, SUSPECT)
    assert not suspects.admit(2, SUSPECT)
    suspects.ended(1)
    assert suspects.admit(2, SUSPECT)


def test_who_has_one_death_left_is_tried_alone_and_others_wait_for_it() -> None:
    clock = [0.0]
    suspects = Suspects(lambda: clock[0])
    assert suspects.admit(1, SUSPECT)
    assert not any(suspects.admit(2, MAX_DEATHS - 1) for _ in range(TURNS + 1))
    suspects.ended(1)
    assert suspects.admit(2, MAX_DEATHS - 1)
    for clock[0] in (GAP, 10 * GAP, ALONE / 2):
        assert not any(suspects.admit(3, SUSPECT) for _ in range(TURNS + 1))
    clock[0] = ALONE
    assert suspects.admit(3, SUSPECT)
