"""Room for messages: what is taken is given back once, and who waits for it goes on."""

from __future__ import annotations

import threading

from quince_messaging.clients.backpressure import Backpressure, Share

SOON = 10.0


def test_a_place_is_given_back_once() -> None:
    room = Backpressure(3, 100)
    one, other = Share(10), Share(20, number=2)
    assert room.take(one)
    assert room.take(other)
    room.give_back(one, one)
    room.give_back(one)
    assert str(room) == "2 messages of 20 bytes"
    room.give_back(other)
    assert str(room) == "0 messages of 0 bytes"


def test_a_place_that_was_not_taken_gives_nothing_back() -> None:
    room = Backpressure(1, 100)
    assert room.take(Share(10))
    late = Share(10)
    assert not room.take(late)
    assert not room.take(late, timeout=0.01)
    room.give_back(late)
    assert str(room) == "1 messages of 10 bytes"


def test_all_that_wait_come_to_their_turn() -> None:
    room = Backpressure(2, 100)
    took: list[bool] = []

    def work() -> None:
        for _ in range(200):
            place = Share(60)
            took.append(room.take(place, timeout=SOON))
            room.give_back(place)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert took == [True] * 800
    assert str(room) == "0 messages of 0 bytes"
