"""Processes from plain functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Generic, ParamSpec, Protocol, overload

from typing_extensions import TypeVar

from quince.errors import InvalidDefinition, InvalidOutput
from quince.moments import Duration
from quince.processes.caching import CACHE
from quince.processes.hints import admits_mapping, mismatch
from quince.processes.process import Process
from quince.processes.retries import ONCE, POLICY, Retry, policy_from, policy_of
from quince.processes.signatures import hints_of, signature_of
from quince.processes.spec import InputOptions, ProcessSpec
from quince_persistence.codec import check
from quince_persistence.errors import Unsaveable

P = ParamSpec("P")
Answer = TypeVar("Answer", covariant=True)
Value = TypeVar("Value", covariant=True, default=Any)
Returned = TypeVar("Returned")
Returned_mapping = TypeVar("Returned_mapping", bound=Mapping[str, Any])


class ProcessFunction(Generic[P, Answer, Value]):
    """A function that can also be submitted: `run(add, x=1, y=2)`, `submit(add, x=1, y=2)`.

    Its parameters are the inputs, and its hints are checked as far as values can show them. What it
    returns is the output `result`; a mapping whose keys are names gives one output for each. Calling it
    calls the function.

    For type checkers it has the function's parameters, what calling it answers (a coroutine, of an
    `async def`) and of which type its outputs are: `ProcessFunction[[int, int], int, int]`.

    Attributes:
        process_class: The process class that runs it.
        function: The function itself.
    """

    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[P, Answer]) -> None:
        self.process_class = _class_of(function)
        self.function = function
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Call the function, here and now and as no process."""
        return self.function(*args, **kwargs)

    def spec(self) -> ProcessSpec:
        """What its process class declares: an input for each parameter, and its outputs."""
        return self.process_class.spec()


class ProcessDecorator(Protocol):
    """What `@process(retry=3)` is before it has its function."""

    @overload
    def __call__(
        self, function: Callable[P, Returned_mapping], /
    ) -> ProcessFunction[P, Returned_mapping, Any]: ...
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, Returned_mapping]], /
    ) -> ProcessFunction[P, Coroutine[Any, Any, Returned_mapping], Any]: ...
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, Returned]], /
    ) -> ProcessFunction[P, Coroutine[Any, Any, Returned], Returned]: ...
    @overload
    def __call__(self, function: Callable[P, Returned], /) -> ProcessFunction[P, Returned, Returned]: ...


@overload
def process(function: Callable[P, Returned_mapping], /) -> ProcessFunction[P, Returned_mapping, Any]: ...
@overload
def process(
    function: Callable[P, Coroutine[Any, Any, Returned_mapping]], /
) -> ProcessFunction[P, Coroutine[Any, Any, Returned_mapping], Any]: ...
@overload
def process(
    function: Callable[P, Coroutine[Any, Any, Returned]], /
) -> ProcessFunction[P, Coroutine[Any, Any, Returned], Returned]: ...
@overload
def process(function: Callable[P, Returned], /) -> ProcessFunction[P, Returned, Returned]: ...
@overload
def process(
    *,
    retry: Retry | int | None = None,
    timeout: Duration | None = None,
    on_failure: str | None = None,
    cache: bool = False,
) -> ProcessDecorator: ...
def process(
    function: Any = None,
    /,
    *,
    retry: Retry | int | None = None,
    timeout: Duration | None = None,
    on_failure: str | None = None,
    cache: bool = False,
    **others: Any,
) -> Any:
    """Make a function (`def` or `async def`) a process: `@process` above it, or `@process(retry=3)`.

    It is called as before, and can be given to `run`, `submit` and `self.submit`, with its parameters as
    inputs, by name. What it returns is the output `result`; a mapping gives one output for each key.

    Args:
        retry: A `Retry`, or how many attempts there are in all, as of `step`.
        timeout: How long an attempt may take, as of `step`.
        on_failure: `fail` or `pause`, as of `step`.
        cache: One that is asked for with the same inputs as one that ended well has its outputs at once.

    Raises:
        InvalidDefinition: it is no function, a method or a generator, or takes `*args` alone; or what is
            said of it makes no sense.
    """
    if others or (function is not None and (cache or not (retry is timeout is on_failure is None))):
        raise InvalidDefinition(
            "@process takes retry, timeout, on_failure and cache, by name, and nothing else: write "
            "@process(retry=3) above the function"
        )
    policy = policy_from("@process", retry, timeout, on_failure)
    if type(cache) is not bool:
        raise InvalidDefinition(f"@process: cache is True or False, not {cache!r}")

    def decorated(function: Any) -> Any:
        if isinstance(function, ProcessFunction):
            return function
        made: ProcessFunction[..., Any, Any] = ProcessFunction(function)
        if policy != ONCE:
            setattr(made.process_class.run, POLICY, policy)
        if cache:
            setattr(made.process_class, CACHE, True)
        return made

    return decorated if function is None else decorated(function)


def _checked(function: Any) -> Any:
    """The function, if it can be a process.

    Raises:
        InvalidDefinition: it cannot; says why, and what to write.
    """
    if isinstance(function, type) or not callable(function):
        raise InvalidDefinition(
            f"@process stands above a function, not {function!r}; a "
            "class is a process if it is a subclass of Process or WorkChain"
        )
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", repr(inner))
    if not hasattr(function, "__qualname__"):
        raise InvalidDefinition(f"@process {name}: {function!r} has no name; define a function that calls it")
    if name == "<lambda>":
        raise InvalidDefinition("@process: a lambda has no name under which a worker finds it; write `def`")
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise InvalidDefinition(f"@process {name}: it yields, and a process returns; return a list")
    if next(iter(signature_of(function).parameters), "") == "self":
        raise InvalidDefinition(
            f"@process {name}: a method cannot be a process; write a function, or a subclass of Process"
        )
    return function


def _class_of(function: Callable[..., Any]) -> type[Process]:
    signature = signature_of(_checked(function))
    hints = hints_of(function, signature)
    name = function.__name__
    names = {parameter.kind: name for name, parameter in signature.parameters.items()}
    if inspect.Parameter.VAR_POSITIONAL in names and inspect.Parameter.VAR_KEYWORD not in names:
        starred = names[inspect.Parameter.VAR_POSITIONAL]
        raise InvalidDefinition(
            f"@process {name}: what comes in *{starred} has no name, and inputs have; take a list"
        )
    places = [name for name, one in signature.parameters.items() if one.kind is one.POSITIONAL_ONLY]
    promised = hints.get("return", inspect.Parameter.empty)

    def define(cls: type[Process], spec: ProcessSpec) -> None:
        Process.define(spec)
        _define_inputs(spec, signature, hints)
        spec.outputs.dynamic = True
        if promised is not inspect.Parameter.empty and not admits_mapping(promised):
            spec.output("result", valid_type=type(None) if promised is None else promised)

    def call(self: Process) -> Any:
        named = dict(self.inputs)
        return function(*(named.pop(one) for one in places if one in named), **named)

    async def when_done(answer: Awaitable[Any]) -> Mapping[str, Any]:
        return _as_outputs(name, promised, await answer)

    def run_blocking(self: Process) -> Any:
        answer = call(self)  # of a decorated `async def`, it may be a coroutine
        return when_done(answer) if inspect.isawaitable(answer) else _as_outputs(name, promised, answer)

    async def run_async(self: Process) -> Any:
        return await when_done(call(self))

    run = run_async if inspect.iscoroutinefunction(function) else run_blocking
    run.__name__ = "run"  # the step, in log records and messages
    if (policy := policy_of(function)) != ONCE:  # @step stands below
        setattr(run, POLICY, policy)
    return type(
        name,
        (Process,),
        {
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__doc__": function.__doc__,
            "define": classmethod(define),
            "run": run,
        },
    )


def _define_inputs(spec: ProcessSpec, signature: inspect.Signature, hints: Mapping[str, Any]) -> None:
    for name, parameter in signature.parameters.items():
        hint = hints.get(name)
        if parameter.kind is parameter.VAR_KEYWORD:
            spec.inputs.dynamic = True
            spec.inputs.valid_type = hint
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            options: InputOptions = {} if hint is None else {"valid_type": hint}
            if parameter.default is None or _storable(parameter.default):
                options["default"] = _constant(parameter.default)
            elif parameter.default is not parameter.empty:
                options["required"] = False  # the function has its default itself
            spec.input(name, **options)


def _constant(value: Any) -> Any:
    """A default as ports take it: None as it is, since it says that None may be given."""
    return None if value is None else lambda: value


def _storable(value: Any) -> bool:
    if value is inspect.Parameter.empty:
        return False
    try:
        check(value, "default")
    except Unsaveable:
        return False
    return True


def _as_outputs(name: str, promised: Any, answer: Any) -> Mapping[str, Any]:
    """A mapping gives one output for each key, if its keys can be names of outputs.

    Raises:
        InvalidOutput: the answer is not what the function promises.
    """
    if promised is not inspect.Parameter.empty and (wrong := mismatch(answer, promised)):
        raise InvalidOutput(f"{name}: what it returned: {wrong}", "result")
    if isinstance(answer, Mapping) and all(isinstance(key, str) and key.isidentifier() for key in answer):
        return answer
    return {"result": answer}
