"""From a live process to the bytes that the store keeps, and back."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from quince.errors import EngineError, UnreadableCheckpoint
from quince.own_code import is_own
from quince.processes.child import ChildProcess, collect_children
from quince.processes.interfaces import Host
from quince.processes.process import Process
from quince.text import storable, words_of
from quince_persistence.codec import decode, encode, encode_each
from quince_persistence.records import Claim

SCHEMA = 1
"""Version of the layout of a checkpoint; a newer one is refused, an older one is migrated here."""


def save(process: Process, views: list[Any] | None = None) -> bytes | None:
    """The checkpoint of a process between two steps; None if its inputs say everything.

    Args:
        views: As `quince_persistence.codec.encode`.

    Raises:
        Unsaveable: a value in the context or the outputs cannot be stored; names where it is.
    """
    memory = process._memory()
    if memory is None and not process._outputs:
        return None
    version = str(type(process).version)
    whole = {"v": SCHEMA, "version": version, "outputs": process._outputs, **(memory or {})}
    return encode(whole, "", views=views)


def save_outputs(process: Process) -> bytes:
    """The outputs, as the store keeps them.

    Raises:
        Unsaveable: as `save`.
    """
    return encode_each(process._outputs, "outputs")


def restore(cls: type[Process], claim: Claim, host: Host) -> tuple[Process, list[ChildProcess]]:
    """A live process from what the store holds, and the children its context mentions.

    Raises:
        UnreadableCheckpoint: written by a newer engine, or not what this class continues from.
        Unreadable: bytes that the codec cannot read.
    """
    opened = Opened(cls, claim)
    if opened.foreign:
        opened.migrate()
    return opened.process(host), opened.children


class Opened:
    """A stored process on its way back to life.

    Attributes:
        children: Those that its checkpoint mentions.
        foreign: Another version of the class wrote the checkpoint: `migrate` before `process`.

    Raises:
        UnreadableCheckpoint, Unreadable: as `restore`.
    """

    def __init__(self, cls: type[Process], claim: Claim) -> None:
        self._cls, self._claim = cls, claim
        self._memory: dict[str, Any] | None = None
        self.children: list[ChildProcess] = []
        self._version = str(cls.version)
        if claim.checkpoint is not None:
            with collect_children() as self.children:
                self._memory = _checked(decode(claim.checkpoint))
            self._version = self._memory.pop("version")
        self.foreign = self._version != str(cls.version)

    def migrate(self) -> None:
        """Have the class bring the memory up to date. Runs the user's code."""
        name = self._cls.__name__
        try:
            migrated = self._cls.migrate(dict(self._memory or {}), self._version)
        except UnreadableCheckpoint:
            raise
        except Exception as error:
            raise UnreadableCheckpoint(
                f"{name}.migrate failed for a checkpoint of version {self._version!r}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(migrated, dict):
            raise UnreadableCheckpoint(
                f"{name}.migrate must return a dictionary, not {type(migrated).__name__}"
            )
        self._memory = migrated

    def process(self, host: Host) -> Process:
        """The live process.

        Raises:
            UnreadableCheckpoint: the class cannot go on from it.
        """
        row = self._claim.row
        try:
            process = self._cls(row.pid, self._claim.inputs, host, row)
        except EngineError:
            raise
        except Exception as error:  # a constructor of the user's may fail in any way
            raise UnreadableCheckpoint(
                f"{self._cls.__name__} cannot be made: {type(error).__name__}: {error}"
            ) from error
        if "_pid" not in vars(process):
            raise UnreadableCheckpoint(
                f"{self._cls.__name__} cannot be made: its __init__ must call super().__init__(*args)"
            )
        process.status = row.status
        if self._memory is not None:
            process._outputs = dict(self._memory.get("outputs") or {})
            if "position" in self._memory or process._memory() is not None:
                process._recall(self._memory)
        return process


def _checked(memory: Any) -> dict[str, Any]:
    """The memory of a checkpoint whose layout this engine knows."""
    found = memory.pop("v", None) if isinstance(memory, dict) else None
    if found != SCHEMA or "version" not in memory:
        raise UnreadableCheckpoint(f"its checkpoint has layout {found!r}; this engine reads {SCHEMA}")
    checked: dict[str, Any] = memory
    return checked


@dataclass(frozen=True, slots=True)
class ErrorStory:
    """An exception as the store keeps it: never the object, always the words."""

    type_name: str
    text: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> ErrorStory:
        kind = type(error)
        name = (
            kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )
        lines = traceback.format_exception(kind, error, user_frames(error))
        return cls(name, words_of(error), storable("".join(lines)))

    def encode(self) -> bytes:
        return encode({"type": self.type_name, "text": self.text, "traceback": self.traceback}, "error")

    @classmethod
    def decode(cls, blob: bytes) -> ErrorStory:
        plain = decode(blob)
        return cls(plain.get("type", "Exception"), plain.get("text", ""), plain.get("traceback", ""))


def user_frames(error: BaseException) -> TracebackType | None:
    """The traceback of an exception, without the engine's own frames at its head."""
    trace = error.__traceback__
    while trace is not None and _is_engine(trace.tb_frame.f_code.co_filename) and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _is_engine(file: str) -> bool:
    return is_own(file) or file == asyncio.tasks.__file__
