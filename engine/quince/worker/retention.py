"""The retention that `quince.toml` says: one worker of all prunes now and then, in small batches."""

from __future__ import annotations

import asyncio
import time

from quince.client.prune import REST, Pruning, forget_printed
from quince.concurrency import aside, landed
from quince.hosts.output_files import OutputFiles
from quince.worker.interfaces import Owner
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import Selection

_log = StructuredLogger("quince.worker")

EVERY_SECONDS = 3600.0
"""How often one of all workers prunes."""
LOOK_SECONDS = 300.0
"""How often each of them looks whether it is time."""
TURN = "retention"


class RetentionRounds:
    """Those of one worker."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._files = OutputFiles(owner.location.folder)

    def start(self, side: SideTasks) -> None:
        """From now on, if the workspace has a retention."""
        if not self._owner.location.retention.keeps_all:
            side.keep("the retention", self.round, every=LOOK_SECONDS, longest=LOOK_SECONDS)

    async def round(self) -> None:
        """Prune what is old enough, if no worker has done so for a while. What is cut off goes on then."""
        store = self._owner.store
        if not await landed(store.take_turn(TURN, every=EVERY_SECONDS)):
            return
        before, failed_before = self._owner.location.retention.before(await aside(store.clock))
        pruning = Pruning(store, Selection(), before, failed_before, dry=False)
        batches = pruning.batches()
        while (roots := await aside(next, batches, None)) is not None:
            began = time.monotonic()
            pruned = await landed(store.prune(roots, before=before, failed_before=failed_before))
            pruning.took(pruned)
            await aside(forget_printed, self._files, pruned.pids)
            await asyncio.sleep(REST * (time.monotonic() - began))
        if pruning.report.trees:
            _log.info(
                "%(count)d processes are pruned, as quince.toml says",
                count=pruning.report.processes,
                worker=self._owner.id,
            )
