"""Traces as a collector gets them, from real workers that run, and are killed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

from quince import Workspace, get_process, run, submit, submit_many
from quince.client.control import control
from quince.errors import ControlRefused
from quince.messages import GROUPED
from quince.settings import CONFIG
from quince.workspace.location import Location, locate
from quince_persistence.records import Control, Selection
from tests.collector import collector
from tests.crew import Crew, eventually
from tests.integration import trace_flows as flows
from tests.integration.notice_flows import fine
from tests.integration.test_notices import EMBEDDED


def traced(location: Location) -> Location:
    """The same workspace, as its `quince.toml` says now."""
    return locate(location.folder, store=location.store, broker=location.broker)


def test_a_tree_is_a_trace_below_the_callers_span(location: Location, crew: Crew, tmp_path: Path) -> None:
    caller = TracerProvider(shutdown_on_exit=False).get_tracer("caller")
    with collector() as got:
        (tmp_path / CONFIG).write_text(f"[traces]\nendpoint = '{got.endpoint}'\n")
        crew.start(2)
        with Workspace(traced(location)) as home, caller.start_as_current_span("call") as span:
            handle = submit(flows.Whole, marks=str(tmp_path / "mark"), workspace=home)
            handle.wait(60)
            eventually(lambda: len(got.spans) >= 8, what="the spans")
            time.sleep(0.2)
            rows = home.store.select(Selection(parent=handle.pid))
            ends = [get_process(row.pid, workspace=home).result(10)["parent"] for row in rows]
        (whole,) = got.named("Whole")
        (launch,), flaky = got.named("Whole.launch"), got.named("Whole.flaky")
        parts, runs = got.named("Part"), got.named("Part.run")
    trace = f"{span.get_span_context().trace_id:032x}"
    assert {one.trace for one in got.spans} == {trace}
    assert len(got.spans) == len({one.id for one in got.spans}) == 8
    assert whole.parent == f"{span.get_span_context().span_id:016x}"
    assert {one.parent for one in (launch, *flaky)} == {whole.id}
    assert sorted((one.attributes["quince.attempt"], one.failed) for one in flaky) == [(1, True), (2, False)]
    assert next(one for one in flaky if one.failed).events[0]["exception.type"] == "ValueError"
    assert not whole.failed
    assert {one.parent for one in runs} == {one.id for one in parts}
    assert [one.parent for one in parts].count(launch.id) == 1  # the other is below the user's own span
    assert sorted(ends) == sorted(f"{trace}-{one.id}" for one in runs)
    assert {one.service for one in got.spans} == {"quince"}


def test_a_killed_worker_costs_the_running_span(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    with collector() as got:
        (tmp_path / CONFIG).write_text(f"[traces]\nendpoint = '{got.endpoint}'\n")
        (first,) = crew.start()
        handle = submit(flows.Slow, marks=str(tmp_path / "mark"), workspace=home)
        eventually(lambda: (tmp_path / "mark").exists(), what="the step that hangs")
        eventually(lambda: got.named("Slow.quick"), what="the span of the step before")
        first.kill()
        crew.start()
        handle.wait(60)
        eventually(lambda: got.named("Slow"), what="the span of the process")
        assert {one.name: one.parent for one in got.spans} == {
            "Slow.quick": got.named("Slow")[0].id,
            "Slow.hang": got.named("Slow")[0].id,
            "Slow": "",
        }
        assert len(got.spans) == 3
        assert len({one.trace for one in got.spans}) == 1


def test_what_ends_while_no_worker_has_it_has_a_span_once(
    location: Location, crew: Crew, tmp_path: Path
) -> None:
    """Killed while it is queued, alone and with many; over its deadline; served from the cache."""
    with collector() as got:
        (tmp_path / CONFIG).write_text(f"[traces]\nendpoint = '{got.endpoint}'\n")
        crew.start()
        with Workspace(traced(location)) as home:
            queued = submit(flows.Part, queue="nowhere", workspace=home)
            assert queued.kill("no").applied
            with pytest.raises(ControlRefused):
                queued.kill("again")
            crowd = submit_many(flows.Part, [{} for _ in range(GROUPED)], queue="nowhere", workspace=home)
            many = Selection(pids=[handle.pid for handle in crowd])
            control(home, Control.KILL, many, author="me", reason="no")
            late = submit(flows.Part, queue="nowhere", deadline=0.1, workspace=home)
            first, again = (submit(fine, inputs={"n": 1}, cache=True, workspace=home) for _ in range(2))
            first.wait(60)
            served = submit(fine, inputs={"n": 1}, cache=True, workspace=home)
            ended = [queued, *crowd, late, first, again, served]
            for handle in ended:
                handle.wait(60)
            assert served.row.options.cached_from is not None

            def spans() -> list[object]:
                return [one.attributes["quince.pid"] for one in got.spans if "." not in one.name]

            eventually(lambda: len(spans()) >= len(ended), what="the spans")
    assert sorted(map(str, spans())) == sorted(str(handle.pid) for handle in ended)


@EMBEDDED
def test_a_collector_that_is_away_holds_up_nobody(location: Location, crew: Crew, tmp_path: Path) -> None:
    with collector() as got:
        endpoint = got.endpoint
    (tmp_path / CONFIG).write_text(f"[traces]\nendpoint = '{endpoint}'\n")
    crew.start()
    with Workspace(traced(location)) as home:
        assert submit(flows.Part, workspace=home).result(60)["parent"]
        began = time.monotonic()
        assert run(flows.Part, workspace=home)["parent"]
        assert time.monotonic() - began < 60
        (row,) = [worker for worker in home.store.workers() if worker.queues]
        eventually(lambda: "sending traces failed" in str(home.store.workers()), what="the trouble")
    assert row.state == "running"
