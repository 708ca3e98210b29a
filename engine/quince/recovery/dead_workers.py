"""What a worker leaves behind goes to others: when it dies, and when it ends in order."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from quince.messages import run_queue
from quince_messaging.contract import DEFAULT_QUEUE
from quince_persistence.contract import StoreContract
from quince_persistence.records import Woken


def release_worker(
    store: StoreContract, worker_id: str, *, died: bool = True, silent: bool = False
) -> Future[Sequence[Woken]]:
    """Release all that a worker holds, and give what was queued for it alone to every worker.

    One transaction: it is done, or it is not. Done twice, it does no harm.

    Args:
        died: It did not end in order: the history of what it was running says so.
        silent: It is only not heard of: it may be frozen, or cut off.

    Returns:
        Those that are ready, once it is durable: their tasks are to be put on the queues.
    """
    queues = (run_queue(worker_id), DEFAULT_QUEUE)
    return store.release_worker(worker_id, queues=queues, died=died, silent=silent)
