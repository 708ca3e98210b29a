"""What a step leaves in its program is seen, and what it takes away again is not."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

LEAVES = {
    "import os; os.chdir('/')": "the working directory",
    "import os; os.umask(0o027)": "the umask",
    "import os; os.environ['OMP_NUM_THREADS'] = '1'": "the environment",
    "import os; os.environ.clear()": "the environment",
    "import os, time; os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()": "the environment, the time zone",
    "import locale; locale.setlocale(locale.LC_ALL, 'C')": "the locale",
    "import signal; signal.signal(signal.SIGUSR1, print)": "signal handlers, masks or timers",
    "import signal; signal.pthread_sigmask(0, [signal.SIGINT])": "signal handlers, masks or timers",
    "import signal; signal.alarm(100)": "signal handlers, masks or timers",
    "import logging; logging.basicConfig()": "the log configuration",
    "import logging; logging.disable()": "the log configuration",
    "import logging.config; logging.config.dictConfig({'version': 1})": "the log configuration",
    "import logging; logging.captureWarnings(True)": "the warnings filters",
    "import warnings; warnings.simplefilter('error')": "the warnings filters",
    "import gc; gc.disable()": "the garbage collector",
    "import gc; gc.set_threshold(1)": "the garbage collector",
    "import faulthandler; faulthandler.enable()": "the interpreter",
    "import sys; sys.setrecursionlimit(10**6)": "the interpreter",
    "import sys; sys.setswitchinterval(1)": "the interpreter",
    "import sys; sys.settrace(lambda *_: None)": "the interpreter",
    "import builtins; builtins.print = len": "functions of Python",
    "import time; time.sleep = len": "functions of Python",
    "import socket; socket.socket.connect = len": "functions of Python",
    "import os; del os.read": "functions of Python",
    "import threading; threading.setprofile(len)": "the interpreter",
    "import tracemalloc; tracemalloc.start()": "the interpreter",
    "import sys; sys.set_int_max_str_digits(0)": "the interpreter",
    "import sys; sys.modules.pop('json')": "fewer modules",
    "import sys; sys.modules.clear()": "fewer modules",
    "import sys, io; sys.stdout = io.StringIO()": "the standard streams",
    "import sys; sys.path.insert(0, '/tmp')": "the import path",
    "import asyncio as a; a.set_event_loop_policy(type('P', (a.AbstractEventLoopPolicy,), {})())": "the event loop policy",  # noqa: E501
    "import socket; socket.setdefaulttimeout(1)": "the default socket timeout",
    "import decimal; decimal.getcontext().prec = 3": "the decimal context",
    "import resource as r; r.setrlimit(r.RLIMIT_CORE, (0, 0))": "resource limits",
    "import os; os.nice(1)": "priority, processors or user",
    "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])": "priority, processors or user",
    "import atexit; atexit.register(print)": "functions for the exit",
    "import multiprocessing as mp; mp.set_start_method('fork')": "multiprocessing's start method",
    "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()": "threads",
    "import _thread, time; _thread.start_new_thread(time.sleep, (9,))": "native threads",
    "import subprocess; subprocess.Popen(['sleep', '9'])": "child processes",
    "import os; os.fork() or os._exit(0)": "child processes",
    "import os; os.open('/', 0)": "file descriptors",
    "import os; os.close(0)": "file descriptors",
    "import os; os.closerange(3, 100)": "file descriptors",
    "import os; k = os.pipe(); os.dup2(k[0], 0); os.close(k[0]); os.close(k[1])": "file descriptors",
    "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (3, 3))": "resource limits, file descriptors",
    "k = b'x' * (600 << 20)": "memory",
}

NOTHING = [
    "import random; random.seed(1)",
    "import asyncio; asyncio.run(asyncio.sleep(0))",
    "import os; here = os.getcwd(); os.chdir('/'); os.chdir(here)",
    "import threading; t = threading.Thread(target=len, args=('',)); t.start(); t.join()",
    "import subprocess; subprocess.run(['true'])",
    "import warnings\nwith warnings.catch_warnings(): warnings.simplefilter('error')",
    "from concurrent.futures import ThreadPoolExecutor as T\nwith T() as t: list(t.map(abs, [1] * 9))",
    "open('/dev/null').read()",
    "import decimal; decimal.Decimal(1) / 3",
]

IMPORTS = [
    "import colorsys, warnings; warnings.simplefilter('error')",
    "import colorsys, _thread, time; _thread.start_new_thread(time.sleep, (9,))",
    "import colorsys, os; os.open('/', 0)",
]
"""What a module that a step imports would do."""

PROGRAM = """
import asyncio, concurrent.futures.thread, contextlib, json, logging.config, multiprocessing, os, random
import socket, subprocess, sys, tempfile
from quince.hosts.traces import Traces
traces, found, kept = Traces(), {}, {}
os.environ['LC_ALL'] = 'C.UTF-8'
import locale; locale.setlocale(locale.LC_ALL, '')
traces.renew()
for code in json.load(sys.stdin):
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        traces = Traces()
        os.set_inheritable(into, False)
        report = 60
        os.dup2(into, report, inheritable=False)
        traces.renew()
        exec(code, kept)
        try:
            os.write(report, ", ".join(traces.look()).encode())
        except OSError:
            os.kill(os.getpid(), 9)
        os._exit(0)
    os.close(into)
    with open(out) as pipe:
        found[code] = pipe.read()
    if os.waitpid(child, 0)[1]:
        found[code] = "file descriptors"  # the pipe was closed too
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, 9)
print(json.dumps(found))
"""


@cache
def found() -> dict[str, str]:
    """What was seen after each piece of code, in a program of its own."""
    every = [*LEAVES, *NOTHING, *IMPORTS]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], input=json.dumps(every), capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip
    seen: dict[str, str] = json.loads(done.stdout)
    return seen


@pytest.mark.parametrize("code", LEAVES)
def test_what_is_left_is_seen(code: str) -> None:
    assert found()[code] == LEAVES[code]


@pytest.mark.parametrize("code", NOTHING)
def test_what_is_taken_away_again_is_nothing(code: str) -> None:
    assert found()[code] == ""


@pytest.mark.parametrize("code", IMPORTS)
def test_what_a_module_does_when_it_is_imported_is_the_modules(code: str) -> None:
    assert found()[code] == ""
