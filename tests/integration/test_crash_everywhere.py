"""Workflows crashed at every commit and every message: they end as if nothing had been.

And the tool itself: workflows that do things wrong are found out.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from quince import Process, Retry, WorkChain, Workspace, run, step, submit
from quince.processes.execution import execution_of
from quince.testing import CrashReport, CrashTestFailed, Verdict, crash_everywhere, sandbox
from quince.testing.plugin import CrashEverywhere
from tests import flows
from tests.flows import note
from tests.integration import notice_flows, repeat_flows, timely_flows, value_steps, wait_flows

BRIEF = {"lingers": (0.0,)}


class Leaky(Process):
    """Puts out how often it was begun, which no engine can keep from changing."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.output("times", valid_type=int)

    def run(self) -> None:
        note(self.inputs.ledger, "begun")
        self.out("times", len(Path(self.inputs.ledger).read_text().splitlines()))


class Submits(WorkChain):
    """Submits a job to a cluster, once, and says which."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("cluster", valid_type=str)
        spec.output("job", valid_type=str)
        spec.outline(cls.submit_job, cls.tell)

    def submit_job(self) -> None:
        self.ctx.job = self.once("submit the job", _submitted, self.inputs.cluster, self.token("job"))

    def tell(self) -> None:
        self.out("job", self.ctx.job)


def _submitted(cluster: str, token: str) -> str:
    note(cluster, token)
    return token


class Refused(WorkChain):
    """Its step fails once, and the handler of that counts it."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("failed", valid_type=int)
        spec.output("seen", valid_type=int)
        spec.outline(cls.ask)

    @step(retry=Retry(2, first=0.05, jitter=0), handler="see")
    def ask(self) -> None:
        failed, seen = execution_of(self).row.attempt, self.ctx.get("seen", 0)
        self.ctx.seen = 100
        if failed < 1:
            raise ConnectionError("refused")
        self.out_many({"failed": failed, "seen": seen})

    def see(self, error: BaseException) -> None:
        self.ctx.seen = self.ctx.get("seen", 0) + 1


class Restless(WorkChain):
    """Never ends."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.wait)

    def wait(self) -> None:
        self.sleep(3600)


def every_point(report: CrashReport, *named: str) -> None:
    """Most points were met, the named ones among them."""
    met = {outcome.point.what for outcome in report.outcomes if outcome.verdict is Verdict.SAME}
    assert set(named) <= met, report.story()
    missed = [outcome for outcome in report.outcomes if outcome.verdict is Verdict.MISSED]
    assert len(missed) <= len(report.outcomes) // 4, report.story()


@pytest.mark.timeout(180)
def test_each_failed_attempt_counts_once_wherever_its_worker_dies(
    crash_everywhere: CrashEverywhere, quince_workspace: Workspace
) -> None:
    assert run(Refused) == {"failed": 1, "seen": 1}
    report = crash_everywhere(Refused, settings=BRIEF)
    every_point(report, "commit of Refused.ask", "answer of Refused.ask")


@pytest.mark.timeout(180)
def test_a_family_ends_the_same_wherever_its_worker_dies(crash_everywhere: CrashEverywhere) -> None:
    report = crash_everywhere(flows.Family, children=2, settings=BRIEF)
    every_point(
        report,
        "claim of processes",
        "acknowledgement of a task",
        "allocation of pids",
        "commit of Family.launch",
        "commit of Double.run",
        "commit of Family.collect",
        "answer of Family.launch",
        "answer of Double.run",
        "answer of Family.collect",
        "sending of tasks",
        "sending of broadcasts",
        "release of a claim",
        "release of a worker",
    )


@pytest.mark.timeout(180)
def test_a_timer_ends_the_same_wherever_its_worker_dies(crash_everywhere: CrashEverywhere) -> None:
    report = crash_everywhere(flows.Timed, seconds=0.05, settings={"ignore": ["waited"], "lingers": (1.0,)})
    every_point(report, "commit of Timed.begin", "commit of Timed.end")


@pytest.mark.timeout(180)
def test_the_first_of_several_is_the_same_wherever_a_worker_dies(crash_everywhere: CrashEverywhere) -> None:
    """It is waited for, the other one is killed, and both are waited for."""
    report = crash_everywhere(
        wait_flows.Race, seconds=[600, 0], queue="nowhere", settings={**BRIEF, "most": 12}
    )
    every_point(report)


@pytest.mark.timeout(180)
def test_signals_are_used_once_wherever_a_worker_dies(crash_everywhere: CrashEverywhere) -> None:
    report = crash_everywhere(flows.Rally, settings=BRIEF)
    every_point(report, "commit of Rally.call", "commit of Rally.encourage", "commit of Approval.decide")


@pytest.mark.timeout(180)
def test_a_once_block_runs_once_wherever_its_worker_dies(
    crash_everywhere: CrashEverywhere, tmp_path: Path
) -> None:
    """Except where the worker dies between what the block does and the record: before the record."""
    cluster = tmp_path / "cluster"
    report = crash_everywhere(Submits, cluster=str(cluster), settings=BRIEF)
    every_point(report, "record of the once-block 'submit the job'", "commit of Submits.submit_job")
    runs = 2 + len(report.outcomes)
    jobs = cluster.read_text().splitlines()
    assert len(set(jobs)) == 1
    assert runs <= len(jobs) <= runs + 2


@pytest.mark.timeout(180)
def test_a_child_that_is_retried_ends_the_same_wherever_a_worker_dies(
    crash_everywhere: CrashEverywhere,
) -> None:
    report = crash_everywhere(repeat_flows.Mends, settings={**BRIEF, "most": 6})  # each takes its time
    every_point(report)


@pytest.mark.timeout(180)
def test_a_failure_ends_the_same_wherever_its_worker_dies(crash_everywhere: CrashEverywhere) -> None:
    report = crash_everywhere(flows.Fails, settings=BRIEF)
    every_point(report, "commit of Fails.run")


@pytest.mark.timeout(180)
def test_what_happens_is_written_for_those_who_are_told_once_wherever_a_worker_dies(
    crash_everywhere: CrashEverywhere,
) -> None:
    """Who waits is told when it begins to, who fails when it has, and who has a label when it has ended."""
    with sandbox() as box:
        handle = submit(notice_flows.Told)
        box.clock.advance(seconds=1)
        assert handle.outputs["told"] == WRITTEN
    only = ["commit of Told", "commit of boom"]
    report = crash_everywhere(notice_flows.Told, settings={**BRIEF, "only": only, "most": 8})
    every_point(report, "commit of Told.begin", "commit of boom.run")


WRITTEN = [["ended", True], ["failed", False], ["failed", True], ["waiting", True]]


@pytest.mark.timeout(180)
def test_large_values_are_whole_and_cached_wherever_a_worker_dies(
    crash_everywhere: CrashEverywhere, tmp_path: Path
) -> None:
    ledger = str(tmp_path / "ledger")
    report = crash_everywhere(
        value_steps.Both, ledger=ledger, settings={**BRIEF, "most": 12, "ignore": ["served"]}
    )
    every_point(report)


@pytest.mark.timeout(180)
def test_what_was_pruned_is_gone_as_a_whole_wherever_a_worker_dies(
    crash_everywhere: CrashEverywhere, tmp_path: Path
) -> None:
    settings = {**BRIEF, "only": ["commit of Tidy"]}
    report = crash_everywhere(timely_flows.Tidy, ledger=str(tmp_path / "ledger"), settings=settings)
    every_point(report, "commit of Tidy.make", "commit of Tidy.while(more)")


@pytest.mark.timeout(180)
def test_schedules_and_deadlines_do_the_same_wherever_a_worker_dies(
    crash_everywhere: CrashEverywhere,
) -> None:
    settings = {**BRIEF, "only": ["firing", "end of", "commit of Timely", "commit of Bell"]}
    report = crash_everywhere(timely_flows.Timely, settings=settings)
    every_point(report, "firing of a schedule", "end of what a deadline is over for", "commit of Timely.tell")


def test_what_depends_on_how_often_it_ran_is_found_out(tmp_path: Path) -> None:
    report = crash_everywhere(
        Leaky,
        {"ledger": str(tmp_path / "ledger")},
        folder=tmp_path / "runs",
        lingers=(0.0,),
        most=4,
        workers=1,
    )
    assert {failure.point.in_host for failure in report.failures} == {False, True}
    assert "outputs" in report.story()
    assert (Path(report.failures[0].folder) / "log").read_text()


def test_what_does_not_end_is_refused(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CrashTestFailed, match="still waiting"):
        crash_everywhere(Restless, folder=tmp_path / "runs", lingers=(0.0,), patience=2.0)
    assert time.monotonic() - began < 60
