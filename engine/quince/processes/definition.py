"""From a class that a user wrote to its spec, or to one sentence that says what is wrong with it."""

from __future__ import annotations

import ast
import inspect
import re
import reprlib
import textwrap
import traceback
from collections.abc import Iterable
from typing import Any, ParamSpec, Protocol

from quince.errors import InvalidDefinition
from quince.processes.bases import is_base, kind_of, owner_of, process_class_in, refuse_overriding
from quince.processes.child import ProcessReference
from quince.processes.retries import StepPolicy, checked_on_failure, policy_of
from quince.processes.signatures import takes_error, takes_self
from quince.text import close_to, words_of
from quince_persistence.codec.temporary_errors import is_temporary

P = ParamSpec("P")


class ProcessFunctionLike(Protocol[P]):
    """A function under `@process`, as those see it who submit it."""

    @property
    def process_class(self) -> type[Any]:
        """The process class that runs it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function."""


_FORGOT_SELF = re.compile(r"^(?:[\w<>]+\.)*(\w+)\(\) missing \d+ required positional arguments?: 'self'")


ISOLATIONS = ("host", "thread")
"""What a class may say of where its steps run."""
NAME = "__quince__"
"""The one name that the engine takes on a process class: there stands its definition, once it is made."""
_MADE_BY_CLASS = 1 << 9
"""Of the flags of a type: it is made by a class statement (CPython's `Py_TPFLAGS_HEAPTYPE`)."""


class Definition:
    """A process class, checked: what it declares, with those from whom it derives.

    Attributes:
        spec: Its ports and exit codes, sealed.
        outline: None for a process that has `run`.
        all_coroutines: No step of it blocks.
        on_failure: What the class says of processes of which a step has failed: `fail`, `pause` or nothing.
        has_handlers: A step of it has one.
    """

    __slots__ = (
        "_appended",
        "_makeable",
        "all_coroutines",
        "cls",
        "has_handlers",
        "on_failure",
        "outline",
        "spec",
    )

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        refuse_overriding(cls)
        _check_hooks(cls)
        self.spec = declared(cls)
        self.outline = kind_of(cls).outline_of(cls, self.spec)
        self.spec.seal()
        steps = [cls.run] if self.outline is None else self.outline.steps()
        self.all_coroutines = all(map(inspect.iscoroutinefunction, steps))
        self.on_failure: str | None = inspect.getattr_static(cls, "on_failure")
        handled = [_check_handler(cls, function) for function in self.calls()]
        self.has_handlers = any(handled)
        self._appended: frozenset[str] | None = None
        self._makeable = False

    def calls(self) -> Iterable[Any]:
        """The functions that are called as steps of it, or as tests of its outline."""
        return [self.cls.run] if self.outline is None else self.outline.calls()

    @property
    def first_step(self) -> str | None:
        """The step that runs first, or the test that is asked first, for people."""
        found: str | None = "run" if self.outline is None else self.outline.label((0,))
        return found

    def policy(self, name: str) -> StepPolicy:
        """What was said of the step of that name."""
        return policy_of(next((one for one in self.calls() if one.__name__ == name), None))

    def require_makeable(self) -> None:
        """Nothing is submitted of which no worker could make an object.

        Raises:
            InvalidDefinition: none can; says why.
        """
        if not self._makeable:
            _check_making(self.cls)
            self._makeable = True

    @property
    def version(self) -> str:
        """The version of the class, as checkpoints say it."""
        return str(self.cls.version)

    @property
    def in_threads(self) -> bool:
        """Its `def` steps run in threads of one program."""
        return bool(self.cls.isolation == "thread")

    def appended(self) -> frozenset[str]:
        """Names in the context to which the class appends: lists, though nothing may come."""
        if self._appended is None:
            self._appended = _appended_names(self.cls)
        return self._appended


def definition_of(cls: type[Any]) -> Definition:
    """The definition of this very class, made when it is first asked for.

    Raises:
        InvalidDefinition: names the class, the line and the way out.
    """
    found = cls.__dict__.get(NAME)
    if not isinstance(found, Definition) or found.cls is not cls:
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
    cls = process_class_in(thing)
    if cls is not None:
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


def _check_hooks(cls: type[Any]) -> None:
    name = cls.__qualname__
    if not isinstance(inspect.getattr_static(cls, "migrate"), classmethod):
        raise InvalidDefinition(f"{name}: migrate() is no class method; write @classmethod above it")
    version = inspect.getattr_static(cls, "version")
    if not isinstance(version, (str, int)) or isinstance(version, bool):
        raise InvalidDefinition(
            f"{name}: `version` says which checkpoints the class continues from; write a text (version = "
            f'"2"), and not {reprlib.repr(version)}'
        )
    keep = inspect.getattr_static(cls, "keep_checkpoints")
    if not isinstance(keep, bool):
        raise InvalidDefinition(
            f"{name}: `keep_checkpoints` says whether those before all of its steps are kept; write True or "
            f"False, and not {reprlib.repr(keep)}"
        )
    isolation = inspect.getattr_static(cls, "isolation")
    if isolation not in ISOLATIONS:
        raise InvalidDefinition(
            f"{name}: `isolation` says where its steps run; write one of "
            f"{' and '.join(map(repr, ISOLATIONS))}, and not {reprlib.repr(isolation)}"
        )

    checked_on_failure(name, inspect.getattr_static(cls, "on_failure"))


def _check_handler(cls: type[Any], function: Any) -> bool:
    """Whether a step has a handler, which must be a method that can be called as one."""
    name = policy_of(function).handler
    if name is None:
        return False
    what = f"{cls.__qualname__}.{function.__name__}: handler={name!r}"
    handler = getattr(cls, name, None)
    if handler is None:
        methods = [one for one in dir(cls) if not one.startswith("_")]
        raise InvalidDefinition(f"{what}: the class has no method of that name{close_to(name, methods)}")
    if not callable(handler) or not takes_error(handler):
        raise InvalidDefinition(f"{what}: a handler is a method that takes self and the error")
    return True


def _check_making(cls: type[Any]) -> None:
    name = cls.__qualname__
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise InvalidDefinition(f"{name} is abstract, and cannot be submitted: it lacks {missing}")
    built_in = next((base for base in cls.__mro__[:-1] if not base.__flags__ & _MADE_BY_CLASS), None)
    if built_in is not None:
        raise InvalidDefinition(
            f"{name} derives from {built_in.__qualname__}, and a process cannot; keep one in an attribute"
        )
    if owner_of(cls, "__init__") is not object and not takes_self(cls.__init__):
        raise InvalidDefinition(
            f"{name}: its __init__ needs arguments, and workers give none; inputs are declared in define()"
        )


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


def _appended_names(cls: type) -> frozenset[str]:
    """Every `name` of `name=append_(...)` in the source of a class and its parents, but not of ours.

    A loop that appends may run no time at all; what comes after it finds an empty list, and no name that is
    missing. Where there is no source (a class typed into an interpreter), nothing is known.
    """
    users = [one for one in cls.__mro__ if one is not object and not is_base(one)]
    return frozenset().union(*map(_names_in, users))


def _names_in(cls: type) -> set[str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return set()
    return {
        word.arg
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg and _is_append(word.value)
    }


def _is_append(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call):
        return False
    name = value.func
    return getattr(name, "id", getattr(name, "attr", None)) == "append_"
