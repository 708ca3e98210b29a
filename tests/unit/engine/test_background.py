"""The background sender's thread: calls in order, and Ctrl-C while it starts."""

from __future__ import annotations

import threading

import pytest

from quince.workspace.background import BackgroundSender


def test_what_was_posted_is_called_in_order_before_a_flush_returns() -> None:
    called: list[int] = []
    sender = BackgroundSender()
    for number in range(3):
        sender.post(lambda number=number: called.append(number))  # type: ignore[misc]
    sender.flush()
    assert called == [0, 1, 2]


def test_a_start_that_ctrl_c_cuts_off_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    sender = BackgroundSender()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sender.post(lambda: None)
    sender.flush()

    called = threading.Event()
    sender.post(called.set)  # and it can be used again
    sender.flush()
    assert called.is_set()
