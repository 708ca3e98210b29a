"""The pages that a new reader begins with: all that they show is done, as a reader would do it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crew import ROOT
from tests.forked import ForkServer
from tests.sessions import NotAsShown, Session


@pytest.fixture
def session(tmp_path: Path, forks: ForkServer) -> Iterator[Session]:
    reader = Session(tmp_path, forks, {"eva": getpass.getuser()})
    yield reader
    reader.close()


@pytest.mark.parametrize("page", ["start.md", "tutorial.md"])
def test_on_a_laptop(session: Session, page: str) -> None:
    assert session.read(ROOT / "docs" / page) > 10


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_on_two_hosts(session: Session, postgres_url: str, rabbitmq_url: str) -> None:
    shown = rabbitmq_url.replace("guest:guest", "guest:***")
    session.said = {
        "postgresql+psycopg://quince:secret@db.example.org/quince": postgres_url,
        "postgresql+psycopg://quince:***@db.example.org/quince": postgres_url,
        "amqp://quince:secret@mq.example.org/": rabbitmq_url,
        "amqp://quince:***@mq.example.org/": shown,
        "/home/eva/study": str(session.root / "ada"),
    }
    assert session.read(ROOT / "docs" / "two-hosts.md") > 10


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ quince why 1\n1: it has run\n```\n",
        "```console\n$ quince run none.py\n```\n",
        "```console\n$ quince init\nerror: there is none\n```\n",
    ],
)
def test_what_is_not_so_is_told(session: Session, tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(NotAsShown):
        session.read(page)
