"""Who submits processes in the simulated world, and controls them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, cast

from quince.client.control import control
from quince.client.restart import restart
from quince.client.retry import retry
from quince.client.submit import submit
from quince.errors import ControlRefused
from quince.messages import CONTROL_QUEUE
from quince.workspace.background import BackgroundSender
from quince.workspace.workspace import Workspace
from quince_messaging.errors import MessagingError
from quince_persistence.codec import decode
from quince_persistence.records import Control, ProcessRow, Selection
from quince_persistence.records.schedules import LABEL
from tests.simulation.fleet import REGISTRY, Surroundings
from tests.simulation.flows import KINDS, wishes_of
from tests.simulation.lane import SLOW_THREAD, THREAD, Lane
from tests.simulation.network import BlockingCommunicator, FaultyTransport, Link
from tests.simulation.stores import Cable, SteppedStore
from tests.simulation.world import Actor, World

Plan = dict[str, Any]


class SteppedSender(BackgroundSender):
    """A background sender whose thread is an event of the world."""

    def __init__(self, world: World, actor: Actor) -> None:
        super().__init__()
        self._world, self._actor = world, actor

    def post(self, job: Callable[[], object]) -> None:
        def tell() -> None:
            with contextlib.suppress(MessagingError):
                job()

        self._world.after(self._world.delay(THREAD, SLOW_THREAD), self._actor, "background", tell)


class Client:
    """A program beside the workers, with the real `submit` and `control`.

    Attributes:
        roots: What was submitted: the plan of each tree by its pid.
        scheduled: The plans of schedules, by their names.
        home: Its workspace.
    """

    def __init__(self, around: Surroundings) -> None:
        self.roots: dict[int, Plan] = {}
        self.scheduled: dict[str, Plan] = {}
        world, actor = around.world, Actor("client")
        self._lane = Lane(world, actor, "loop")
        transport = FaultyTransport(around.hub, actor, self._lane, Link(world, around.weather))
        self.communicator = cast(Any, BlockingCommunicator(transport, self._lane))
        self.store = SteppedStore(around.archive, world, actor, Cable(), around.witness, blocking=True)
        self.store.open()
        self.home = Workspace(around.place, self.store, self.communicator)
        self.home.registry = REGISTRY
        self.home.background = SteppedSender(world, actor)

    def submit(self, plan: Plan) -> None:
        handle = submit(KINDS[plan["kind"]], workspace=self.home, **wishes_of(plan), **plan["inputs"])
        self.roots[handle.pid] = plan

    def control(
        self, verb: Control, pids: Sequence[int], *, tree: bool, force: bool = False, now: bool = False
    ) -> None:
        chosen = Selection(trees=pids) if tree else Selection(pids=pids)
        control(self.home, verb, chosen, author="client", reason="simulated", force=force, now=now)

    def retry(self, pids: Sequence[int]) -> None:
        retry(self.home, Selection(pids=pids), author="client", reason="simulated")

    def restart(self, row: ProcessRow, from_step: str | None, inputs: Mapping[str, Any] | None) -> None:
        """Begin one anew, if it can be."""
        plan = self._plan_of(row)
        with contextlib.suppress(ControlRefused):
            made = restart(self.home, row.pid, from_step, inputs=inputs, author="client", reason="simulated")
            self.roots[made.pid] = plan

    def _plan_of(self, row: ProcessRow) -> Plan:
        if row.parent is None:
            made_by = row.options.labels.get(LABEL)
            return self.roots[row.pid] if made_by is None else self.scheduled[made_by]
        parent, number = self.store.get(row.parent), decode(self.store.inputs(row.pid) or b"")["number"]
        assert parent is not None
        plans = below(self._plan_of(parent))
        return plans[int(number)]

    def ask(self, verb: str, pid: int) -> None:
        """The same over the broker alone: whichever worker gets it does it."""
        body = {"pid": pid, "message": {"intent": str(verb)}, "author": "client"}
        self.communicator.send_tasks([body], queue=CONTROL_QUEUE)

    def play_all(self) -> None:
        control(self.home, Control.PLAY, Selection(live=True), author="client")

    def close(self) -> None:
        self.communicator.close()
        self.store.close()
        self._lane.bury()


def tree(random: Random, depth: int = 2, number: int = 0) -> Plan:
    """The plan of a small tree. Each process has a number among the children of its parent."""
    seconds = random.choice((0.0, 0.0, 0.01, 0.3, 2.0))
    often, seldom = ("leaf", "tree"), ("block", "plain", "failing", "retried", "mending", "held", "caller")
    kind = random.choice((*often, *often, *seldom))
    inputs: dict[str, Any]
    if depth == 2 or (kind == "tree" and depth > 0):
        first = [tree(random, depth - 1, location) for location in range(random.randint(1, 3))]
        second = [tree(random, 0, len(first))] if random.random() < 0.3 else []
        inputs = {"number": number, "seconds": seconds, "first": first, "second": second}
        if kind in ("block", "plain"):
            inputs |= {"second": [], "pause": random.choice((0.0, 0.2, 2.5))}
            return {"kind": "hasty", "inputs": inputs}
        return {"kind": "tree", "inputs": inputs}
    if kind == "caller" and depth > 0:
        listeners = [_listener(random, location) for location in range(random.randint(1, 2))]
        return {"kind": "caller", "inputs": {"number": number, "seconds": seconds, "first": listeners}}
    kind = "plain" if kind in ("tree", "caller") else kind
    inputs = {"number": number, "seconds": seconds}
    if kind == "leaf":
        inputs["pause"] = random.choice((0.0, 0.2, 2.5))
    elif kind == "retried":
        inputs |= {"fails": random.randint(1, 3), "late": random.random() < 0.3}
    elif kind == "held":
        inputs["fails"] = random.randint(1, 4)
    elif kind == "block":
        inputs["steps"] = random.randint(1, 3)
    return {"kind": kind, "inputs": inputs}


def _listener(random: Random, number: int) -> Plan:
    seconds, pause = random.choice((0.0, 0.3, 2.0)), random.choice((0.0, 0.2, 2.5))
    return {"kind": "listener", "inputs": {"number": number, "seconds": seconds, "pause": pause}}


def below(plan: Plan) -> list[Plan]:
    """Those of its children, by their numbers."""
    return [*plan["inputs"].get("first", ()), *plan["inputs"].get("second", ())]


def size(plan: Plan) -> int:
    """How many processes a plan becomes, if nothing of it is killed."""
    return 1 + sum(map(size, below(plan)))
