"""The engine's own base classes of processes: how each is run, and which of their names are the engine's.

All other names are the user's, for steps, helpers and attributes. Users' classes may have metaclasses that
say of a class what they like; so classes are compared by identity here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from quince.errors import InvalidDefinition
from quince.processes.interfaces import Host
from quince_persistence.records import ProcessRow

OVERRIDABLE = frozenset(
    {
        "deadline",
        "define",
        "isolation",
        "keep_checkpoints",
        "logger",
        "migrate",
        "on_failure",
        "run",
        "version",
    }
)
"""Documented names of a process that a class may have for itself."""
SETTABLE = frozenset({"status"})
"""Those that a step may set."""
INSTEAD = {
    "ctx": "write self.ctx.update(...), or self.ctx.name = ...",
    "inputs": "they are what was submitted; what is to last goes into self.ctx",
    "outputs": "write self.out(name, value)",
}

Base = TypeVar("Base", bound=type)


class ExecutionKind(Protocol):
    """How processes of a base class are run; a class of which each run is an instance.

    Attributes:
        spec_class: With what they declare.
    """

    spec_class: type[Any]

    def __call__(self, cls: type[Any], row: ProcessRow, inputs: bytes, host: Host) -> Any:
        """The run of a process under a claim."""

    def outline_of(self, cls: type[Any], spec: Any) -> Any:
        """The outline, checked, or None if the work is `run`.

        Raises:
            InvalidDefinition: the class has no work to do, or one that cannot be done.
        """


_BASES: list[tuple[type, ExecutionKind, frozenset[str]]] = []
"""Each after those from whom it derives, with the documented names that it adds and nobody may override."""
_RESERVED: set[str] = set()


def run_by(kind: ExecutionKind) -> Callable[[Base], Base]:
    """Decorate one of the engine's own base classes: so are those run that derive from it."""

    def registered(cls: Base) -> Base:
        reserved = frozenset(name for name in vars(cls) if not name.startswith("_")) - OVERRIDABLE
        _BASES.append((cls, kind, reserved))
        _RESERVED.update(reserved)
        return cls

    return registered


def kind_of(cls: type) -> ExecutionKind:
    """How processes of a class are run: that of the nearest base."""
    return next(kind for base, kind, _ in reversed(_BASES) if issubclass(cls, base))


def is_process_class(thing: object) -> bool:
    """It is a subclass of `Process` (or `Process` itself)."""
    return isinstance(thing, type) and any(issubclass(thing, base) for base, _, _ in _BASES)


def process_class_in(thing: object) -> Any:
    """The process class that is meant: the thing itself, or that of a `@process` function; or None."""
    found = thing if isinstance(thing, type) else getattr(thing, "process_class", None)
    return found if is_process_class(found) else None


def is_base(cls: type | None) -> bool:
    """It is one of the engine's own."""
    return any(cls is base for base, _, _ in _BASES)


def owner_of(cls: type, name: str) -> type | None:
    """The nearest base (or the class itself) that has an attribute of that name in it."""
    return next((base for base in cls.__mro__ if name in base.__dict__), None)


def attribute_of(cls: type, name: str) -> Any:
    """What a class says by an attribute of that name, whatever its metaclass makes of it; None: nothing."""
    owner = owner_of(cls, name)
    return None if owner is None else owner.__dict__[name]


def refuse_overriding(cls: type) -> None:
    """A class has no other meaning for what is documented.

    Raises:
        InvalidDefinition: it has, or a mixin of it; names the attribute and says what it is.
    """
    for base, _, reserved in _BASES:
        if not issubclass(cls, base):
            continue
        for name in sorted(reserved):
            owner = owner_of(cls, name)
            if not is_base(owner):
                whose = "" if owner is cls or owner is None else f" of {owner.__qualname__}"
                raise InvalidDefinition(
                    f"{cls.__qualname__}: {name!r}{whose} would hide {base.__name__}.{name} "
                    f"({_meaning(base, name)}), which cannot be overridden; give it another name"
                )


def refuse_setting(process: object, name: str) -> None:
    """What is documented stays what it is on an object, too.

    Raises:
        AttributeError: the name is; says what to write instead.
    """
    if name not in _RESERVED or name in SETTABLE:
        return
    for base, _, reserved in _BASES:
        if name in reserved and issubclass(type(process), base):
            instead = INSTEAD.get(name, f"it is documented ({_meaning(base, name)}): use another name")
            raise AttributeError(f"self.{name} cannot be replaced; {instead}")


def _meaning(base: type, name: str) -> str:
    """The first sentence of what is documented."""
    text = inspect.getdoc(vars(base)[name]) or ""
    return text.partition("\n")[0].partition(". ")[0].rstrip(".")
