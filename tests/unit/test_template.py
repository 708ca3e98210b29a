"""The template of step hosts, as its worker sees it."""

from __future__ import annotations

import errno
import os
import signal
import socket

import msgspec
import pytest

from quince.hosts.protected import protect
from quince.hosts.template import Ended, Fork, Forked, start, told


def _end(files: list[int], facts: bytes) -> None:
    os.kill(os.getpid(), int(facts))


def test_how_a_host_ends_is_told_with_the_memory_that_it_had() -> None:
    with start(_end) as template:
        template.send(msgspec.json.encode(Fork(7, b"9")))
        forked, ended = told(template.recv(1 << 16)), told(template.recv(1 << 16))
    assert isinstance(forked, Forked)
    assert forked.number == 7
    assert isinstance(ended, Ended)
    assert (ended.ospid, os.WTERMSIG(ended.status)) == (forked.ospid, signal.SIGKILL)
    assert ended.memory > 1_000_000


def test_a_fork_that_is_refused_is_told_and_the_template_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, left = os.fork, [1, 0, 1]

    def sometimes() -> int:
        if not left.pop(0):
            raise BlockingIOError(errno.EAGAIN, "no more programs")
        return fork()

    monkeypatch.setattr(os, "fork", sometimes)
    with start(_end) as template:
        for number in (1, 2):
            template.send(msgspec.json.encode(Fork(number, b"9")))
        answers = [told(template.recv(1 << 16)) for _ in range(3)]
    assert answers[0] == Forked(1, 0, "[Errno 11] no more programs")
    assert isinstance(answers[1], Forked)
    assert answers[1].ospid


def test_no_signal_of_a_step_reaches_what_is_protected() -> None:
    ours, theirs = socket.socketpair()
    above = os.getpid()
    if not (child := os.fork()):
        protect(above)
        for kill, ospid in ((os.kill, above), (os.kill, -above), (os.kill, -1), (os.killpg, above)):
            try:
                kill(ospid, signal.SIGKILL)
            except PermissionError as error:
                theirs.send(str(error)[:29].encode())
        os.kill(above, 0)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, "but to itself it may"
    assert ours.recv(1 << 16).count(b"a step may send no signal to") == 4
    ours.close()
    theirs.close()
