"""What work chains say, step by step: tests, returns, waits, context, outputs; and bad outlines."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import plumpy
import pytest

from quince import (
    InvalidDefinition,
    InvalidInput,
    InvalidOutput,
    Process,
    ToContext,
    WorkChain,
    append_,
    if_,
    process,
    return_,
    signal_,
    while_,
)
from quince.errors import MissingName, UnexpectedReturn
from quince.hosts.stepper import Stepper
from quince.processes.chain_execution import chain_execution_of
from quince.processes.creation import new_process
from quince.processes.execution import execution_of
from quince.processes.outline import Call
from tests.unit.engine.solo import Solo, solo


@pytest.fixture
def host() -> Iterator[Solo]:
    with solo() as host:
        host.name_of = lambda cls: f"m:{cls.__name__}"  # type: ignore[method-assign]
        yield host


async def walked(chain: Any) -> Any:
    """The chain after its last step; a step that fails raises here."""
    with ThreadPoolExecutor(1) as threads:
        while True:
            end = await Stepper(threads).step(execution_of(chain))
            if end.error is not None:
                raise end.error
            if end.code is not None:
                return chain


def chain_of(*outline: Any, **methods: Any) -> type[WorkChain]:
    """A chain of that outline, in which texts name its methods."""

    def named(cls: Any, one: Any) -> Any:
        return getattr(cls, one) if isinstance(one, str) and one in methods else one

    def define(cls: Any, spec: Any) -> None:
        WorkChain.define(spec)
        spec.outputs.dynamic = spec.inputs.dynamic = True
        spec.exit_code(410, "COLD", "too cold")
        spec.outline(*(one(cls) if isinstance(one, Build) else named(cls, one) for one in outline))

    return type("Chain", (WorkChain,), {"define": classmethod(define), **methods})


class Build:
    """An instruction that is made when the class is known."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __call__(self, cls: Any) -> Any:
        return self._make(cls)


def ends_in(name: str) -> Callable[[Any], None]:
    def step(self: Any) -> None:
        self.out("branch", name)

    step.__name__ = name
    return step


async def later_false(self: Any) -> bool:
    return False


async def three_times(self: Any) -> bool:
    self.ctx.n = self.ctx.get("n", 0) + 1
    return bool(self.ctx.n < 4)


def count(self: Any) -> None:
    self.out("turns", self.ctx.n)


async def test_tests_may_be_coroutines(host: Solo) -> None:
    chosen = chain_of(
        Build(lambda cls: if_(cls.test)(cls.yes).else_(cls.no)),
        test=later_false,
        yes=ends_in("yes"),
        no=ends_in("no"),
    )
    assert (await walked(host.process(chosen))).outputs == {"branch": "no"}
    turning = chain_of(Build(lambda cls: while_(cls.test)(cls.count)), test=three_times, count=count)
    assert (await walked(host.process(turning))).outputs == {"turns": 3}


@pytest.mark.parametrize("answer", [None, 0, 1, [], "yes", np.array([True]), np.int64(1)])
async def test_a_test_that_says_neither_is_refused_by_name(host: Solo, answer: Any) -> None:
    def converged(self: Any) -> Any:
        return answer

    chain = chain_of(Build(lambda cls: if_(cls.converged)(cls.yes)), converged=converged, yes=ends_in("yes"))
    with pytest.raises(UnexpectedReturn, match=r"^Chain\.converged returned .*: a test of if_ and while_"):
        await walked(host.process(chain))


@pytest.mark.parametrize("answer", [True, np.bool_(True), np.array(True)])
async def test_numpy_says_true_as_python_does(host: Solo, answer: Any) -> None:
    chain = chain_of(Build(lambda cls: if_(cls.test)(cls.yes)), test=lambda self: answer, yes=ends_in("yes"))
    assert (await walked(host.process(chain))).outputs == {"branch": "yes"}


async def test_a_while_that_meets_no_step_does_not_turn_for_ever(host: Solo) -> None:
    chain = chain_of(
        Build(lambda cls: while_(cls.always)(if_(cls.never)(cls.yes))),
        always=lambda self: True, never=lambda self: False, yes=ends_in("yes"),
    )  # fmt: skip
    with pytest.raises(InvalidDefinition, match=r"while_\(.*\) has turned 10,000 times without a step"):
        await walked(host.process(chain))


def always(self: Any) -> bool:
    return True


def step(self: Any) -> None: ...
def more(self: Any, x: int) -> None: ...
def yields(self: Any) -> Any:
    yield 1


def tried(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def wrong(anything: Any) -> Any:
    """What type checkers would not let pass."""
    return anything


OUTLINES: list[tuple[Any, str]] = [
    (["text"], r"the outline has the text 'text' where a step belongs$"),
    ([Build(lambda cls: "step")], r"the outline has the text 'step' where a step belongs; write cls\.step"),
    ([5], r"the outline has 5 where a step belongs"),
    ([Build(lambda cls: object())], r"the outline has <object object"),
    ([lambda self: None], r"the outline has a lambda where a step belongs; write a method"),
    ([WorkChain], r"the outline has <class .*WorkChain'> where a step belongs"),
    ([always], r"the outline names 'always', which is no method of the class"),
    (["more"], r"step 'more' takes \(self, x\), and a step takes self alone"),
    (["yields"], r"step 'yields' yields, and a step returns"),
    ([], r"its outline has no steps"),
    ([Build(lambda cls: cls.stpe)], r"the class has no 'stpe'; did you mean 'step'\? \(line \d+ of"),
    ([Build(lambda cls: cls.step())], r"write cls\.step, without brackets"),
    ([Build(lambda cls: if_(cls.step()))], r"write cls\.step, without brackets"),
    ([Build(lambda cls: cls.exit_codes.COLD)], r"in define\(\) .*: write spec\.exit_codes\.COLD"),
    ([Build(lambda cls: if_(cls.step))], r"if_\(step\) has no steps: write if_\(cls\.step\)\(cls"),
    ([Build(lambda cls: while_(cls.step))], r"while_\(step\) has no steps"),
    ([Build(lambda cls: while_(cls.step)())], r"while_\(step\) has no steps, and would turn for ever"),
    ([Build(lambda cls: wrong(if_)(True)(cls.step))],
     r"if_ takes a test: a method of the class .*, not True"),
    ([Build(lambda cls: wrong(if_)("step")(cls.step))], r"if_ takes a test: .*, not 'step'"),
    ([Build(lambda cls: if_(cls.more)(cls.step))], r"if_\(more\): a test takes self alone"),
    ([Build(lambda cls: wrong(if_(cls.step))(cls.step, 5))], r"the outline has 5 where a step belongs"),
    ([Build(lambda cls: wrong(while_(cls.step))(cls.step)(cls.step))],
     r"while_\(step\) has its steps already"),
    ([Build(lambda cls: wrong(if_(cls.step))(cls.step)(cls.step))], r"if_\(step\) has its steps already"),
    ([Build(lambda cls: [cls.step, cls.step])], r"the outline has a list where a step belongs"),
    ([Build(lambda cls: plumpy.while_(cls.step)(cls.step))], r"the outline has an instruction of plumpy.s"),
    ([Build(lambda cls: property(step))], r"the outline has a property where a step belongs"),
    ([wrong(return_)("no")], r"return_\('no'\): it takes an exit code"),
    ([Build(lambda cls: if_(cls.step)(cls.step).else_(cls.step).else_(cls.step))], "an if_ has one else_"),
]  # fmt: skip


@pytest.mark.parametrize(("outline", "words"), OUTLINES)
def test_an_outline_that_cannot_be_walked_says_why(outline: Any, words: str) -> None:
    chain = chain_of(*outline, step=step, more=more, yields=yields)
    with pytest.raises(InvalidDefinition, match=f"^Chain: {words}"):
        chain.spec()


async def test_steps_under_decorators_and_steps_named_twice(host: Solo) -> None:
    def add(self: Any) -> None:
        self.ctx.n = self.ctx.get("n", 0) + 1
        self.out("n", self.ctx.n)

    chain = chain_of("add", "add", "add", add=tried(add))
    assert (await walked(host.process(chain))).outputs == {"n": 3}


@process
def job() -> int:
    return 1


RETURNS: list[tuple[Any, str]] = [
    (lambda self: {"child": 1}, r"write `return ToContext\(\.\.\.\)` to wait .*`self\.out_many"),
    (lambda self: {}, r"write `return ToContext"),
    (lambda self: True, r"return None to go on"),
    (lambda self: "done", r"return None to go on"),
    (lambda self: self.submit(job), r"write `return ToContext\(name=\.\.\.\)` to wait for it"),
    (lambda self: [self.submit(job)], r"write `return ToContext\(name=\.\.\.\)` to wait for it"),
    (lambda self: list(range(10**6)), r"^.{0,300}$"),
]


@pytest.mark.parametrize(("returning", "words"), RETURNS)
async def test_a_step_that_returns_something_odd_says_what_to_write(
    host: Solo, returning: Any, words: str
) -> None:
    def go(self: Any) -> Any:
        return returning(self)

    with pytest.raises(UnexpectedReturn, match=words) as refused:
        await walked(host.process(chain_of("go", go=go)))
    assert str(refused.value).startswith("Chain.go returned ")


WAITS: list[tuple[Any, str]] = [
    (5, r"for 5 \(int\): write get_process\(5\) .* or self\.ctx\.x = "),
    ("text", r"for 'text' \(str\): write self\.ctx\.x = \.\.\. to keep a value"),
    (None, r"for None"),
    (SimpleNamespace(pid=5), r"for namespace\(pid=5\)"),
    (job, r"write x=self\.submit\(job, \.\.\.\)"),
    ([5], r"for 5 \(int\)"),
    ({"a": 1.5}, r"for 1\.5 \(float\)"),
]


@pytest.mark.parametrize(("awaited", "words"), WAITS)
def test_what_cannot_be_waited_for_says_what_to_write(host: Solo, awaited: Any, words: str) -> None:
    chain = host.process(chain_of("step", step=step))
    for one in (awaited, append_(awaited)):
        with pytest.raises(TypeError, match=rf"^to_context\(x=\.\.\.\) waits for .*{words}"):
            chain.to_context(x=one)
    assert chain_execution_of(chain).record.awaits == []


def test_what_is_appended_to_is_a_list(host: Solo) -> None:
    chain = host.process(chain_of("step", step=step))
    chain.ctx.parts = "none yet"
    for one in (chain.submit(job), signal_("vote")):
        with pytest.raises(TypeError, match=r"parts is 'none yet' \(str\): give one of them another name"):
            chain.to_context(parts=append_(one))
    assert chain_execution_of(chain).record.awaits == chain_execution_of(chain).expected == []


def test_what_is_forgotten_is_said(host: Solo) -> None:
    chain = host.process(chain_of("step", return_(), step=step))
    child = chain.submit(job)
    forgotten: list[tuple[Any, str]] = [
        (lambda: ToContext(child), r"ToContext\(name=child\)"),
        (lambda: chain.to_context(child), r"self\.to_context\(name=child\)"),
        (lambda: child.result(), r"a child has no 'result': wait for it with self\.to_context"),
        (lambda: setattr(chain, "ctx", {}), r"self\.ctx cannot be replaced; write self\.ctx\.update"),
        (lambda: chain.sleep("1 x"), r"sleep\(\): '1 x' is no duration: write"),
        (lambda: chain.out_many([1]), r"out_many\(\) takes a mapping of names to values, not list"),
        (lambda: chain.inputs.nothing, r"there is no 'nothing' here; there is nothing"),
    ]
    for forget, words in forgotten:
        with pytest.raises((TypeError, AttributeError, ValueError), match=words):
            forget()


def test_lists_and_dicts_of_children_are_waited_for(host: Solo) -> None:
    chain = host.process(chain_of("step", step=step))
    one, two, three = (chain.submit(job) for _ in range(3))
    assert (
        chain_execution_of(chain).handled(Call(step, (0,)), ToContext(a=[one], b={"two": two}, c=[], d=three))
        is None
    )
    assert dict(chain.ctx) == {"a": [one], "b": {"two": two}, "c": [], "d": three}
    assert chain_execution_of(chain).record.awaits == [one, two, three]


def test_the_context_is_a_mapping(host: Solo) -> None:
    ctx = host.process(chain_of("step", step=step)).ctx
    ctx.n = 1
    ctx["m"] = 2
    ctx.update(k=3)
    assert ("n" in ctx, "x" in ctx, list(ctx), len(ctx)) == (True, False, ["n", "m", "k"], 3)
    assert dict(ctx.items()) == dict(ctx) == {"n": 1, "m": 2, "k": 3}
    assert (list(ctx.keys()), list(ctx.values())) == (["n", "m", "k"], [1, 2, 3])
    assert (ctx.pop("n"), ctx.pop("n", None), ctx.get("m"), ctx.get("x"), ctx.get("x", 7)) == (
        1,
        None,
        2,
        None,
        7,
    )
    assert ctx.setdefault("l", []) is ctx.l
    del ctx.m, ctx["k"]
    assert repr(ctx) == "Context(l=[])"
    assert ctx == {"l": []}
    assert not hasattr(ctx, "x")
    assert "l" in dir(ctx)
    for copied in (copy.copy(ctx), copy.deepcopy(ctx)):
        assert (type(copied), copied) == (dict, {"l": []})


@pytest.mark.parametrize(
    "ask", [lambda ctx: ctx.prats, lambda ctx: ctx["prats"], lambda ctx: ctx.pop("prats")]
)
def test_a_missing_name_says_which_there_are(host: Solo, ask: Any) -> None:
    ctx = host.process(chain_of("step", step=step)).ctx
    ctx.parts = ctx.n = 1
    with pytest.raises(MissingName) as missing:
        ask(ctx)
    assert str(missing.value) == "ctx has no 'prats'; it has: parts, n; did you mean 'parts'?"
    assert isinstance(missing.value, (KeyError, AttributeError))


def test_a_value_stands_in_the_place_of_a_method_of_its_name(host: Solo) -> None:
    ctx = host.process(chain_of("step", step=step)).ctx
    ctx["items"] = 5
    assert ctx["items"] == ctx.items == 5
    ctx.values = []
    assert ctx.values == ctx.pop("values") == []
    del ctx.items
    assert dict(ctx.items()) == {}
    for name in (5, None, "", "x" * 10_000, "a\0b", "\udc80"):
        with pytest.raises(ValueError, match=r"^the name of a value in ctx (is|has) "):
            ctx[name] = 1


class Appending(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("there", valid_type=list)
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> None:
        for _ in range(0):
            self.to_context(parts=append_(self.submit(job)))

    def collect(self) -> None:
        self.out("there", self.ctx.parts)


async def test_what_nothing_was_appended_to_is_an_empty_list(host: Solo) -> None:
    chain = host.process(Appending)
    assert "parts" not in chain.ctx
    assert (await walked(chain)).outputs == {"there": []}


def overlaps(self: Any) -> None:
    for name, value in self.inputs["puts"]:
        self.out(name, value)


@pytest.mark.parametrize(
    ("puts", "words"),
    [
        ([("a", 1), ("a.b", 2)], r"output 'a\.b' would lie inside 'a', which is a value"),
        ([("a", {"b": 1}), ("a.b", 2)], r"output 'a\.b' would lie inside 'a'"),
        ([("a.b", 1), ("a", 2)], r"output 'a' would drop the outputs inside it \(b\)"),
        ([("a.b", 1), ("a.c", 1), ("a", {})], r"output 'a' would drop .* \(b, c\)"),
        ([("a.b", 1), ("a.b.c", 2)], r"output 'a\.b\.c' would lie inside 'a\.b'"),
    ],
)
def test_outputs_do_not_lie_inside_each_other(host: Solo, puts: Any, words: str) -> None:
    chain = host.process(chain_of("step", step=step))
    *before, (name, value) = puts
    for one, its in before:
        chain.out(one, its)
    host.committed(chain)
    chain = host.again(chain)  # it is known after a crash, too
    with pytest.raises(InvalidOutput, match=words):
        chain.out(name, value)


class Inner(Process):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("x", valid_type=int)
        spec.input("deep.y", valid_type=int, default=2)
        spec.output("z", valid_type=int)
        spec.output("grid.w", valid_type=int, required=False)

    def run(self) -> None: ...


class Outer(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.expose_inputs(Inner, namespace="inner")
        spec.expose_inputs(Inner, exclude=("x",))
        spec.expose_outputs(Inner)
        spec.expose_outputs(Inner, namespace="as.it.was")
        spec.expose_inputs(job, namespace="job")
        spec.outline(cls.go)

    def go(self) -> None: ...


def test_what_is_exposed_is_handed_on(host: Solo) -> None:
    chain = host.process(Outer, inner={"x": 1}, deep={"y": 3})
    assert chain.exposed_inputs(Inner, "inner") == {"x": 1, "deep": {"y": 2}}
    assert chain.exposed_inputs(Inner) == {"deep": {"y": 3}}
    assert chain.exposed_inputs(job, "job") == {}
    ended = SimpleNamespace(outputs={"z": 5, "grid": {"w": 6}, "other": 7})
    assert chain.exposed_outputs(ended, Inner) == {"z": 5, "grid": {"w": 6}}
    named = chain.exposed_outputs(ended, Inner, "as.it.was")
    assert named == {"as.it.was.z": 5, "as.it.was.grid": {"w": 6}}
    chain.out_many(named)
    chain.out_many(chain.exposed_outputs(ended, Inner))
    assert chain.outputs == {"as": {"it": {"was": {"z": 5, "grid": {"w": 6}}}}, "z": 5, "grid": {"w": 6}}
    with pytest.raises(
        InvalidDefinition, match=r"the inputs of Appending are not exposed in 'inner': define\(\) says"
    ):
        chain.exposed_inputs(Appending, "inner")


def test_a_child_where_a_value_belongs_says_what_to_give(host: Solo) -> None:
    chain = host.process(chain_of("step", step=step))
    child = chain.submit(job)
    with pytest.raises(
        InvalidInput, match=rf"it is ChildProcess, and must be int; wait for process {child.pid} and"
    ):
        chain.submit(Inner, x=child)
    new_process(Appending, {}, pid=1, class_path="")
