"""Suspects: one at a time, and who joins others does so alone."""

from __future__ import annotations

from engine.suspects import GAP, SUSPECT, TURNS, Suspects


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
