"""How many steps the store commits per second, and how long one takes.

    python -m tests.benchmarks.bench_store [URL ...]     # without a URL: SQLite in a temporary folder
    python -m tests.benchmarks.bench_store --postgres    # also a private PostgreSQL

Callers are coroutines of one event loop, as in a worker: each owns one process and commits step after
step (a checkpoint of 1.4 kB), awaiting every commit before the next. A second table tells the cost
of a whole life: insert, claim, two steps, end.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from quince_persistence.records import NewProcess, State
from quince_persistence.records.steps import Step
from quince_persistence.store import Store
from tests.services import postgres

T = TypeVar("T")

CALLERS = (1, 50, 200)
CHECKPOINT = bytes(1400)
INPUTS = bytes(300)


@dataclass(frozen=True)
class Figure:
    """What was measured.

    Attributes:
        rate: Per second, all callers together.
        p50, p99: Milliseconds that one caller waits for one commit (or one life).
    """

    rate: float
    p50: float
    p99: float


def measure_steps(store: Store, callers: int, seconds: float) -> Figure:
    """Steps per second with so many callers at once."""
    return asyncio.run(_repeat(store, callers, seconds, _step_after_step))


def measure_lives(store: Store, callers: int, seconds: float) -> Figure:
    """Whole lives per second: insert, claim, two steps, end (five commits one after the other)."""
    return asyncio.run(_repeat(store, callers, seconds, _life_after_life))


async def _repeat(store: Store, callers: int, seconds: float, caller: Any) -> Figure:
    loop = asyncio.get_running_loop()
    store.on_batch = loop.call_soon_threadsafe
    until = time.perf_counter() + seconds
    begun = time.perf_counter()
    waits: list[float] = []
    await asyncio.gather(*(caller(store, until, waits) for _ in range(callers)))
    took = time.perf_counter() - begun
    store.on_batch = None
    ordered = sorted(waits)
    return Figure(
        len(waits) / took, statistics.median(ordered) * 1e3, ordered[int(len(ordered) * 0.99)] * 1e3
    )


async def _step_after_step(store: Store, until: float, waits: list[float]) -> None:
    pid, epoch = await _born(store)
    while (begun := time.perf_counter()) < until:
        await _landed(store.commit(Step(pid, "w", epoch, State.RUNNING, step="next", checkpoint=CHECKPOINT)))
        waits.append(time.perf_counter() - begun)
    await _landed(store.commit(Step(pid, "w", epoch, State.FINISHED, exit_status=0, outputs=b"")))


async def _life_after_life(store: Store, until: float, waits: list[float]) -> None:
    while (begun := time.perf_counter()) < until:
        pid, epoch = await _born(store)
        for name in ("two", "three"):
            await _landed(
                store.commit(Step(pid, "w", epoch, State.RUNNING, step=name, checkpoint=CHECKPOINT))
            )
        await _landed(store.commit(Step(pid, "w", epoch, State.FINISHED, exit_status=0, outputs=INPUTS)))
        waits.append(time.perf_counter() - begun)


async def _born(store: Store) -> tuple[int, int]:
    (pid,) = store.allocate_pids(1)
    await _landed(store.insert([NewProcess(pid, "bench:Process", INPUTS)]))
    (claim,) = await _landed(store.claim([pid], "w"))
    return pid, claim.row.epoch


def _landed(future: Future[T]) -> asyncio.Future[T]:
    """The future for the loop, without a thread hop of its own (`Store.on_batch` brings it there)."""
    loop = asyncio.get_running_loop()
    here: asyncio.Future[T] = loop.create_future()

    def done(future: Future[T]) -> None:
        error = future.exception()
        if error is not None:
            here.set_exception(error)
        else:
            here.set_result(future.result())

    future.add_done_callback(done)
    return here


def report(url: str, seconds: float) -> None:
    """Print both tables for one store."""
    with Store(url) as store:
        print(store.url)
        for title, measure in (("steps", measure_steps), ("lives", measure_lives)):
            for callers in CALLERS:
                figure = measure(store, callers, seconds)
                print(
                    f"  {title:6} {callers:4} callers {figure.rate:9,.0f} /s"
                    f"   p50 {figure.p50:7.2f} ms   p99 {figure.p99:7.2f} ms"
                )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Steps per second of the store")
    parser.add_argument("urls", nargs="*", metavar="URL")
    parser.add_argument("--postgres", action="store_true", help="also on a private PostgreSQL")
    parser.add_argument("--seconds", type=float, default=3.0, help="per figure")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        urls = list(options.urls)
        if not urls:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            urls.append(f"sqlite:///{Path(folder) / 'bench.sqlite'}")
        if options.postgres:
            urls.append(stack.enter_context(postgres()).new_url())
        for url in urls:
            report(url, options.seconds)


if __name__ == "__main__":
    main()
