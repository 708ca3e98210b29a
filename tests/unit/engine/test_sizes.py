"""What is too large is refused in the line that would save it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quince import Process, ProcessExcepted, WorkChain, Workspace, process, run, submit, submit_many
from quince.workspace.location import Location
from quince_persistence.codec import TooLarge
from quince_persistence.codec.sizing import VARIABLE

LIMIT = 100_000
LARGE = np.zeros(LIMIT // 8 + 1)
SOME = b"x" * 90_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv(VARIABLE, str(LIMIT / 1e6))
    state = tmp_path / ".quince"
    with Workspace(Location(tmp_path, f"sqlite:///{state}/quince.db", f"local://{state}/messages")) as home:
        yield home


@process
def take(**values: Any) -> int:
    return len(values)


@process
def give() -> Any:
    return LARGE


def _context(chain: Any) -> None:
    chain.ctx.a = LARGE


def _context_together(chain: Any) -> None:
    chain.ctx.a, chain.ctx.b = SOME, SOME
    with pytest.raises(TooLarge, match=r"^what this step commits cannot|^ctx cannot|^the value cannot"):
        chain.ctx.c = [SOME]
    chain.ctx.c = SOME[:10]


def _output(chain: Any) -> None:
    chain.out("a", LARGE)


def _child(chain: Any) -> None:
    chain.submit(take, a=LARGE)


def _children(chain: Any) -> None:
    for n in range(7):
        chain.submit(take, a=SOME + bytes([n]))  # others: one value of many counts once


def _signal(chain: Any) -> None:
    chain.signal(chain.pid, "a", LARGE)


def _once(chain: Any) -> None:
    chain.once("a", lambda: LARGE)


def _grown(chain: Any) -> None:
    chain.ctx.a = []
    chain.ctx.a.extend([SOME] * 3)


class Chain(WorkChain):
    """Does one thing in its first step."""

    act: Callable[[Any], None]

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outputs.dynamic = True
        spec.outline(cls.first, cls.second)

    def first(self) -> None:
        type(self).act(self)

    def second(self) -> None:
        """There is a checkpoint before it."""


@pytest.mark.parametrize(
    ("act", "key"),
    [
        (_context, "ctx.a"),
        (_output, "outputs.a"),
        (_child, "inputs.a"),
        (_children, "what this step submits"),
        (_signal, "signal a"),
        (_once, "once('a')"),
        (_grown, "ctx.a alone has"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_step_is_refused_what_is_too_large(home: Workspace, act: Callable[[Any], None], key: str) -> None:
    Chain.act = staticmethod(act)
    with pytest.raises(ProcessExcepted) as ended:
        run(Chain, workspace=home)
    assert "TooLarge" in ended.value.type_name
    assert key in str(ended.value)
    assert re.search(r"at most (100|200|500) kB can be", str(ended.value))
    if act is not _grown:
        assert f"in {act.__name__}" in ended.value.traceback, "the line that would save it"


def test_what_is_returned_is_refused(home: Workspace) -> None:
    with pytest.raises(ProcessExcepted, match=r"outputs\.result cannot be saved: 100 kB"):
        run(give, workspace=home)


def test_who_submits_or_signals_is_refused(home: Workspace) -> None:
    for refused in (
        lambda: submit(take, a=LARGE, workspace=home),
        lambda: submit_many(take, [{"b": 1}, {"a": LARGE}], workspace=home),
        lambda: run(take, a=LARGE, workspace=home),
    ):
        with pytest.raises(TooLarge, match=r"^inputs\.a cannot be saved: 100 kB, and at most 100 kB"):
            refused()
    with pytest.raises(TooLarge, match=r"^inputs cannot be saved: 270 kB \(inputs\.a alone"):
        submit(take, a=SOME, b=SOME, c=SOME, workspace=home)
    handle = submit(take, a=SOME, b=SOME, workspace=home)
    with pytest.raises(TooLarge, match=r"^signal go cannot be saved"):
        handle.signal("go", LARGE)
    assert [row.pid for row in home.store.tree(handle.pid)] == [handle.pid]


class Says(Process):
    """Says more than anybody reads."""

    def run(self) -> None:
        self.report("x" * 3_000_000)
        raise ValueError("y" * 3_000_000)


def test_words_for_people_are_cut_off(home: Workspace) -> None:
    with pytest.raises(ProcessExcepted) as ended:
        run(Says, workspace=home)
    assert len(ended.value.traceback) < 200_000
    report = next(event for event in home.store.events(ended.value.pid) if event.kind == "report")
    assert report.body["text"].endswith("(cut off; it had 3000000 characters)")
