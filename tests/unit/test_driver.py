"""The driver of users' coroutines in a step host: pauses, abandonment, and whose code runs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from quince.hosts.driver import Driver, new_task
from quince.hosts.who_runs import Running, WhoRuns, new_page


@pytest.fixture
def who_runs() -> Iterator[WhoRuns]:
    page = new_page()
    yield WhoRuns(page)
    os.close(page)


@pytest.fixture
def driver(who_runs: WhoRuns) -> Driver:
    return Driver(7, who_runs)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def start(driver: Driver, work: Callable[[], Any]) -> asyncio.Task[Any]:
    asyncio.get_running_loop().set_task_factory(new_task)
    return asyncio.get_running_loop().create_task(driver.drive(work()))


def test_both_ends_read_the_page(who_runs: WhoRuns) -> None:
    page = new_page()
    here, there = WhoRuns(page), WhoRuns(page)
    os.close(page)
    assert there.now() is None
    before = here.enter(7)
    now = there.now()
    assert now is not None
    assert now.pid == there.pid == 7
    assert 0 <= time.monotonic() - now.since < 5
    here.leave(here.enter(7))
    assert there.now() == now, "it goes on to run"
    here.leave(before)
    assert there.now() is None


async def test_whose_code_runs(driver: Driver, who_runs: WhoRuns) -> None:
    seen: list[Running | None] = []

    async def child() -> None:
        seen.append(who_runs.now())
        await asyncio.sleep(0)
        seen.append(who_runs.now())

    async def work() -> str:
        seen.append(who_runs.now())
        await asyncio.gather(child(), child())
        return "done"

    task = await start(driver, work)
    while not task.done():
        assert who_runs.now() is None
        await asyncio.sleep(0)
    assert await task == "done"
    assert [one and one.pid for one in seen] == [7] * 5


async def test_values_and_errors_pass_through(driver: Driver) -> None:
    async def work() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        loop.call_soon(future.set_exception, KeyError("a"))
        with pytest.raises(KeyError):
            await future
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            one = group.create_task(asyncio.sleep(0, "b"))
        return await one

    assert await (await start(driver, work)) == "b"


async def test_a_paused_coroutine_does_not_go_on_and_its_tasks_neither(driver: Driver) -> None:
    count = [0, 0]

    async def child() -> None:
        while True:
            count[1] += 1
            await asyncio.sleep(0)

    async def work() -> None:
        asyncio.get_running_loop().create_task(child()).set_name("child")
        for _ in range(100):
            count[0] += 1
            await asyncio.sleep(0)

    task = await start(driver, work)
    await turns()
    driver.pause()
    before = list(count)
    await turns(20)
    assert count == before
    assert before[0]
    assert before[1]
    driver.play()
    await task
    assert count[0] == 100
    driver.end_what_it_made()


async def test_what_came_while_it_was_paused_is_there_afterwards(driver: Driver) -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            return "timed out"
        return "slept"

    task = await start(driver, work)
    await turns()
    driver.pause()
    await asyncio.sleep(0.03)
    assert not task.done()
    driver.play()
    assert await task == "timed out"


async def test_a_pause_before_the_first_turn_holds(driver: Driver) -> None:
    begun: list[bool] = []

    async def work() -> None:
        begun.append(True)

    driver.pause()
    task = await start(driver, work)
    await turns()
    assert not begun
    driver.play()
    await task
    assert begun


async def swallow() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


async def in_a_task() -> None:
    await asyncio.gather(swallow(), swallow())


@pytest.mark.parametrize("work", [swallow, in_a_task])
@pytest.mark.parametrize("paused", [False, True])
async def test_one_that_swallows_its_cancellation_is_abandoned(
    driver: Driver, work: Callable[[], Awaitable[None]], paused: bool
) -> None:
    task = await start(driver, work)
    await turns()
    if paused:
        driver.pause()
    task.cancel()
    await turns()
    assert not task.done()
    driver.leave_nothing()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = asyncio.all_tasks() - {asyncio.current_task()}
    await turns()
    assert all(one.done() for one in left)


async def test_one_that_ignores_its_closing_is_left_where_it_stands(driver: Driver) -> None:
    resumed: list[str] = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except BaseException as error:
                resumed.append(type(error).__name__)
                if len(resumed) > 5:
                    raise

    task = await start(driver, stubborn)
    await turns()
    driver.leave_nothing()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    assert resumed == ["GeneratorExit"]


async def test_one_that_is_abandoned_while_it_runs_goes_on_no_further_than_its_next_await(
    driver: Driver,
) -> None:
    reached: list[str] = []

    async def work() -> None:
        try:
            driver.abandon()  # as a signal handler does
            reached.append("await")
            await asyncio.sleep(0)
            reached.append("behind")
        finally:
            reached.append("closed")

    task = await start(driver, work)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached == ["await", "closed"]


async def test_others_are_not_driven(driver: Driver) -> None:
    driver.pause()
    await start(driver, swallow)
    other = asyncio.get_running_loop().create_task(asyncio.sleep(0, "other"))
    assert await other == "other"
    driver.leave_nothing()


async def test_a_driven_coroutine_answers_for_the_one_inside(driver: Driver) -> None:
    names: list[str] = []

    async def child() -> None:
        task = asyncio.current_task()
        assert task is not None
        names.append(repr(task))
        assert task.get_stack()

    async def work() -> None:
        await asyncio.create_task(child())

    await (await start(driver, work))
    assert "child()" in names[0]
