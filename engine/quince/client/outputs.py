"""What a process was given, and what it has put out; or the error that says why it has put out nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quince.errors import ProcessExcepted, ProcessFailed, ProcessKilled
from quince.processes.error_record import ErrorRecord
from quince.processes.namespace import plain
from quince.showing import ShowsItself
from quince.text import visible
from quince_persistence.codec import decode
from quince_persistence.codec.standard import register_plain
from quince_persistence.records import Result, State


class Values(ShowsItself, dict[str, Any]):
    """Inputs or outputs, by name: a dict, which a notebook shows as a table. It is stored as any other."""

    __slots__ = ()


register_plain(Values, dict)


def outputs_of(result: Result) -> Mapping[str, Any]:
    """The outputs of a process that has terminated.

    Raises:
        ProcessExcepted, ProcessKilled, ProcessFailed: it has ended otherwise.
    """
    row = result.row
    outputs = values_of(result.outputs)
    if row.state is State.EXCEPTED:
        story = (
            ErrorRecord.decode(result.error)
            if result.error
            else ErrorRecord("Exception", row.exit_message or "", "")
        )
        excepted = ProcessExcepted(row.pid, story.type_name, story.text, story.traceback)
        excepted.add_note(visible(story.traceback).rstrip())  # shown where nobody catches it
        raise excepted
    if row.state is State.KILLED:
        raise ProcessKilled(row.pid, row.exit_message)
    if row.exit_status:
        raise ProcessFailed(row.pid, row.exit_status, row.exit_message, outputs)
    return outputs


def values_of(blob: bytes | None) -> Values:
    """Values as they are stored, by name."""
    return Values((name, plain(value)) for name, value in decode(blob).items()) if blob else Values()
