"""What docs/monitoring.md shows is so: its settings, its JSON, and the names of all metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from quince.metrics.exposition import Exposition
from quince.metrics.worker_metrics import MOST, WorkerMetrics
from quince.notify.messages import messages_of
from quince.settings import CONFIG
from quince.worker.observing import Attempt
from quince.workspace.location import locate
from quince.workspace.receivers import EVENTS
from quince_persistence.records import State
from quince_persistence.records.notices import Happening, NoticeRow
from quince_persistence.records.steps import Step
from quince_persistence.store import Store
from tests.contracts.store_backends import born
from tests.crew import ROOT

PAGE = (ROOT / "docs" / "monitoring.md").read_text()


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_its_settings_are_settings(text: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text(text)
    location = locate(tmp_path)
    assert location.receivers or location.is_observed


def test_it_names_every_event() -> None:
    assert re.findall(r"^\| `(\w+)` \| (?:a|Quince)", PAGE, flags=re.MULTILINE) == [e.value for e in EVENTS]


def test_its_json_is_what_is_sent() -> None:
    (shown,) = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL))
    notice = NoticeRow(shown["id"], "chat", Happening.FAILED, 0.0, shown["process"], 1, 0.0)
    ((message, _),) = messages_of([notice], shown["store"])
    assert json.loads(json.dumps(message.document)) == shown | {"time": message.document["time"]}
    assert list(message.document) == list(shown)


def metric_names(store: Store) -> set[str]:
    worker = WorkerMetrics("w", "worker-1", slots=3)
    text = Exposition(store).answer()[0].decode()
    families = [*worker.registry.collect()]
    names = {
        f"{one.name}{'_total' * (one.type == 'counter')}{'_info' * (one.type == 'info')}" for one in families
    }
    return names | set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE))


def test_it_names_every_metric(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/q.db") as store:
        named = {name for row in re.findall(r"^\| (`quince_.*?) \|", PAGE, flags=re.MULTILINE)
                 for name in re.findall(r"`(\w+)`", row)}  # fmt: skip
        assert named == metric_names(store) | {"quince_slots_free", "quince_held", "quince_step_hosts"}


def test_series_do_not_grow_without_bound(tmp_path: Path) -> None:
    metrics = WorkerMetrics("w", "worker-1", slots=3)
    with Store(f"sqlite:///{tmp_path}/q.db") as store:
        (pid,) = born(store)
        row = store.get(pid)
    assert row is not None
    for number in range(3 * MOST):
        attempt = Attempt(row, 1, f"step{number}", ended=1e12)
        metrics.begins(attempt)
        metrics.ended(attempt, Step(row.pid, "w", 1, State.RUNNING), None)
        metrics.changed(row.pid, State.FINISHED, f"m:Class{number}")
    series = {family.name: family.samples for family in metrics.registry.collect()}
    assert len(series["quince_step_attempts"]) <= 2 * (MOST + 1)
    assert len(series["quince_processes_ended"]) <= 2 * (MOST + 1)
