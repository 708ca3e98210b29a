"""The same controls on plumpy and kiwiPy: a worker with plumpy's launcher, and plumpy's controller.

python -m tests.benchmarks.control_peers URI      (the worker; `bench_control` starts it)
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import kiwipy
import plumpy
from plumpy.communications import LoopCommunicator
from plumpy.process_comms import ProcessLauncher, RemoteProcessThreadController

SOON = 3.0


HERE: dict[str, Any] = {}
"""In the worker: its communicator, which plumpy's launcher does not hand on."""
_alive: list[plumpy.Process] = []
"""The launcher keeps nothing of what it starts without waiting."""


class Reached(plumpy.Process):  # type: ignore[misc]  # plumpy is untyped
    """Listens for controls."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, **HERE})
        _alive.append(self)


class Waits(Reached):
    """Waits in its worker's memory."""

    async def run(self) -> Any:
        return plumpy.Wait(self.done)

    def done(self) -> None:
        return


class Awaits(Reached):
    """Is in a coroutine."""

    async def run(self) -> None:
        await asyncio.sleep(3600)


def measure(
    uri: str,
    rounds: int,
    report: Callable[[str, list[tuple[float, float]]], None],
    flow: type[plumpy.Process],
) -> None:
    """Pause, play and kill of so many processes; plumpy answers once, when it is applied."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.control_peers", uri], stdout=-1, text=True
    )
    try:
        assert worker.stdout is not None
        worker.stdout.readline()
        with kiwipy.connect(uri) as communicator:
            controller = RemoteProcessThreadController(communicator)
            pids = [unwrapped(controller.launch_process(flow, nowait=True)) for _ in range(rounds)]
            time.sleep(1)
            verbs = {
                "pause": controller.pause_process,
                "play": controller.play_process,
                "kill": controller.kill_process,
            }
            for verb, call in verbs.items():
                times = [timed(call, pid) for pid in pids]
                answered = [seconds for seconds in times if seconds is not None]
                name = f"plumpy + kiwiPy {verb} {flow.__name__.lower()}, {len(answered)} of {rounds} answer"
                if answered:
                    report(name, [(seconds, seconds) for seconds in answered])
                else:
                    print(f"{name}", flush=True)
    finally:
        worker.kill()
        worker.wait()


def unwrapped(answer: Any) -> Any:
    """What is in a future of a future of a future."""
    while isinstance(answer, concurrent.futures.Future):
        answer = answer.result(SOON)
    return answer


def timed(call: Callable[[Any], Any], pid: Any) -> float | None:
    began = time.perf_counter()
    try:
        unwrapped(call(pid))
    except (kiwipy.RemoteException, kiwipy.DeliveryFailed, kiwipy.UnroutableError, TimeoutError):
        return None
    return time.perf_counter() - began


async def work(uri: str) -> None:
    """The worker, until it is killed."""
    with kiwipy.connect(uri) as communicator:
        there = LoopCommunicator(communicator, asyncio.get_running_loop())
        launcher = ProcessLauncher(
            loop=asyncio.get_running_loop(), load_context=plumpy.LoadSaveContext(communicator=there)
        )
        HERE["communicator"] = there
        there.add_task_subscriber(launcher)
        print("ready", flush=True)
        while True:  # noqa: ASYNC110 - plumpy's callbacks need a loop that wakes up
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(importlib.import_module("tests.benchmarks.control_peers").work(sys.argv[1]))
