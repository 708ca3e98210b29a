"""Steps that fail are tried again, take no longer than they may, ask their handlers, and are put aside."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from quince import (
    ProcessExcepted,
    ProcessFailed,
    ProcessHandle,
    ProcessHeld,
    ProcessKilled,
    ProcessState,
    Workspace,
    run,
    submit,
)
from quince.settings import CONFIG
from quince_persistence.records import Selection
from tests.crew import Crew, eventually
from tests.integration import retry_flows as flows


@pytest.fixture
def notes(tmp_path: Path) -> str:
    return str(tmp_path / "notes")


def attempts(handle: ProcessHandle) -> list[str]:
    """What its history tells of them, in words."""
    return [str(event.body["text"]) for event in handle.history() if event.kind == "attempt"]


def waits_for_retry(handle: ProcessHandle) -> None:
    eventually(lambda: handle.row.attempt == 1 and handle.row.due is not None, what="the first failure")


FLAKY = ["Flaky", "FlakyAwaits"]


def test_a_step_that_fails_is_tried_again(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start()
    handles = {
        name: submit(getattr(flows, name), notes=str(tmp_path / name), workspace=home) for name in FLAKY
    }
    function = submit(flows.square, notes=str(tmp_path / "square"), x=3, workspace=home)
    for handle in handles.values():
        assert handle.result(60) == {"turns": ["fetched"]}, "a failed attempt has left something"
        assert attempts(handle) == [
            "fetch: attempt 1 of 4 failed: ConnectionError: refused 1; next in 0.1 s",
            "fetch: attempt 2 of 4 failed: ConnectionError: refused 2; next in 0.2 s",
        ]
        reports = [event.body["text"] for event in handle.history() if event.kind == "report"]
        assert reports == ["about to fetch"] * 3
        assert handle.row.attempt == 0
        assert len(home.store.select(Selection(parent=handle.pid))) == 1, "a failed attempt has left a child"
    assert function.result(60) == {"result": 9}
    told = next(event for event in function.history() if event.kind == "attempt")
    assert 'raise ConnectionError(f"refused' in told.body["traceback"]


def test_a_step_that_is_cancelled_by_itself_has_failed_as_with_any_error(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start()
    handles = [
        submit(cls, notes=str(tmp_path / f"{cls.__name__} {how}"), how=how, workspace=home)
        for cls in (flows.Cancelled, flows.CancelledAlone)
        for how in ("raises", "awaits", "cancels itself")
    ]
    for handle in handles:
        handle.result(60)
        assert len(attempts(handle)) == 3
    assert "CancelledError: of its own" in attempts(handles[0])[0]
    for how in ("raises", "awaits", "cancels itself"):
        notes = str(tmp_path / f"here {how}")
        run(flows.Cancelled, notes=notes, how=how)
        assert flows.count(notes) == 4


@pytest.mark.parametrize("how", ["raises", "cancels itself"])
def test_a_handler_that_is_cancelled_by_itself_has_failed(
    home: Workspace, crew: Crew, notes: str, how: str
) -> None:
    crew.start()
    there = submit(flows.HandlerCancelled, notes=notes, how=how, workspace=home)
    with pytest.raises(ProcessHeld, match="CancelledError: of its own"):
        there.result(60)
    with pytest.raises(ProcessHeld, match="CancelledError: of its own"):
        run(flows.HandlerCancelled, notes=notes, how=how, workspace=home)


def test_it_is_tried_no_more_often_than_it_may(home: Workspace, crew: Crew, notes: str) -> None:
    crew.start()
    handle = submit(flows.Flaky, notes=notes, times=9, workspace=home)
    with pytest.raises(ProcessExcepted, match="refused 4"):
        handle.result(60)
    assert attempts(handle)[-1].endswith(
        "attempt 4 of 4 failed: ConnectionError: refused 4; it is not tried again"
    )
    assert handle.row.step == "fetch"
    handle.retry()
    with pytest.raises(ProcessExcepted, match="refused 8"):
        handle.result(60)


@pytest.mark.parametrize("name", FLAKY)
def test_in_run_too(home: Workspace, notes: str, name: str) -> None:
    assert run(getattr(flows, name), notes=notes, workspace=home) == {"turns": ["fetched"]}


def test_while_it_waits_it_holds_nothing_and_is_controlled(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (worker,) = crew.start(slots=1)
    paused, killed, outlived = (
        submit(flows.Slowly, notes=str(tmp_path / str(n)), times=1, workspace=home) for n in range(3)
    )
    for handle in (paused, killed, outlived):
        waits_for_retry(handle)
        eventually(lambda one=handle: one.row.owner is None, what="its release")  # type: ignore[misc]
    sentence = paused.why().sentence
    assert sentence.startswith(
        "step fetch has failed once and is tried again in 3 h: ConnectionError: refused 1"
    )
    assert paused.pause("a look").wait(10).applied
    assert paused.row.attempt == 1
    paused.play()
    assert paused.row.state is ProcessState.WAITING
    killed.kill("enough")
    with pytest.raises(ProcessKilled):
        killed.result(10)
    worker.kill()
    assert outlived.row.attempt == 1
    assert outlived.row.due is not None


WAYS = [
    ("Late", "blocks"), ("Late", "ignores"), ("Late", "awaits"), ("Late", "runs"),
    ("LateAwaits", "awaits"), ("LateAwaits", "swallows"), ("LateAwaits", "blocks_the_loop"),
]  # fmt: skip


def test_a_step_that_takes_too_long_is_stopped(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    (home.location.folder / CONFIG).write_text("kill_grace = 0.5\n")
    (worker,) = crew.start(slots=32)

    def begin(flow: str, way: str, times: int) -> ProcessHandle:
        notes = str(tmp_path / f"{flow}-{way}-{times}")
        return submit(getattr(flows, flow), notes=notes, way=way, times=times, workspace=home)

    begun = {(flow, way): (begin(flow, way, 1), begin(flow, way, 9)) for flow, way in WAYS}
    polls = begin("Late", "polls", 9)
    for (flow, way), (once, always) in begun.items():
        assert once.result(60) == {}, (flow, way)
        assert attempts(once) == [
            "run: attempt 1 of 2 failed: StepTimedOut: step run has not ended within 1 s; next in 0.1 s"
        ]
        assert not [event for event in once.history() if event.kind == "death"], (flow, way)
        with pytest.raises(ProcessExcepted) as ended:
            always.result(60)
        assert ended.value.type_name == "quince.errors.StepTimedOut", (flow, way)
    assert "time.sleep(60)" in attempt_of(begun["Late", "blocks"][0])["traceback"]
    assert polls.result(60) == {"stopping": True}, "one that ends when it is asked has ended well"
    assert worker.process.poll() is None


def attempt_of(handle: ProcessHandle) -> dict[str, Any]:
    return dict(next(event for event in handle.history() if event.kind == "attempt").body)


def test_time_in_which_a_step_is_paused_does_not_count(home: Workspace, crew: Crew, notes: str) -> None:
    crew.start()
    handle = submit(flows.Held, notes=notes, workspace=home)
    eventually(lambda: Path(notes).exists())
    handle.pause("a look", now=True).wait(20)
    time.sleep(5)  # more than it may take
    handle.play()
    assert handle.result(30) == {}
    assert attempts(handle) == []


def test_in_run_a_coroutine_is_stopped_and_a_function_asked(home: Workspace, tmp_path: Path) -> None:
    assert run(flows.LateAwaits, notes=str(tmp_path / "a"), way="awaits", workspace=home) == {}
    assert run(flows.LateAwaits, notes=str(tmp_path / "r"), way="runs_it", workspace=home) == {}
    assert run(flows.Late, notes=str(tmp_path / "p"), way="polls", workspace=home) == {"stopping": True}


@pytest.mark.parametrize(
    ("says", "size", "attempts_made"), [("retry", 4, 2), ("nothing", 4, 2), ("other", 0, 2)]
)
def test_a_handler_changes_the_context_as_it_was_before_the_step(
    home: Workspace, crew: Crew, says: str, size: int, attempts_made: int
) -> None:
    crew.start()
    handle = submit(flows.Enlarges, says=says, workspace=home)
    if size:
        assert handle.result(60) == {"size": size}
    else:
        with pytest.raises(ProcessExcepted, match="too small"):
            handle.result(60)
    assert len(attempts(handle)) == attempts_made
    if says == "other":
        assert attempts(handle)[-1].startswith("compute: attempt 2 of 2 failed")
    reports = [event.body["text"] for event in handle.history() if event.kind == "report"]
    assert reports == ["enlarged to 2", "enlarged to 4"]


def test_a_handler_says_what_is_to_be_done(home: Workspace) -> None:
    with pytest.raises(ProcessExcepted, match="too small"):
        run(flows.Enlarges, says="fail", workspace=home)
    with pytest.raises(ProcessHeld, match="held: step compute failed: MemoryError: too small"):
        run(flows.Enlarges, says="pause", workspace=home)
    with pytest.raises(ProcessFailed, match="exit status 410: never large enough"):
        run(flows.Enlarges, says="end", workspace=home)
    with pytest.raises(ProcessExcepted, match="LookupError: no idea") as broken:
        run(flows.Enlarges, says="raise", workspace=home)
    assert "too small" in broken.value.traceback, "the error of the step is gone"
    with pytest.raises(ProcessExcepted, match="enlarge returned 'maybe': a handler returns None"):
        run(flows.Enlarges, says="what", workspace=home)
    with pytest.raises(ProcessExcepted, match="it submits nothing, sends nothing and waits for nothing"):
        run(flows.Enlarges, says="submit", workspace=home)


def test_what_has_failed_is_put_aside_and_tried_again_when_it_is_played(
    home: Workspace, crew: Crew, notes: str
) -> None:
    crew.start()
    handle = submit(flows.Aside, notes=notes, times=5, workspace=home)
    with pytest.raises(ProcessHeld, match="step fetch failed 4 times: ConnectionError: refused 4") as held:
        handle.result(60)
    assert 'raise ConnectionError(f"refused' in held.value.traceback
    assert (handle.paused, handle.row.step, handle.row.attempt) == (True, "fetch", 0)
    why = handle.why()
    assert why.sentence == "it is held: step fetch failed 4 times: ConnectionError: refused 4"
    assert any("retry_flows.py" in line for line in why.evidence)
    handle.play()
    assert handle.result(60) == {"turns": ["fetched"]}, "the attempts begin anew"
    assert not handle.row.status


def test_what_is_put_aside_can_be_killed_and_is_the_childs_own(
    home: Workspace, crew: Crew, notes: str
) -> None:
    crew.start()
    handle = submit(flows.Flaky, notes=notes, times=9, on_failure="pause", workspace=home)
    with pytest.raises(ProcessHeld):
        handle.result(60)
    handle.kill("enough")
    with pytest.raises(ProcessKilled):
        handle.result(10)


def test_who_says_what_happens_on_failure(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """The step before the submission before the class before the workspace; children have it of the
    submission."""
    (home.location.folder / CONFIG).write_text('on_failure = "pause"\n')
    crew.start()
    held = {
        "workspace": submit(flows.Fails, workspace=home),
        "submission": submit(flows.FailsOfClass, on_failure="pause", workspace=home),
        "step": submit(flows.HeldByStep, on_failure="fail", workspace=home),
    }
    ended = {
        "class": submit(flows.FailsOfClass, workspace=home),
        "submission": submit(flows.Fails, on_failure="fail", workspace=home),
    }
    parent = submit(flows.Parent, on_failure="fail", workspace=home)
    assert parent.result(60) == {"child": "excepted"}
    for who, handle in held.items():
        with pytest.raises(ProcessHeld):
            handle.result(60)
        assert handle.paused, who
    for who, handle in ended.items():
        with pytest.raises(ProcessExcepted):
            handle.result(60)
        assert handle.terminated, who


def test_dead_hosts_are_no_attempts(home: Workspace, crew: Crew, notes: str, tmp_path: Path) -> None:
    crew.start()
    handle = submit(flows.Dies, notes=notes, workspace=home)
    crashes = submit(flows.Crashes, workspace=home)
    assert handle.result(60) == {}
    assert [text.partition(" failed")[0] for text in attempts(handle)] == [
        "run: attempt 1 of 3",
        "run: attempt 2 of 3",
    ]
    assert len([event for event in handle.history() if event.kind == "death"]) == 2
    with pytest.raises(
        ProcessHeld, match="its step failed: StepHostDied: its step host exited with status 3"
    ):
        crashes.result(60)
    crashes.play()
    with pytest.raises(ProcessHeld):
        crashes.result(60)


def test_attempts_are_counted_over_the_deaths_of_workers(home: Workspace, crew: Crew, notes: str) -> None:
    first, _ = crew.start(2)
    handle = submit(flows.Flaky, notes=notes, times=9, workspace=home)
    waits_for_retry(handle)
    first.kill()
    with pytest.raises(ProcessExcepted, match="refused"):
        handle.result(60)
    tried = [event.body["attempt"] for event in handle.history() if event.kind == "attempt"]
    assert tried == [1, 2, 3, 4]
