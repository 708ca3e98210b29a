"""Telling a program of this host: what has happened is JSON on its standard input."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import msgspec

from quince.notify.failures import NotSent
from quince.notify.messages import Message
from quince.text import in_line
from quince.workspace.receivers import Receiver

SAID = 2000
"""Bytes of what a command has said last that are looked at."""


def tell(receiver: Receiver, message: Message, folder: Path) -> None:
    """Run the command; it has a session of its own, so that all of it can be ended when its time is over.

    Nothing of what users say stands on its command line, and no shell reads it.

    Raises:
        NotSent: it cannot be run, took too long, or ended with another status than 0.
    """
    with tempfile.TemporaryFile() as said:
        try:
            program = subprocess.Popen(
                receiver.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            raise NotSent(f"{receiver.command[0]} cannot be run: {error.strerror or error}") from error
        try:
            program.communicate(msgspec.json.encode(message.document) + b"\n", timeout=receiver.timeout)
        except subprocess.TimeoutExpired:
            raise NotSent(f"{receiver.command[0]} took longer than {receiver.timeout:g} s") from None
        finally:
            _end(program)
        if program.returncode:
            raise NotSent(f"{receiver.command[0]} ended with status {program.returncode}{_last(said)}")


def _end(program: subprocess.Popen[bytes]) -> None:
    """End what is left of it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def _last(said: IO[bytes]) -> str:
    """The last line that it has written to its standard error."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - SAID))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return f": {in_line(lines[-1])}" if lines else ""
