"""A daemon that has no worker for a while tells it, once an hour."""

from __future__ import annotations

from pathlib import Path

from quince.daemon.last_call import AGAIN_SECONDS, DOWN_SECONDS, LastCall
from quince.settings import CONFIG
from tests.crew import eventually

TROUBLE = "[notify.a]\non = ['trouble']\ncommand = ['sh', '-c', 'cat >> told']\n"


def test_it_is_told_once_an_hour_by_a_program_of_its_own(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text(TROUBLE)
    now = [0.0]
    call, told = LastCall(tmp_path, clock=lambda: now[0]), tmp_path / "told"
    for seconds, at_work in ((0, False), (DOWN_SECONDS - 1, False), (DOWN_SECONDS, True), (100, False)):
        now[0] = seconds
        call.look(at_work, "worker-1 ended at once")
    assert not told.exists()
    now[0] = 100 + DOWN_SECONDS
    for _ in range(3):
        call.look(False, "worker-1 ended at once")

    def over() -> bool:
        call.look(False, None)
        return not call.tells

    eventually(over, what="the end of that program")
    assert "has had no worker for 60 s: worker-1 ended at once" in told.read_text()
    now[0] += AGAIN_SECONDS - 1
    call.look(False, None)
    assert told.read_text().count("\n") == 1
