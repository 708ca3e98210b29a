"""What befalls step hosts in a run of chaos: killed, crashed, frozen, and their template killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.integration.chaos_battle import SLOTS, Battle, Fault

CRASHES = [signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV]
LONGEST = 13.0
"""Seconds that a host stands still at most; its worker, which lives, waits for it."""


class HostFaults:
    """Step hosts die and hang while steps run in them."""

    def __init__(self, battle: Battle) -> None:
        self._battle = battle

    def all(self) -> Sequence[Fault]:
        return [
            self.kill_host,
            self.kill_host,
            self.kill_host,
            self.freeze_host,
            self.freeze_host,
            self.kill_template,
        ]

    def kill_host(self) -> None:
        number = self._battle.random.choice(CRASHES)
        for host in self._some_hosts():
            with suppress(ProcessLookupError):
                os.kill(host, number)
            self._battle.story.fault(f"{number.name} of a step host", f"{number.name} of step host {host}")

    def freeze_host(self) -> None:
        seconds = max(0.2, self._battle.moment(LONGEST))
        for host in self._some_hosts()[:1]:
            self._battle.story.fault("a step host frozen", f"step host {host} is frozen for {seconds:.1f} s")
            with suppress(ProcessLookupError):
                os.kill(host, signal.SIGSTOP)
                time.sleep(seconds)
                os.kill(host, signal.SIGCONT)

    def kill_template(self) -> None:
        """Its worker ends with it."""
        victim = self._battle.victim()
        for template in children(victim.process.pid)[:1]:
            os.kill(template, signal.SIGKILL)
            self._battle.story.fault(
                "template killed", f"the template of worker {victim.process.pid} is killed"
            )
            victim.process.wait(60)
            self._battle.crew.start(1, slots=SLOTS)

    def _some_hosts(self) -> list[int]:
        hosts = [host for one in children(self._battle.victim().process.pid) for host in children(one)]
        count = self._battle.random.choice((1, 1, 3))
        return self._battle.random.sample(hosts, min(count, len(hosts)))


def children(ospid: int) -> list[int]:
    """Process ids of those that a program has started."""
    with suppress(OSError):
        return [int(one) for one in Path(f"/proc/{ospid}/task/{ospid}/children").read_text().split()]
    return []
