"""A store that is put back to a backup, while the broker, and workers, know newer things."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from quince import ProcessState, Workspace, submit, submit_many
from quince.diagnosis.doctor import doctor
from quince.workspace.location import Location
from quince_persistence.records import Selection
from tests import flows
from tests.crew import Crew, eventually
from tests.integration.backups import Backup
from tests.integration.race_flows import LaunchesLate, WaitsLate


def lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines() if ledger.exists() else []


def test_the_store_is_restored_from_a_backup(
    home: Workspace, crew: Crew, location: Location, tmp_path: Path
) -> None:
    """The workers are down. What the backup holds goes on from there; tasks of what it does not know are
    dropped with a word; pids that it gives out again are other processes."""
    ledger = tmp_path / "ledger"
    (first,) = crew.start()
    inputs = {"steps": 6, "seconds": 0.2, "ledger": str(ledger)}
    handles = submit_many(flows.Stepwise, [inputs] * 4, workspace=home)
    family = submit(flows.Family, children=3, seconds=0.5, workspace=home)
    eventually(lambda: sum(line.startswith("end") for line in lines(ledger)) >= 8)
    backup = Backup(location, tmp_path)
    known = {row.pid: row.step for row in home.store.select(Selection())}
    eventually(lambda: all(handle.terminated for handle in handles))
    first.kill()
    lost = submit_many(flows.add, [{"x": 1}] * 5, workspace=home)
    home.close()
    backup.copy_back() if location.embedded else backup.restore()
    again = submit_many(flows.add, [{"x": x} for x in range(3)], workspace=home)
    assert {handle.pid for handle in again}.isdisjoint(known)
    (second,) = crew.start()
    assert [handle.result(40)["result"] for handle in again] == [1, 2, 3]
    for handle in handles:
        assert handle.result(40) == {"done": list(range(6))}
    assert family.result(40) == {"total": 6}
    assert len(family.tree()) == 4
    dropped = {handle.pid for handle in lost} - {handle.pid for handle in again}
    assert dropped
    eventually(lambda: "there are no processes" in second.log.read_text())
    eventually(lambda: doctor(home) == [], what="the healing")


def test_the_store_is_restored_under_workers(
    home: Workspace, crew: Crew, location: Location, tmp_path: Path
) -> None:
    """They hold what the backup does not know they hold, know children that it does not know, and have pids
    that it gives out again. Everything that the backup holds ends as it should, once."""
    crew.start(2)
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    early = submit_many(LaunchesLate, [{"gate": str(gate), "ledger": str(ledger)}] * 3, workspace=home)
    eventually(lambda: lines(ledger).count("launch") == 3)
    late = submit_many(WaitsLate, [{"gate": str(tmp_path / "late"), "ledger": ""}] * 3, workspace=home)
    backup = Backup(location, tmp_path)
    eventually(lambda: all(row.step == "meet" for handle in late for row in [handle.row]))
    gate.touch()
    eventually(lambda: all(handle.state is not ProcessState.RUNNING for handle in early))
    submit_many(flows.add, [{"x": x} for x in range(40)], workspace=home)
    backup.restore()
    (tmp_path / "late").touch()
    after = submit_many(flows.Family, [{"children": 3}] * 5, workspace=home)
    assert [handle.result(60)["total"] for handle in after] == [6] * 5
    assert [handle.result(60)["total"] for handle in early] == [6] * 3
    assert [handle.result(60)["total"] for handle in late] == [8] * 3
    rows = home.store.select(Selection())
    eventually(lambda: all(row.terminated for row in home.store.select(Selection())), what="the rest")
    assert Counter(row.state for row in home.store.select(Selection())) == {ProcessState.FINISHED: len(rows)}
    eventually(lambda: doctor(home) == [], what="the healing")
