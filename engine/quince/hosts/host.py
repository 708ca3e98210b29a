"""A step host: the program in which users' code runs. It holds no store, no broker and no duty of the engine.

There are two kinds: `exclusive_host` and `shared_host`. What the worker is needed for goes over the link.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import msgspec

from quince.hosts.called_store import CalledStore
from quince.hosts.driver import DrivingLoop
from quince.hosts.failures import Stopped
from quince.hosts.hosted_step import HostedStep
from quince.hosts.link import HostLink, WorkerGone
from quince.hosts.output_files import OutputFiles
from quince.hosts.protocol import Begin, Done, Garbled, Kind, Loaded, Order, Said, Terms, Told, stays
from quince.hosts.step_output import OneAtATime, SideBySide
from quince.hosts.stepped import SteppedProcess, kind_for
from quince.hosts.stepper import Stepper
from quince.hosts.traces import Traces
from quince.hosts.warm_modules import installed_since
from quince.hosts.who_runs import WhoRuns
from quince.processes.definition import class_of, definition_of
from quince.processes.process import Process
from quince.workspace.class_loader import ClassLoader, ProcessClass
from quince.workspace.sources import SourceFinder, changed
from quince_persistence.codec import find_classes_by
from quince_persistence.records import Result, SignalRow
from quince_persistence.records.steps import Telling

T = TypeVar("T")

MOST_PIDS = 256
"""So many are asked for at a time; the first time one, and then twice as many each time in one step."""
KEPT_PIDS = 16
"""So many at the first time in a later step: a loop with a child in each round does not wait for each pid."""


class Facts(msgspec.Struct):
    """What a host is told when it is made.

    Attributes:
        worker: Id of its worker.
        folder: Of the workspace.
        root: The folder whose modules come first; None: the workspace's.
        kind: What it is for.
    """

    worker: str
    folder: str
    allowed: Sequence[str]
    root: str | None
    kind: Kind
    checked: bool
    on_failure: str

    @property
    def shared(self) -> bool:
        """Many processes run here side by side; else one step at a time."""
        return self.kind is not Kind.ALONE


class StepHost(ABC):
    """Runs the steps that the worker sends.

    Attributes:
        id, checked, troubles, store: What a running process needs (`interfaces.Engine`).
    """

    _stepper: Stepper

    def __init__(self, sock: socket.socket, who_runs: WhoRuns, facts: Facts) -> None:
        self.id = facts.worker
        self.checked = facts.checked
        self.on_failure = facts.on_failure
        self._kind = facts.kind
        self.troubles: dict[int, str] = {}
        self._loop = DrivingLoop()
        self._loop.set_exception_handler(self._on_failure)
        self._failed: BaseException | None = None
        self._link = HostLink(sock, self._loop, self._on_message, who_runs.receive)
        self.store = CalledStore(self._link)
        self._registry = ClassLoader(Path(facts.folder), facts.allowed)
        SourceFinder([facts.root or facts.folder, facts.folder]).install()
        find_classes_by(self._registry)
        self._has_imported = False
        self._processes: dict[int, SteppedProcess] = {}
        self._who_runs = who_runs
        self._steps: dict[int, HostedStep] = {}
        self._traces = Traces(shared=facts.shared)
        self._output = (SideBySide if facts.shared else OneAtATime)(
            OutputFiles(Path(facts.folder)), facts.worker
        )
        self._told: set[str] = set()
        self._pids: list[int] = []
        self._more_pids = 1

    @abstractmethod
    def serve(self) -> None:
        """Until the worker has gone.

        Raises:
            WorkerGone: it has.
        """

    def _open(self) -> None:
        """The last of what is done before there are steps."""
        signal.signal(signal.SIGTERM, self._on_signal)
        os.register_at_fork(after_in_child=self._in_child)
        self._traces.renew()

    def give_up(self) -> None:
        """Its files are not what they were: wait for the worker to see that, and to end it."""
        self._link.spoil()
        while True:
            time.sleep(1)

    def close(self) -> None:
        """The host ends."""
        self._output.close()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM has come: see now what the worker has said, if a user's code runs; else it is seen anyway.
        (It may also have been meant for the worker, which drains.)"""
        if self._link.busy:
            self._link.when_quiet = self._obey
        elif self._who_runs.pid:
            self._obey()

    def _obey(self) -> None:
        """Stop the code that runs, if it is to be stopped."""
        self._link.look()
        step = self._steps.get(self._who_runs.pid)
        if step is not None:
            step.interrupt()

    def _on_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(error := context.get("exception"), WorkerGone | Garbled | OSError):
            self._fail(error)
        else:
            loop.default_exception_handler(context)

    def _fail(self, error: BaseException) -> None:
        """The host itself has failed: it ends, since its worker would wait for ever."""
        self._failed = self._failed or error
        self._loop.stop()

    def _in_child(self) -> None:
        """A step has forked: the child is no host. If the user's code lets it return here, it ends."""
        if signal.getsignal(signal.SIGTERM) == self._on_signal:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._link.abandon()
        self._who_runs.abandon()
        self._loop._ready.clear()  # type: ignore[attr-defined]  # what is to be done is the parent's to do
        self._loop.call_soon(os._exit, 0)

    # What comes

    def _on_message(self, message: Begin | Order) -> None:
        if isinstance(message, Order):
            self._on_order(message)
        else:
            threads = self._kind is Kind.THREADS
            step = HostedStep(message.pid, self._who_runs, cancel=self._cancel, threads=threads)
            step.to_stop = message.stopping
            self._steps[message.pid] = step
            self._begin(message)

    @abstractmethod
    def _begin(self, begin: Begin) -> None:
        """Run the next step of a process, now or when it is its turn."""

    async def _step(self, begin: Begin, step: HostedStep) -> None:
        """Run the step, and tell what came of it."""
        if step.told:
            return
        self._more_pids = min(self._more_pids, KEPT_PIDS)
        try:
            done = await step.done(self._run(begin, step))
        finally:
            self._who_runs.leave(0)
        self._tell(step, done)

    async def _run(self, begin: Begin, step: HostedStep) -> Done:
        pid = begin.pid
        if self._has_imported and (begin.claim is not None or begin.returns) and (files := changed()):
            return Done(pid, failure="Outdated", reason=", ".join(sorted(files)))
        if begin.claim is not None:
            self._processes[pid] = SteppedProcess(begin.claim, self, self._stepper)
        step.process = process = self._processes[pid]
        process.stop(step.to_stop)
        process.label = process.place()
        with self._output.of(pid, process.created, lambda: process.label):
            return await self._driven(step, self._run_loaded(process, begin))

    async def _run_loaded(self, process: SteppedProcess, begin: Begin) -> Done:
        was_loaded = process.execution is not None
        kind, here = await process.load(), self._kind
        if not was_loaded and not begin.stopping:
            self._link.look()
            if process.stopping:  # it was paused, or the worker drains, while it was loaded
                raise Stopped
        fits = here is kind or (here is Kind.ALONE and kind is Kind.COROUTINES) or begin.anywhere
        if not fits:
            return Done(begin.pid, failure="Misplaced", kind=kind)
        step = await process.step(begin.results, begin.overrun, begin.span)
        return Done(begin.pid, step, kind=kind, seconds=process.seconds)

    def _tell(self, step: HostedStep, done: Done) -> None:
        """Tell the worker the end of a step, once."""
        if step.told:
            return
        step.told = True
        del self._steps[done.pid]
        if not stays(done.step):
            self._processes.pop(done.pid, None)
        if not self._who_runs.pid:  # else this is in the midst of another one's code
            others = self._kind is not Kind.ALONE and bool(self._steps)  # alone they only wait for their turn
            done.left = self._traces.look(others=others)
        self._link.send(done)

    def _driven(self, step: HostedStep, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """The step, with what is to be around it here."""
        return coroutine

    def _on_order(self, order: Order) -> None:
        pid = order.pid
        process, step = self._processes.get(pid), self._steps.get(pid)
        match order.verb:
            case "stop" | "go":
                if process is not None:
                    process.stop(order.verb == "stop")
                if step is not None:
                    step.to_stop = order.verb == "stop"
            case "kill" | "cut" | "timeout" if step is not None:
                step.stop(order.verb)
            case "suspend":
                self._link.send(Said(pid, order.verb, process is not None and process.suspend()))
            case "pause":
                self._link.send(Said(pid, order.verb, step is not None and step.pause()))
            case "play" if step is not None:
                step.play()
            case "leave":
                self._leave(pid)
            case "hears":
                self._link.send(Said(pid, order.verb, True))

    @abstractmethod
    def _cancel(self, pid: int) -> None:
        """Cancel the coroutine of a step, once."""

    @abstractmethod
    async def _outside(self, function: Callable[..., T], *args: Any) -> T:
        """Call code of the user's, an import, outside of the event loop: it may run one of its own."""

    def _leave(self, pid: int) -> None:
        """A process is run elsewhere."""
        self._processes.pop(pid, None)

    def _give_back(self) -> None:
        """A coroutine blocks the loop for a while: steps that have not begun here go elsewhere."""
        return

    # What a running process needs (see `Engine`)

    def lend_slot(self, pid: int, store: str, awaited: Sequence[int], vague: bool) -> str | None:
        blocks = self._loop.is_running() and self._link.on_main()
        refusal: str | None = self._link.call(pid, "lend", store, list(awaited), blocks, vague)
        if blocks and refusal is None:
            self._give_back()
        return refusal

    def take_back_slot(self, pid: int) -> None:
        self._link.send(Said(pid, "goes on", True))

    def under_terms(self, pid: int, step: str, seconds: float | None, on_failure: str | None) -> None:
        self._link.send(Terms(pid, step, seconds, on_failure))
        self._link.flush()  # its code may keep the loop from doing so

    def ordered(self, pid: int) -> bool | None:
        try:
            unheard = self._link.unheard()
        except WorkerGone:
            return True
        verbs = [one.verb for one in unheard if isinstance(one, Order) and one.pid == pid]
        said = [verb == "stop" for verb in verbs if verb in ("stop", "go")]
        return said[-1] if said else None

    def tell(self, telling: Telling) -> None:
        self._link.send(Told(telling.pid, telling))

    def new_pid(self, *, within: float | None = None) -> int:
        if not self._pids:
            self._pids = self._link.call(self._who_runs.pid, "pids", self._more_pids, within=within)[::-1]
            self._more_pids = min(2 * self._more_pids, MOST_PIDS)
        return self._pids.pop()

    def name_of(self, cls: ProcessClass) -> str:
        return self._registry.name_of(cls)

    async def load_class(self, path: str) -> type[Process]:
        found = self._registry.known(path)
        modules: list[str] = []
        began = time.monotonic()
        if found is None:
            before, environ = len(sys.modules), dict(os.environ)
            with self._traces.loading():
                found = await self._outside(self._import, path)
            if environ == os.environ:  # else others of its modules may look at that when they are imported
                modules = installed_since(before, except_for=path.partition(":")[0].partition(".")[0])
        cls: type[Process] = class_of(found)
        if path not in self._told:
            self._told.add(path)
            seconds = time.monotonic() - began
            self._link.send(Loaded(path, kind_for(definition_of(cls)), modules, seconds))
            self._link.flush()  # others wait for that
        return cls

    def _import(self, path: str) -> Any:
        self._has_imported = True
        found = self._registry.load_class(path)
        self._registry.revision(path)  # as it is now, and not when somebody asks
        return found

    def revision(self, path: str) -> str | None:
        return self._registry.revision(path)

    async def ends(self, pid: int, pids: Sequence[int]) -> Sequence[Result]:
        found: list[Result] = await self._link.ask(pid, "ends", list(pids))
        return found

    async def signals(self, pid: int) -> Sequence[SignalRow]:
        found: list[SignalRow] = await self._link.ask(pid, "signals")
        return found

    def excepted(self, pid: int, error: BaseException) -> None:
        """The error itself is of use to nobody here."""
        return
