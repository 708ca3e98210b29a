"""How a step host has ended, in words for people."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from quince.hosts.last_words import is_deep

_SIGNALS = {
    signal.SIGKILL: "killed from outside",
    signal.SIGTERM: "terminated from outside, or by itself",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted, by itself or by a library",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "arithmetic error in machine code",
    signal.SIGILL: "illegal instruction",
    signal.SIGXCPU: "its limit of processor time",
    signal.SIGXFSZ: "its limit of file size",
    signal.SIGSYS: "a system call that is forbidden",
}


@dataclass(frozen=True, slots=True)
class HostEnd:
    """The end of a step host.

    Attributes:
        story: How it ended; goes on after "its step host".
        words: What it has said at its end, on several lines; may be empty.
        lacked_memory: The kernel has ended it for want of memory: that may pass.
        of_worker: No step has caused it.
        by_last: The step whose code has run last has caused it, though it may run no more.
    """

    story: str
    words: str = ""
    lacked_memory: bool = False
    of_worker: bool = False
    by_last: bool = False


def end_of(status: int, memory: int = 0, *, words: str = "", lacked_memory: bool = False) -> HostEnd:
    """The end that `os.waitpid` has told of.

    Args:
        memory: Bytes that it had in memory at most.
        lacked_memory: The kernel has ended programs for want of memory while it lived.
    """
    if not os.WIFSIGNALED(status):
        code = os.waitstatus_to_exitcode(status)
        return HostEnd(f"exited with status {code}, as `os._exit({code})` does", words)
    number = os.WTERMSIG(status)
    if number == signal.SIGKILL and lacked_memory:
        had = f", when it had {memory / 1e9:.1f} GB" if memory else ""
        return HostEnd(f"was ended by the kernel (SIGKILL), which was out of memory{had}", words, True)
    return HostEnd(f"was ended by {_name(number, words)}", words)


def _name(number: int, words: str) -> str:
    try:
        name = signal.Signals(number)
    except ValueError:  # a real-time signal
        return f"signal {number}"
    meaning = _SIGNALS.get(name) or (signal.strsignal(number) or "").lower()
    if name is signal.SIGSEGV and is_deep(words):
        meaning += ": its stack is full, of a recursion perhaps"
    return f"{name.name} ({meaning})"
