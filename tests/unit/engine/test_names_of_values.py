"""Inputs, outputs and values of a context may have any name that can be written, those of methods too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quince import InvalidDefinition, Process, WorkChain, Workspace, find, process, run
from quince.cli.documents import plain
from quince.cli.results import values_table
from quince.processes.context import Context
from quince.processes.namespace import Namespace
from quince.processes.spec import ExitCode
from quince.workspace.location import Location
from quince_persistence.codec import decode

METHODS = sorted(name for name in dir(dict) if not name.startswith("__"))
NAMES = [*METHODS, "_x", "_refuse", "shape", "dtype", "self"]
GIVEN = {name: [name] for name in NAMES}


class Takes(Process):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        for name in NAMES:
            spec.input(name, valid_type=list[str])
            spec.output(name, valid_type=list[str])
            spec.input(f"inner.{name}", valid_type=list[str])
            spec.output(f"inner.{name}", valid_type=list[str])

    def run(self) -> Any:
        for name in NAMES:
            for values in (self.inputs, self.inputs.inner):
                assert getattr(values, name) is values[name]
                assert values[name] == [name]
        self.out("inner", self.inputs.inner)
        assert self.outputs.inner.items == ["items"]  # type: ignore[attr-defined]
        return self.inputs


class Hands(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.expose_inputs(Takes)
        spec.expose_outputs(Takes)
        spec.outline(cls.first, cls.second, cls.third)

    def first(self) -> None:
        self.ctx.inner = self.inputs.inner
        given: dict[str, Any] = {"get": self.submit(Takes, **self.exposed_inputs(Takes)), "self": []}
        self.to_context(**given)

    def second(self) -> None:
        child = self.ctx.get
        assert child.outputs.items == child.outputs["items"] == ["items"]
        assert child.outputs.inner.values == ["values"]
        self.out_many(self.exposed_outputs(child, Takes))
        for name in NAMES:
            setattr(self.ctx, name, [name])
        self.to_context(pop=self.submit(square, items=3, _keys=1))

    def third(self) -> None:
        assert all(getattr(self.ctx, name) == [name] for name in NAMES if name not in ("pop", "self"))
        assert self.ctx.pop.outputs["items"] == 4
        assert self.ctx.inner.items == ["items"]


@process
def square(items: int, _keys: int = 0, **more: int) -> dict[str, int]:
    return {"items": items + _keys}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Workspace]:
    state = tmp_path / ".quince"
    with Workspace(Location(tmp_path, f"sqlite:///{state}/quince.db", f"local://{state}/messages")) as home:
        yield home


def test_ports_may_be_called_as_methods_are(home: Workspace) -> None:
    given = {**GIVEN, "inner": GIVEN}
    assert run(Hands, inputs=given, workspace=home) == given
    for handle in find(cls=Takes, workspace=home):
        kept = decode(home.store.outputs(handle.pid) or b"")
        assert plain(kept) == given
        values_table(kept)


def test_the_methods_are_there_where_no_value_hides_them() -> None:
    values = Namespace(x=1, items=2)
    assert [values.items, *values.keys()] == [2, "x", "items"]
    assert dict(values) == {**values} == {"x": 1, "items": 2}
    assert type(values.copy()) is dict
    with pytest.raises(TypeError, match=r"self\.out\(name, value\) puts out"):
        values["y"] = 3
    ctx = Context({"items": 1, "popitem": 2, "keys": 3})
    assert ctx == {"items": 1, "popitem": 2, "keys": 3} != Context()
    ctx.clear()
    assert not ctx
    with pytest.raises(ValueError, match="'__class__': such names are Python's own"):
        setattr(ctx, "__class__", 3)  # noqa: B010 - mypy knows better
    with pytest.raises(ValueError, match="'__dict__': such names are Python's own"):
        ctx["__dict__"] = {}


def declaring(declare: Any) -> Any:
    def define(cls: Any, spec: Any) -> None:
        WorkChain.define(spec)
        declare(cls, spec)
        spec.outline(cls.step)

    def step(self: Any) -> None: ...

    return type("Chain", (WorkChain,), {"define": classmethod(define), "step": step})


WRONG = [
    (lambda cls, spec: spec.input("__class__"), "input '__class__': Python changes names that begin with"),
    (lambda cls, spec: spec.output("a.__x"), "output 'a.__x': Python changes names"),
    (lambda cls, spec: spec.exit_code(410, "items", "x"), "'items' is no label: names that map.*'ITEMS'"),
    (lambda cls, spec: spec.exit_code(410, "_codes", "x"), "'_codes' is no label: .* an underscore.*'CODES'"),
    (lambda cls, spec: spec.exit_code(2**31, "X", "x"), "is not an integer from 100 to 2147483647"),
    (lambda cls, spec: [spec.exit_code(one, "X", "x") for one in (410, 411)], "exit code 'X' is declared"),
    (lambda cls, spec: [spec.outline(cls.step) for _ in (1, 2)], "the 'outline' is declared twice"),
]  # fmt: skip


@pytest.mark.parametrize(("declare", "words"), WRONG)
def test_what_could_not_be_reached_is_refused(declare: Any, words: str) -> None:
    with pytest.raises(InvalidDefinition, match=words):
        declaring(declare).spec()


def test_a_class_may_say_otherwise_what_its_parent_has() -> None:
    parent = declaring(lambda cls, spec: spec.exit_code(410, "COLD", "too cold"))

    class Child(parent):  # type: ignore[misc, valid-type]
        @classmethod
        def define(cls, spec: Any) -> None:
            super().define(spec)
            spec.exit_code(410, "COLD", "much too cold")
            spec.outline(cls.step, cls.step)

    assert ExitCode(410, "much too cold", "COLD") == Child.spec().exit_codes.COLD
    assert dataclasses.is_dataclass(ExitCode)
