"""What the statements of the task file do, one connection at a time."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from quince_messaging.transports.local.records import Claim, Claimed, WaitingConsumer
from quince_messaging.transports.local.task_db import TaskDb

_turns = itertools.count(1)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[TaskDb]:
    file = TaskDb(tmp_path / "tasks.sqlite", tmp_path / "tasks.gate")
    file.open()
    yield file
    file.close()


def claim(file: TaskDb, consumer: int, most: int, prefetch: int, settled: Sequence[int] = ()) -> Claimed:
    """One claim of a consumer that holds nothing yet (or only what it settles now)."""
    turn = next(_turns)
    return file.claim(Claim(consumer, "q", settled, most, prefetch, prefetch, turn, turn - 1))


def bodies(file: TaskDb, consumer: int, most: int) -> list[bytes]:
    return [task.body for task in claim(file, consumer, most, 99).tasks]


def test_the_urgent_come_first_and_the_old_before_the_new(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    file.insert([("q", 0, b"old"), ("q", 0, b"new")])
    file.insert([("q", 9, b"urgent")])
    file.insert([("other", 9, b"elsewhere")])
    assert bodies(file, me, 10) == [b"urgent", b"old", b"new"]


def test_a_claimed_task_is_nobody_elses(file: TaskDb) -> None:
    me, you = file.add_consumer("me", "q"), file.add_consumer("you", "q")
    file.insert([("q", 0, b"1"), ("q", 0, b"2"), ("q", 0, b"3")])
    assert bodies(file, me, 2) == [b"1", b"2"]
    assert bodies(file, you, 2) == [b"3"]
    assert file.size("q") == 0


def test_it_is_hungry_exactly_while_it_has_room_for_more(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    assert file.waiting_consumers("q") == []
    claim(file, me, 2, 2)
    assert file.waiting_consumers("q") == [WaitingConsumer(me, "me")]
    file.insert([("q", 0, b"1"), ("q", 0, b"2")])
    claim(file, me, 2, 2)
    assert file.waiting_consumers("q") == []


def test_what_it_has_no_room_for_is_passed_on(file: TaskDb) -> None:
    me, you = file.add_consumer("me", "q"), file.add_consumer("you", "q")
    claim(file, you, 5, 5)
    file.insert([("q", 0, b"1"), ("q", 0, b"2"), ("q", 0, b"3")])
    assert claim(file, me, 2, 2).pass_on == [WaitingConsumer(you, "you")]
    assert claim(file, you, 5, 5).pass_on == ()


def test_only_its_holder_settles_a_task(file: TaskDb) -> None:
    me, you = file.add_consumer("me", "q"), file.add_consumer("you", "q")
    file.insert([("q", 0, b"1")])
    (task,) = claim(file, me, 1, 1).tasks
    file.delete(you, [task.id])
    file.requeue(you, [task.id])
    file.dead_letter(you, task.id, "not mine")
    assert file.size("q") == 0
    assert file.dead_letters(9) == []
    file.requeue(me, [task.id])
    assert file.size("q") == 1


def test_a_requeued_task_keeps_its_place_and_is_marked(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    file.insert([("q", 0, b"1"), ("q", 0, b"2")])
    (first,) = claim(file, me, 1, 1).tasks
    assert not first.redelivered
    file.requeue(me, [first.id])
    (again,) = claim(file, me, 1, 1).tasks
    assert (again.body, again.redelivered) == (b"1", True)


def test_all_of_a_dead_peer_is_handed_back_and_forgotten(file: TaskDb) -> None:
    me, you = file.add_consumer("me", "q"), file.add_consumer("you", "q")
    file.insert([("q", 0, b"1"), ("q", 0, b"2")])
    claim(file, me, 1, 5)
    claim(file, you, 1, 5)
    file.add_identifier("i", "me")
    assert file.remove_peer("me") == ["q"]
    assert file.size("q") == 1
    assert file.who_serves("i") is None
    assert file.waiting_consumers("q") == [WaitingConsumer(you, "you")]


def test_the_number_of_a_consumer_is_never_used_again(file: TaskDb) -> None:
    first = file.add_consumer("me", "q")
    file.remove_consumer(first)
    assert file.add_consumer("me", "q") != first


def test_an_identifier_belongs_to_the_first(file: TaskDb) -> None:
    assert file.add_identifier("i", "me") == "me"
    assert file.add_identifier("i", "you") == "me"
    file.remove_identifier("i", "you")
    assert file.who_serves("i") == "me"
    file.remove_identifier("i", "me")
    assert file.who_serves("i") is None


def test_dead_letters_are_listed_and_can_go_back(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    file.insert([("q", 3, b"bad"), ("q", 3, b"good")])
    bad, good = claim(file, me, 2, 2).tasks
    file.dead_letter(me, bad.id, "because")
    file.delete(me, [good.id])
    (letter,) = file.dead_letters(9)
    assert (letter.queue, letter.raw, letter.reason) == ("q", b"bad", "because")
    assert file.dead_letters(0) == []
    assert file.revive("other") == {}
    assert file.revive(None) == {"q": 1}
    assert file.dead_letters(9) == []
    assert bodies(file, me, 5) == [b"bad"]


def test_purging_leaves_what_is_held(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    file.insert([("q", 0, b"1"), ("q", 0, b"2"), ("q", 0, b"3")])
    (held,) = claim(file, me, 1, 1).tasks
    assert file.purge("q") == 2
    file.requeue(me, [held.id])
    assert file.size("q") == 1


def test_what_a_consumer_was_not_told_of_it_is_told_the_next_time(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    file.insert([("q", 0, b"1")])
    file.claim(Claim(me, "q", (), 1, 9, 9, turn=1, since=0))  # the answer gets lost
    file.insert([("q", 0, b"2")])
    told = file.claim(Claim(me, "q", (), 1, 9, 9, turn=2, since=0))
    assert [task.body for task in told.tasks] == [b"1", b"2"]


def test_a_claim_settles_in_the_same_breath(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    file.insert([("q", 0, b"1"), ("q", 0, b"2")])
    (first,) = claim(file, me, 1, 1).tasks
    (second,) = claim(file, me, 1, 1, settled=[first.id]).tasks
    file.remove_consumer(me)
    assert file.size("q") == 1
    assert second.body == b"2"


def test_thousands_of_tasks_are_stored_in_order(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    numbers = [str(number).encode() for number in range(2345)]
    file.insert([("q", 0, number) for number in numbers])
    assert bodies(file, me, 5000) == numbers


@pytest.mark.parametrize(
    ("priority", "redelivered"), [(1.5, 0), (1e300, 0), (-(2**63), 0), (0, 0.5), (0, b"x")]
)
def test_a_row_that_can_be_no_task_is_put_aside_and_holds_up_no_other(
    file: TaskDb, priority: object, redelivered: object
) -> None:
    me, you = file.add_consumer("me", "q"), file.add_consumer("you", "q")
    file._db.execute(
        "INSERT INTO tasks (queue, priority, redelivered, body) VALUES ('q', ?, ?, x'626164')",
        (priority, redelivered),
    )
    file.insert([("q", 0, b"1"), ("q", 0, b"2")])
    assert [task.body for task in claim(file, me, 1, 1).tasks] + bodies(file, you, 2) == [b"1", b"2"]
    assert file.waiting_consumers("q") == [WaitingConsumer(you, "you")]
    (letter,) = file.dead_letters(9)
    assert (letter.queue, letter.raw) == ("q", b"bad")
    assert "priority" in letter.reason


def test_a_body_that_is_text_can_be_put_aside_and_listed(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    file._db.execute("INSERT INTO tasks (queue, priority, body) VALUES ('q', 0, 'text')")
    (task,) = claim(file, me, 1, 1).tasks
    file.dead_letter(me, task.id, "because")
    (letter,) = file.dead_letters(9)
    assert letter.raw == b"text"


def test_large_bodies_can_be_claimed_together_however_large_they_are(file: TaskDb) -> None:
    me = file.add_consumer("me", "q")
    large = [bytes([65 + number]) * 300_000 for number in range(4)]
    file.insert([("q", 0, large[0]), ("q", 0, b"small"), ("q", 9, large[1])])
    file.insert([("q", 0, body) for body in large[2:]])
    file._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000)  # 10^9 in real life
    assert bodies(file, me, 10) == [large[1], large[0], b"small", *large[2:]]


def test_a_claim_reads_no_more_than_so_many_bytes_in_one_go(
    file: TaskDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince_messaging.transports.local.task_db.MOST_READ", 25_000)
    me, you = file.add_consumer("me", "q"), file.add_consumer("you", "q")
    sent = [bytes([65 + n]) * size for n, size in enumerate([30_000, 10_000, 10_000, 5, 10_000, 10_000])]
    file.insert([("q", 0, body) for body in sent])
    claimed = claim(file, me, 5, 5)
    read = [[task.body for task in claimed.tasks]]
    unread = claimed.unread
    while unread:
        tasks, unread = file.read(unread)
        read.append([task.body for task in tasks])
    assert read == [sent[:1], sent[1:4], sent[4:5]]
    assert claim(file, you, 5, 5).tasks[0].body == sent[5]
    file.return_unseen(me, [id_ for _, id_, _, _ in claimed.unread])
    again = claim(file, you, 4, 5).tasks
    assert [(task.body, task.redelivered) for task in again] == [(body, False) for body in sent[1:4]]
