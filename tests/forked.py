"""Commands that are forks of one program instead of programs started anew (see `fork_server.py`)."""

from __future__ import annotations

import io
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

SERVER = Path(__file__).with_name("fork_server.py")
RUN = f"import runpy; runpy.run_path({str(SERVER)!r}, run_name='__main__')"
"""Not as a script, whose folder would come before the standard library: it has a `typing` too."""
READ_LATE = ("QUINCE_", "PYTEST_")
"""How the names of variables begin that nobody reads before the command itself runs."""


class ForkServer:
    """Runs `quince` in an environment that differs from that of the start in `READ_LATE` alone.

    What needs a real start, as another locale does, is told by `can_run`.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._settled = _settled(environment)
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", RUN, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,  # as the forks will
                env=self._settled, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        if not self._channel.recv(16):
            raise RuntimeError(f"the fork server did not start: {self._process.communicate()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
        self._process.wait(30)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Whether a fork would notice nothing."""
        return _settled(environment) == self._settled

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` with an empty stdin and captured output.

        Raises:
            subprocess.TimeoutExpired: it took too long; it is killed.
        """
        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        process = self.start(words, cwd=cwd, env=env, files={0: nothing, 1: its_out, 2: its_err})
        for theirs in (nothing, its_out, its_err):
            os.close(theirs)
        try:
            said = _read([out, err], timeout)
        except TimeoutError:
            process.kill()
            process.wait()
            raise subprocess.TimeoutExpired(list(words), timeout) from None
        return subprocess.CompletedProcess(list(words), process.wait(timeout), *said)

    def start(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], files: Mapping[int, int]
    ) -> Forked:
        """Start a command and go on.

        Args:
            files: Which file the command gets under which number.
        """
        ended, its_end = os.pipe()
        request = {
            "words": words, "folder": str(cwd), "environment": dict(env), "umask": _umask(),
            "numbers": list(files),
        }  # fmt: skip
        socket.send_fds(self._channel, [json.dumps(request).encode()], [its_end, *files.values()])
        os.close(its_end)
        return Forked(ended)


class Forked:
    """A command that was forked, with what tests use of `subprocess.Popen`."""

    def __init__(self, ended: int) -> None:
        self._ended = os.fdopen(ended, "rb", buffering=0)
        self.pid = int(self._ended.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            ready, _, _ = select.select([self._ended], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            with self._ended:
                self.returncode = os.waitstatus_to_exitcode(int(self._ended.readline()))
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sign)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _settled(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(READ_LATE)}


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask


def _read(pipes: list[int], timeout: float) -> list[str]:
    """All that comes through pipes, which are closed then.

    Raises:
        TimeoutError: they did not end in time.
    """
    deadline = time.monotonic() + timeout
    said = {pipe: bytearray() for pipe in pipes}
    try:
        with selectors.DefaultSelector() as selector:
            for pipe in pipes:
                selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(deadline - time.monotonic())
                if not ready and time.monotonic() >= deadline:
                    raise TimeoutError
                for key, _ in ready:
                    chunk = os.read(key.fd, 65536)
                    said[key.fd] += chunk
                    if not chunk:
                        selector.unregister(key.fd)
    finally:
        for pipe in pipes:
            os.close(pipe)
    return [io.TextIOWrapper(io.BytesIO(text)).read() for text in said.values()]
