"""Reads what a class declares in a program of its own: no user's module is imported where people look.

Run as `python -m quince.monitor.code_loading FOLDER CLASS_PATH [ALLOWED ...]`: prints a `Code` as JSON.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from quince.interpreter import command_line
from quince.monitor.code import Code
from quince.monitor.declared import code_of
from quince.processes.bases import process_class_in
from quince.text import words_of
from quince.workspace.class_loader import ClassLoader
from quince.workspace.revision import revision_of
from quince.workspace.workspace import Workspace

PATIENCE = 60.0
"""Seconds for the import of a user's module."""
MOST = 200
"""Classes that are kept in memory."""


class CodeReader:
    """What the classes of one workspace declare, read once for each revision of their files."""

    def __init__(self, home: Workspace) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str | None], Code] = {}

    def read(self, class_path: str) -> Code:
        """What a class declares; what could not be loaded says why."""
        if (known := process_class_in(self._home.registry.known(class_path))) is not None:
            return _declared(known, class_path)
        key = class_path, revision_of(class_path, self._home.location.folder)
        with self._lock:  # one program at a time
            if (code := self._kept.get(key)) is None:
                code = self._asked(class_path)
                if len(self._kept) >= MOST:
                    self._kept.clear()
                self._kept[key] = code
        return code

    def _asked(self, class_path: str) -> Code:
        place = self._home.location
        words = command_line(__name__, str(place.folder), class_path, *place.allowed)
        try:
            done = subprocess.run(
                words, cwd=place.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return Code(class_path, error=f"its module was not imported within {PATIENCE:g} s")
        except OSError as error:
            return Code(class_path, error=f"no program could be started that loads it: {error}")
        try:
            return msgspec.json.decode(done.stdout.rpartition(b"\n")[2], type=Code)
        except msgspec.DecodeError:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            last = lines[-1] if lines else f"its program ended with status {done.returncode}"
            return Code(class_path, error=last)


def _declared(cls: type, class_path: str) -> Code:
    try:
        return code_of(cls, class_path)
    except Exception as error:  # whatever the user's class says
        return Code(class_path, error=words_of(error))


def main(folder: str, class_path: str, *allowed: str) -> None:
    """Print what a class declares."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what the module prints is not the answer
    try:
        code = _declared(ClassLoader(Path(folder), allowed).load_class(class_path), class_path)
    except BaseException as error:
        code = Code(class_path, error=words_of(error))
    with contextlib.suppress(BrokenPipeError), os.fdopen(answer, "wb") as stream:
        stream.write(b"\n" + msgspec.json.encode(code))


if __name__ == "__main__":
    main(*sys.argv[1:])
