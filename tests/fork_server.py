"""A program that has imported the command line and forks for each command: the start costs a tenth.

A fork is one thread without an open file but those it is given. It gets its own words, folder, environment
and standard streams, runs `quince.cli.main` as `python -m` does, and leaves through the end of the
interpreter. `tests/forked.py` asks for them; this file imports nothing of the tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import Any

PROGRAM = "quince.cli.main"
WHEN_RUN = (
    "quince.processes.functions", "quince_messaging.transports.amqp", "quince_messaging.transports.local",
    "rich._emoji_codes", "sqlite3", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql.psycopg",
    "psycopg",
)  # fmt: skip
"""What most commands import while they run, beside the modules of the commands."""


def main(descriptor: int) -> None:
    """Answer requests until the other end is closed; in a fork, be the command."""
    with socket.socket(fileno=descriptor) as channel:
        prepare()
        request = serve(channel)
    if request is not None:
        become(**request)
        runpy.run_module(PROGRAM, run_name="__main__", alter_sys=True)


def prepare() -> None:
    """Import everything, but leave no thread and no trace of this file."""
    del sys.path[0]  # where it was started
    for name in WHEN_RUN:
        importlib.import_module(name)
    group = importlib.import_module("typer.main").get_command(importlib.import_module(PROGRAM).app)
    for name in group.list_commands(None):
        group.get_command(None, name)
    group.make_context("quince", ["ps"])  # typer imports pydantic when it reads the first words
    del sys.modules[PROGRAM], sys.modules["quince.cli"].main  # as before `-m`
    gc.collect()
    gc.freeze()  # or each fork would copy all of it to look for garbage
    assert len(os.listdir("/proc/self/task")) == 1, "a thread does not survive a fork"  # noqa: PTH208


def serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; returns it in the fork, and None when there are no more.

    With each request come the file that gets the process id and then, as `waitpid` says it, how the process
    ended; and the files of the process. A fork between waits for that end, so that many can run at once.
    """
    channel.send(b"ready")
    while True:
        text, (ended, *files), _, _ = _receive(channel)
        if not text:
            return None
        if not os.fork():
            channel.close()
            child = os.fork()
            if not child:
                os.close(ended)
                return {"files": files, **json.loads(text)}
            _close(files)
            os.write(ended, f"{child}\n".encode())
            os.write(ended, f"{os.waitpid(child, 0)[1]}\n".encode())
            os._exit(0)
        _close([ended, *files])
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _receive(channel: socket.socket) -> tuple[bytes, list[int], int, Any]:
    text, files, flags, address = socket.recv_fds(channel, 1 << 20, 8)
    return text, files or [-1], flags, address


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)


def become(
    files: list[int],
    numbers: list[int],
    words: list[str],
    folder: str,
    environment: dict[str, str],
    umask: int,
) -> None:
    """Take on what a program is given when it is started."""
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, max(numbers) + 1) for file in files]
    _close(files)
    for number, file in zip(numbers, aside, strict=True):
        os.dup2(file, number)
    _close(aside)
    os.chdir(folder)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = words
    sys.path.insert(0, str(Path.cwd()))
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends pytest, which then closes the channel
    main(int(sys.argv[1]))
