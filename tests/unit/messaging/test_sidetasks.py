"""Side work goes on whatever fails in it, and nobody has any that is not kept so."""

from __future__ import annotations

import ast
import asyncio
import itertools
import logging
import threading
from pathlib import Path

import pytest

from quince_messaging import side_tasks as sidetasks
from quince_messaging.side_tasks import SideTasks, Unasked
from quince_messaging.structured_log import StructuredLogger

log = StructuredLogger("test.side")
ROOT = Path(__file__).resolve().parents[3]

FAILURES = [OSError(5, "Input/output error"), MemoryError(), ValueError("?"), asyncio.CancelledError()]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidetasks, "FIRST_PAUSE", 0.001)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("every", [None, 0.001])
async def test_a_task_goes_on_after_whatever_fails(failure: BaseException, every: float | None) -> None:
    side, turns, again = SideTasks(log), 0, asyncio.Event()

    async def work() -> None:
        nonlocal turns
        turns += 1
        if turns <= 3:
            await asyncio.sleep(0)
            raise failure
        again.set()
        if every is None:
            await asyncio.Event().wait()

    kept = side.keep("the work", work, every=every)
    await asyncio.wait_for(again.wait(), 10)
    assert kept.begun == 4
    if every is None:
        assert side.sentences()[0].startswith("the work failed 3 times")
    else:
        async with asyncio.timeout(10):
            while side.sentences():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    await side.close()
    assert kept.task is not None
    assert kept.task.done()


async def test_a_task_that_a_stranger_cancels_goes_on() -> None:
    side, begun = SideTasks(log), asyncio.Semaphore(0)

    async def work() -> None:
        begun.release()
        await asyncio.Event().wait()

    kept = side.keep("the work", work)
    for _ in range(3):
        await asyncio.wait_for(begun.acquire(), 10)
        assert kept.task is not None
        kept.task.cancel()
    await asyncio.wait_for(begun.acquire(), 10)
    assert "it was cancelled" in side.sentences()[0]
    await side.close()


async def test_work_that_ends_by_itself_is_begun_again_and_told() -> None:
    side, begun = SideTasks(log), asyncio.Semaphore(0)

    async def work() -> None:
        begun.release()

    side.keep("the work", work)
    for _ in range(3):
        await asyncio.wait_for(begun.acquire(), 10)
    assert "it has ended" in side.sentences()[0]
    await side.close()


async def test_the_pause_grows_up_to_its_limit() -> None:
    side, loop = SideTasks(log), asyncio.get_running_loop()
    times: list[float] = []
    enough = asyncio.Event()

    async def work() -> None:
        times.append(loop.time())
        if len(times) == 6:
            enough.set()
        raise OSError

    side.keep("the work", work, every=0.0, longest=0.004)
    await asyncio.wait_for(enough.wait(), 10)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(gap >= least for gap, least in zip(gaps, (0.001, 0.002, 0.004, 0.004), strict=False))
    await side.close()


async def test_what_is_told_once_a_minute_is_counted_all_the_time(caplog: pytest.LogCaptureFixture) -> None:
    side = SideTasks(log, (OSError,))
    with caplog.at_level(logging.INFO, "test.side"):
        for _ in range(50):
            side.failed("the work", OSError("no route"))
        side.failed("the work", ValueError("another"))
        side.well("the work")
        side.well("the work")
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["WARNING", "ERROR", "INFO"]
    assert told[-1][1] == "the work works again, after 51 failures"
    assert side.sentences() == []


async def test_a_round_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidetasks, "WELL_AFTER", 0.0)
    side = SideTasks(log)
    side.keep("the work", asyncio.Event().wait, every=1.0)
    async with asyncio.timeout(10):
        while not side.sentences():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert "the work has not come to an end" in side.sentences()[0]
    await side.close()


async def test_an_errand_that_fails_is_told() -> None:
    side = SideTasks(log)

    async def fail() -> None:
        raise MemoryError

    await asyncio.wait([side.spawn("an errand", fail())])
    await asyncio.sleep(0)
    assert side.sentences() == ["an errand failed once within 0 s: MemoryError"]
    await side.close()


@pytest.mark.parametrize("failure", [OSError(5, "?"), MemoryError(), SystemExit(1), asyncio.CancelledError()])
def test_a_thread_goes_on_after_whatever_fails(failure: BaseException) -> None:
    side, turns, again, stop = SideTasks(log), 0, threading.Event(), threading.Event()

    def body() -> None:
        nonlocal turns
        turns += 1
        if turns <= 3:
            raise failure
        again.set()
        stop.wait(10)

    thread = side.thread("test-side", body)
    thread.start()
    assert again.wait(10)
    assert side.sentences()[0].startswith("test-side failed 3 times")
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_sentences_are_plain_and_short() -> None:
    side = SideTasks(log, (ValueError,))
    side.failed("the work", ValueError("\udcff\0\n" * 1000))
    side.failed("more", Unasked("it was cancelled"))
    first, second = side.sentences()
    assert len(first) == sidetasks.LONGEST
    assert first.encode()
    assert "\0" not in first
    assert "\n" not in first
    assert second.endswith(": it was cancelled")


OWNED = {
    # The mechanism itself.
    ("messaging/quince_messaging/side_tasks.py", "spawn"): 1,
    ("messaging/quince_messaging/side_tasks.py", "begin"): 1,
    ("messaging/quince_messaging/side_tasks.py", "thread"): 1,
    # One for each process that is driven: `_ended` looks at its end, a sweep gives back what nobody drives.
    ("engine/quince/worker/intake.py", "_start"): 1,
    # Awaited where they are made.
    ("engine/quince/worker/worker.py", "_wait_for_steps"): 2,
    ("engine/quince/worker/rpc_server.py", "_applied"): 1,
    ("engine/quince/worker/runner.py", "until_applied"): 2,
    ("engine/quince/processes/programs.py", "_end_of"): 1,
    ("engine/quince/processes/programs.py", "_guarded"): 1,
    ("engine/quince/processes/programs.py", "make_way"): 1,
    ("messaging/quince_messaging/transports/local/peers.py", "close"): 1,
    ("engine/quince/testing/life.py", "_work"): 1,
    # Begun again by their done-callback, or with the next thing that is to be sent.
    ("engine/quince/worker/outbox.py", "_begin_flush"): 1,
    ("engine/quince/worker/task_buffer.py", "_switch"): 1,
    ("engine/quince/workspace/background.py", "post"): 1,
    # Pauses and plays of a step, awaited when the process ends.
    ("engine/quince/worker/step_control.py", "_follow"): 1,
    # What stops a step, until that has ended.
    ("engine/quince/worker/hosted_seat.py", "_stop_by"): 1,
    # Of a step host: one that fails ends it, which its worker hears.
    ("engine/quince/hosts/shared_host.py", "_begin"): 1,
    # The coroutine of a step; the host, or in `run()` the runner, waits for it.
    ("engine/quince/hosts/stepper.py", "_awaited"): 1,
    ("engine/quince/hosts/direct_steppers.py", "_awaited"): 1,
    # Answers one call of a step host; its failure is the answer.
    ("engine/quince/worker/host_pool.py", "_serve"): 1,
    # What a caller waits for: its outcome, whatever it is, is his.
    ("engine/quince/hosts/link.py", "call"): 1,
    ("engine/quince/worker/lent_slots.py", "lend_here"): 1,
    ("messaging/quince_messaging/clients/loop_thread.py", "spawn"): 1,
    ("messaging/quince_messaging/clients/bridge.py", "_stages"): 1,
    ("messaging/quince_messaging/clients/bridge.py", "_begin"): 1,
    ("messaging/quince_messaging/wire/calls.py", "begin"): 1,
    # A subscriber's call; its failure is logged.
    ("messaging/quince_messaging/clients/loop_bridge.py", "_spawn_here"): 1,
    # Threads that go on by themselves: see their bodies, and tests/contracts/test_side_tasks.py.
    ("messaging/quince_messaging/clients/thread_pool.py", "_start_thread"): 1,
    ("messaging/quince_messaging/clients/loop_thread.py", "start"): 1,
    ("persistence/quince_persistence/writing/group_commit.py", "__init__"): 1,
    # Threads that a caller joins, or that do one thing.
    ("engine/quince/worker/inline.py", "__init__"): 1,
    ("engine/quince/metrics/serving.py", "__init__"): 1,
    ("engine/quince/tracing/tracer.py", "__init__"): 1,
    # Looks once, for one who waits for it no longer than a second; its program ends then.
    ("engine/quince/cli/completion/candidates.py", "rows"): 1,
    # Counts once; whoever asks next is told of its failure.
    ("engine/quince/monitor/dear.py", "_beside"): 1,
    # Ends by itself as soon as nothing is left to be told.
    ("engine/quince/processes/telling.py", "note"): 1,
    # Awaited by who asks, on the thread of the test.
    ("engine/quince/testing/sandboxes.py", "_at_work"): 1,
    ("engine/quince/testing/sandboxes.py", "_await"): 1,
    ("engine/quince/worker/service.py", "_readiness"): 1,
}  # fmt: skip
"""Where tasks and threads are made, and how many; what lives as long as its owner is in a `SideTasks`."""


def test_no_task_and_no_thread_is_without_an_owner() -> None:
    found: dict[tuple[str, str], int] = {}
    parts = ("engine", "messaging", "persistence")
    for source in sorted(file for part in parts for file in (ROOT / part).rglob("*.py")):
        _Makers(str(source.relative_to(ROOT)), found).visit(ast.parse(source.read_text()))
    assert found == OWNED


class _Makers(ast.NodeVisitor):
    """Counts what makes a task or a thread, by the function that it is in."""

    NAMES = (
        "create_task",
        "ensure_future",
        "Thread",
        "TaskGroup",
        "start_new_thread",
        "run_coroutine_threadsafe",
    )

    def __init__(self, file: str, found: dict[tuple[str, str], int]) -> None:
        self._file, self._found = file, found
        self._functions: list[str] = []

    def _inside(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()

    visit_FunctionDef = _inside  # noqa: N815
    visit_AsyncFunctionDef = _inside  # noqa: N815

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in self.NAMES:
            place = (self._file, self._functions[0] if self._functions else "")
            self._found[place] = self._found.get(place, 0) + 1
        self.generic_visit(node)
