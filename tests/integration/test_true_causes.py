"""What `why`, the workers and `doctor` say is what is the matter, and what they advise helps."""

from __future__ import annotations

import time
from pathlib import Path

from quince import Workspace, submit
from tests import flows
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration.commands import Quince


def test_a_coroutine_that_blocks_its_worker_is_named(home: Workspace, crew: Crew) -> None:
    crew.start(1, slots=4)
    blocks = submit(flows.BlocksLoop, seconds=9.0, workspace=home)
    eventually(lambda: blocks.row.owner)
    other = submit(flows.add, x=1, workspace=home)
    for process in (blocks, other):
        sentence = eventually(lambda process=process: _says(process, "event loop is blocked"))  # type: ignore[misc]
        assert f"by process {blocks.pid} (BlocksLoop), in flows.py, line" in sentence
        assert "asyncio.to_thread" in sentence
    (worker,) = home.store.workers()
    assert len(worker.troubles) == 1, "nor is the database blamed"
    assert other.result(30) == {"result": 2}
    eventually(lambda: not home.store.workers()[0].troubles, what="the end of the trouble")


def test_a_queue_without_workers_has_the_cure_that_helps(home: Workspace, crew: Crew) -> None:
    crew.start(1)
    process = submit(flows.add, x=1, queue="gpu", workspace=home)
    why = process.why()
    assert why.sentence == "no worker consumes queue gpu"
    assert "`quince worker --queue gpu` starts one that does" in why.evidence
    crew.start(1, queues=("gpu",))
    assert process.result(30) == {"result": 2}


def test_edited_code_is_told_until_the_workers_are_new(tmp_path: Path, forks: ForkServer) -> None:
    quince = Quince(tmp_path, forks)
    flow = tmp_path / "flow.py"
    flow.write_text("from quince import process\n@process\ndef f() -> str:\n    return 'old'\n")
    quince.good("daemon", "start")
    try:
        assert "old" in quince.good("submit", "flow.py:f", "--wait").out
        with Workspace.at(tmp_path) as home:  # a worker sees the file as it is with its next heartbeat
            now = time.time()
            eventually(lambda: home.store.workers()[0].heartbeat > now, what="a heartbeat")
        flow.write_text(flow.read_text().replace("old", "newer"))
        told = "flow.py has changed since this worker imported it: `quince daemon restart`"
        eventually(lambda: told in quince.good("status").out, what="the word of the worker")
        assert told in quince("doctor").out
        assert f"worker-1: {told}" in quince.good("why", "--all").out
        quince.good("daemon", "restart")
        assert told not in quince.good("status").out
        assert told not in quince.good("why", "--all").out
        assert "newer" in quince.good("submit", "flow.py:f", "--wait").out
    finally:
        quince("daemon", "stop", "--timeout", "1")


def _says(process: object, words: str) -> str:
    sentence: str = process.why().sentence  # type: ignore[attr-defined]
    return sentence if words in sentence else ""
