"""From a live process to the bytes that the store keeps, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quince.errors import EngineError, UnreadableCheckpoint
from quince.processes.bases import kind_of
from quince.processes.child import ChildProcess, collect_children
from quince.processes.execution import Execution
from quince.processes.interfaces import Host
from quince.processes.namespace import Namespace
from quince.processes.versions import is_older
from quince.text import words_of
from quince_persistence.codec import decode, encode, encode_each, unfold
from quince_persistence.records import Claim
from quince_persistence.records.steps import Step

SCHEMA = 1
"""Version of the layout of a checkpoint; a newer one is refused, an older one is migrated here."""


def save(execution: Execution, views: list[Any] | None = None) -> bytes | None:
    """The checkpoint of a process between two steps; None if its inputs say everything.

    Args:
        views: As `quince_persistence.codec.encode`.

    Raises:
        Unsaveable: a value in the context or the outputs cannot be stored; names where it is.
    """
    memory = execution.memory()
    if memory is None and not execution.outputs:
        return None
    version = execution.definition.version
    whole = {"v": SCHEMA, "version": version, "outputs": dict.copy(execution.outputs), **(memory or {})}
    if execution.revision is not None:
        whole["revision"] = execution.revision
    return encode(whole, "", views=views)


def save_outputs(execution: Execution) -> bytes:
    """The outputs, as the store keeps them.

    Raises:
        Unsaveable: as `save`.
    """
    return encode_each(dict.copy(execution.outputs), "outputs")


def of_step(step: Step) -> bytes | None:
    """The checkpoint that a step has left, whole, as a claim gives it; None if it has left none."""
    return None if step.checkpoint is None else unfold(step.checkpoint, step.contents)


def restore(cls: type[Any], claim: Claim, host: Host) -> tuple[Execution, list[ChildProcess]]:
    """A process that can go on, from what the store holds, and the children its context mentions.

    Raises:
        UnreadableCheckpoint: written by a newer engine, or not what this class continues from.
        Unreadable: bytes that the codec cannot read.
    """
    opened = Opened(cls, claim)
    if opened.foreign:
        opened.migrate()
    return opened.execution(host), opened.children


class Opened:
    """A stored process on its way back to life.

    Attributes:
        children: Those that its checkpoint mentions.
        foreign: Another version of the class wrote the checkpoint: `migrate` before `execution`.

    Raises:
        UnreadableCheckpoint, Unreadable: as `restore`.
    """

    def __init__(self, cls: type[Any], claim: Claim) -> None:
        self._cls, self._claim = cls, claim
        self._memory: dict[str, Any] | None = None
        self.children: list[ChildProcess] = []
        self._version = str(cls.version)
        self._revision: str | None = None
        if claim.checkpoint is not None:
            with collect_children(claim.replaced) as self.children:
                self._memory = _checked(decode(claim.checkpoint))
            self._version = self._memory.pop("version")
            self._revision = self._memory.pop("revision", None)
        self.foreign = self._version != str(cls.version)
        written = claim.row.class_version if claim.checkpoint is None else self._version
        if is_older(str(cls.version), written):
            raise UnreadableCheckpoint(
                f"{cls.__name__} has version {cls.version!r} here, and the process is of version "
                f"{written!r}: this code is older"
            )

    def migrate(self) -> None:
        """Have the class bring the memory up to date. Runs the user's code."""
        name = self._cls.__name__
        try:
            migrated = self._cls.migrate(dict(self._memory or {}), self._version)
        except UnreadableCheckpoint:
            raise
        except BaseException as error:  # no SystemExit of the user's ends the worker
            raise UnreadableCheckpoint(
                f"{name}.migrate failed for a checkpoint of version {self._version!r}: "
                f"{type(error).__name__}: {words_of(error)}"
            ) from error
        if not isinstance(migrated, dict):
            raise UnreadableCheckpoint(
                f"{name}.migrate must return a dictionary, not {type(migrated).__name__}"
            )
        self._memory = migrated

    def execution(self, host: Host) -> Execution:
        """The process, with its object made. Runs the user's `__init__`.

        Raises:
            UnreadableCheckpoint: the class cannot go on from it.
        """
        row, memory = self._claim.row, self._memory
        execution: Execution = kind_of(self._cls)(self._cls, row, self._claim.inputs, host)
        try:
            execution.make_process()
        except EngineError:
            raise
        except BaseException as error:  # a constructor of the user's may fail in any way
            raise UnreadableCheckpoint(
                f"{execution.name} cannot be made: {type(error).__name__}: {words_of(error)}"
            ) from error
        execution.status, execution.revision = row.status, self._revision
        if memory is not None:
            execution.outputs = _outputs(memory)
            if "position" in memory or execution.memory() is not None:
                execution.recall(memory)
        return execution


def _outputs(memory: Mapping[str, Any]) -> Namespace:
    try:
        return Namespace(memory.get("outputs") or {})
    except (TypeError, ValueError) as error:
        raise UnreadableCheckpoint(f"its checkpoint has no outputs by name: {error}") from error


def _checked(memory: Any) -> dict[str, Any]:
    """The memory of a checkpoint whose layout this engine knows."""
    found = memory.pop("v", None) if isinstance(memory, dict) else None
    if found != SCHEMA or "version" not in memory:
        raise UnreadableCheckpoint(f"its checkpoint has layout {found!r}; this engine reads {SCHEMA}")
    checked: dict[str, Any] = memory
    return checked
