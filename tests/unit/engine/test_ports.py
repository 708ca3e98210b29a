"""Ports: validators and names that are odd, and definitions that cannot work: one sentence each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quince import InvalidDefinition, InvalidInput, InvalidOutput, Process
from quince.processes.creation import new_process
from quince.processes.options import Wishes
from tests.unit.engine.solo import solo


def raising(value: Any, port: Any) -> str | None:
    raise ValueError("too cold")


async def awaited(value: Any, port: Any) -> str | None:
    return None


def alone(value: Any) -> str | None:
    return None if value > 0 else "it must be positive"


class Limits:
    def check(self, value: Any) -> str | None:
        return alone(value)

    def __call__(self, value: Any, port: Any) -> str | None:
        return alone(value)


VALIDATORS: list[tuple[Any, str]] = [
    (raising, "its validator raised ValueError: too cold"),
    (lambda value, port: True, r"its validator returned True \(bool\); a validator returns None if"),
    (lambda value, port: False, r"its validator returned False \(bool\)"),
    (lambda value, port: (False, "no"), r"its validator returned \(False, 'no'\) \(tuple\)"),
    (lambda value, port: "", "its validator refuses it, and does not say why"),
    (lambda value, port: awaited(value, port), "its validator returned <coroutine"),
    (alone, "it must be positive"),
    (Limits().check, "it must be positive"),
    (Limits(), "it must be positive"),
    (lambda value, port: value.missing, "its validator raised AttributeError: 'int' object has no"),
    (lambda: None, "its validator raised TypeError"),
]


@pytest.mark.parametrize(("validator", "words"), VALIDATORS)
def test_a_validator_that_is_odd_is_one_sentence_with_the_port(validator: Any, words: str) -> None:
    class Job(Process):
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            spec.input("grid.step", validator=validator, required=False)
            spec.input_namespace("more", dynamic=True, required=False, validator=lambda value: "not so")
            spec.output("y", validator=validator, required=False)

        def run(self) -> None: ...

    with pytest.raises(InvalidInput, match=f"^Job: input 'grid.step': {words}"):
        new_process(Job, {"grid": {"step": -1}}, pid=1, class_path="")
    with pytest.raises(InvalidInput, match=r"^Job: input 'more': not so$"):
        new_process(Job, {"more": {"a": 1}}, pid=1, class_path="")
    with solo() as host:
        host.name_of = lambda cls: "m:Job"  # type: ignore[method-assign]
        job = host.process(Job)
        with pytest.raises(InvalidOutput, match=f"^Job: output 'y': {words}"):
            job.out("y", -1)


def test_what_a_validator_has_by_default_is_its_own() -> None:
    def with_port(value: int, port: Any = None) -> str | None:
        return None if port.name == "x" else "no port"

    for validator in (lambda value, least=0: None if value > least else "too small", with_port):
        job = defined(lambda spec, validator=validator: spec.input("x", validator=validator))
        new_process(job, {"x": 1}, pid=1, class_path="")


def test_a_priority_of_numpy_is_a_number_and_no_queue_is_nameless() -> None:
    wishes = Wishes(priority=np.int64(3))  # type: ignore[arg-type]
    assert type(new_process(Open, {}, pid=1, class_path="", wishes=wishes).priority) is int
    with pytest.raises(InvalidInput, match=r"^Open: the name of a queue is empty$"):
        new_process(Open, {}, pid=1, class_path="", wishes=Wishes(queue=""))


class Open(Process):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.inputs.dynamic = spec.outputs.dynamic = True

    def run(self) -> None: ...


NAMES: list[tuple[Any, str]] = [
    (5, r"is 5 \(int\), and must be a text"),
    (None, r"is None \(NoneType\), and must be a text"),
    ("", "is empty"),
    ("x" * 10_000, "has 10,000 characters, and may have 200"),
    ("a\0b", "has characters that nobody can see or write"),
    ("a\udc80b", "has characters that nobody can see or write"),
]


@pytest.mark.parametrize(("name", "words"), NAMES)
def test_odd_names_are_refused_by_name(name: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=f"^Open: the name of an input {words}"):
        new_process(Open, {name: 1}, pid=1, class_path="")
    with pytest.raises(InvalidOutput, match=f"^Open: the name of an output {words}"), solo() as host:
        host.process(Open).out(name, 1)


@pytest.mark.parametrize("key", [name for name, _ in NAMES if name is not None])
def test_an_odd_key_is_refused(key: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^Open: its key (is \S|has 10,000|has characters)"):
        new_process(Open, {}, pid=1, class_path="", wishes=Wishes(key=key))


def defined(body: Any) -> type[Process]:
    class Job(Process):
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            body(spec)

        def run(self) -> None: ...

    return Job


DEFINITIONS: list[tuple[Any, str]] = [
    (lambda spec: spec.input("x", type=int), "input 'x': there is no option 'type'"),
    (lambda spec: spec.input("x", valid_tpye=int), "did you mean 'valid_type'"),
    (
        lambda spec: spec.input("x", valid_type=int, default="1"),
        "input 'x': Invalid default value: it is str",
    ),
    (lambda spec: spec.input("x", validator=5), "input 'x': validator=5 is no function"),
    (lambda spec: spec.input("x", validator=awaited), "its validator is a coroutine function"),
    (lambda spec: spec.input(5), "input 5: a name is needed"),
    (lambda spec: spec.input("a b"), "input 'a b': a name is needed"),
    (lambda spec: spec.output("a."), "output 'a.': a name is needed"),
    (lambda spec: spec.input("x" * 10_000), "the name of an input has 10,000 characters, and may have 200"),
    (lambda spec: spec.inptu("x"), "spec has no 'inptu'; did you mean 'input'"),
    (lambda spec: spec.outline(), "a Process has `run` and no outline; make it a WorkChain"),
    (lambda spec: spec.expose_inputs(Open, exclude=["y"]), "Open has no 'y' that could be exposed or left"),
    (lambda spec: spec.expose_outputs(Open, include="y"), "Open has no 'y' that could be exposed or left"),
    (lambda spec: [spec.output("a"), spec.output("a.b")], "output 'a.b': the name 'a' in 'outputs' already"),
    (lambda spec: spec.exit_code(410, "X", 5), "exit code X: its message 5 is no text"),
    (lambda spec: spec.exit_code(410, "X", "{} is low"), r"the field \{\} of its message"),
    (lambda spec: spec.exit_code(410, "X", "100 % {"), "cannot be filled in"),
    (lambda spec: spec.exit_code(True, "X", "no"), "status True is not an integer"),
    (lambda spec: nonsense, "NameError: name 'nonsense' is not defined"),  # type: ignore[name-defined]  # noqa: F821
]


@pytest.mark.parametrize(("body", "words"), DEFINITIONS)
def test_a_definition_that_cannot_work_says_where_and_why(body: Any, words: str) -> None:
    with pytest.raises(InvalidDefinition, match=f"Job: .*{words}"):
        defined(body).spec()


def test_nothing_is_declared_twice_in_one_definition() -> None:
    class Twice(Process):
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            spec.input("x")
            spec.input("x", default=1)

        def run(self) -> None: ...

    class Dropping(Process):
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            spec.input("grid.points")
            spec.input_namespace("grid", dynamic=True)

        def run(self) -> None: ...

    class Parent(Process):
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            spec.input("x")

        def run(self) -> None: ...

    class Child(Parent):
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            spec.input("x", default=1)

    with pytest.raises(InvalidDefinition, match=r"Twice: input 'x' is declared twice"):
        Twice.spec()
    with pytest.raises(InvalidDefinition, match=r"Dropping: input 'grid' is declared after 'grid.points'"):
        Dropping.spec()
    assert Child.spec().inputs["x"].default == 1


def test_define_itself_is_looked_at() -> None:
    class Bare(Process):
        def define(cls, spec: Any) -> None: ...  # type: ignore[override]  # noqa: N805

    class Orphan(Process):
        @classmethod
        def define(cls, spec: Any) -> None: ...

    class Short(Process):
        @classmethod
        def define(cls) -> None: ...  # type: ignore[override]

    class Waits(Process):
        @classmethod
        async def define(cls, spec: Any) -> None: ...  # type: ignore[override]

    for cls, words in (
        (Bare, "define\\(\\) is no class method; write @classmethod"),
        (Orphan, "does not call super\\(\\).define\\(spec\\)"),
        (Short, "must be define\\(cls, spec\\)"),
        (Waits, "must be a plain `def`"),
    ):
        with pytest.raises(InvalidDefinition, match=f"{cls.__name__}: .*{words}"):
            cls.spec()


def test_the_fields_of_an_exit_message_are_asked_for_by_name() -> None:
    codes = defined(lambda spec: spec.exit_code(410, "COLD", "{what} is below {limit}")).spec().exit_codes
    assert codes("COLD") is codes.COLD is codes["COLD"]
    assert codes.COLD.format(what="it", limit=3).message == "it is below 3"
    with pytest.raises(InvalidDefinition, match=r"exit code COLD: .* KeyError 'limit'; .* given: what"):
        codes.COLD.format(what="it")
    with pytest.raises(AttributeError, match=r"did you mean 'COLD'"):
        codes("COLDD")


def test_an_empty_tuple_is_a_value() -> None:
    """plumpy takes it for its own mark of nothing given."""
    job = defined(lambda spec: [spec.input("x", default=()), spec.input("y")])
    assert job.spec().inputs.filled({"y": ()}) == {"x": (), "y": ()}
    new_process(job, {"y": ()}, pid=1, class_path="")
