"""Metrics as they are asked for: by Prometheus, in the form that it names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from quince.metrics.store_metrics import StoreMetrics
from quince_persistence.contract import StoreContract


class Exposition:
    """The metrics of a store, for a program that has none of its own: `quince web`, say.

    Args:
        store: It is read when somebody asks.
    """

    def __init__(self, store: StoreContract) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(StoreMetrics(store))

    def answer(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics, and their content type. Blocks: for a thread.

        Args:
            accept: The header of who asks.
        """
        return answer(self.registry, accept)


def answer(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """All metrics of a registry, and their content type."""
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type
