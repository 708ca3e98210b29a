"""Processes whose steps wait, inside, for processes of their own making."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from quince import WorkChain, get_process, process, run, submit
from quince.processes.running_step import steps_here


@process
async def leaf(x: int) -> int:
    return x


@process
def blocking_leaf(x: int) -> int:
    return x


@process
def by_result(x: int) -> int:
    return submit(leaf, x=x).result()["result"]


@process
async def by_await(x: int) -> int:
    return (await submit(leaf, x=x))["result"]


@process
async def by_result_on_the_loop(x: int) -> int:
    return submit(leaf, x=x).result()["result"]


@process
def by_wait_and_pid(x: int) -> int:
    pid = submit(blocking_leaf, x=x).pid
    get_process(pid).wait()
    return int(get_process(pid).outputs["result"])


@process
async def by_events(x: int) -> int:
    handle = submit(leaf, x=x)
    async for _ in handle.events():
        pass
    return int(handle.outputs["result"])


@process
def by_threads(x: int) -> int:
    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(lambda _: submit(leaf, x=x).result()["result"], range(4))) // 4


@process
async def by_executor(x: int) -> int:
    """In a thread that knows no context, beside other coroutines."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: submit(leaf, x=x).result()["result"])


@process
def by_loop_of_its_own(x: int) -> int:
    async def many() -> list[Any]:
        return await asyncio.gather(*(submit(leaf, x=x) for _ in range(4)))

    return int(sum(one["result"] for one in asyncio.run(many())) // 4)


@process
def by_run(x: int) -> int:
    return run(by_result, x=x)["result"]


KINDS = [
    by_result,
    by_await,
    by_result_on_the_loop,
    by_wait_and_pid,
    by_events,
    by_threads,
    by_executor,
    by_loop_of_its_own,
    by_run,
]


@process
def nested(depth: int) -> int:
    return submit(nested, depth=depth - 1).result()["result"] + 1 if depth else 0


@process
async def nested_async(depth: int) -> int:
    return (await submit(nested_async, depth=depth - 1))["result"] + 1 if depth else 0


@process
def elsewhere(x: int) -> int:
    return submit(by_result, x=x, queue="other").result()["result"]


@process
def itself() -> int:
    (step, *_), _ = steps_here()
    assert step is not None
    return int(get_process(step.pid).result()["result"])


@process
def other(key: str) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            return int(get_process(key).result()["result"])
        except LookupError:
            time.sleep(0.02)
    return 0


class Circle(WorkChain):
    """Waits for a child that waits, inside its step, for this one."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("text", valid_type=str)
        spec.outline(cls.begin, cls.end)

    def begin(self) -> None:
        self.to_context(child=self.submit(waits_for, pid=self.pid))

    def end(self) -> None:
        self.out("text", str(self.ctx.child.exit_message))


@process
def waits_for(pid: int) -> int:
    return int(get_process(pid).result()["result"])


@process
def sleeper(seconds: float) -> int:
    time.sleep(seconds)
    return 1


@process
def waits_long(seconds: float) -> int:
    return submit(sleeper, seconds=seconds).result()["result"]


@process
async def slow_leaf(x: int) -> int:
    await asyncio.sleep(1)
    return x


@process
async def blocks_its_own(x: int) -> int:
    """Blocks the loop on which what it waits for has begun."""
    handle = submit(slow_leaf, x=x)
    await asyncio.sleep(0.5)
    return handle.result()["result"]
