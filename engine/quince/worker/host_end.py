"""How a step host has ended, in words for people."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from quince.hosts.last_words import is_deep

_SIGNALS = {
    signal.SIGKILL: "killed from outside, or by itself",
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


BECAME_ANOTHER = "became another program (as with `os.execv`; `subprocess` starts one beside it)"


@dataclass(frozen=True, slots=True)
class HostEnd:
    """The end of a step host.

    Attributes:
        story: How it ended; goes on after "its step host".
        words: What it has said at its end, on several lines; may be empty.
        lacked_memory: The kernel has ended it for want of memory: that may pass.
        of_worker: No step has caused it.
        by_last: The step whose code has run last has caused it, if nobody's runs: a thread of it, or a timer.
    """

    story: str
    words: str = ""
    lacked_memory: bool = False
    of_worker: bool = False
    by_last: bool = False


def end_of(
    status: int,
    memory: int = 0,
    *,
    words: str = "",
    lacked_memory: bool = False,
    other_program: bool = False,
    out_of_time: bool = False,
) -> HostEnd:
    """The end that `os.waitpid` has told of.

    Args:
        memory: Bytes that it had in memory at most.
        lacked_memory: The kernel has ended programs for want of memory while it lived.
        other_program: It had become another program.
        out_of_time: It had all the processor time that its limit lets it have.
    """
    if other_program:
        how = end_of(status, memory, lacked_memory=lacked_memory, out_of_time=out_of_time)
        ended = how.story.partition(", as `os._exit(")[0]
        return HostEnd(f"{BECAME_ANOTHER}, which {ended}", words, how.lacked_memory, by_last=True)
    if not os.WIFSIGNALED(status):
        code = os.waitstatus_to_exitcode(status)
        return HostEnd(f"exited with status {code}, as `os._exit({code})` does", words, by_last=True)
    number = os.WTERMSIG(status)
    if number == signal.SIGKILL and out_of_time:
        return HostEnd(
            "was ended by the kernel (SIGKILL), at its limit of processor time (RLIMIT_CPU)",
            words,
            by_last=True,
        )
    if number == signal.SIGKILL and lacked_memory:
        had = f", when it had {memory / 1e9:.1f} GB" if memory else ""
        return HostEnd(f"was ended by the kernel (SIGKILL), which was out of memory{had}", words, True)
    from_outside = number == signal.SIGKILL
    return HostEnd(f"was ended by {_name(number, words)}", words, by_last=not from_outside)


def _name(number: int, words: str) -> str:
    try:
        name = signal.Signals(number)
    except ValueError:  # a real-time signal
        return f"signal {number}"
    meaning = _SIGNALS.get(name) or (signal.strsignal(number) or "").lower()
    if name is signal.SIGSEGV and is_deep(words):
        meaning += ": its stack is full, of a recursion perhaps"
    return f"{name.name} ({meaning})"
