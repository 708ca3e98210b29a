"""A checkpoint as its table has it, with what the step after it waits for: one can wait for that again."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from quince_persistence.records.steps import Step


class KeptWait(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step waits for besides other processes, and how; see `quince_persistence.records.steps.Step`."""

    due: float | None = None
    signals: tuple[str, ...] = ()
    deadline: bool = False
    wait_any: bool = False
    wait_due: bool = False


NO_WAIT = KeptWait()


class Kept(NamedTuple):
    """One checkpoint; but for the bytes, as JSON.

    Attributes:
        awaits: The pids that the step after it waits for.
        replaced: Which pids in it stand for which others by now.
        wait: What else that step waits for.
    """

    blob: bytes
    awaits: str | None = None
    replaced: str | None = None
    wait: str | None = None

    @classmethod
    def of(cls, step: Step) -> Kept:
        """What a step leaves behind."""
        wait = KeptWait(step.due, tuple(step.signals), step.deadline, step.wait_any, step.wait_due)
        said = None if wait == NO_WAIT else msgspec.json.encode(wait).decode()
        return cls(step.checkpoint or b"", json_text(list(step.awaits)), None, said)


def json_text(value: list[int] | dict[int, int]) -> str | None:
    """For a column; None if it is empty."""
    return msgspec.json.encode(value).decode() if value else None


def read_pids(text: str | None) -> tuple[int, ...]:
    """The pids of a column `awaits`."""
    return () if text is None else _pids(text)


def read_replaced(text: str | None) -> dict[int, int]:
    """What a column `replaced` says."""
    return {} if text is None else _replaced(text)


def read_wait(text: str | None) -> KeptWait:
    """What a column `wait` says."""
    return NO_WAIT if text is None else _wait(text)


_pids = msgspec.json.Decoder(tuple[int, ...]).decode
_replaced = msgspec.json.Decoder(dict[int, int]).decode
_wait = msgspec.json.Decoder(KeptWait).decode
