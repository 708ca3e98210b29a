"""Every cell of the table in docs/control.md: what each control answers in each state."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quince import Answer, ControlRefused, ProcessHandle, ProcessState, WaitTimeout
from quince.client.why import why
from quince.settings import CHECK_VARIABLE
from quince_persistence.records import ProcessRow
from tests.integration.control_table import outages, states
from tests.integration.control_table.page import VERBS, WORDS, rows
from tests.integration.control_table.stage import Stage, Subject

ROWS = {row.name: row for row in rows()}
SERVERS = pytest.param("servers", marks=[pytest.mark.rabbitmq, pytest.mark.postgres])
on = functools.partial(pytest.mark.parametrize, "stage", indirect=True, scope="module")


def cells(*backends: str) -> list[Any]:
    """The cells of the rows that are played on exactly these."""
    return [
        pytest.param(row.name, verb, id=f"{row.name}-{verb}")
        for row in ROWS.values()
        if row.backends == backends
        for verb in VERBS
    ]


SECONDS = 30.0


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    servers = None
    if request.param == "servers":
        servers = (request.getfixturevalue("rabbitmq_server"), request.getfixturevalue("postgres_server"))
        for server in servers:
            server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CHECK_VARIABLE, "0")
        forks = request.getfixturevalue("worker_forks")
        opened = Stage(tmp_path_factory.mktemp("control"), servers, forks)
        try:
            opened.open()
            yield opened
        finally:
            opened.close()


@pytest.mark.parametrize(("name", "verb"), cells("embedded", "servers"))
@on(argvalues=["embedded", SERVERS])
def test_cell(stage: Stage, name: str, verb: str) -> None:
    play_cell(stage, name, verb)


@pytest.mark.parametrize(("name", "verb"), cells("servers"))
@on(argvalues=[SERVERS])
def test_cell_with_a_server_away(stage: Stage, name: str, verb: str) -> None:
    play_cell(stage, name, verb)


def play_cell(stage: Stage, name: str, verb: str) -> None:
    subject = make(name)(stage)
    try:
        subject.disturb()
        said = ROWS[name].answers[verb]
        if verb == "status":
            check_status(subject.handle, said)
        elif said == "refused":
            check_refused(subject.handle, verb)
        else:
            check_answer(subject, verb, said)
    finally:
        clear_away(subject)


def test_the_table_has_no_empty_cell_and_no_unknown_word() -> None:
    for row in ROWS.values():
        for verb in VERBS[:-1]:
            assert row.answers[verb] in WORDS, f"{row.name}, {verb}"
        state, _, _ = row.answers["status"].partition(": ")
        assert state in set(ProcessState), row.name


def make(name: str) -> Callable[[Stage], Subject]:
    """What puts a process into the state of a row: the function that is called like it."""
    word = name.replace("-", "_")
    found: Callable[[Stage], Subject] = getattr(states, word, None) or getattr(outages, word)
    return found


def ask(handle: ProcessHandle, verb: str) -> Answer:
    if verb.startswith("kill"):
        return handle.kill("cell", force=verb.endswith("--force"), author="tester")
    if verb == "play":
        return handle.play("cell", author="tester")
    if verb == "retry":
        return handle.retry("cell", author="tester")
    return handle.pause("cell", now=verb.endswith("--now"), author="tester")


def check_answer(subject: Subject, verb: str, said: str) -> None:
    answer = ask(subject.handle, verb)
    assert answer.accepted
    assert answer.applied is (said == "now"), answer.message
    if verb == "retry":
        check_retried(subject.handle)
        return
    last = [event for event in subject.handle.history() if event.kind == "control"][-1]
    now = {"now": True} if verb == "pause --now" else {}
    assert (last.author, last.body) == ("tester", {"verb": verb.split()[0], "reason": "cell"} | now)
    if said in ("grace", "step's end", "return"):
        with pytest.raises(WaitTimeout):
            answer.wait(0.1)
    if said in ("step's end", "return"):
        subject.release()
    assert answer.wait(SECONDS).applied
    check_applied(subject.handle, verb)
    if not subject.handle.terminated:
        assert ask(subject.handle, verb).accepted, "asking twice does no harm"


def check_retried(handle: ProcessHandle) -> None:
    events = handle.history()
    at, event = next((at, one) for at, one in enumerate(events) if one.kind == "retry")
    if event.body["state"] == "paused":
        assert not handle.paused
        return
    assert (event.author, event.body["reason"], events[at + 1].kind) == ("tester", "cell", "state")
    assert events[at + 1].body["from"] == event.body["state"]


def check_applied(handle: ProcessHandle, verb: str) -> None:
    row = handle.row
    if verb.startswith("pause"):
        assert row.paused
    elif verb == "play":
        assert not row.paused
        assert row.intent is None
    else:
        assert [one.state for one in handle.tree()] == [ProcessState.KILLED] * len(handle.tree())
        assert row.exit_message == "cell"


def check_refused(handle: ProcessHandle, verb: str) -> None:
    before = handle.row
    why = f"has terminated \\({before.state.value}\\)"
    if verb == "retry":
        why = "ended well" if before.terminated else "is paused" if before.paused else "has not ended"
    with pytest.raises(ControlRefused, match=why):
        ask(handle, verb)
    assert handle.row == before or (verb == "retry" and not before.terminated)
    assert "retry" not in {event.kind for event in handle.history()}


def check_status(handle: ProcessHandle, said: str) -> None:
    state, _, sentence = said.partition(": ")
    row: ProcessRow = handle.row
    assert row.state.value == state
    assert sentence in why(handle.workspace, handle.pid).sentence


def clear_away(subject: Subject) -> None:
    """Nothing of it goes on after its cell."""
    with contextlib.suppress(ControlRefused):  # it has ended
        subject.handle.kill("cleared away", force=True)
    if subject.gate is not None:
        subject.gate.touch()
