"""What is said of links on which somebody could listen."""

from __future__ import annotations

from pathlib import Path

import pytest

from quince.workspace.link_warnings import broker_warning, store_warning
from quince.workspace.location import Location


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


def store(url: str) -> str | None:
    return store_warning(Location(Path("/w"), url, "local:///m"))


def broker(uri: str) -> str | None:
    return broker_warning(Location(Path("/w"), "sqlite://", uri))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///x.db", "postgresql://u:s3cr3t@localhost/d", "postgresql+psycopg://127.0.0.1:5433/d",
        "postgresql:///d?host=/run/postgresql", "postgresql:///d", "postgresql://[::1]/d",
        "postgresql://u@db.example.org/d?sslmode=verify-full", "postgresql://db/d?sslmode=require",
        "nonsense",
    ],
)  # fmt: skip
def test_a_link_that_is_on_this_machine_or_encrypted_is_well(url: str) -> None:
    assert store(url) is None


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:s3cr3t@db.example.org/d", "postgresql:///d?host=db", "postgresql://db/d?sslmode=prefer"],
)
def test_a_store_elsewhere_without_encryption_is_told(url: str) -> None:
    said = store(url)
    assert said is not None
    assert "sslmode=verify-full" in said
    assert "s3cr3t" not in said


def test_the_variables_of_postgresql_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert store("postgresql:///d") is not None
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert store("postgresql:///d") is None


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("amqp://u:s3cr3t@mq.example.org/", "amqps://"),
        ("amqp://10.0.0.3:5672/v", "amqps://"),
        ("amqps://mq.example.org/?no_verify_ssl=1", "not checked"),
        ("amqps://mq.example.org/", None),
        ("amqps://mq.example.org/?no_verify_ssl=0", None),
        ("amqp://u:s3cr3t@localhost/", None),
        ("amqp://127.0.0.1:5673/", None),
        ("local:///m", None),
        ("memory://x", None),
        ("nonsense", None),
    ],
)
def test_a_broker_elsewhere_without_encryption_is_told(uri: str, word: str | None) -> None:
    said = broker(uri)
    assert (said is None) == (word is None)
    assert (word or "") in (said or "")
    assert "s3cr3t" not in (said or "")
