"""`quince doctor` names each thing that is broken, and mends what can be mended."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from quince import Workspace, get_process, submit, submit_many
from quince.diagnosis.doctor import Finding, doctor
from quince.messages import run_queue
from quince.processes.creation import new_process
from quince.processes.options import Wishes
from quince.workspace.location import Location
from quince_persistence.codec import encode
from quince_persistence.records import NewProcess
from quince_persistence.records.workers import WorkerRow
from quince_persistence.store import Store
from tests import flows
from tests.crew import Crew, environment, eventually


def one(findings: list[Finding], about: str) -> Finding:
    """The only finding, which is about that."""
    (found,) = findings
    assert found.about == about, found
    return found


def test_a_workspace_at_work_is_healthy(home: Workspace, crew: Crew) -> None:
    assert doctor(home) == []
    crew.start()
    waiting = submit(flows.Timed, seconds=600, workspace=home)
    submit_many(flows.Sleeper, [{}] * 3, workspace=home)
    eventually(lambda: waiting.state.value == "waiting" and home.store.backlog() == {})
    assert doctor(home) == []


def test_a_dead_worker_is_found_and_released(home: Workspace, crew: Crew) -> None:
    (victim,) = crew.start()
    handle = submit(flows.Double, value=4, seconds=3, workspace=home)
    eventually(lambda: handle.row.owner)
    victim.kill()
    eventually(lambda: doctor(home), what="the end of its step host, which keeps its lock")
    found = one(doctor(home), "worker")
    assert "test-worker-1" in found.sentence
    assert "its lock is free" in found.sentence
    assert "holds 1 processes" in found.sentence
    assert len(home.store.owners()) == 1, "without mend nothing is changed"
    assert one(doctor(home, mend=True), "worker").mended
    assert home.store.owners() == {}
    assert home.communicator.queue_size() >= 1
    assert doctor(home) == []
    crew.start()
    assert handle.result(30) == {"value": 8}


def test_a_worker_of_another_host_is_dead_when_it_is_silent(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince.diagnosis.doctor.EXPIRY_SECONDS", -60.0)  # every heartbeat is old
    monkeypatch.setattr("quince.diagnosis.doctor.SUSPICION_SECONDS", 0.5)
    for name in ("silent", "beating"):
        row = WorkerRow(f"far:1:{name}", "far", 1, name, (), 1, None, "running", 0.0, 0.0)
        home.store.register_worker(row).result()
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.05):
            home.store.heartbeat("far:1:beating").result()

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        found = one(doctor(home, mend=True), "worker")
    finally:
        stop.set()
        beating.join()
    assert "no heartbeat for" in found.sentence
    assert [worker.name for worker in home.store.workers()] == ["beating"]


def test_processes_of_an_unknown_owner_are_released(home: Workspace, crew: Crew) -> None:
    handle = submit(flows.add, x=1, workspace=home)
    home.communicator.purge()
    home.store.claim([handle.pid], "ghost:1:aa").result()
    found = one(doctor(home), "owner")
    assert "1 processes are held by ghost:1:aa" in found.sentence
    assert one(doctor(home, mend=True), "owner").mended
    assert doctor(home) == []
    crew.start()
    assert handle.result(30) == {"result": 2}


def test_ready_processes_without_a_task_are_enqueued(
    home: Workspace, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles = submit_many(flows.add, [{"x": x} for x in range(3)], workspace=home)
    monkeypatch.setattr("quince.diagnosis.doctor.STALE_SECONDS", -60.0)
    assert doctor(home) == [], "their tasks are there"
    home.communicator.purge()
    found = one(doctor(home), "queue")
    assert sorted(found.pids) == [handle.pid for handle in handles]
    assert home.communicator.queue_size() == 0
    assert one(doctor(home, mend=True), "queue").mended
    assert home.communicator.queue_size() == 3
    assert doctor(home) == []


def test_a_queue_that_no_worker_consumes_is_told(home: Workspace, crew: Crew) -> None:
    submit(flows.Double, value=4, queue="fats", workspace=home)
    assert doctor(home) == [], "no worker at all is no wrong queue"
    crew.start()
    found = one(doctor(home), "queue")
    assert found.sentence == "1 ready processes are on queue fats, which no worker consumes"
    assert "quince worker --queue fats" in found.remedy


def test_what_an_ended_run_left_goes_to_the_daemon(
    home: Workspace, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince.diagnosis.doctor.STALE_SECONDS", -60.0)
    new = new_process(
        flows.add.process_class, {"x": 1}, pid=home.store.allocate_pids(1)[0],
        class_path="tests.flows:add", wishes=Wishes(queue=run_queue("here:1:gone")),
    )  # fmt: skip
    home.store.insert([new]).result()
    handle = get_process(new.pid, workspace=home)
    assert "a run() that has ended" in one(doctor(home), "queue").sentence
    assert one(doctor(home, mend=True), "queue").pids == (handle.pid,)
    assert (handle.row.queue, home.communicator.queue_size()) == ("default", 1)
    assert doctor(home) == []


def test_what_this_code_cannot_go_on_with_is_listed_by_reason(home: Workspace) -> None:
    double = {"value": 1, "seconds": 0, "ledger": ""}
    stored = [
        *[("tests.flows:Gone", encode({}))] * 3,
        ("tests.flows:Double", encode({**double, "old": 2})),
        ("tests.flows:Double", encode({**double, "value": "text"})),
        ("tests.flows:Double", b"\xc1"),
    ]
    pids = home.store.allocate_pids(len(stored))
    home.store.insert([NewProcess(pid, *one) for pid, one in zip(pids, stored, strict=True)]).result()
    findings = doctor(home, mend=True)
    assert {found.about for found in findings} == {"code"}
    assert [found.pids for found in findings] == [tuple(pids[:3]), *((pid,) for pid in pids[3:])]
    for found, said in zip(
        findings,
        ["has no 'Gone'", "the input 'old', which Double does not take", "value", "cannot be read"],
        strict=True,
    ):
        assert said in found.sentence
        assert not found.mended


def test_dead_letters_are_told(home: Workspace, crew: Crew) -> None:
    crew.start()
    for _ in range(2):
        home.communicator.task_send({"not": "ours"}, no_reply=True)
    eventually(lambda: len(home.communicator.dead_letters()) == 2)
    found = one(doctor(home), "dead letters")
    assert "2 messages of default" in found.sentence
    assert "not a task of this engine" in found.sentence


def test_a_broker_that_is_away_keeps_nothing_else_from_being_looked_at(home: Workspace) -> None:
    home.store.insert([NewProcess(home.store.allocate_pids(1)[0], "tests.flows:Gone", encode({}))]).result()
    alone = dataclasses.replace(home.location, broker="amqp://guest:guest@127.0.0.1:1/")
    with Workspace(alone) as cut_off:
        assert [found.about for found in doctor(cut_off)] == ["code", "broker"]


def test_a_store_that_is_away_keeps_the_broker_from_nothing(home: Workspace, tmp_path: Path) -> None:
    alone = dataclasses.replace(home.location, store=f"sqlite:///{tmp_path}/no/such/folder/x.db")
    with Workspace(alone) as cut_off:
        found = one(doctor(cut_off), "store")
    assert "no/such/folder" in found.sentence


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "quince.db"
    with Store(f"sqlite:///{file}") as store:
        pids = store.allocate_pids(300)
        store.insert([NewProcess(pid, "tests.flows:Double", b"x" * 500) for pid in pids]).result()
    with file.open("r+b") as raw:
        raw.seek(file.stat().st_size // 2)
        raw.write(b"\xff" * 8192)
    location = Location(tmp_path, f"sqlite:///{file}", f"local://{tmp_path}/messages")
    with Workspace(location) as home:
        findings = doctor(home)
    assert findings
    assert any("damaged" in found.sentence for found in findings if found.about == "store")


def test_the_command_tells_by_its_status(home: Workspace, location: Location) -> None:
    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "quince.cli.main", "doctor", *words],
            env=environment(location), cwd=location.folder, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout

    assert home.store.workers() == []  # it is there from now on
    assert run() == (0, "✔ all is well\n")
    handle = submit(flows.add, x=1, workspace=home)
    home.store.claim([handle.pid], "ghost:1:aa").result()
    status, said = run()
    assert status == 1
    assert "owner: 1 processes are held by ghost:1:aa" in said
    status, said = run("--mend")
    assert status == 0
    assert "mended owner" in said
    document: dict[str, Any] = json.loads(run("--json")[1])
    (noted,) = document["findings"]
    assert (document["healthy"], noted["note"]) == (True, True)
    assert noted["sentence"] == "1 processes are ready, and no worker runs"
    assert time.time() - handle.row.updated < 60
