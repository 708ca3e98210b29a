"""Once-blocks on real workers that are killed: what was recorded does not run again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from quince import ProcessExcepted, ProcessState, Workspace, run, submit
from tests.crew import Crew, eventually
from tests.flows import Family
from tests.integration.safety_flows import Careless, DiesInside, Refused, Submits


def test_a_recorded_result_outlives_the_worker(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    ledger, gates = tmp_path / "ledger", tmp_path / "gates"
    gates.mkdir()
    handle = submit(Submits, ledger=str(ledger), gates=str(gates), workspace=home)
    for step in ("blocking", "coroutine"):
        (victim,) = crew.start()
        eventually(lambda step=step: ledger.exists() and f"recorded {step}" in ledger.read_text())  # type: ignore[misc]
        victim.kill()
        (gates / step).touch()
    crew.start()
    jobs = [("blocking", 1), ("coroutine", 2), ("coroutine", 2)]
    assert handle.result(60)["jobs"] == [{"name": name, "number": number} for name, number in jobs]
    lines = Counter(ledger.read_text().splitlines())
    assert (lines["sent blocking"], lines["sent coroutine"], lines["sent never"]) == (1, 1, 0)
    assert (lines["recorded blocking"], lines["recorded coroutine"]) == (2, 2), "the steps did run again"
    recorded = home.store.recorded(handle.pid, "blocking")
    assert recorded is not None
    assert recorded.result is None, "the results go when the process ends"


def test_a_death_between_effect_and_record_repeats_the_token(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    """The limit of the guarantee, and what makes it harmless."""
    ledger = tmp_path / "ledger"
    crew.start()
    token = submit(DiesInside, ledger=str(ledger), workspace=home).result(60)["token"]
    assert ledger.read_text().splitlines() == [token, token]


def test_run_takes_once_blocks_too(home: Workspace, tmp_path: Path) -> None:
    for gate in ("blocking", "coroutine"):
        (tmp_path / gate).touch()
    jobs = run(Submits, ledger=str(tmp_path / "ledger"), gates=str(tmp_path), workspace=home)["jobs"]
    assert [job["number"] for job in jobs] == [1, 2, 2]


def test_what_cannot_be_saved_is_refused_at_its_line(home: Workspace, crew: Crew) -> None:
    crew.start()
    assert submit(Refused, workspace=home).result(30)["trail"] == [
        "Unsaveable: ctx.x cannot be saved: it is of type object",
        "Unsaveable: outputs.trail[0] cannot be saved: it is of type object",
        "InvalidInput: Careless has no input 'x'",
    ]


def test_in_run_a_process_goes_on_from_what_was_saved(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUINCE_CHECK", raising=False)
    with pytest.raises(ProcessExcepted, match="no attribute 'kept'"):
        run(Careless, workspace=home)
    assert run(Family, children=3, workspace=home) == {"total": 6}
    monkeypatch.setenv("QUINCE_CHECK", "0")
    assert run(Careless, workspace=home) == {"kept": 42}


def test_daemon_workers_check_only_if_asked(
    home: Workspace, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUINCE_CHECK", raising=False)
    (unchecked,) = crew.start()
    assert submit(Careless, workspace=home).result(30) == {"kept": 42}
    unchecked.stop()
    monkeypatch.setenv("QUINCE_CHECK", "1")
    crew.start()
    handle = submit(Careless, workspace=home)
    handle.wait(30)
    assert handle.state is ProcessState.EXCEPTED
    assert "no attribute 'kept'" in (handle.exit_message or "")
    assert submit(Family, children=4, workspace=home).result(30) == {"total": 12}
