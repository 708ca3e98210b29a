"""A short run of the chaos script on each backend, with a seed of its own each time.

`QUINCE_CHAOS_MINUTES` makes it longer; `python -m tests.integration.chaos --help` is the script.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from quince.workspace.location import Location
from tests.integration.chaos import Chaos, Servers, battlefield, tell_end
from tests.integration.chaos_audit import Audit
from tests.integration.chaos_battle import Story
from tests.services import Postgres, RabbitMQ

MINUTES = float(os.environ.get("QUINCE_CHAOS_MINUTES", "0.15"))


def run(location: Location, servers: Servers, backend: str, folder: Path) -> Audit:
    seed = random.randrange(1_000_000)
    story = Story()
    story.tell(f"chaos on {backend}, seed {seed}")
    found = Chaos(location, servers, seed, story, folder / "ledger").run(MINUTES * 60)
    tell_end(story, found, seed, backend)
    return found


@pytest.mark.timeout(MINUTES * 60 + 300)
def test_chaos_on_the_embedded_default(tmp_path: Path) -> None:
    with battlefield("embedded", tmp_path) as (location, servers):
        found = run(location, servers, "embedded", tmp_path)
    assert found.wrong == []
    assert found.processes > 100


@pytest.mark.timeout(MINUTES * 60 + 300)
@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_chaos_on_servers(
    tmp_path: Path,
    postgres_server: Postgres,
    rabbitmq_server: RabbitMQ,
    postgres_url: str,
    rabbitmq_url: str,
) -> None:
    location = Location(tmp_path, postgres_url, rabbitmq_url)
    found = run(location, Servers(rabbitmq_server, postgres_server), "servers", tmp_path)
    assert found.wrong == []
    assert found.processes > 100
