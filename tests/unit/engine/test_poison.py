"""Suspects: one after the other; and who is suspected most, alone."""

from __future__ import annotations

from quince.recovery.poison import ALONE_SECONDS, GAP, REST_SECONDS, TURNS, Admission, Suspects
from quince_persistence.records import PRIME_SUSPECT, SUSPECT


class Worker:
    """One whose clock stands still, unless it is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.suspects = Suspects(lambda: self.now)

    def admits(self, pid: int, deaths: int, *, kept: bool = False, empty: bool = False) -> Admission:
        return self.suspects.admit(pid, deaths, kept=kept, empty=empty)


def test_who_is_no_suspect_runs_at_once_beside_whomever() -> None:
    worker = Worker()
    assert worker.admits(1, SUSPECT) is Admission.BESIDE
    assert {worker.admits(pid, SUSPECT - 1) for pid in (2, 3)} == {Admission.BESIDE}
    assert worker.admits(4, SUSPECT - 1, kept=True) is Admission.ELSEWHERE


def test_a_second_one_waits_for_its_turns_and_a_third_for_the_gap() -> None:
    worker = Worker()
    assert worker.admits(1, SUSPECT) is Admission.BESIDE
    answers = [(worker.admits(2, SUSPECT), worker.admits(3, SUSPECT)) for _ in range(TURNS)]
    assert answers == [(Admission.ELSEWHERE, Admission.ELSEWHERE)] * TURNS
    worker.now = GAP
    assert worker.admits(2, SUSPECT) is Admission.BESIDE
    assert worker.admits(3, SUSPECT) is Admission.ELSEWHERE
    worker.now = 2 * GAP
    assert worker.admits(3, SUSPECT) is Admission.BESIDE


def test_when_nobody_of_its_kind_is_left_it_runs_at_once() -> None:
    worker = Worker()
    assert worker.admits(1, SUSPECT) is Admission.BESIDE
    assert worker.admits(2, SUSPECT) is Admission.ELSEWHERE
    worker.suspects.ended(1)
    assert worker.admits(2, SUSPECT) is Admission.BESIDE


def test_a_worker_makes_room_for_who_is_suspected_most_but_not_again_and_again() -> None:
    worker = Worker()
    assert worker.admits(1, PRIME_SUSPECT) is Admission.ALONE
    worker.now = 60.0
    assert worker.admits(1, PRIME_SUSPECT) is Admission.ELSEWHERE
    assert worker.admits(1, PRIME_SUSPECT, empty=True) is Admission.ALONE
    worker.now += REST_SECONDS
    assert worker.admits(1, PRIME_SUSPECT) is Admission.ALONE
    worker.now = ALONE_SECONDS + 1
    worker.suspects._waiting[1].made_room = worker.now
    assert worker.admits(1, PRIME_SUSPECT) is Admission.BESIDE
