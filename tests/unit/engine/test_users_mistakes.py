"""What a step does wrong is its process's own error, which names the thing and the way out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from quince import (
    ExitCode,
    InvalidDefinition,
    InvalidInput,
    Process,
    ProcessExcepted,
    ToContext,
    WorkChain,
    Workspace,
    find,
    get_schedule,
    limits,
    process,
    remove_limit,
    run,
    set_limit,
    signal_,
    submit,
)
from quince.processes.error_record import ErrorRecord, passed_user_code
from quince.testing import run_step
from quince.workspace.location import Location
from quince_persistence import UnknownSchedule
from quince_persistence.codec import register_type

HUGE = 10**400


class Mute:
    """Says nothing of itself, and cannot be saved."""

    def __repr__(self) -> str:
        raise RuntimeError("I have no words")


class Registered:
    """Its function for the codec fails, when the checkpoint is written."""


def _fails(one: Registered) -> Any:
    raise KeyError("not ready")


register_type(Registered, "tests.mistakes", _fails, lambda plain: Registered())


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@process
def one(x: int = 0) -> int:
    return x


def _raise(error: BaseException) -> Any:
    raise error


def _odd_syntax() -> Any:
    error = SyntaxError("by hand")
    error.text, error.lineno, error.filename = 5, "a", 7  # type: ignore[assignment]
    raise error


class Mistaken(WorkChain):
    """Makes the mistake of that number, in a step or a coroutine step."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("number")
        spec.outputs.dynamic = True
        spec.outline(cls.step, cls.goes_on)

    def step(self) -> Any:
        return MISTAKES[self.inputs.number][0](self)

    def goes_on(self) -> None:
        self.out("went", "on")


class InCoroutine(Mistaken):
    async def step(self) -> Any:
        return await MISTAKES[self.inputs.number][0](self)


Mistake = tuple[Callable[[Any], Any], str]
BLOCKING: list[Mistake] = [
    (lambda self: self.submit(5), "5 is no process class: give the class"),
    (lambda self: self.submit(self), "is no process class: give the class"),
    (lambda self: self.submit(one, inputs=5), "inputs must be a mapping of one's inputs, not int"),
    (lambda self: self.submit(one, queue=5), "'5' cannot be the name of a queue"),
    (lambda self: self.submit(one, priority="high"), "priority 'high' is not between 0 and 9"),
    (lambda self: self.out(5, 1), "the name of an output is 5"),
    (lambda self: self.out("x", Mute()), r"outputs\.x cannot be saved"),
    (lambda self: self.out_many(5), r"out_many\(\) takes a mapping"),
    (lambda self: self.to_context(x=5), r"to_context\(x=...\) waits for"),
    (lambda self: self.to_context(x=Mute()), r"to_context\(x=...\) waits for"),
    (lambda self: ToContext(**{"": self.submit(one)}), "the name of a value in ctx is empty"),
    (lambda self: self.report(Mute()), "I have no words"),
    (lambda self: setattr(self, "status", Mute()), "I have no words"),
    (lambda self: self.once("k", 5), r"once\('k', ...\) takes a function and then its arguments, not 5"),
    (lambda self: self.once(5, len), "the key of a once-block is 5"),
    (lambda self: self.signal(Mute(), "n"), r"signal\(\) takes what submit\(\) returned, a handle or a pid"),
    (lambda self: self.signal(HUGE, "n"), r"signal\(\) takes what submit\(\) returned, a handle or a pid"),
    (lambda self: self.signal(5, 5), "the name of a signal is 5"),
    (
        lambda self: self.to_context(x=signal_("x", timeout=HUGE)),
        r"signal_\('x', timeout=...\): .* is too long",
    ),
    (lambda self: self.sleep(HUGE), r"sleep\(\): .* is too long: a hundred years is"),
    (lambda self: self.sleep(1e300), r"sleep\(\): 1e\+300 is too long: a hundred years"),
    (lambda self: self.sleep(Mute()), r"sleep\(\): .* is no duration: write a number of seconds"),
    (lambda self: self.exposed_inputs(5), "5 is no process class"),
    (lambda self: self.exposed_inputs(one, 5), "a namespace is a name, not 5"),
    (lambda self: self.exposed_outputs(5, one), "the outputs of one are not exposed"),
    (lambda self: self.exit_codes.NOPE, "no exit code 'NOPE' is declared"),
    (lambda self: HUGE, "exit status 1000.* is not between 0 and 2147483647"),
    (lambda self: ExitCode(2**31), "exit status 2147483648 is not between 0 and 2147483647"),
    (lambda self: ExitCode(410, 5), r"step returned ExitCode.*: return None to go on"),  # type: ignore[arg-type]
    (lambda self: Mute(), "Mistaken.step returned <Mute instance"),
    (lambda self: {"a": 1}, r"write `return ToContext"),
    (lambda self: setattr(self, "pid", 3), r"self\.pid cannot be replaced"),
    (lambda self: Mistaken(number=3), r"Mistaken is not called: write run\(Mistaken, ...\)"),
    (lambda self: setattr(self.ctx, "late", Registered()), "not ready"),
    (lambda self: self.out("late", Registered()), "not ready"),
    (lambda self: _raise(Speechless()), "Speechless.__str__ failed with RuntimeError"),
    (lambda self: _raise(ValueError()), "ValueError"),
    (lambda self: _raise(ValueError("x" * 10**6)), r"ValueError: xxx.*\(cut off"),
    (lambda self: _odd_syntax(), "SyntaxError: by hand"),
    (lambda self: _raise(SystemExit(3)), r"a step of Mistaken ended with SystemExit\(3\)"),
]
COROUTINES: list[Mistake] = [
    (lambda self: self.command(), r"command\(\) takes a program and its arguments"),
    (lambda self: self.command(["ls", "-l"]), r"write self\.command\(\*words\)"),
    (lambda self: self.command("cat", stdin="text"), "stdin takes bytes, not str"),
    (lambda self: self.once("k", len, []), "would block the worker's event loop"),
]
MISTAKES = [*BLOCKING, *COROUTINES]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("mistakes")
    state = folder / ".quince"
    with Workspace(Location(folder, f"sqlite:///{state}/quince.db", f"local://{state}/messages")) as home:
        yield home


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_a_mistake_is_the_processs_own_error(
    home: Workspace, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    kind = Mistaken if number < len(BLOCKING) else InCoroutine
    with caplog.at_level(logging.ERROR), pytest.raises(ProcessExcepted, match=MISTAKES[number][1]):
        run(kind, number=number, workspace=home)
    assert not [line for line in caplog.messages if "engine failed" in line]


def test_what_passes_no_code_of_a_user_is_the_engines() -> None:
    with pytest.raises(AttributeError) as caught:
        ErrorRecord.of(None).encode(5)  # type: ignore[call-arg, arg-type]
    assert passed_user_code(caught.value), "this very file is a user's"
    ours = caught.value.with_traceback(caught.value.__traceback__ and caught.value.__traceback__.tb_next)
    assert not passed_user_code(ours)


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError(), SystemExit(3)])
def test_a_definition_that_fails_is_told_with_its_line(error: BaseException) -> None:
    def define(cls: Any, spec: Any) -> None:
        raise error

    job = type("Job", (Process,), {"define": classmethod(define), "run": lambda self: None})
    words = (
        rf"^Job: define\(\) failed with {type(error).__name__}: .*\(line \d+ of .*test_users_mistakes\.py\)"
    )
    with pytest.raises(InvalidDefinition, match=words):
        job.spec()  # type: ignore[attr-defined]


def test_what_a_handle_cannot_do_is_said_of_the_call(home: Workspace) -> None:
    handle: Any = submit(one, workspace=home)
    for verb in ("pause", "play", "kill"):
        for given in (5, b"late", [1], Mute()):
            with pytest.raises(TypeError, match=rf"^{verb}\(\) takes its reason as a text, not "):
                getattr(handle, verb)(given)
    others: dict[str, Any] = {
        "retry": {}, "restart": {}, "set": {"priority": 1}, "signal": {"name": "go"}
    }  # fmt: skip
    for verb, more in others.items():
        with pytest.raises(TypeError, match=rf"^{verb}\(\) takes its author as a text, not 5"):
            getattr(handle, verb)(author=5, **more)
    with pytest.raises(ValueError, match="priority True is not between 0 and 9"):
        handle.set(priority=True)
    for timeout in ("5", float("nan"), Mute()):
        with pytest.raises(ValueError, match=r"^timeout takes a number of seconds, or None, not "):
            handle.result(timeout=timeout)
    with pytest.raises(TypeError, match="author as a text"):
        handle.kill("enough", author=5)
    assert handle.kill("enough").accepted


@pytest.mark.parametrize("name", ["", "\x00", "\ud800", 5, [1], None])
def test_what_can_be_no_name_never_comes_to_the_store(home: Workspace, name: Any) -> None:
    for call in (remove_limit, lambda name, workspace: set_limit(name, 1, workspace=workspace)):
        with pytest.raises(InvalidInput, match=r"^the name of a limit "):
            call(name, workspace=home)
    with pytest.raises(UnknownSchedule):
        get_schedule(name, workspace=home)


class Spread(WorkChain):
    """Runs as many at once as numpy has counted."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.launch)

    def launch(self) -> None:
        at_once: Any = np.int64(2)
        self.to_context(parts=self.map(one, [{}] * 3, at_once=at_once))


def test_numbers_in_other_clothes_and_such_as_no_database_has(home: Workspace) -> None:
    slots: Any = np.int64(3)
    set_limit("licence", slots, workspace=home)
    assert limits(workspace=home)[0].slots == 3
    assert len(run_step(Spread, "launch").children) == 3
    pid = submit(one, workspace=home).pid
    assert pid in {found.pid for found in find(limit=10**30, workspace=home)}
