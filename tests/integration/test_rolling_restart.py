"""Workers are replaced one by one under load, and nothing is run again."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from quince import ProcessHandle, ProcessState, Workspace, submit_many
from quince.daemon import operations as daemon
from quince.daemon.files import DaemonFiles, Settings
from quince.workspace.location import Location
from quince.workspace.workspace import make_store
from quince_persistence.records import Selection
from tests import flows
from tests.crew import ROOT, eventually


@pytest.fixture
def daemon_of_two(location: Location, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    make_store(location)
    daemon.start(location, Settings(workers=2, slots=8))
    yield location
    daemon.stop(location, 5)


def load(home: Workspace, ledger: Path) -> list[ProcessHandle]:
    """Chains of coroutine steps, and families whose children block."""
    own = {"ledger": str(ledger)}
    chains = submit_many(flows.Stepwise, [{"steps": 4, "seconds": 0.1, **own}] * 8, workspace=home)
    families = submit_many(flows.Family, [{"children": 3, "seconds": 0.2, **own}] * 4, workspace=home)
    return [*chains, *families]


def test_a_rolling_restart_under_load_runs_nothing_again(
    home: Workspace, daemon_of_two: Location, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    before = {worker.id for worker in home.store.workers()}
    handles = load(home, ledger)
    eventually(lambda: ledger.exists() and len(ledger.read_text().splitlines()) > 20)
    replacing = threading.Thread(target=daemon.restart, args=[daemon_of_two])
    replacing.start()

    def replaced() -> bool:
        """Both are, and were kept busy until then."""
        now = {worker.id for worker in home.store.workers()}
        if before & now and len(home.store.select(Selection(live=True))) < 60:
            handles.extend(load(home, ledger))
        return len(now) == 2 and not before & now

    eventually(replaced, 100, "the new crew")
    replacing.join(30)
    assert not replacing.is_alive()
    rows = home.watcher.wait([handle.pid for handle in handles], lambda row: row.terminated, 60)
    assert Counter(row.state for row in rows) == {ProcessState.FINISHED: len(handles)}
    lines = Counter(ledger.read_text().splitlines())
    assert {line: times for line, times in lines.items() if times > 1} == {}
    steps = len(handles) // 12 * (8 * 4 * 2 + 4 * (3 + 2))
    assert len(lines) == steps
    assert not any("dead (" in log.read_text() for log in (daemon_of_two.state / "logs").glob("worker-*"))


def test_a_worker_that_cannot_be_started_is_told_and_started_when_it_can(daemon_of_two: Location) -> None:
    """Its log cannot be opened: here a folder is in the way."""
    log = DaemonFiles(daemon_of_two.folder).log("worker-3")
    log.mkdir()
    daemon.scale(daemon_of_two, 3)
    told = eventually(lambda: daemon.state(daemon_of_two).troubles, 30, "the daemon tells of it")
    assert told[0].startswith("worker-3 cannot be started: ")
    log.rmdir()
    eventually(lambda: not daemon.state(daemon_of_two).troubles, 60, "it has started")
    report = daemon.state(daemon_of_two).report
    assert report is not None
    assert [one.stage for one in report.workers] == ["running"] * 3
