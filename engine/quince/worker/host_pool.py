"""The step hosts of a worker: where a process has its seat, and how many hosts there are."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from quince.concurrency import aside
from quince.hosts.failures import CannotGoOn
from quince.hosts.host import Facts
from quince.hosts.last_words import LastWords
from quince.hosts.protocol import Answer, Call, Done, Kind, Loaded
from quince.hosts.template import Ended, Fork, Forked
from quince.hosts.who_runs import WhoRuns, new_page
from quince.patience import until_store_answers
from quince.worker.claimed_process import read_ends
from quince.worker.host_end import HostEnd
from quince.worker.host_templates import HostTemplates
from quince.worker.hosted_seat import HostedSeat
from quince.worker.interfaces import Owner
from quince.worker.loop_watch import LoopWatch
from quince.worker.output_watch import OutputWatch
from quince.worker.paused_workers import PausedWorkers
from quince.worker.placement import Placement
from quince.worker.step_host import WITH_TEMPLATE, Guest, StepHost
from quince.workspace.half_written import is_young
from quince.workspace.revision import files_of
from quince.workspace.user_modules import within_packages
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.errors import PersistenceError, StoreUnavailable
from quince_persistence.records import Claim
from quince_persistence.records.steps import Telling

_log = StructuredLogger("quince.worker")

BLOCKING_SECONDS = 600.0
"""So long the processes of a class have a host each of which a coroutine has blocked one."""
EDITED_SECONDS = 600.0
"""A file that was written within so many seconds may be one that somebody is editing."""


class HostPool:
    """Makes hosts as they are needed, keeps them warm, and finds one for each step.

    Args:
        template: The worker's end of the link to the template.
    """

    def __init__(self, owner: Owner, template: socket.socket, *, checked: bool) -> None:
        self._owner = owner
        self._checked = checked
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._forking: dict[int, StepHost] = {}
        self._hosts = Placement(self._new)
        self._templates = HostTemplates(
            template,
            owner.location.folder,
            on_told=self._on_told,
            on_died=self._lost_hosts,
            on_lost=self._lost_first,
        )
        self._by_ospid: dict[int, StepHost] = {}
        self._blocking: dict[str, float] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._output = OutputWatch(owner, self._exclusive)
        owner.side.keep("the watch on what steps print", self._output.watch)
        LoopWatch(owner, lambda: self._hosts, self._blocked)
        PausedWorkers(owner, lambda: self._hosts)

    @property
    def count(self) -> int:
        """How many hosts there are. From any thread."""
        return len(self._by_ospid)

    def seat(self, claim: Claim) -> HostedSeat:
        """A seat for a process that was claimed."""
        location = self._owner.location
        root = root_of(claim.row.class_path, location.folder)
        return HostedSeat(self, claim, root, location.kill_grace)

    def keep(self, descriptor: int) -> None:
        """Have this file open as long as any host lives that is made from now on."""
        self._templates.keep(self._owner.id, descriptor)

    def alive(self, known: float | None = None) -> None:
        """The worker lives; see `Standstill.heard`. From any thread."""
        self._templates.alive(known)

    def end_all(self) -> None:
        """End the hosts that there are, with the steps that run there: others run them."""
        self._hosts.close()

    def place(self, seat: HostedSeat, now: StepHost | None) -> StepHost:
        """A host for the next step of a process. It is loaded in `now`, if that is a host.

        Raises:
            CannotGoOn: no host can be made now.
        """
        seat.alone = seat.alone or self._blocking.get(seat.class_path, 0.0) > self._loop.time()
        return self._hosts.place(seat, now)

    def _blocked(self, host: StepHost, guest: Guest) -> None:
        """A coroutine holds up the others of its host: they go on elsewhere after their steps, and each of
        its class has a host to itself for a while."""
        self._blocking[guest.class_path] = self._loop.time() + BLOCKING_SECONDS
        host.retire()

    def heard(self, seat: HostedSeat, host: StepHost, done: Done) -> None:
        if done.kind is not None:
            self._hosts.belongs(seat.class_path, done.kind)
        if done.step is not None:
            self._hosts.ran(seat, done.seconds)
        if done.failure == "Outdated":
            if not host.outdated:
                changed = f"{done.reason} changed after a step host had imported it"
                _log.info("%(reason)s", reason=f"{changed}: what begins from now on runs it as it is now")
            self._templates.cool(host.root)
            host.retire_outdated()

    async def is_edited(self, seat: HostedSeat) -> bool:
        if not (seat.has_run or self._hosts.knows(seat.class_path)):
            return False
        files = await aside(files_of, seat.class_path, self._owner.location.folder)
        return any(is_young(file, EDITED_SECONDS) for file in files)

    def says(self, telling: Telling) -> None:
        self._owner.tellings.put(telling)

    def goes_on(self, pid: int) -> None:
        self._owner.lent.take_back(pid)

    def close(self) -> None:
        """End them all. The template ends with the link to it, and kills what is left."""
        self.end_all()
        self._templates.close()

    def _new(self, root: str | None, kind: Kind) -> StepHost:
        try:
            self._templates.warm(root)
            return self._fork(root, kind)
        except OSError as error:  # too many files
            raise CannotGoOn(f"no step host can be made: {error}", passing=True) from error

    def _fork(self, root: str | None, kind: Kind) -> StepHost:
        location = self._owner.location
        facts = Facts(
            self._owner.id, str(location.folder), location.allowed, root, kind, self._checked,
            location.on_failure,
        )  # fmt: skip
        fork = Fork(next(self._numbers), msgspec.json.encode(facts))
        with contextlib.ExitStack() as sent, contextlib.ExitStack() as opened:
            ours, its = socket.socketpair()
            opened.callback(ours.close)
            sent.callback(its.close)
            page = new_page()
            sent.callback(os.close, page)
            who_runs, words = WhoRuns(page), LastWords()
            opened.callback(words.close)
            permits = None
            if kind is Kind.ALONE:
                permits = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                opened.callback(os.close, permits)
            files = [its.fileno(), page, words.descriptor, *([] if permits is None else [permits])]
            self._templates.fork(root, fork, files)
            opened.pop_all()
        host = self._forking[fork.number] = StepHost(
            ours, root, kind, who_runs=who_runs, words=words, permits=permits,
            serve=self._serve, loaded=self._loaded, gone=self._gone,
        )  # fmt: skip
        return host

    def _exclusive(self) -> list[int]:
        """Process ids of the hosts that run one step at a time."""
        return [host.ospid for host in self._hosts if host.ospid and not host.shared]

    def _gone(self, host: StepHost) -> None:
        self._output.host_ended(host.ospid)
        self._hosts.discard(host)
        if not self._hosts.any_of(host.root):
            self._templates.cool(host.root)
        self._by_ospid.pop(host.ospid, None)

    # Templates

    def _on_told(self, what: Forked | Ended) -> None:
        if isinstance(what, Ended):
            if (gone := self._by_ospid.pop(what.ospid, None)) is not None:
                gone.died(what)
            return
        host = self._forking.pop(what.number)
        if what.ospid:
            host.born(what.ospid)
            self._by_ospid[what.ospid] = host
        else:
            host.ended(HostEnd(f"could not be made: {what.error}"))

    def _loaded(self, host: StepHost, loaded: Loaded) -> None:
        self._templates.know(host.root, loaded.modules, loaded.seconds)
        self._hosts.loaded(host, loaded.class_path, loaded.kind)

    def _lost_hosts(self, ospids: Collection[int]) -> None:
        """A template has died, and its hosts with it."""
        for host in [self._by_ospid[ospid] for ospid in ospids if ospid in self._by_ospid]:
            host.close(WITH_TEMPLATE)

    def _lost_first(self) -> None:
        """All hosts have died with it, and there can be no others: this worker ends."""
        self._hosts.close(WITH_TEMPLATE)
        self._owner.fail("the template of its step hosts, from which these are forked, has died")

    # What hosts ask

    def _serve(self, host: StepHost, call: Call) -> None:
        task = self._loop.create_task(self._answer(host, call))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answer(self, host: StepHost, call: Call) -> None:
        try:
            value = await (self._lend(host, call) if call.verb == "lend" else self._ask(call))
        except Exception as error:  # whatever it is: the host waits for an answer
            away = isinstance(error, StoreUnavailable)
            reason = str(error) if isinstance(error, PersistenceError) else f"the engine failed: {error!r}"
            host.answer(Answer(call.number, error=reason, away=away))
        else:
            host.answer(Answer(call.number, msgspec.Raw(msgspec.msgpack.encode(value))))

    async def _lend(self, host: StepHost, call: Call) -> str | None:
        """A step waits inside; a coroutine may block the loop of its host by that."""
        store, awaited, blocks, vague = call.arguments
        known, blocks = host.blocked_by == call.pid, blocks and host.shared
        if blocks:
            host.blocked_by = call.pid  # nothing begins there any more, and what has not begun comes back
        blocked = set(host.guests) - {call.pid} if known else ()
        lend = self._owner.lent.lend
        refusal = await lend(call.pid, store, awaited, cheap=host.shared, blocked=blocked, vague=vague)
        if refusal is not None:
            host.goes_on(call.pid)
        return refusal

    async def _ask(self, call: Call) -> Any:
        store, pid, given, within = self._owner.store, call.pid, call.arguments, call.within
        match call.verb:
            case "ends":
                return await read_ends(self._owner, pid, given[0])
            case "record_once":

                async def record() -> bool:
                    return await asyncio.wrap_future(store.record_once(pid, *given))

                return await until_store_answers(self._owner, pid, record)
        reads = {
            "pids": lambda: store.allocate_pids(given[0], within=within),
            "results": lambda: store.results(given[0], small=given[1]),
            "outputs": lambda: store.outputs(given[0], within=within),
            "signals": lambda: store.signals(pid),
            "recorded": lambda: store.recorded(pid, given[0]),
            "events": lambda: store.events(pid),
        }
        read = reads[call.verb]
        if within is not None:
            return await aside(read)
        return await until_store_answers(self._owner, pid, lambda: aside(read))


@functools.lru_cache(4096)
def root_of(class_path: str, folder: Path) -> str | None:
    """The folder whose modules come first where a class is run, as in `python file.py`; None if that is the
    workspace's."""
    module = class_path.rpartition(":")[0]
    if not module.endswith(".py"):
        return None
    root, _ = within_packages((folder / module).resolve())
    return None if root == folder else str(root)
