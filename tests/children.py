"""Children made by `os.fork()`, as multiprocessing and web servers make them, and what they answer."""

from __future__ import annotations

import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any

PATIENCE = 30.0


class Child:
    """A fork that calls a function and ends at once, with nothing of the interpreter's end.

    Args:
        function: Called in the child; its answer, or its exception's text, goes to `answer`.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._out, into = os.pipe()
        self.ospid = os.fork()
        if not self.ospid:
            os.close(self._out)
            _answer(into, function)
        os.close(into)

    def answer(self) -> Any:
        """What the function has returned.

        Raises:
            AssertionError: it did not answer in time (the child is killed), or raised something.
        """
        said = b""
        while select.select([self._out], [], [], PATIENCE)[0]:
            chunk = os.read(self._out, 65536)
            if not chunk:
                break
            said += chunk
        else:
            os.kill(self.ospid, signal.SIGKILL)
        os.close(self._out)
        os.waitpid(self.ospid, 0)
        assert said, "the child did not answer"
        found, value = pickle.loads(said)
        assert found, value
        return value


def in_child(function: Callable[[], Any]) -> Any:
    """What a function returns in a forked child."""
    return Child(function).answer()


def _answer(into: int, function: Callable[[], Any]) -> None:
    try:
        said = pickle.dumps((True, function()))
    except BaseException:
        said = pickle.dumps((False, traceback.format_exc()))
    os.write(into, said)
    os._exit(0)
