"""Watching a process: pushed, and complete whatever happens to the connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from quince import Workspace, get_process, submit
from quince.workspace.location import Location
from tests import flows
from tests.crew import Crew
from tests.integration.messaging.proxy import Proxy

LINES = 30


@contextmanager
def breakable(location: Location, request: pytest.FixtureRequest) -> Iterator[tuple[Location, list[Proxy]]]:
    """The place, with what can be cut between it and its servers."""
    if location.embedded:
        yield location, []
        return
    ports = [request.getfixturevalue(name).port for name in ("rabbitmq_server", "postgres_server")]
    with Proxy("127.0.0.1", ports[0]) as broker, Proxy("127.0.0.1", ports[1]) as database:
        store = location.store.replace(f":{ports[1]}/", f":{database.port}/")
        yield replace(location, store=store, broker=broker.uri(location.broker)), [broker, database]


async def test_events_are_complete_when_the_connection_breaks(
    home: Workspace, crew: Crew, location: Location, request: pytest.FixtureRequest
) -> None:
    """Every tenth event the watcher's connections to broker and database are reset; on the embedded
    default, which has none, its communicator is closed under it."""
    crew.start()
    handle = submit(flows.Reporter, lines=LINES, workspace=home)
    with breakable(location, request) as (behind, proxies), Workspace(behind) as watching:
        seen = []
        async for event in get_process(handle.pid, workspace=watching).events():
            seen.append(event)
            if len(seen) % 10 == 0:
                for proxy in proxies:
                    proxy.cut()
                if not proxies and len(seen) == 10:
                    watching.communicator.close()
    assert all(before.seq < after.seq for before, after in pairwise(seen))
    assert [event.seq for event in seen] == [event.seq for event in handle.history()]
    said = [event.body["text"] for event in seen if event.kind == "report"]
    assert said == [f"line {number}" for number in range(LINES)]
