"""Where the metrics of all workers are served, in the form in which Prometheus discovers services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quince.settings import EXPIRY_SECONDS
from quince_persistence.contract import StoreContract


def targets_of(store: StoreContract) -> list[str]:
    """`host:port` of the metrics of all workers that live."""
    now = store.clock()
    return sorted(
        worker.metrics
        for worker in store.workers()
        if worker.metrics is not None and now - worker.heartbeat <= EXPIRY_SECONDS
    )


def service_discovery(targets: Sequence[str]) -> list[dict[str, Any]]:
    """As `file_sd_configs` and `http_sd_configs` take it."""
    return [{"targets": list(targets), "labels": {"job": "quince"}}] if targets else []
