"""Once-blocks: what is recorded does not run again, and what could not be kept is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from quince import Process, WorkChain
from quince.errors import ClaimLost, MisusedOnce
from quince.processes.chain_execution import chain_execution_of
from quince_persistence.errors import StoreUnavailable, Unsaveable
from tests.unit.engine.solo import Solo, solo


class Plain(Process):
    def run(self) -> None: ...


class Chain(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outputs.dynamic = True
        spec.outline(cls.only)

    def only(self) -> None: ...


class Counting:
    """A function that tells how often it ran."""

    __name__ = "counting"

    def __init__(self, *answers: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._answers = list(answers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((*args, *kwargs.items()))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def host() -> Iterator[Solo]:
    with solo() as alone:
        yield alone


def test_a_recorded_result_is_returned_to_the_next_worker(host: Solo) -> None:
    submit = Counting({"job": 42}, "never")
    process = host.process(Plain)
    assert process.once("submit", submit, 1, b=2) == {"job": 42}
    assert host.again(process).once("submit", submit) == {"job": 42}
    assert submit.calls == [(1, ("b", 2))]


def test_none_is_a_result_too(host: Solo) -> None:
    mail = Counting(None, "never")
    process = host.process(Plain)
    assert process.once("mail", mail) is None
    assert process.once("mail", mail) is None
    assert len(mail.calls) == 1


def test_keys_and_processes_are_told_apart(host: Solo) -> None:
    roll = Counting(*range(4))
    one, other = host.process(Plain), host.process(Plain)
    assert [one.once("a", roll), one.once("b", roll), other.once("a", roll), one.once("a", roll)] == [
        0,
        1,
        2,
        0,
    ]


def test_a_function_that_raises_records_nothing(host: Solo) -> None:
    flaky = Counting(ConnectionError("busy"), 42)
    process = host.process(Plain)
    with pytest.raises(ConnectionError):
        process.once("submit", flaky)
    assert process.once("submit", flaky) == 42


def test_a_result_that_cannot_be_saved_is_named(host: Solo) -> None:
    with pytest.raises(Unsaveable, match=r"once\('submit'\)\.handle cannot be saved: it is of type object"):
        host.process(Plain).once("submit", lambda: {"handle": object()})


def test_the_result_is_durable_before_it_is_returned(host: Solo) -> None:
    process = host.process(Plain)
    seen = []

    def look() -> int:
        seen.append(host.store.recorded(process.pid, "k"))
        return 1

    process.once("k", look)
    assert seen[0] is not None
    assert seen[0].result is None
    after = host.store.recorded(process.pid, "k")
    assert after is not None
    assert after.result is not None


def test_a_worker_that_lost_its_claim_runs_nothing(host: Solo) -> None:
    submit = Counting(1)
    old = host.process(Plain)
    host.again(old)
    with pytest.raises(ClaimLost):
        old.once("submit", submit)
    assert submit.calls == []


def test_a_claim_lost_while_the_function_runs_records_nothing(host: Solo) -> None:
    old = host.process(Plain)
    with pytest.raises(ClaimLost):
        old.once("submit", lambda: host.again(old).pid)
    recorded = host.store.recorded(old.pid, "submit")
    assert recorded is not None
    assert recorded.result is None


def test_a_store_that_is_away_is_waited_for(host: Solo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quince.patience.LONGEST_PAUSE", 0.01)
    process = host.process(Plain)
    record, tries = host.store.record_once, []

    def failing(*args: Any) -> Any:
        tries.append(args)
        if len(tries) < 3:
            raise StoreUnavailable("away")
        return record(*args)

    monkeypatch.setattr(host.store, "record_once", failing)
    submit = Counting(42)
    assert process.once("submit", submit) == 42
    assert (len(tries), len(submit.calls)) == (3, 1)


def test_two_threads_with_one_key_run_it_once(host: Solo) -> None:
    process = host.process(Plain)
    begun, go_on, runs, results = threading.Event(), threading.Event(), [], []

    def slow() -> int:
        runs.append(1)
        begun.set()
        assert go_on.wait(10)
        return 42

    threads = [
        threading.Thread(target=lambda: results.append(process.once("submit", slow))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert (len(runs), results) == (1, [42] * 4)


async def test_two_coroutines_with_one_key_run_it_once(host: Solo) -> None:
    process = host.process(Plain)
    runs = []

    async def slow() -> int:
        runs.append(1)
        await asyncio.sleep(0)
        return 42

    assert await asyncio.gather(*(process.once("submit", slow) for _ in range(4))) == [42] * 4
    assert len(runs) == 1
    assert await process.once("submit", slow) == 42
    assert len(runs) == 1


async def test_a_cancelled_step_still_leaves_the_record(host: Solo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the function did is done: cancelling the wait for the record does not undo it."""
    process = host.process(Plain)
    record, asked = host.store.record_once, asyncio.Event()

    def recording(*args: Any) -> Any:
        asked.set()
        return record(*args)

    monkeypatch.setattr(host.store, "record_once", recording)

    async def submit() -> int:
        return 42

    task = asyncio.ensure_future(process.once("submit", submit))
    await asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wrap_future(host.store.report(process.pid, []))  # the writer has passed that point
    recorded = host.store.recorded(process.pid, "submit")
    assert recorded is not None
    assert recorded.result is not None


async def test_a_blocking_function_is_refused_in_a_coroutine(host: Solo) -> None:
    process = host.process(Plain)
    submit = Counting(1)
    with pytest.raises(MisusedOnce, match="would block"):
        process.once("submit", submit)
    assert submit.calls == []
    assert await process.once("submit", asyncio.to_thread, submit) == 1


def test_a_coroutine_function_is_refused_in_a_blocking_step(host: Solo) -> None:
    async def submit() -> int:
        return 1

    with pytest.raises(MisusedOnce, match="async def"):
        host.process(Plain).once("submit", submit)


@pytest.mark.parametrize("key", ["", None, 7, "x" * 501, "a\0b", "\udc80"])
def test_a_key_is_a_short_text(host: Solo, key: Any) -> None:
    with pytest.raises(MisusedOnce, match=r"^the key of a once-block (is|has) "):
        host.process(Plain).once(key, lambda: 1)


def test_what_would_be_lost_is_refused_inside(host: Solo) -> None:
    chain = host.process(Chain)
    for misuse in (
        lambda: setattr(chain.ctx, "x", 1),
        lambda: chain.ctx.setdefault("x", 1),
        lambda: chain.out("x", 1),
        lambda: chain.submit(Plain),
        lambda: chain.to_context(x=chain),
        lambda: chain.once("block", lambda: 1),
    ):
        with pytest.raises(MisusedOnce, match="'block'"):
            chain.once("block", misuse)
    assert chain_execution_of(chain).record.children == []
    assert dict(chain.ctx) == {}
    chain.ctx.x = chain.once("block", lambda: chain.once("inner", lambda: 2))
    assert chain.ctx.x == 2


def test_a_token_is_stable_and_its_own(host: Solo) -> None:
    process, other = host.process(Plain), host.process(Plain)
    token = process.token("submit")
    assert token == host.again(process).token("submit")
    assert token.startswith(f"quince-{process.pid}-")
    assert len({token, process.token("mail"), other.token("submit")}) == 3
    with solo() as elsewhere:
        stranger = elsewhere.process(Plain)
        assert stranger.pid == process.pid
        assert stranger.token("submit") != token
