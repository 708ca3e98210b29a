"""What is not loaded with a module: a control without a database, a daemon without store and broker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = {"quince_messaging.clients", "quince_messaging.transports", "quince_messaging.wire"}
STORE = {
    "quince_persistence.store",
    "quince_persistence.codec",
    "sqlalchemy",
    "aiosqlite",
    "alembic",
    "psycopg",
}


@pytest.mark.parametrize(
    ("module", "unwanted", "most"),
    [
        ("quince", {"plumpy", "kiwipy", "quince.processes", *STORE, *CLIENTS}, 5),
        ("quince_messaging", {"kiwipy", "aio_pika", "asyncio", *CLIENTS}, 1),
        ("quince.client.remote", {"quince.workspace", "quince.processes", "quince.worker", *STORE}, 60),
        ("quince.cli.main", {"sqlalchemy.dialects.postgresql", "psycopg", "rich", *CLIENTS}, 200),
        ("quince.worker.service", {"opentelemetry", "prometheus_client", "http.server", "smtplib"}, 400),
        ("quince.daemon.supervisor", {"plumpy", "kiwipy", "aio_pika", "asyncio", *STORE, *CLIENTS}, 25),
    ],
)
def test_a_module_is_loaded_without(module: str, unwanted: set[str], most: int, tmp_path: Path) -> None:
    program = f"import sys, {module}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert module in loaded
    assert unwanted.isdisjoint(loaded)
    assert len([name for name in loaded if name.startswith("quince")]) <= most


WORK = """
import sys
from quince import process, submit
from quince.testing import sandbox

@process
def fine(n: int) -> int:
    return n

@process
def bad() -> None:
    raise ValueError

if __name__ == "__main__":
    with sandbox("."):
        import work
        assert submit(work.fine, n=1).result(timeout=60) == {"result": 1}
        submit(work.bad).wait(60)
        submit(work.fine, n=2, queue="nowhere").kill("no")
    print(*sys.modules, sep="\\n")
"""


def test_a_worker_that_nobody_looks_at_loads_nothing_for_it(tmp_path: Path) -> None:
    """It has worked, a process has failed, and another one was killed."""
    (tmp_path / "work.py").write_text(WORK)
    done = subprocess.run(
        [sys.executable, "work.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "quince.worker.worker" in loaded
    unwanted = ("opentelemetry", "prometheus_client", "http.server", "smtplib", "quince.tracing",
                "quince.metrics.worker_metrics", "quince.metrics.store_metrics", "quince.metrics.serving",
                "quince.notify.commands", "quince.notify.mails", "quince.notify.webhooks")  # fmt: skip
    assert [name for name in loaded if name.startswith(unwanted)] == []
