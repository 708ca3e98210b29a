"""One private server process: started, stopped, killed, frozen, and gone for sure in the end."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NoReturn, Self

import psutil
import pytest

START_TIMEOUT = 90.0
"""Seconds that a server may take to answer; RabbitMQ needs about 5 on an idle machine."""

_WATCHDOG = """
cat >/dev/null
for f in "$0"/*.pid; do [ -e "$f" ] && kill -QUIT "-$(cat "$f")" 2>/dev/null && late=yes; done
[ -n "$late" ] && sleep 1
for f in "$0"/*.pid; do [ -e "$f" ] && kill -KILL "-$(cat "$f")" 2>/dev/null; done
rm -rf "$0"
"""


class ServiceMissing(Exception):
    """The server's binaries are not installed."""


def _required() -> bool:
    """Whether a missing server is a failure (on CI) and not a reason to skip."""
    return os.environ.get("CI") == "true" or os.environ.get("QUINCE_REQUIRE_SERVICES") == "1"


def missing(error: object) -> NoReturn:
    """Skip the test, since what it needs is not installed; on CI, fail."""
    if _required():
        pytest.fail(f"required here: {error}", pytrace=False)
    pytest.skip(str(error))


class ServiceFailed(Exception):
    """The server did not start, or did not stop."""


class Server(ABC):
    """One private server on one port, which stays the same through `stop`, `kill` and `restart`.

    `with` starts it and, in the end, removes every trace of it.
    """

    name: str

    def __init__(self) -> None:
        self.folder = Path()
        self.port = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"quince-{self.name}-", dir=_reachable_folder()))
        self.port = free_port()
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, str(self.folder)], stdin=subprocess.PIPE, start_new_session=True
        )
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it (again) and return when it answers. Nothing happens if it runs."""
        if self.running:
            return
        self._launch()
        self._await_answer()

    def stop(self) -> None:
        """Stop it in good order and return when it is gone. Nothing happens if it does not run."""
        self._end(self._stop_signal, grace=30.0)

    def kill(self) -> None:
        """`kill -9` on the server and all of its processes; returns when they are gone."""
        self._end(signal.SIGKILL, grace=10.0)

    def restart(self) -> None:
        """`stop` and `start`."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP on all of its processes: connections stay open, nobody answers."""
        _send(signal.SIGSTOP, self._family())

    def thaw(self) -> None:
        """SIGCONT: the opposite of `freeze`."""
        _send(signal.SIGCONT, self._family())

    @property
    def running(self) -> bool:
        process = self._processes.get(self.name)
        return process is not None and process.poll() is None

    def log(self) -> str:
        """The last lines of what the server said."""
        logs = sorted(self.folder.glob("*.log")) + sorted(self.folder.glob("logs/*.log"))
        return "\n".join(line for log in logs for line in log.read_text(errors="replace").splitlines()[-15:])

    def close(self) -> None:
        """Take it down at once and remove its folder. May be called twice."""
        if self._watchdog is None:
            return
        self.thaw()
        for name in list(self._processes):
            self._end(self._close_signal, grace=3.0, name=name)
        self._watchdog.communicate()
        self._watchdog = None

    @abstractmethod
    def _prepare(self) -> None:
        """What is done once, before the first start."""

    @abstractmethod
    def _launch(self) -> None:
        """Start the server's process."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether clients can connect now."""

    _stop_signal = signal.SIGTERM
    _close_signal = signal.SIGKILL

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if not self.running:
                raise ServiceFailed(f"{self.name} ended while starting; its log says:\n{self.log()}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{self.name} does not answer; its log says:\n{self.log()}")
            time.sleep(0.03)

    def _spawn(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str], user: str | None = None
    ) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                argv,
                env=env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
                extra_groups=None if user is None else [],
            )
        self._processes[name] = process
        (self.folder / f"{name}.pid").write_text(str(process.pid))

    def _family(self, name: str | None = None) -> list[psutil.Process]:
        """The server's process and all below it; empty if it does not run."""
        process = self._processes.get(name or self.name)
        if process is None or process.poll() is not None:
            return []
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]

    def _signalled(self, family: Sequence[psutil.Process]) -> Sequence[psutil.Process]:
        """Which of them a polite signal goes to."""
        return family[:1]

    def _end(self, sign: signal.Signals, grace: float, name: str | None = None) -> None:
        name = name or self.name
        family = self._family(name)
        _send(sign, family if sign is signal.SIGKILL else self._signalled(family))
        alive = _wait_gone(family, grace)
        _send(signal.SIGKILL, alive)
        if alive := _wait_gone(alive, 10.0):
            raise ServiceFailed(f"{name} cannot be stopped: {alive}")
        if (process := self._processes.pop(name, None)) is not None:
            process.wait()
        (self.folder / f"{name}.pid").unlink(missing_ok=True)


def free_port() -> int:
    """A port of 127.0.0.1 that is free, below those that the kernel gives to clients.

    (A client that keeps trying a dead server's port could otherwise be given that very port, connect
    to itself, and keep the server from coming back.)
    """
    for _ in range(1000):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServiceFailed("no free port between 20000 and 32000")


def _send(sign: signal.Signals, processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # one may end while the others are told
            process.send_signal(sign)


def _wait_gone(processes: Sequence[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Those still alive after `timeout` seconds. (A zombie is gone: its parent may be slow to reap.)"""
    deadline = time.monotonic() + timeout
    alive = list(processes)
    while (alive := [process for process in alive if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def plain_environment(home: Path) -> dict[str, str]:
    """Nothing of the caller's settings, whatever they are."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "HOME": str(home), "LC_ALL": "C.UTF-8", "TMPDIR": str(home)}


def _reachable_folder() -> Path:
    """Where another user can reach a folder of ours, and where a socket's path stays short."""
    for folder in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        ways = (folder.resolve(), *folder.resolve().parents)
        if len(str(folder)) < 40 and all(way.is_dir() and way.stat().st_mode & 0o001 for way in ways):
            return folder
    raise ServiceFailed("no temporary folder that other users can reach; set TMPDIR to one")
