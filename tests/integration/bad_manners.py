"""Steps that do what harms the program that they run in, and steps that would notice."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import ctypes
import decimal
import faulthandler
import gc
import io
import locale
import logging
import logging.config
import multiprocessing
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from quince import WorkChain, process, run, submit

KINDS: dict[str, Callable[[Path], object]] = {}
ASYNC_KINDS: dict[str, Callable[[Path], Awaitable[object]]] = {}
DEADLY = {
    "closes_all_files", "puts_a_file_in_the_place_of_the_link", "writes_garbage", "exits_at_once", "crashes",
    "kills_its_group", "overflows_the_stack", "becomes_another_program", "exits_in_a_coroutine",
}  # fmt: skip
"""Their host dies with them, the first time, which is held against them; then they behave."""

FOREVER = 10_000.0
left: list[object] = []


@process
def rude(kind: str, folder: str) -> str:
    KINDS[kind](Path(folder))
    return "done"


@process
async def rude_async(kind: str, folder: str) -> str:
    await ASYNC_KINDS[kind](Path(folder))
    return "done"


def kind(function: Callable[[Path], object]) -> Callable[[Path], object]:
    KINDS[function.__name__] = function
    return function


def async_kind(function: Callable[[Path], Awaitable[object]]) -> Callable[[Path], Awaitable[object]]:
    ASYNC_KINDS[function.__name__] = function
    return function


def first_time(folder: Path, name: str) -> bool:
    try:
        (folder / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


# Who would notice


def surroundings() -> dict[str, Any]:
    """What a step finds in its program."""
    umask = os.umask(0)
    os.umask(umask)
    return {
        "folder": str(Path.cwd()),
        "umask": umask,
        "environ": sorted(name for name in os.environ if not name.startswith(("QUINCE_", "PYTEST_"))),
        "locale": locale.setlocale(locale.LC_ALL),
        "signals": [str(signal.getsignal(number)).split(" at ")[0] for number in (2, 10, 14, 15, 17)],
        "mask": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "logging": (logging.root.level, len(logging.root.handlers), logging.root.manager.disable),
        "warnings": len(warnings.filters),
        "collector": gc.isenabled(),
        "fault handler": faulthandler.is_enabled(),
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval(), len(sys.path), sys.gettrace()),
        "threads": sorted(one.name for one in threading.enumerate() if not one.name.startswith("quince-")),
        "limits": (resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_AS)),
        "rank": os.getpriority(os.PRIO_PROCESS, 0),
        "timeout": socket.getdefaulttimeout(),
        "decimals": decimal.getcontext().prec,
        "start method": multiprocessing.get_start_method(allow_none=True),
        "output": type(sys.stdout).__name__,
    }


class Ordinary(WorkChain):
    """Steps that are functions."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("x", valid_type=int)
        spec.output("x", valid_type=int)
        spec.output("seen")
        spec.outline(cls.first, cls.second, cls.third)

    def first(self) -> None:
        self.ctx.x = self.inputs.x + 1

    def second(self) -> None:
        time.sleep(0.02)
        print(self.ctx.x)

    def third(self) -> None:
        self.out("x", self.ctx.x)
        self.out("seen", surroundings())


class OrdinaryCoroutines(WorkChain):
    """Steps that are coroutines."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("x", valid_type=int)
        spec.output("x", valid_type=int)
        spec.outline(cls.first, cls.second, cls.third)

    async def first(self) -> None:
        self.ctx.x = self.inputs.x + 1

    async def second(self) -> None:
        await asyncio.sleep(0.02)

    async def third(self) -> None:
        self.out("x", self.ctx.x)


class Tidy(WorkChain):
    """Steps that use much and leave nothing; the ids of the programs in which they ran."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("hosts")
        spec.outline(cls.programs, cls.coroutine, cls.threads, cls.loop)

    def programs(self) -> None:
        subprocess.run(["true"], check=True)
        self.ctx.hosts = [os.getpid()]

    async def coroutine(self) -> None:
        await self.command("true")
        await asyncio.to_thread(time.sleep, 0)
        self.ctx.hosts = [*self.ctx.hosts, os.getpid()]

    def threads(self) -> None:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(abs, range(9)))
        self.report(self.once("token", lambda: "once"))
        self.ctx.hosts = [*self.ctx.hosts, os.getpid()]

    def loop(self) -> None:
        asyncio.run(asyncio.sleep(0))
        self.out("hosts", [*self.ctx.hosts, os.getpid()])


# Functions


@kind
def keeps_the_interpreter_lock(_: Path) -> None:
    ctypes.PyDLL(None).sleep(10)  # longer than a worker may be silent


@kind
def makes_a_pool(_: Path) -> None:
    with multiprocessing.Pool(2) as pool:
        assert pool.map(abs, range(-9, 0)) == [9, 8, 7, 6, 5, 4, 3, 2, 1]


@kind
def makes_pools_in_pools(_: Path) -> None:
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        assert list(pool.map(_pool_inside, [1, 2])) == [[1], [2]]


def _pool_inside(x: int) -> list[int]:
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        return list(pool.map(abs, [-x]))


@kind
def makes_processes(_: Path) -> None:
    multiprocessing.set_start_method("fork")  # which may be said once
    child = multiprocessing.Process(target=time.sleep, args=(0,))
    child.start()
    child.join()
    assert child.exitcode == 0


@kind
def says_again_how_to_make_processes(folder: Path) -> None:
    makes_processes(folder)


@kind
def draws_with_matplotlib(folder: Path) -> None:
    from matplotlib import pyplot  # noqa: PLC0415

    pyplot.plot([1, 2, 3])
    pyplot.savefig(folder / "picture.png")


@kind
def uses_joblib(_: Path) -> None:
    from joblib import Parallel, delayed  # noqa: PLC0415

    assert Parallel(n_jobs=2)(delayed(abs)(-x) for x in range(4)) == [0, 1, 2, 3]


@kind
def changes_the_directory(folder: Path) -> None:
    (folder / "one").mkdir(exist_ok=True)
    os.chdir(folder / "one")
    time.sleep(0.3)
    assert Path.cwd() == folder / "one"


@kind
def changes_it_elsewhere(folder: Path) -> None:
    (folder / "two").mkdir(exist_ok=True)
    os.chdir(folder / "two")
    time.sleep(0.3)
    assert Path.cwd() == folder / "two"
    (folder / "two").rmdir()


@kind
def sets_the_umask(_: Path) -> None:
    os.umask(0o777)


@kind
def clears_the_environment(_: Path) -> None:
    os.environ.clear()
    os.environ["HOME"] = "/nowhere"


@kind
def sets_the_locale(_: Path) -> None:
    locale.setlocale(locale.LC_ALL, "C")


@kind
def configures_logging(_: Path) -> None:
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True, "root": {"level": "ERROR"}})


@kind
def disables_logging(_: Path) -> None:
    logging.disable(logging.CRITICAL)


@kind
def makes_warnings_errors(_: Path) -> None:
    warnings.simplefilter("error")


@kind
def handles_signals(_: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


@kind
def blocks_signals(_: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@kind
def sets_an_alarm(_: Path) -> None:
    signal.alarm(1)


@kind
def dumps_its_traceback_later(_: Path) -> None:
    faulthandler.dump_traceback_later(0.5, exit=True)


@kind
def registers_an_endless_exit(_: Path) -> None:
    atexit.register(time.sleep, FOREVER)


@kind
def disables_the_collector(_: Path) -> None:
    gc.disable()


@kind
def recurses(_: Path) -> None:
    def deeper() -> None:
        deeper()

    sys.setrecursionlimit(5_000)
    try:
        deeper()
    except RecursionError:
        return
    raise AssertionError("it has an end")


@kind
def takes_two_gigabytes(_: Path) -> None:
    block = bytearray(2 << 30)
    block[: 600 << 20 : 1 << 12] = b"x" * (600 << 8)
    left.append(block)


@kind
def runs_a_loop(_: Path) -> None:
    assert asyncio.run(asyncio.sleep(0.01, "slept")) == "slept"


@kind
def runs_a_process(_: Path) -> None:
    assert run(Ordinary, x=1)["x"] == 2


@kind
def submits_a_process(_: Path) -> None:
    submit(OrdinaryCoroutines, x=1)


@kind
def closes_all_files(folder: Path) -> None:
    if first_time(folder, "closed"):
        os.closerange(3, 1000)


@kind
def closes_the_standard_streams(_: Path) -> None:
    for number in (0, 1, 2):
        os.close(number)


def _links() -> Iterator[int]:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            with socket.socket(fileno=os.dup(int(name))) as link:
                link.getpeername()
                yield int(name)
        except OSError:
            continue


@kind
def puts_a_file_in_the_place_of_the_link(folder: Path) -> None:
    if first_time(folder, "replaced"):
        for link in list(_links()):
            os.dup2(os.open(os.devnull, os.O_RDWR), link)


@kind
def writes_garbage(folder: Path) -> None:
    if first_time(folder, "written"):
        for link in _links():
            os.write(link, random.randbytes(100_000))


@kind
def reads_what_is_not_its_own(_: Path) -> None:
    links, until = list(_links()), time.monotonic() + 0.005
    while time.monotonic() < until:
        for link in links:
            os.set_blocking(link, False)
            try:
                os.read(link, 1 << 16)
            except BlockingIOError:
                continue


@kind
def forks_and_returns_twice(_: Path) -> None:
    os.fork()


@kind
def forks_a_child_that_stays(_: Path) -> None:
    if not os.fork():
        time.sleep(FOREVER)


@kind
def makes_a_demon(_: Path) -> None:
    if not os.fork():
        os.setsid()
        if not os.fork():
            time.sleep(FOREVER)
        os._exit(0)
    os.wait()


@kind
def leaves_a_thread(_: Path) -> None:
    threading.Thread(target=time.sleep, args=(FOREVER,)).start()


@kind
def leaves_a_busy_thread(_: Path) -> None:
    def spin() -> None:
        while True:
            pass

    threading.Thread(target=spin, daemon=True).start()


@kind
def leaves_a_pool_of_threads(_: Path) -> None:
    pool = concurrent.futures.ThreadPoolExecutor(4)
    left.append(pool)
    pool.submit(time.sleep, FOREVER)


@kind
def prints_a_hundred_megabytes(_: Path) -> None:
    line = "x" * 99
    for _number in range(10):
        print("\n".join([line] * 100_000))


@kind
def replaces_its_output(_: Path) -> None:
    sys.stdout = sys.stderr = io.StringIO()


@kind
def takes_its_output_apart(_: Path) -> None:
    sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="latin-1")  # type: ignore[union-attr]


@kind
def removes_its_output(_: Path) -> None:
    del sys.stdout, sys.stderr


@kind
def patches_the_standard_library(_: Path) -> None:
    time.sleep = socket.socketpair = subprocess.Popen = len  # type: ignore[assignment, misc]


@kind
def forgets_modules(_: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("quince.processes")]:
        del sys.modules[name]


@kind
def becomes_another_program(folder: Path) -> None:
    if first_time(folder, "became"):
        os.execv("/bin/true", ["true"])


@kind
def writes_bytes_to_its_output(_: Path) -> None:
    os.write(1, bytes(range(256)) * 400)
    subprocess.run(["sh", "-c", "head -c 100000 /dev/urandom >&2"], check=True)


@kind
def leaves_a_program(_: Path) -> None:
    left.append(subprocess.Popen(["sleep", str(FOREVER)], start_new_session=True))


@kind
def exits_at_once(folder: Path) -> None:
    if first_time(folder, "exited"):
        os._exit(3)


@kind
def crashes(folder: Path) -> None:
    if first_time(folder, "crashed"):
        ctypes.string_at(0)


@kind
def overflows_the_stack(folder: Path) -> None:
    if first_time(folder, "overflowed"):
        nested: list[Any] = []
        for _ in range(1_000_000):
            nested = [nested]
        sys.setrecursionlimit(10**9)
        repr(nested)


@kind
def kills_its_group(folder: Path) -> None:
    if first_time(folder, "killed"):
        os.kill(0, signal.SIGKILL)


@kind
def terminates_its_group(_: Path) -> None:
    os.killpg(os.getpgrp(), signal.SIGTERM)


@kind
def wants_a_session(_: Path) -> None:
    try:
        os.setsid()
    except PermissionError:
        return


@kind
def may_open_no_files(_: Path) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


@kind
def may_have_no_memory(_: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    try:
        bytearray(1 << 31)
    except MemoryError:
        return
    raise AssertionError("there was no limit")


@kind
def is_nice(_: Path) -> None:
    os.nice(19)


@kind
def stops_itself(_: Path) -> None:
    subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)


@kind
def has_little_patience(_: Path) -> None:
    socket.setdefaulttimeout(1e-6)
    sys.setswitchinterval(100)
    decimal.getcontext().prec = 1
    random.seed(0)


@kind
def forgets_where_modules_are(_: Path) -> None:
    sys.path.clear()
    sys.meta_path.clear()


@kind
def traces_everything(_: Path) -> None:
    sys.settrace(lambda *_: None)
    sys.excepthook = lambda *_: None


@kind
def sets_a_loop_policy(_: Path) -> None:
    asyncio.set_event_loop_policy(type("Policy", (asyncio.DefaultEventLoopPolicy,), {})())


# Coroutines


@async_kind
async def blocks_the_loop(_: Path) -> None:
    time.sleep(3)  # noqa: ASYNC251


@async_kind
async def keeps_the_interpreter_lock_in_a_coroutine(_: Path) -> None:
    ctypes.PyDLL(None).sleep(2)


@async_kind
async def forks_in_a_coroutine(_: Path) -> None:
    os.fork()


@async_kind
async def changes_the_directory_in_a_coroutine(_: Path) -> None:
    os.chdir("/")


@async_kind
async def exits_in_a_coroutine(folder: Path) -> None:
    if first_time(folder, "exited-async"):
        os._exit(3)


@async_kind
async def closes_all_files_in_a_coroutine(folder: Path) -> None:
    if first_time(folder, "closed-async"):
        os.closerange(3, 1000)


@async_kind
async def leaves_tasks(_: Path) -> None:
    left.append(asyncio.create_task(asyncio.sleep(FOREVER)))


@async_kind
async def leaves_a_thread_of_the_loop(_: Path) -> None:
    left.append(asyncio.get_running_loop().run_in_executor(None, time.sleep, FOREVER))


@async_kind
async def wants_to_end_the_program_in_a_task(_: Path) -> None:
    left.append(asyncio.create_task(asyncio.to_thread(sys.exit, 3)))
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.sleep(0.1)


@async_kind
async def stops_the_loop(_: Path) -> None:
    asyncio.get_running_loop().stop()
