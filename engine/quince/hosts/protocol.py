"""What a worker and its step hosts say to each other, and how it travels.

A frame is four bytes that are always the same, four of length, and the messages of one turn of a loop, as
msgpack. A worker and its hosts are always of one version: they are one program, forked.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from quince_persistence.records import TERMINAL, Claim, EventRow, Result, SignalRow
from quince_persistence.records.steps import Recorded, Step, Telling


class Kind(StrEnum):
    """What a step host is for: how many processes, and how their functions run there."""

    ALONE = "alone"
    """One step at a time; functions on the main thread."""
    COROUTINES = "coroutines"
    """Processes of which each step is a coroutine, side by side."""
    THREADS = "threads"
    """Processes that ask for it, side by side; functions in threads."""


class Terms(msgspec.Struct, tag=8, array_like=True):
    """What holds from now on for the step of a process; to its worker, and back to say that its time is over.

    Attributes:
        step: Name of the function that runs.
        seconds: It has so much time; None: as much as it needs.
        on_failure: What the step, or its class, says of that; None: nothing.
    """

    pid: int
    step: str
    seconds: float | None = None
    on_failure: str | None = None


# From a worker to a host


class Begin(msgspec.Struct, tag=1, array_like=True):
    """Run the next step of a process.

    Attributes:
        claim: From which it is loaded; None: it is there.
        results: How processes stand for which it has waited.
        stopping: Its step is to see that it is to stop.
        returns: It has waited: it goes on with the code as it stands now.
        anywhere: It is run, though it belongs into a host of another kind.
        overrun: The step has run, and was ended, since it took longer than this: only what follows from that
            is to be done.
        span: Under which it runs, as a `traceparent`; None: nobody looks on.
    """

    pid: int
    claim: Claim | None = None
    results: Sequence[Result] = ()
    stopping: bool = False
    returns: bool = False
    anywhere: bool = False
    overrun: Terms | None = None
    span: str | None = None


class Order(msgspec.Struct, tag=2, array_like=True):
    """Something for a process whose step runs (or waits for its turn): the name of a method of the host."""

    pid: int
    verb: str


class Answer(msgspec.Struct, tag=3, array_like=True):
    """The answer to a call, encoded for itself; or why there is none.

    Attributes:
        away: The store was away: that passes.
    """

    number: int
    value: msgspec.Raw = msgspec.Raw(b"\xc0")
    error: str | None = None
    away: bool = False


# From a host to a worker


class Done(msgspec.Struct, tag=4, array_like=True):
    """A step has ended.

    Attributes:
        step: What it did, ready to be committed; None: `failure` says why not.
        failure: Name of a class of `failures`; or "Outdated", "Misplaced": nothing was run here.
        kind: Of the hosts into which the class belongs, if that is known.
        seconds: How long the user's code took.
        left: What steps have left behind in the host, which begins no other one because of that.
    """

    pid: int
    step: Step | None = None
    failure: str | None = None
    reason: str = ""
    passing: bool = False
    loading: bool = False
    importing: bool = False
    kind: Kind | None = None
    left: list[str] = []
    seconds: float = 0.0


class Loaded(msgspec.Struct, tag=7, array_like=True):
    """A class has been loaded in a host.

    Attributes:
        class_path: Which one.
        kind: Of the hosts into which it belongs.
        modules: Installed ones that its module has imported, which a template may import; see `warm_modules`.
        seconds: How long the import took.
    """

    class_path: str
    kind: Kind
    modules: list[str] = []
    seconds: float = 0.0


class Call(msgspec.Struct, tag=5, array_like=True):
    """A host needs something of the store.

    Attributes:
        number: Comes back with the answer.
        verb: One of `VERBS`.
        within: The store must answer within so many seconds; None: for ever.
    """

    number: int
    pid: int
    verb: str
    arguments: list[Any] = []
    within: float | None = None


class Said(msgspec.Struct, tag=6, array_like=True):
    """The answer to an order; or, with the verb "goes on", that a step waits for no process any more."""

    pid: int
    verb: str
    value: bool


class Told(msgspec.Struct, tag=10, array_like=True):
    """A step has said something while it runs."""

    pid: int
    telling: Telling


VERBS: dict[str, Any] = {
    "pids": list[int],
    "ends": list[Result],
    "results": list[Result],
    "outputs": bytes | None,
    "signals": list[SignalRow],
    "recorded": Recorded | None,
    "record_once": bool,
    "events": list[EventRow],
    "lend": str | None,
}
"""What a host may ask, and what the answer is."""

ToHost = Begin | Order | Answer
ToWorker = Done | Call | Said | Loaded | Terms | Told


def stays(step: Step | None) -> bool:
    """Whether a process stays where its step has ended so; else it is loaded anew for the next one."""
    return step is not None and not (step.state in TERMINAL or step.failed)


_HEAD = struct.Struct(">4sI")
_BEGIN = b"\xf1qh\n"
NONSENSE = b"no frame"
_encoder = msgspec.msgpack.Encoder()


def frame(messages: Sequence[Any]) -> bytes:
    """Messages as they travel."""
    body = _encoder.encode(messages)
    return _HEAD.pack(_BEGIN, len(body)) + body


class Garbled(ValueError):
    """What has come is no frame: somebody has read from the link, or written to it, who should not."""


class Frames:
    """Takes the bytes of a stream apart.

    Args:
        of: What the messages are.
    """

    def __init__(self, of: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(list[of])
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The messages that are complete with these bytes.

        Raises:
            Garbled: these are no messages. From then on nothing can be known of what comes.
        """
        begun = self._begun
        if begun:
            begun += data
            if len(begun) < _HEAD.size or len(begun) < _HEAD.size + _length(begun, 0):
                return []
            data = bytes(begun)
            begun.clear()
        messages: list[Any] = []
        at = 0
        while len(data) - at >= _HEAD.size:
            end = at + _HEAD.size + _length(data, at)
            if len(data) < end:
                break
            try:
                messages += self._decoder.decode(data[at + _HEAD.size : end])
            except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
                raise Garbled(str(error)) from error
            at = end
        begun += data[at:]
        return messages


def _length(data: bytes | bytearray, at: int) -> int:
    begin, length = _HEAD.unpack_from(data, at)
    if begin != _BEGIN:
        raise Garbled(f"a frame does not begin with {begin!r}")
    return int(length)
