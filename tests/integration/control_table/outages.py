"""How a process comes into the state of each row in which a worker or a server is away.

Each row has a place of its own and no other workers, so that nobody takes over; its cells share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial

from quince import Workspace, submit
from quince.workspace.location import Location
from tests import flows
from tests.crew import Crew
from tests.integration.control_table.flows import Awaits
from tests.integration.control_table.page import VERBS
from tests.integration.control_table.stage import Stage, Subject
from tests.integration.control_table.states import until
from tests.integration.messaging.proxy import Proxy

Make = Callable[[Stage, ExitStack], Sequence[Subject]]


def one_of(stage: Stage, make: Make) -> Subject:
    """The next of the subjects that are made for all cells of a row."""
    left: list[Subject] = stage.scene(make.__name__, lambda stage, stack: list(make(stage, stack)))
    return left.pop()


def with_crew(
    stage: Stage, location: Location, stack: ExitStack, behind: Location | None = None
) -> tuple[Workspace, Crew]:
    """A workspace on this place, and a crew on it too, or behind a proxy."""
    home = stack.enter_context(Workspace(location))
    return home, stack.enter_context(closing(Crew(behind or location, stage.forks)))


def dead(stage: Stage) -> Subject:
    return one_of(stage, _dead)


def _dead(stage: Stage, stack: ExitStack) -> list[Subject]:
    """Each has a worker of its own; all of these are killed before the first control."""
    home, crew = with_crew(stage, stage.fresh_place("dead"), stack)
    subjects = []
    for number in range(len(VERBS)):
        crew.start(queues=(f"q{number}",))
        subjects.append(stage.held(home, Awaits, f"q{number}"))
    for worker in crew.workers:
        worker.freeze()  # or one that still lives would release what the first one held
    for worker in crew.workers:
        worker.kill()
    return subjects


def daemon_down(stage: Stage) -> Subject:
    return one_of(stage, _daemon_down)


def _daemon_down(stage: Stage, stack: ExitStack) -> list[Subject]:
    home, crew = with_crew(stage, stage.fresh_place("daemon-down"), stack)
    (worker,) = crew.start()
    handles = [submit(flows.Stepwise, steps=1000, seconds=0.05, workspace=home) for _ in VERBS]
    for handle in handles:
        until(handle, lambda row: home.store.checkpoint(row.pid) is not None)
    worker.stop()
    return [Subject(handle) for handle in handles]


def frozen(stage: Stage) -> Subject:
    return one_of(stage, _frozen)


def _frozen(stage: Stage, stack: ExitStack) -> list[Subject]:
    home, crew = with_crew(stage, stage.fresh_place("frozen"), stack)
    (worker,) = crew.start()
    subjects = [stage.held(home, Awaits) for _ in VERBS]
    stack.callback(worker.thaw)

    def thaw(subject: Subject) -> None:
        worker.thaw()
        subject.release()

    return [replace(s, disturb=worker.freeze, release=partial(thaw, s)) for s in subjects]


def broker_cut(stage: Stage) -> Subject:
    return one_of(stage, _broker_cut)


def _broker_cut(stage: Stage, stack: ExitStack) -> list[Subject]:
    proxy, location, behind = _broker_proxy(stage, stack, "broker-cut")
    home, crew = with_crew(stage, location, stack, behind)
    crew.start()
    subjects = [stage.held(home, Awaits) for _ in VERBS]
    return [replace(subject, disturb=proxy.refuse) for subject in subjects]


def broker_down(stage: Stage) -> Subject:
    return one_of(stage, _broker_down)


def _broker_down(stage: Stage, stack: ExitStack) -> list[Subject]:
    proxy, _, behind = _broker_proxy(stage, stack, "broker-down")
    home, crew = with_crew(stage, behind, stack)
    crew.start()
    subjects = [stage.held(home, Awaits) for _ in VERBS]
    return [replace(subject, disturb=proxy.refuse) for subject in subjects]


def _broker_proxy(stage: Stage, stack: ExitStack, name: str) -> tuple[Proxy, Location, Location]:
    """A proxy, a place, and the same place behind the proxy."""
    assert stage.servers is not None
    location = stage.fresh_place(name)
    proxy = stack.enter_context(Proxy("127.0.0.1", stage.servers[0].port))
    return proxy, location, replace(location, broker=proxy.uri(location.broker))


def store_cut(stage: Stage) -> Subject:
    return one_of(stage, _store_cut)


def _store_cut(stage: Stage, stack: ExitStack) -> list[Subject]:
    assert stage.servers is not None
    location = stage.fresh_place("store-cut")
    port = stage.servers[1].port
    proxy = stack.enter_context(Proxy("127.0.0.1", port))
    behind = replace(location, store=location.store.replace(f":{port}/", f":{proxy.port}/"))
    home, crew = with_crew(stage, location, stack, behind)
    crew.start()
    subjects = [stage.held(home, Awaits) for _ in VERBS]

    def mend(subject: Subject) -> None:
        proxy.refuse(False)
        subject.release()

    return [replace(s, disturb=proxy.refuse, release=partial(mend, s)) for s in subjects]
