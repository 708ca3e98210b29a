"""A project that began on the embedded default moves to servers, and back, with what lives in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from quince import Workspace
from quince.workspace.location import Location
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration.commands import Quince


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_what_waits_moves_to_servers_and_back(
    tmp_path: Path, forks: ForkServer, worker_forks: ForkServer, postgres_url: str, rabbitmq_url: str
) -> None:
    quince = Quince(tmp_path, forks)
    asks, ended = quince.submit("steps.py:Asks"), quince.submit("steps.py:add", "x=1")
    embedded = Location(
        tmp_path, f"sqlite:///{tmp_path}/.quince/quince.db", f"local://{tmp_path}/.quince/messages"
    )
    with Workspace(embedded) as home:
        crew = Crew(embedded, worker_forks)
        crew.start(1)
        eventually(lambda: home.store.get(asks).signals and home.store.get(ended).terminated)  # type: ignore[union-attr]
        refused = quince("copy", "--to", postgres_url)
        assert (refused.status, "quince daemon stop" in refused.err) == (1, True)
        crew.workers[0].stop()
    quince.good("signal", str(asks), "other")
    made = quince.good("init", "--store", postgres_url, "--broker", rabbitmq_url)
    assert "2 processes, 1 of them live, stay in sqlite:///" in made.err
    copied = quince.good("copy", "--from", embedded.store)
    assert "2 processes copied from sqlite:///" in copied.err
    assert quince("copy", "--from", embedded.store).status == 1, "it is there already"
    assert quince.row(ended)["state"] == "finished"
    servers = replace(embedded, store=postgres_url, broker=rabbitmq_url)
    crew = Crew(servers, worker_forks)
    crew.start(1)
    quince.good("signal", str(asks), "answer", "--value", "yes")
    quince.good("wait", str(asks), "--timeout", "60")
    crew.workers[0].stop()
    back = f"sqlite:///{tmp_path}/back.db"
    assert quince.good("copy", "--to", back, "--json").document["processes"] == 2
    with Workspace(replace(embedded, store=back)) as home:
        row = home.store.get(asks)
        assert row is not None
        assert row.terminated
    with Workspace(embedded) as home:
        row = home.store.get(asks)
        assert row is not None
        assert (row.paused, row.terminated) == (True, False), "it does not go on twice"
