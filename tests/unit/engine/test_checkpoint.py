"""Checkpoints: what they refuse, when, and how they meet code that has changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

from quince import WorkChain, if_, while_
from quince.errors import UnreadableCheckpoint, Unrestorable
from quince.hosts import checkpoint_check as roundtrip
from quince.processes import checkpoint
from quince.processes.chain_execution import chain_execution_of
from quince.processes.context import Context
from quince.processes.execution import execution_of
from quince_persistence.codec import register_type
from quince_persistence.codec.precheck import LOOKED_AT
from quince_persistence.errors import Unsaveable
from quince_persistence.records import Claim
from tests.unit.engine.solo import Solo, solo


class Chain(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("given", required=False)
        spec.outputs.dynamic = True
        spec.outline(cls.first, cls.second, cls.third)

    def first(self) -> None: ...
    def second(self) -> None: ...
    def third(self) -> None: ...


class Reordered(Chain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.first, cls.third, cls.second)


class Shorter(Chain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.first)


class Longer(Chain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.first, cls.second, cls.third, cls.fourth)

    def fourth(self) -> None: ...


class Nested(Chain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.first, while_(cls.yes)(cls.second, if_(cls.yes)(cls.third)))

    def yes(self) -> bool:
        return True


class NewVersion(Chain):
    version = "2"


class Migrating(Chain):
    version = "2"
    met: ClassVar[list[str]] = []

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.prepare, cls.first, cls.second, cls.third)

    def prepare(self) -> None: ...

    @classmethod
    def migrate(cls, memory: dict[str, Any], version: str) -> dict[str, Any]:
        cls.met.append(version)
        memory["ctx"]["count"] = memory["ctx"].pop("n") * 10
        memory["position"] = [memory["position"][0] + 1]
        return memory


class Stumbling(NewVersion):
    @classmethod
    def migrate(cls, memory: dict[str, Any], version: str) -> dict[str, Any]:
        return {**memory, "ctx": memory["no such thing"]}


class Senseless(NewVersion):
    @classmethod
    def migrate(cls, memory: dict[str, Any], version: str) -> dict[str, Any]:
        return None  # type: ignore[return-value]


@pytest.fixture
def host() -> Iterator[Solo]:
    with solo() as alone:
        yield alone


def stands_before(host: Solo, step: int, **ctx: Any) -> Any:
    """A process of version 1 with a checkpoint before step number `step`."""
    process = host.process(Chain)
    chain_execution_of(process).position = (step,)
    for name, value in ctx.items():
        setattr(process.ctx, name, value)
    host.committed(process)
    return process


# Refused where it is set


def test_the_context_refuses_at_the_line(host: Solo) -> None:
    chain = host.process(Chain)
    with pytest.raises(Unsaveable, match=r"^ctx\.x cannot be saved: it is of type object"):
        chain.ctx.x = object()
    with pytest.raises(Unsaveable, match=r"^ctx\.x cannot be saved: it is of type ValueError"):
        chain.ctx["x"] = ValueError("x")
    with pytest.raises(Unsaveable, match=r"^ctx\.x\.deep\[1\] cannot be saved"):
        chain.ctx.setdefault("x", {"deep": [1, object()]})
    with pytest.raises(Unsaveable, match=r"^ctx\.x cannot be saved: .*object"):
        chain.ctx.x = np.array([object()])
    assert dict(chain.ctx) == {}


def test_outputs_and_inputs_of_children_refuse_at_the_line(host: Solo) -> None:
    chain = host.process(Chain)
    with pytest.raises(Unsaveable, match=r"^outputs\.x cannot be saved: it is of type object"):
        chain.out("x", object())
    assert chain.outputs == {}
    with pytest.raises(Unsaveable, match=r"^inputs\.given cannot be saved: it is of type object"):
        chain.submit(Chain, given=object())
    assert chain_execution_of(chain).record.children == []


@pytest.mark.parametrize(
    "value",
    [None, 1, "x", b"x", 1.5, [1], (1,), {1}, {"a": {"b": [1]}}, {1: 2}, np.arange(3), np.float64(1), 1j],
    ids=lambda value: type(value).__name__,
)
def test_the_context_takes_what_can_be_saved(host: Solo, value: Any) -> None:
    chain = host.process(Chain)
    chain.ctx.x = value
    assert chain.ctx.x is value


def test_a_large_value_is_glanced_at_and_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Any] = []
    monkeypatch.setattr(
        "quince_persistence.codec.precheck.encode", lambda value, where: encoded.append(where)
    )
    context = Context()
    context.big = list(range(100_000))
    context.array = np.zeros(1_000_000)
    context.late = [*range(LOOKED_AT), object()]
    assert encoded == []
    context.early = [object(), *range(100_000)]
    assert encoded == ["ctx.early"]


def test_what_was_not_seen_at_the_line_is_found_by_the_checkpoint(host: Solo) -> None:
    chain = host.process(Chain)
    chain.ctx.box = []
    chain.ctx.box.append(object())
    with pytest.raises(Unsaveable, match=r"^ctx\.box\[0\]"):
        host.committed(chain)


# Restored by code that has changed


def test_the_same_code_goes_on(host: Solo) -> None:
    again = host.again(stands_before(host, 1, n=7))
    assert (chain_execution_of(again).label(), again.ctx.n) == ("second", 7)


@pytest.mark.parametrize(
    ("cls", "step", "now"),
    [
        (Reordered, 1, "has step 'third' now"),
        (Shorter, 2, "has no such place now|has the end now"),
        (Longer, 3, "stands before the end .* has step 'fourth' now"),
        (Nested, 1, r"has step 'while\(yes\)' now"),
    ],
)
def test_another_step_at_its_place_is_refused(host: Solo, cls: type[Chain], step: int, now: str) -> None:
    process = stands_before(host, step)
    with pytest.raises(UnreadableCheckpoint, match=now):
        host.again(process, cls)


def test_a_place_in_a_branch_that_is_gone_is_refused(host: Solo) -> None:
    process = host.process(Nested)
    chain_execution_of(process).position = (1, 1, 0, 0)
    host.committed(process)
    assert chain_execution_of(host.again(process)).label() == "third"
    with pytest.raises(UnreadableCheckpoint, match="stands before step 'third'"):
        host.again(process, Chain)


def test_a_new_version_without_a_hook_is_refused(host: Solo) -> None:
    process = stands_before(host, 1)
    with pytest.raises(
        UnreadableCheckpoint, match=r"version '1' of NewVersion, this is version '2'.*migrate"
    ):
        host.again(process, NewVersion)


def test_a_process_that_has_not_begun_needs_no_migration(host: Solo) -> None:
    assert chain_execution_of(host.again(host.process(Chain), NewVersion)).label() == "first"


def test_a_hook_brings_the_memory_up_to_date_once(host: Solo) -> None:
    Migrating.met.clear()
    again = host.again(stands_before(host, 1, n=7), Migrating)
    assert (chain_execution_of(again).label(), dict(again.ctx)) == ("second", {"count": 70})
    host.committed(again)
    assert chain_execution_of(host.again(again)).label() == "second"
    assert Migrating.met == ["1"]


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Stumbling, "Stumbling.migrate failed for a checkpoint of version '1': KeyError: 'no such thing'"),
        (Senseless, "Senseless.migrate must return a dictionary, not NoneType"),
    ],
)
def test_a_hook_that_fails_is_told(host: Solo, cls: type[Chain], said: str) -> None:
    process = stands_before(host, 1)
    with pytest.raises(UnreadableCheckpoint, match=said):
        host.again(process, cls)


# Round-tripped


class Halved:
    """A type that its own registration does not bring back."""

    def __init__(self, value: int) -> None:
        self.value = value


class Broken:
    """A type whose registration cannot read what it wrote."""


def _refuse(_plain: Any) -> Broken:
    raise ValueError("cannot be made")


register_type(Halved, "tests.halved", lambda one: one.value, lambda plain: Halved(plain // 2))
register_type(Broken, "tests.broken", lambda _: 1, _refuse)


def trip(host: Solo, process: Any) -> Any:
    blob = host.store.inputs(process.pid) or b""
    execution = execution_of(process)
    saved = checkpoint.save(execution)
    assert saved is not None
    copy, _ = roundtrip.restored(execution, saved, Claim(execution.row, blob, None), host)
    host.executions.append(copy)
    return copy.process


def test_a_process_goes_on_from_its_restored_copy(host: Solo) -> None:
    chain = host.process(Chain, given=[1, 2])
    chain.ctx.names = {"b", "a", "é", *map(str, range(50))}
    chain.ctx.shared = chain.ctx.other = []
    chain.plain_attribute = 1
    chain.inputs.given.append(3)
    chain.status = "busy"
    chain.out("x", 1)
    copy: Any = trip(host, chain)
    assert copy is not chain
    assert copy.ctx.names == chain.ctx.names
    assert copy.ctx.shared is copy.ctx.other is not chain.ctx.shared
    assert not hasattr(copy, "plain_attribute")
    assert list(copy.inputs.given) == [1, 2]
    assert (copy.status, copy.outputs) == ("busy", {"x": 1})
    assert chain_execution_of(copy).stop is chain_execution_of(chain).stop


def test_a_type_that_does_not_come_back_is_named(host: Solo) -> None:
    chain = host.process(Chain)
    chain.ctx.fine = 1
    chain.ctx.bad = Halved(10)
    with pytest.raises(Unrestorable, match=r"ctx\.bad \(Halved\) comes back as another value"):
        trip(host, chain)


def test_a_type_that_cannot_be_read_is_told(host: Solo) -> None:
    chain = host.process(Chain)
    chain.ctx.bad = Broken()
    with pytest.raises(Unrestorable, match="cannot be made"):
        trip(host, chain)


@pytest.mark.parametrize(
    ("said", "default", "wanted"),
    [(None, True, True), (None, False, False), ("1", False, True), ("0", True, False), ("", True, True)],
)
def test_when_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, said: str | None, default: bool, wanted: bool
) -> None:
    if said is None:
        monkeypatch.delenv("QUINCE_CHECK", raising=False)
    else:
        monkeypatch.setenv("QUINCE_CHECK", said)
    assert roundtrip.wanted(default) is wanted
