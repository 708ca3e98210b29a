"""Every live process against the present code: what would break if workers took it up now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from quince.errors import EngineError
from quince.processes import checkpoint
from quince.processes.definition import definition_of
from quince.processes.process import Process
from quince.workspace.class_loader import ClassLoader
from quince.workspace.workspace import Workspace
from quince_persistence.codec import Unreadable, decode, met_unreadable
from quince_persistence.records import Claim
from quince_persistence.records.steps import Telling


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """Processes of one class that this code could not go on with, for one reason.

    Attributes:
        pids: Ascending.
    """

    class_path: str
    reason: str
    pids: tuple[int, ...]


def check_code(workspace: Workspace) -> list[Incompatibility]:
    """Load every live process, its inputs and its checkpoint, and throw it away.

    Nothing is claimed, run or written; `migrate` hooks are called on a copy.
    """
    broken: dict[tuple[str, str], list[int]] = {}
    restorer = _Restorer(workspace.registry)
    for claim in workspace.store.live():
        reason = restorer.obstacle(claim)
        if reason is not None:
            broken.setdefault((claim.row.class_path, reason), []).append(claim.row.pid)
    return [Incompatibility(path, reason, tuple(pids)) for (path, reason), pids in broken.items()]


class _Restorer:
    """Restores processes and throws them away; stands in for their worker meanwhile."""

    id = "code-check"
    store: Any = None

    def __init__(self, registry: ClassLoader) -> None:
        self.troubles: dict[int, str] = {}
        self._registry = registry
        self._classes: dict[str, type[Process] | str] = {}

    def obstacle(self, claim: Claim) -> str | None:
        """Why a process could not go on, or None if it could."""
        cls = self._class(claim.row.class_path)
        if isinstance(cls, str):
            return cls
        try:
            with met_unreadable() as met:
                checkpoint.restore(cls, claim, self)
                inputs = decode(claim.inputs)
        except (EngineError, Unreadable) as error:
            return str(error)
        if met:
            return f"it holds a {met[0].unreadable_kind} that cannot be read: {met[0].unreadable_reason}"
        return _wrong_inputs(cls, inputs)

    def _class(self, path: str) -> type[Process] | str:
        """The class, or why it cannot be loaded."""
        if path not in self._classes:
            try:
                self._classes[path] = self._registry.load_class(path)
            except EngineError as error:
                self._classes[path] = str(error)
        return self._classes[path]

    def new_pid(self, *, within: float | None = None) -> NoReturn:
        raise EngineError("a check of the code gives no pids")

    def ordered(self, pid: int) -> bool | None:
        return None

    def under_terms(self, pid: int, step: str, seconds: float | None, on_failure: str | None) -> None:
        """No step runs here."""

    def revision(self, path: str) -> str | None:
        return self._registry.revision(path)

    def tell(self, telling: Telling) -> None:
        """No step runs here."""

    def name_of(self, cls: Any) -> str:
        return self._registry.name_of(cls)


def _wrong_inputs(cls: type[Process], inputs: Mapping[str, Any]) -> str | None:
    """What the present spec has against inputs that an older one has taken."""
    ports = definition_of(cls).spec.inputs
    unknown = sorted(name for name in inputs if name not in ports and not ports.dynamic)
    if unknown:
        return f"it has the input {unknown[0]!r}, which {cls.__name__} does not take any more"
    try:
        problem = ports.validate(inputs)
    except Exception as error:  # a validator of the user's may fail in any way
        return f"the validator of its inputs failed: {type(error).__name__}: {error}"
    return None if problem is None else f"its inputs are not what {cls.__name__} takes now: {problem}"
