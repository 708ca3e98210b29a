"""Limits with real workers: held across them, given on by the dead, changed while they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from quince import (
    InvalidInput,
    ProcessHandle,
    ProcessState,
    Workspace,
    get_process,
    limits,
    remove_limit,
    run,
    set_limit,
    submit,
    submit_many,
)
from quince.testing import Verdict
from quince.testing.plugin import CrashEverywhere
from quince_persistence.records.limits import LimitRow
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration.commands import Quince
from tests.limit_flows import Licensed, Owner, Study, Twice, most_at_once, noted


def limit(home: Workspace, name: str = "licence") -> LimitRow | None:
    return next((one for one in limits(workspace=home) if one.name == name), None)


def ended(handles: list[ProcessHandle]) -> bool:
    return all(handle.result(90) == {"done": True} for handle in handles)


def test_so_many_at_once_over_all_workers_also_when_one_is_killed(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    set_limit("licence", 2, workspace=home)
    crew.start(2)
    ledger = tmp_path / "ledger"
    inputs = [{"ledger": str(ledger), "user": f"u{n % 2}", "seconds": 0.1} for n in range(12)]
    handles = submit_many(Licensed, inputs, workspace=home)
    eventually(lambda: ledger.exists() and len(ledger.read_text().split()) > 4)
    crew.workers[0].kill()
    assert ended(handles)
    assert most_at_once(ledger) <= 2 + 2  # what the dead one was in has no end in the ledger
    assert limits(workspace=home)[0].held == 0


def test_changed_while_they_wait(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    set_limit("licence", 0, workspace=home)
    crew.start()
    ledger = str(tmp_path / "ledger")
    handles = submit_many(Licensed, [{"ledger": ledger}] * 3, workspace=home)
    assert [handle.state for handle in handles] == [ProcessState.CREATED] * 3
    sentence = handles[1].why().sentence
    assert sentence == "it waits for limit licence (0 at once), which nobody holds, behind 1 other"
    handles[0].pause("not this one")
    set_limit("licence", 1, workspace=home)
    assert ended(handles[1:])
    assert handles[0].row.paused
    set_limit("licence", 0, workspace=home)
    handles[0].play()
    assert handles[0].row.waits_for_limits
    assert remove_limit("licence", workspace=home)
    assert ended(handles[:1])
    assert not remove_limit("licence", workspace=home)


def test_a_process_below_one_that_holds_it_passes_free(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    set_limit("licence", 1, workspace=home)
    crew.start()
    handles = [submit(Owner, ledger=str(tmp_path / "ledger"), workspace=home) for _ in range(2)]
    assert ended(handles)
    assert most_at_once(tmp_path / "ledger") == 1


@pytest.mark.parametrize("at_once", [2, 50])
def test_a_map_runs_some_at_once(home: Workspace, crew: Crew, tmp_path: Path, at_once: int) -> None:
    crew.start(2)
    ledger = tmp_path / "ledger"
    study = submit(Twice, ledger=str(ledger), count=9, at_once=at_once, workspace=home)
    assert study.result(60) == {"squares": [n**2 for n in range(9)]}
    assert most_at_once(ledger) <= at_once
    assert len(ledger.read_text().split()) == 2 * 2 * 9


def test_run_waits_for_a_limit_that_somebody_else_has(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    set_limit("licence", 1, workspace=home)
    crew.start()
    ledger = tmp_path / "ledger"
    other = submit(Licensed, ledger=str(ledger), seconds=0.5, workspace=home)
    eventually(ledger.exists)
    assert run(Licensed, ledger=str(ledger), workspace=home) == {"done": True}
    assert most_at_once(ledger) == 1
    assert ended([other])


def test_what_cannot_be_a_limit_is_refused_in_a_sentence(home: Workspace) -> None:
    for names in (["a\0"], [""], [7], "licence", ["{"], ["{nobody}"], ["{ledger.x}"], ["x" * 201]):
        with pytest.raises(InvalidInput, match="limit"):
            submit(noted, inputs={"ledger": "x", "number": 1}, limits=names, workspace=home)
    for slots, rate in (
        (-1, None),
        (True, None),
        (None, None),
        (1.5, None),
        (None, "30"),
        (None, "0/min"),
        (1, "x/s"),
    ):
        with pytest.raises(InvalidInput):
            set_limit("licence", slots, rate=rate, workspace=home)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        set_limit("\0", 1, workspace=home)
    assert limits(workspace=home) == []
    named = submit(noted, inputs={"ledger": "x", "number": 7}, limits=["n {number}", "ß 🎉"], workspace=home)
    assert get_process(named.pid, workspace=home).row.options.limits == ("n 7", "ß 🎉")


def test_on_the_command_line(tmp_path: Path, forks: ForkServer) -> None:
    quince = Quince(tmp_path, forks)
    assert (
        "licence: 0 at once, 30/min; held by 0, 0 waiting"
        in quince.good("limit", "set", "licence", "0", "--rate", "30/min").out
    )
    first = quince.submit("steps.py:add", "x=1", "--limit", "licence")
    second = quince.submit("steps.py:add", "x=1", "--limit", "licence", "--limit", "other")
    assert "waits for limit licence, behind 1" in quince.good("ps", "--all").out
    assert f"{second}: it waits for limit licence" in quince.good("why", str(second)).out
    assert quince.good("limit", "show", "licence", "--json").document["next"] == [first, second]
    assert "priority 7 (was 0)" in quince.good("set", str(second), "priority=7").out
    assert quince.good("limit", "show", "licence", "--json").document["next"] == [second, first]
    quince.good("pause", str(second))
    quince.good("set", str(second), "priority=0")
    quince.good("play", str(second))
    assert quince.good("limit", "show", "licence", "--json").document["next"] == [first, second]
    quince.good("limit", "set", "licence", "1")
    shown = quince.good("limit", "ls", "--json").document
    assert [(one["name"], one["slots"], one["held"], one["waiting"]) for one in shown] == [
        ("licence", 1, 1, 1)
    ]
    assert f"held by {first}" in quince.good("limit", "show", "licence").out
    quince.good("kill", str(first))
    assert quince.row(second)["granted"] is True
    assert quince.good("limit", "rm", "licence").out.strip() == "licence removed"
    assert quince("limit", "rm", "licence").status == 1
    for words in (["set", "x"], ["set", "x", "--rate", "often"], ["set", "x", "-1"], ["show"]):
        assert quince("limit", *words).status == 2


@pytest.mark.timeout(300)
def test_a_study_ends_the_same_wherever_its_worker_dies(
    crash_everywhere: CrashEverywhere, tmp_path: Path
) -> None:
    """Were a limit held wrongly, it would not end."""
    ledger = str(tmp_path / "ledger")
    report = crash_everywhere(Study, ledger=ledger, count=2, at_once=1, settings={"lingers": (0.0,)})
    assert all(one.verdict in (Verdict.SAME, Verdict.MISSED) for one in report.outcomes), report.story()
