"""What `why`, the workers and `doctor` say is what is the matter, and what they advise helps."""

from __future__ import annotations

from pathlib import Path

from quince import Workspace, submit
from tests import flows
from tests.crew import Crew
from tests.forked import ForkServer
from tests.integration.commands import Quince


def test_a_queue_without_workers_has_the_cure_that_helps(home: Workspace, crew: Crew) -> None:
    crew.start(1)
    process = submit(flows.add, x=1, queue="gpu", workspace=home)
    why = process.why()
    assert why.sentence == "no worker consumes queue gpu"
    assert "`quince worker --queue gpu` starts one that does" in why.evidence
    crew.start(1, queues=("gpu",))
    assert process.result(30) == {"result": 2}


def test_edited_code_runs_and_nobody_has_to_restart(tmp_path: Path, forks: ForkServer) -> None:
    """Changed and added while the daemon runs: nothing is held, nothing is found wrong."""
    quince = Quince(tmp_path, forks)
    flow = tmp_path / "flow.py"
    flow.write_text("from quince import process\n@process\ndef f() -> str:\n    return 'old'\n")
    quince.good("daemon", "start")
    try:
        assert "old" in quince.good("submit", "flow.py:f", "--wait").out
        flow.write_text(flow.read_text().replace("old", "new"))
        assert "new" in quince.good("submit", "flow.py:f", "--wait").out
        flow.write_text(flow.read_text() + "@process\ndef g() -> str:\n    return 'added'\n")
        assert "added" in quince.good("submit", "flow.py:g", "--wait").out
        code = [line for line in quince.good("show", "--all").out.splitlines() if "code  " in line]
        assert ["it has been changed since" in line for line in code] == [True, True, False], code
        assert "as it is now" in code[-1]
        assert quince.good("doctor").out == "✔ all is well\n"
        assert "restart" not in quince.good("why", "--all").out
    finally:
        quince("daemon", "stop", "--timeout", "1")
