"""Outputs of children: read when they are asked for, and kept by nobody."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quince import ProcessHandle, WorkChain, Workspace, append_, process, run
from quince.processes.child import ChildProcess
from quince.workspace.location import Location
from quince_persistence.codec import decode, encode, same
from quince_persistence.errors import StoreUnavailable
from quince_persistence.store import Store

CHILDREN = 12
MB = 1_000_000


@process
def large(n: int) -> dict[str, Any]:
    return {"n": n, "data": bytes([n]) * 2 * MB}


@process
def small(n: int) -> int:
    return n


class Parent(WorkChain):
    """Looks at how its children ended, and then at one after the other."""

    most: int
    asked: list[int]

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("sum", valid_type=int)
        spec.outline(cls.launch, cls.look, cls.add_up)

    def launch(self) -> None:
        for n in range(CHILDREN):
            self.to_context(parts=append_(self.submit(large, n=n)))
        self.to_context(little=self.submit(small, n=1000))
        type(self).asked.clear()

    def look(self) -> None:
        gc.collect()
        tracemalloc.start()
        assert all(part.is_finished_ok and part.exit_status == 0 and part.pid for part in self.ctx.parts)
        assert self.ctx.little.outputs.result == 1000
        assert type(self).asked == [], "nothing large was read"

    def add_up(self) -> None:
        total = sum(part.outputs["data"][-1] for part in self.ctx.parts)
        type(self).most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(type(self).asked) == len(self.ctx.parts)
        self.out("sum", total)


class Hasty(Parent):
    """The same in coroutines."""

    async def add_up(self) -> None:  # type: ignore[override]
        Parent.add_up(self)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Workspace]:
    state = tmp_path / ".quince"
    with Workspace(Location(tmp_path, f"sqlite:///{state}/quince.db", f"local://{state}/messages")) as home:
        yield home


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    pids: list[int] = []
    read = Store.outputs

    def outputs(self: Store, pid: int, *, within: float | None = None) -> bytes | None:
        pids.append(pid)
        return read(self, pid, within=within)

    monkeypatch.setattr(Store, "outputs", outputs)
    return pids


@pytest.mark.parametrize("kind", [Parent, Hasty])
def test_who_looks_at_how_children_ended_reads_no_outputs(
    home: Workspace, asked: list[int], kind: type[Parent]
) -> None:
    kind.asked = asked
    assert run(kind, workspace=home) == {"sum": sum(range(CHILDREN))}
    assert kind.most < 5 * 2 * MB, "one at a time: its bytes, its value, and what the database hands over"


class Adds(WorkChain):
    """Reads large outputs in a step that blocks."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("sum", valid_type=int)
        spec.outline(cls.launch, cls.add_up)

    def launch(self) -> None:
        self.to_context(a=self.submit(large, n=3), b=self.submit(large, n=4))

    def add_up(self) -> None:
        self.out("sum", self.ctx.a.outputs.n + self.ctx.b.outputs.n)


class AddsAsync(Adds):
    """In a coroutine, which cannot wait there: it is begun anew."""

    async def add_up(self) -> None:  # type: ignore[override]
        Adds.add_up(self)


@pytest.mark.parametrize("kind", [Adds, AddsAsync])
def test_a_store_that_is_away_is_waited_for(
    home: Workspace, monkeypatch: pytest.MonkeyPatch, kind: type[Adds]
) -> None:
    monkeypatch.setattr("quince.patience.FIRST_PAUSE", 0.0)
    read, times = Store.outputs, itertools.count()

    def outputs(self: Store, pid: int, *, within: float | None = None) -> bytes | None:
        if next(times) in {1, 2}:
            raise StoreUnavailable("away")
        return read(self, pid, within=within)

    monkeypatch.setattr(Store, "outputs", outputs)
    assert run(kind, workspace=home) == {"sum": 7}
    assert next(times) > 3


def test_a_handle_is_written_as_the_child_that_it_comes_back_as() -> None:
    handle = ProcessHandle(5, None)  # type: ignore[arg-type]
    data = encode({"one": handle, "two": [handle]})
    again = decode(data)
    assert (type(again["one"]), again["one"].pid) == (ChildProcess, 5)
    assert again["two"][0] is again["one"]
    assert same(encode(again), data)
