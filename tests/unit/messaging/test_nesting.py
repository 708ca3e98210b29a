"""How deep bodies may be: exactly so deep, whatever they are made of, and found out without much ado."""

from __future__ import annotations

import collections
import dataclasses
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from quince_messaging.errors import BodyTooDeep
from quince_messaging.wire import nesting
from quince_messaging.wire.envelope import Call, Task, decode, encode, pack, unpack
from quince_messaging.wire.nesting import MOST_NESTED


@dataclasses.dataclass
class Data:
    x: Any


@dataclasses.dataclass(slots=True)
class Slotted:
    x: Any


class Record(msgspec.Struct):
    x: Any


class Row(msgspec.Struct, array_like=True, gc=False):
    x: Any


class Named(NamedTuple):
    x: Any


KINDS: dict[str, Callable[[Any], Any]] = {
    "list": lambda x: [x],
    "tuple": lambda x: (x,),
    "dict": lambda x: {"x": x},
    "ordered": lambda x: collections.OrderedDict(x=x),
    "frozenset": lambda x: frozenset([x]),
    "data": Data,
    "slotted": Slotted,
    "record": Record,
    "row": Row,
    "named": Named,
}
SMALL_RECORDS = [{"n": n, "name": f"item {n}", "ok": True} for n in range(1_000)]
AROUND: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda x: [x],
    "many": lambda x: [*SMALL_RECORDS, x],
    "large": lambda x: {"large": b"\x91" * 100_000, "x": x},
    "many in few": lambda x: {"records": SMALL_RECORDS, "x": x},
    "text": lambda x: ["text" * 50_000, x],
}


def nested(kind: Callable[[Any], Any], depth: int) -> Any:
    innermost: Any = None
    for _ in range(depth):
        innermost = kind(innermost)
    return innermost


@pytest.fixture(params=["counted", "read again"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "read again":
        monkeypatch.setattr(nesting, "_COUNTS_LISTS", False)


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_holds_exactly_whatever_it_is_made_of(kind: str, around: str) -> None:
    deepest = AROUND[around](nested(KINDS[kind], MOST_NESTED - 1))
    assert decode(encode(Task(deepest))) == Task(unpack(pack(deepest)))
    for depth in (MOST_NESTED, MOST_NESTED + 50, 5_000):
        too_deep = AROUND[around](nested(KINDS[kind], depth))
        with pytest.raises(BodyTooDeep):
            pack(too_deep)
        with pytest.raises(BodyTooDeep):
            encode(Call("id", too_deep))


@pytest.fixture
def _limit() -> Iterator[None]:
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("_limit")
@pytest.mark.parametrize("limit", [700, 1_000, 2_000, 10_000, 1_000_000])
def test_the_limit_is_ours_whatever_the_interpreters_is(limit: int) -> None:
    deepest = AROUND["many"](nested(KINDS["list"], 499))
    too_deep = AROUND["many"](nested(KINDS["list"], 500))
    sys.setrecursionlimit(limit)
    assert unpack(pack(deepest)) == deepest
    with pytest.raises(BodyTooDeep):
        pack(too_deep)


def test_callers_with_many_frames_on_the_stack_can_send() -> None:
    def deep_down(frames: int) -> bytes:
        return deep_down(frames - 1) if frames else encode(Task(SMALL_RECORDS))

    assert deep_down(700) == encode(Task(SMALL_RECORDS))


def test_many_threads_at_once_get_each_its_own() -> None:
    outcomes: queue.Queue[bool] = queue.Queue()

    def work(number: int) -> None:
        body = [{"thread": number, "n": n} for n in range(500)]
        outcomes.put(all(unpack(pack(body)) == body for _ in range(100)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcomes.get() for _ in threads] == [True] * 8


def test_nothing_that_was_sent_is_kept() -> None:
    class Kept(list[int]):
        """A list that tells when it is gone."""

        def __del__(self) -> None:
            gone.append(True)

    gone: list[bool] = []
    pack([*range(1_000), Kept()])
    assert gone


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="later interpreters count lists apart from frames")
@pytest.mark.parametrize(
    "body",
    [SMALL_RECORDS, list(range(100_000)), b"x" * 1_000_000, {"x": b"x" * 1_000_000}],
    ids=["records", "numbers", "bytes", "bytes in a dictionary"],
)
def test_ordinary_large_bodies_cost_little_more_than_their_encoding(body: Any) -> None:
    plain = msgspec.msgpack.Encoder().encode
    task = Task(body)
    ways: list[Callable[[], object]] = [lambda: b"\x01" + plain(task), lambda: encode(task)]
    least = [min(_seconds(way) for _ in range(30)) for way in ways]
    assert (
        least[1] < 3 * least[0]
    )  # 1.3 on a machine that does nothing else; 10 and more if all is read again


def _seconds(way: Callable[[], object]) -> float:
    begun = time.thread_time()
    way()
    return time.thread_time() - begun
