"""An exception as the store keeps it."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass
from types import TracebackType

from quince.own_code import is_own, is_standard
from quince.text import storable, words_of
from quince_persistence.codec import decode, encode
from quince_persistence.errors import Unsaveable

LONGEST_LINE = 500


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An exception as the store keeps it: never the object, always the words."""

    type_name: str
    text: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> ErrorRecord:
        kind = type(error)
        name = (
            kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )
        frames, text = user_frames(error), words_of(error)
        try:
            lines = traceback.format_exception(kind, error, frames)
        except Exception:  # of a SyntaxError, say, that was made by hand
            lines = [*traceback.format_tb(frames), f"{name}: {text}\n"]
        return cls(name, text, storable("".join(lines)))

    @classmethod
    def kept(cls, error: BaseException) -> tuple[ErrorRecord, bytes]:
        """Its words, and the bytes of them; of what is too large to be kept, that it is."""
        try:
            return (story := cls.of(error)), story.encode()
        except Unsaveable as large:
            return (story := cls.of(large)), story.encode()

    @property
    def line(self) -> str:
        """Its class, without its module, and its message, on one line of bounded length."""
        words = " ".join(f"{self.type_name.rpartition('.')[2]}: {self.text}".split())
        return storable(words[:LONGEST_LINE].rstrip(": "))

    def encode(self) -> bytes:
        whole = {"type": self.type_name, "text": self.text, "traceback": self.traceback}
        return bytes(encode(whole, "error"))  # no part of it is shared with others

    @classmethod
    def decode(cls, blob: bytes) -> ErrorRecord:
        plain = decode(blob)
        return cls(plain.get("type", "Exception"), plain.get("text", ""), plain.get("traceback", ""))


def user_frames(error: BaseException) -> TracebackType | None:
    """The traceback of an exception, without the engine's own frames at its head."""
    trace = error.__traceback__
    while trace is not None and _is_engine(trace.tb_frame.f_code.co_filename) and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def passed_user_code(error: BaseException) -> bool:
    """Whether an exception that the engine has met came through code which is neither its own nor Python's:
    then it is the user's, whatever the engine was at."""
    files = {frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)}
    return not all(is_own(file) or is_standard(file) for file in files)


def _is_engine(file: str) -> bool:
    return is_own(file) or file == asyncio.tasks.__file__
