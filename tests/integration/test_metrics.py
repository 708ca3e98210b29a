"""Metrics as Prometheus scrapes them, from real workers that run."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from quince import Workspace, set_limit, submit
from quince.settings import CONFIG
from quince_persistence.records import ProcessOptions
from tests.contracts.store_backends import born
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration import notice_flows as flows
from tests.integration import trace_flows
from tests.integration.commands import Quince
from tests.integration.test_notices import EMBEDDED
from tests.server import free_port

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert "text/plain" in answer.headers["Content-Type"] or "json" in answer.headers["Content-Type"]
        text: str = answer.read().decode()
        return text


def scraped(address: str) -> Values:
    """The samples of one scrape, by name and labels."""
    families = text_string_to_metric_families(fetched(f"http://{address}/metrics"))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(values: Values, name: str, **labels: str) -> float:
    return sum(
        value
        for (found, given), value in values.items()
        if found == name and labels.items() <= dict(given).items()
    )


def test_each_worker_serves_what_it_has_done_and_what_the_store_knows(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / CONFIG).write_text(f"[metrics]\nport = {port}\n")
    with socket.create_server(("127.0.0.1", port)):  # taken: the next ones are theirs
        crew.start(2)
        bad = [submit(flows.boom, text="x", workspace=home) for _ in range(3)]
        well = [submit(flows.fine, inputs={"n": n}, workspace=home) for n in range(5)]
        asks = submit(flows.Asks, workspace=home)
        set_limit("licence", 4, workspace=home)
        born(home.store, 2, queue="gpu", options=ProcessOptions(limits=("licence",)))
        eventually(lambda: all(handle.row.terminated for handle in [*bad, *well]), what="their ends")
        eventually(lambda: asks.row.signals, what="the wait")
        asks.kill("no").wait()
        addresses = sorted(worker.metrics or "" for worker in home.store.workers())
        assert len(set(addresses)) == 2
        assert f"127.0.0.1:{port}" not in addresses
        each = [scraped(address) for address in addresses]
    assert sum(of(one, "quince_step_seconds_count") for one in each) == 9
    assert sum(of(one, "quince_step_attempts_total", outcome="failed", step="run") for one in each) == 3
    ended = [of(one, "quince_processes_ended_total", state="finished") for one in each]
    assert sum(ended) == 5
    assert sum(of(one, "quince_commits_total") for one in each) > 9
    for one in each:
        assert of(one, "quince_store_processes", state="finished") == 5
        assert of(one, "quince_store_processes", state="excepted") == 3
        assert of(one, "quince_queue_depth", queue="gpu") == 2
        assert 0 < of(one, "quince_queue_oldest_seconds", queue="gpu") < 600
        assert of(one, "quince_limit_slots", limit="licence") == 4
        assert of(one, "quince_limit_held", limit="licence") == 2
        assert (of(one, "quince_store_workers"), of(one, "quince_store_up")) == (2, 1)
        assert of(one, "quince_slots") == of(one, "quince_slots_free") == 8
    (found,) = json.loads(fetched(f"http://{addresses[0]}/targets"))
    assert found["targets"] == addresses


def test_what_the_store_says_is_exact_though_workers_die(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """What a worker has counted is gone with it; the next one begins at 0, and with its own."""
    (tmp_path / CONFIG).write_text(f"[metrics]\nport = {free_port()}\n")
    (first,) = crew.start()
    set_limit("licence", 1, workspace=home)
    mark = tmp_path / "mark"
    for n in range(3):
        submit(flows.fine, inputs={"n": n}, workspace=home).wait(60)
    slow = submit(trace_flows.Slow, marks=str(mark), limits=["licence"], workspace=home)
    eventually(mark.exists, what="the step that hangs")
    first.kill()
    crew.start()
    slow.wait(60)
    eventually(lambda: len(home.store.workers()) == 1, what="the burial of the first")
    submit(flows.boom, text="x", workspace=home).wait(60)
    (worker,) = home.store.workers()

    def exact() -> Values | None:
        found = scraped(worker.metrics or "")
        return found if of(found, "quince_store_processes", state="excepted") == 1 else None

    found = eventually(exact, what="a scrape that is not older than five seconds")
    assert found is not None
    for state, count in home.store.counts().items():
        assert of(found, "quince_store_processes", state=state.value) == count
    assert of(found, "quince_store_live_processes") == of(found, "quince_limit_held", limit="licence") == 0
    assert of(found, "quince_store_workers") == 1
    assert of(found, "quince_steps_running") == of(found, "quince_held") == 0
    assert of(found, "quince_processes_ended_total", state="finished") == 1
    assert of(found, "quince_processes_ended_total", state="excepted") == 1
    assert of(found, "quince_step_attempts_total", outcome="done", step="hang") == 1


@EMBEDDED
def test_who_asks_and_says_nothing_holds_up_nobody(
    home: Workspace, crew: Crew, tmp_path: Path, forks: ForkServer
) -> None:
    port = free_port()
    (tmp_path / CONFIG).write_text(f"[metrics]\nport = {port}\n")
    crew.start()
    address = home.store.workers()[0].metrics
    assert address is not None
    silent = [socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) for _ in range(30)]
    try:
        assert submit(flows.fine, inputs={"n": 1}, workspace=home).result(timeout=60)["result"] == 1

        def asked() -> bool:
            try:
                return of(scraped(address), "quince_store_up") == 1
            except OSError:
                return False

        eventually(asked, what="an answer, when the silent ones were sent away")
    finally:
        for one in silent:
            one.close()
    quince = Quince(tmp_path, forks)
    assert quince.good("metrics", "--json").document == [{"targets": [address], "labels": {"job": "quince"}}]
    assert quince.good("status", "--json").document["workers"][0]["metrics"] == address
    assert f"http://{address}/metrics" in quince.good("status").out
