"""Children that a step under test finds in its context, without anything having been run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from quince.processes.child import ChildProcess
from quince.processes.definition import class_of, definition_of
from quince.processes.port_values import check_output
from quince.testing.arguments import mapping, whole
from quince.text import storable
from quince_persistence.codec import encode_each
from quince_persistence.records import ProcessRow, Result, State

_pids = itertools.count(1_000_001)
_made: WeakValueDictionary[int, ChildProcess] = WeakValueDictionary()


def finished(
    outputs: Mapping[str, Any] | None = None,
    exit_status: int = 0,
    exit_message: str | None = None,
    *,
    of: Any = None,
) -> ChildProcess:
    """A child that has finished, for `run_step(..., ctx={"part": finished({"square": 9})})`.

    Args:
        outputs: By name, as a step reads them in `self.ctx.part.outputs`.
        exit_status: 0 if it ended well.
        exit_message: What its exit code says.
        of: Its class, or `@process` function: then the outputs must be such as it declares.

    Raises:
        InvalidOutput: It has no such output.
        ValueError: What is given makes no sense; says what.
    """
    values = mapping("finished()", "outputs", outputs, "finished({'square': 9})")
    exit_status = whole("finished()", "exit_status", exit_status, least=-(2**31), most=2**31 - 1)
    if of is not None:
        cls = class_of(of)
        for name, value in values.items():
            check_output(definition_of(cls).spec, cls.__name__, name, value)
    return _stand_in(State.FINISHED, of, encode_each(values, "outputs"), exit_status, exit_message)


def excepted(error: BaseException | str, *, of: Any = None) -> ChildProcess:
    """A child that has ended with an exception.

    Args:
        error: The exception, or what its `exit_message` says.
        of: Its class, or `@process` function.

    Raises:
        ValueError: It is no exception.
    """
    given: object = error
    if not isinstance(given, (str, BaseException)):
        raise ValueError(f"excepted(): error is {given!r}, and must be an exception, or what it says")
    told = given if isinstance(given, str) else f"{type(given).__name__}: {given}"
    return _stand_in(State.EXCEPTED, of, None, None, told)


def killed(reason: str | None = None, *, of: Any = None) -> ChildProcess:
    """A child that was killed.

    Args:
        of: Its class, or `@process` function.
    """
    return _stand_in(State.KILLED, of, None, None, reason)


def unfinished(*, of: Any = None) -> ChildProcess:
    """A child that has not ended: the step waits for another one, or its time was over.

    Args:
        of: Its class, or `@process` function.
    """
    return _stand_in(State.RUNNING, of, None, None, None)


def results_of(pids: Sequence[int]) -> list[Result]:
    """How those of these processes have ended that are stand-ins."""
    found = (_made.get(pid) for pid in pids)
    return [child._result for child in found if child is not None and child._result is not None]


def _stand_in(
    state: State, of: Any, outputs: bytes | None, status: int | None, message: str | None
) -> ChildProcess:
    path = "" if of is None else f"{class_of(of).__module__}:{class_of(of).__qualname__}"
    words = None if message is None else storable(str(message))
    row = row_of(next(_pids), path, state, status, words)
    child = _made[row.pid] = ChildProcess(row.pid, path)
    child.load(Result(row, outputs, None))
    return child


def row_of(
    pid: int, path: str, state: State, exit_status: int | None = None, exit_message: str | None = None
) -> ProcessRow:
    """The row of a process that stands in no store."""
    return ProcessRow(
        pid=pid, parent=None, root=pid, class_path=path, class_version="", state=state, paused=False,
        ready=False, owner=None, epoch=1, queue="default", priority=0, key=None, intent=None,
        intent_reason=None, status=None, step=None, awaiting=0, due=None, deaths=0,
        exit_status=exit_status, exit_message=exit_message, created=0.0, updated=0.0, ended=None,
    )  # fmt: skip
