"""From a class that a user wrote to its spec, or to one sentence that says what is wrong with it."""

from __future__ import annotations

import inspect
import re
import reprlib
import traceback
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from quince.errors import InvalidDefinition
from quince.processes.appended import appended_names
from quince.processes.interfaces import Host
from quince.processes.reference import ProcessReference
from quince.text import close_to, words_of
from quince_persistence.codec.temporary_errors import is_temporary
from quince_persistence.records import ProcessRow

P = ParamSpec("P")


class ProcessFunctionLike(Protocol[P]):
    """A function under `@process`, as those see it who submit it."""

    @property
    def process_class(self) -> type[Any]:
        """The process class that runs it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function."""


_FORGOT_SELF = re.compile(r"^(?:[\w<>]+\.)*(\w+)\(\) missing \d+ required positional arguments?: 'self'")


NAME = "__quince__"
"""The one name that the engine takes on a process class: there stands its definition, once it is made."""

Kind = TypeVar("Kind", bound=type)


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


_KINDS: list[tuple[type, ExecutionKind]] = []
"""The engine's base classes, each after those from whom it derives. (Users' classes may have metaclasses of
their own, which say of a class what they like: they are compared by identity.)"""


def run_by(kind: ExecutionKind) -> Callable[[Kind], Kind]:
    """Decorate one of the engine's own base classes: so are those run that derive from it."""

    def registered(cls: Kind) -> Kind:
        _KINDS.append((cls, kind))
        return cls

    return registered


def kind_of(cls: type) -> ExecutionKind:
    """How processes of a class are run: that of the nearest base."""
    return next(kind for base, kind in reversed(_KINDS) if issubclass(cls, base))


def is_process_class(thing: object) -> bool:
    """It is a subclass of `Process` (or `Process` itself)."""
    return isinstance(thing, type) and any(issubclass(thing, base) for base, _ in _KINDS)


def owner_of(cls: type, name: str) -> type | None:
    """The nearest base (or the class itself) that has an attribute of that name in it."""
    return next((base for base in cls.__mro__ if name in base.__dict__), None)


def is_inherited(cls: type, name: str) -> bool:
    """What the class has under that name is the engine's own."""
    owner = owner_of(cls, name)
    return any(owner is base for base, _ in _KINDS)


class Definition:
    """A process class, checked: what it declares, with those from whom it derives.

    Attributes:
        spec: Its ports and exit codes, sealed.
        outline: None for a process that has `run`.
    """

    __slots__ = ("_appended", "cls", "outline", "spec")

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        self.spec = declared(cls)
        self.outline = kind_of(cls).outline_of(cls, self.spec)
        self.spec.seal()
        self._appended: frozenset[str] | None = None

    @property
    def version(self) -> str:
        """The version of the class, as checkpoints say it."""
        return str(self.cls.version)

    def appended(self) -> frozenset[str]:
        """Names in the context to which the class appends: lists, though nothing may come."""
        if self._appended is None:
            self._appended = appended_names(self.cls, _KINDS[-1][0])
        return self._appended


def definition_of(cls: type[Any]) -> Definition:
    """The definition of this very class, made when it is first asked for.

    Raises:
        InvalidDefinition: names the class, the line and the way out.
    """
    found = cls.__dict__.get(NAME)
    if not isinstance(found, Definition):
        found = Definition(cls)
        type.__setattr__(cls, NAME, found)
    return found


def declared(cls: Any) -> Any:
    """What a class declares in `define`, its own and its parents'; not sealed yet.

    Raises:
        InvalidDefinition: names the class, the line and the way out.
    """
    name = cls.__qualname__
    _check_signature(cls)
    spec = kind_of(cls).spec_class()
    try:
        cls.define(spec)
    except (Exception, SystemExit) as error:  # it is the user's, and may fail in any way
        if is_temporary(error):
            raise
        raise InvalidDefinition(f"{name}: {_told(cls, error)}{_line(cls, error)}") from error
    if not spec.based:
        raise InvalidDefinition(
            f"{name}: its define() does not call super().define(spec); without it what its parents declare "
            "is missing"
        )
    return spec


def class_of(thing: Any) -> Any:
    """The process class that is meant: the thing itself, or that of a `@process` function.

    Raises:
        InvalidDefinition: it is neither; says what to write instead.
    """
    if is_process_class(thing):
        return thing
    if not isinstance(thing, type) and is_process_class(cls := getattr(thing, "process_class", None)):
        return cls
    words = reprlib.repr(thing)
    if isinstance(thing, type):
        instead = "it is no subclass of Process or WorkChain"
    elif inspect.isfunction(thing):
        words, instead = thing.__qualname__, "it is a plain function; write @process above it"
    elif isinstance(thing, ProcessReference):
        instead = f"it is process {thing.pid}, which is submitted already; give its class"
    elif isinstance(thing, str):
        instead = "it is a text; import the class and give it itself"
    else:
        instead = "give the class (or the @process function) itself, and its inputs by name: run(Square, x=3)"
    raise InvalidDefinition(f"{words} is no process class: {instead}")


def _check_signature(cls: Any) -> None:
    name = cls.__qualname__
    plain = inspect.getattr_static(cls, "define")
    if not isinstance(plain, classmethod):
        raise InvalidDefinition(f"{name}: define() is no class method; write @classmethod above it")
    if inspect.iscoroutinefunction(plain.__func__) or inspect.isgeneratorfunction(plain.__func__):
        raise InvalidDefinition(f"{name}: define() must be a plain `def`")
    try:
        inspect.signature(cls.define).bind(None)
    except TypeError:
        raise InvalidDefinition(
            f"{name}: define{inspect.signature(plain.__func__)} must be define(cls, spec)"
        ) from None


def _told(cls: Any, error: BaseException) -> str:
    """What went wrong in `define`, and what to write instead, if that is known."""
    words = words_of(error)
    if isinstance(error, InvalidDefinition):
        return words
    if isinstance(error, AttributeError) and error.obj is cls and error.name:
        methods = [one for one in dir(cls) if not one.startswith("_")]
        return f"the class has no {error.name!r}{close_to(error.name, methods)}"
    if isinstance(error, AttributeError) and isinstance(error.obj, kind_of(cls).spec_class) and error.name:
        if error.name == "outline":
            return "a Process has `run` and no outline; make it a WorkChain"
        return f"spec has no {error.name!r}{close_to(error.name, dir(error.obj))}"
    if isinstance(error, AttributeError) and isinstance(error.obj, property):
        return f"in define() the exit codes are those of the spec: write spec.exit_codes.{error.name}"
    forgot = _FORGOT_SELF.match(words) if isinstance(error, TypeError) else None
    if forgot:
        return f"write cls.{forgot[1]}, without brackets: the outline calls it when its turn comes"
    return f"define() failed with {type(error).__name__}: {words}"


def _line(cls: Any, error: BaseException) -> str:
    """Where in `define` it happened."""
    code = cls.define.__func__.__code__
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == code.co_filename and frame.name == code.co_name
    ]
    return f" (line {lines[0]} of {code.co_filename})" if lines else ""
