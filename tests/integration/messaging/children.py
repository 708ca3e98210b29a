"""Programs that fault tests run as processes of their own, and kill.

`python -m tests.integration.messaging.children ROLE URI`; each prints a line when it is ready.
"""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import quince_messaging


def hold_tasks(uri: str) -> None:
    """Take every task and settle none."""
    communicator = quince_messaging.connect(uri, task_prefetch=100)
    forever = threading.Event()
    taken = threading.Semaphore(0)

    def take(_comm: Any, _task: Any) -> None:
        taken.release()
        forever.wait()

    communicator.add_task_subscriber(take)
    print("ready", flush=True)
    taken.acquire()
    print("taken", flush=True)
    forever.wait()


def hang_in_call(uri: str) -> None:
    """Serve `hangs`, which never answers."""
    communicator = quince_messaging.connect(uri)
    forever = threading.Event()
    communicator.add_rpc_subscriber(lambda _comm, _msg: forever.wait(), "hangs")
    print("ready", flush=True)
    forever.wait()


def promise(uri: str) -> None:
    """Serve `promises`, which answers that it will answer, and never does."""
    communicator = quince_messaging.connect(uri)
    communicator.add_rpc_subscriber(lambda _comm, _msg: concurrent.futures.Future(), "promises")
    print("ready", flush=True)
    threading.Event().wait()


def just_end(uri: str) -> None:
    """Leave everything open and let the interpreter end, with a subscriber that is blocked."""
    communicator = quince_messaging.connect(uri)
    communicator.add_rpc_subscriber(lambda _comm, _msg: threading.Event().wait(), "blocked")
    communicator.rpc_send("blocked", None)
    communicator.broadcast_send("good-bye", subject="last.words")
    print("ready", flush=True)


def fork_and_use(uri: str) -> None:
    """Use a communicator in a child made by fork; print what comes of it there and here."""
    communicator = quince_messaging.connect(uri)
    pid = os.fork()
    if pid == 0:
        try:
            communicator.task_send("from the child")
        except quince_messaging.CommunicatorForked as error:
            print(f"refused: {error}", flush=True)
        communicator.close()
        os._exit(0)
    os.waitpid(pid, 0)
    communicator.task_send("from the parent", no_reply=True)
    print(f"parent: {communicator.queue_size()} task", flush=True)
    communicator.close()


def fork_in_a_subscriber(uri: str) -> None:
    """Let a child made by fork come back from a subscriber, and print who has answered the call."""
    server, caller = quince_messaging.connect(uri), quince_messaging.connect(uri)

    def fork(_comm: Any, _msg: Any) -> str:
        pid = os.fork()
        if pid == 0:
            return "child"
        time.sleep(0.5)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return "parent"

    server.add_rpc_subscriber(fork, "fork")
    print([caller.rpc_call("fork", None, timeout=10) for _ in range(3)], flush=True)
    caller.close()
    server.close()


ROLES = {
    "hold_tasks": hold_tasks,
    "hang_in_call": hang_in_call,
    "promise": promise,
    "just_end": just_end,
    "fork_and_use": fork_and_use,
    "fork_in_a_subscriber": fork_in_a_subscriber,
}


@contextmanager
def child(role: str, uri: str) -> Iterator[subprocess.Popen[str]]:
    """Run a role; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, role, uri],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a child prints."""
    return process.stdout.readline().strip() if process.stdout is not None else ""


if __name__ == "__main__":
    ROLES[sys.argv[1]](sys.argv[2])
