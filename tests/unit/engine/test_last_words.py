"""What a step host says at its end, and how that is told."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from quince.hosts import stepper
from quince.hosts.last_words import LastWords, is_deep, listen, place, users
from quince.os_process import has_exec
from quince.worker.host_end import end_of

OUR = stepper.__file__
CRASH = f"""Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "{os.__file__}", line 519 in walk
  File "/home/ada/flows.py", line 11 in solve
  File "/home/ada/flows.py", line 34 in run
  File "{OUR}", line 147 in _called
  File "/usr/lib/python3/site-packages/typer/main.py", line 1 in main

Extension modules: numpy.core._multiarray_umath, numpy.linalg (total: 2)
"""
DEEP = "".join(f'  File "/home/ada/flows.py", line 7 in f{n % 3}\n' for n in range(100)) + "  ...\n"


def status_of(code: str) -> int:
    """How a program ends, as `waitpid` has it."""
    return os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-SEc", code], os.environ), 0)[1]


def test_of_a_crash_the_users_frames_are_told() -> None:
    words = users(CRASH)
    assert words.splitlines()[-2:] == [
        '  File "/home/ada/flows.py", line 11 in solve',
        '  File "/home/ada/flows.py", line 34 in run',
    ]
    assert "stepper" not in words
    assert "typer" not in words
    assert place(words) == "flows.py, line 11, in solve"
    assert place("Fatal Python error: Aborted") is None
    assert not is_deep(words)


def test_a_recursion_is_known_and_not_told_at_length() -> None:
    assert is_deep(users(DEEP))
    assert len(users(DEEP).splitlines()) < 45
    same = users(DEEP.replace("f1", "f0").replace("f2", "f0"))
    assert same.splitlines() == [
        '  File "/home/ada/flows.py", line 7 in f0',
        "  [the same 99 times more]",
        "  ...",
    ]
    different = "".join(f'  File "/home/ada/flows.py", line {n} in f\n' for n in range(60))
    assert not is_deep(users(different))


def test_what_is_written_is_read_once() -> None:
    words = LastWords()
    os.write(words.descriptor, b"first\n")
    assert words.new() == "first"
    os.write(words.descriptor, b"second\n\n")
    assert (words.new(), words.new()) == ("second", "")
    words.close()


@pytest.mark.parametrize(
    ("code", "story"),
    [
        ("os._exit(3)", "exited with status 3, as `os._exit(3)` does"),
        ("os.abort()", "was ended by SIGABRT (aborted, by itself or by a library)"),
        ("os.kill(os.getpid(), 9)", "was ended by SIGKILL (killed from outside, or by itself)"),
        ("os.kill(os.getpid(), 10)", "was ended by SIGUSR1 (user defined signal 1)"),
        ("os.kill(os.getpid(), 40)", "was ended by signal 40"),
    ],
)
def test_an_end_has_its_true_name(code: str, story: str) -> None:
    assert end_of(status_of(f"import os; {code}")).story == story


def test_want_of_memory_is_told_of_those_alone_that_the_kernel_kills() -> None:
    killed, crashed = int(signal.SIGKILL), int(signal.SIGSEGV)
    end = end_of(killed, 3_200_000_000, lacked_memory=True)
    assert end.story == "was ended by the kernel (SIGKILL), which was out of memory, when it had 3.2 GB"
    assert end.lacked_memory
    assert not end_of(killed, 3_200_000_000).lacked_memory
    assert end_of(crashed, lacked_memory=True).story == "was ended by SIGSEGV (segmentation fault)"
    late = end_of(killed, out_of_time=True)
    assert late.story == "was ended by the kernel (SIGKILL), at its limit of processor time (RLIMIT_CPU)"
    assert "its stack is full" in end_of(crashed, words=users(DEEP)).story


def test_a_program_that_a_fork_has_become_is_known_until_it_is_waited_for() -> None:
    ended = []
    for becomes in (False, True):
        if not (child := os.fork()):  # as a template, which is a fork itself
            ospid = os.posix_spawn("/bin/true", ["true"], {}) if becomes else os.fork()
            if not ospid:
                os._exit(0)
            os.waitid(os.P_PID, ospid, os.WEXITED | os.WNOWAIT)
            os._exit(has_exec(ospid))
        ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert ended == [False, True]
    story = end_of(0, other_program=True).story
    assert story.startswith("became another program (as with `os.execv`")
    assert story.endswith("which exited with status 0")


def test_a_crash_is_written_down_and_that_of_a_fork_is_not() -> None:
    words = LastWords()
    for forks in (True, False):
        if not (child := os.fork()):
            listen(words.descriptor)
            if not forks or not (grandchild := os.fork()):
                os.abort()
            os.waitpid(grandchild, 0)
            os._exit(0)
        os.waitpid(child, 0)
        assert ("Fatal Python error: Aborted" in words.new()) is not forks
    words.close()
