"""Process classes that others begin or end at a certain time; importable by workers."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from quince import Process, WorkChain, find, get_schedule, prune, schedule, signal_, submit, while_
from quince.workspace.workspace import resolve
from quince_persistence.errors import ScheduleTaken, UnknownSchedule
from tests import flows
from tests.integration.value_steps import Costly


class Bell(Process):
    """Made by a schedule; rings at another process."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("pid", valid_type=int)

    def run(self) -> None:
        with contextlib.suppress(UnknownSchedule):  # when this step was cut off
            get_schedule("bell").remove()
        self.signal(self.inputs.pid, "bell", True)


class Timely(WorkChain):
    """Waits for what a schedule makes, and for a child that a deadline ends."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("heard", valid_type=bool)
        spec.output("state", valid_type=str)
        spec.outline(cls.set_up, cls.tell)

    def set_up(self) -> None:
        with contextlib.suppress(ScheduleTaken):
            if not find(labels={"schedule": "bell"}):  # else this step was cut off
                schedule(Bell, name="bell", every=1, inputs={"pid": self.pid})
        late = self.submit(flows.Sleeper, queue="nowhere", deadline="0.1 s")
        self.to_context(heard=signal_("bell"), late=late)

    def tell(self) -> None:
        self.out("heard", self.ctx.heard)
        self.out("state", str(self.ctx.late.state))


class Tidy(WorkChain):
    """Has large values beside its tree, of which the second ones come from the cache; prunes them, one tree
    after the other; and asks for the same again."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("ledger", valid_type=str)
        spec.output("served", valid_type=list)
        spec.output("left", valid_type=list)
        spec.output("damage", valid_type=list)
        spec.output("squares", valid_type=np.ndarray)
        spec.outline(cls.make, while_(cls.more)(cls.prune_one), cls.make_again)

    def make(self) -> None:
        self.ctx.left = []
        self.ctx.served = [self._costly(kind) is not None for kind in ("first", "second")]

    def more(self) -> bool:
        return len(self.ctx.left) < 2

    def prune_one(self) -> None:
        """The later one refers to the earlier one, which stays as long as that is there."""
        kind = {"kind": ("second", "first")[len(self.ctx.left)]}
        if not self.ctx.left:
            prune(older_than=0, labels={"kind": "first"})
        prune(older_than=0, labels=kind)
        self.ctx.left.append(len(find(labels={"kind": ["first", "second"]})))

    def make_again(self) -> None:
        served = [*self.ctx.served, self._costly("third") is not None]
        self.out_many({"served": served, "left": self.ctx.left, "damage": list(resolve(None).store.damage())})
        (third,) = find(labels={"kind": "third"})
        self.out("squares", third.outputs["squares"])

    def _costly(self, kind: str) -> int | None:
        """From whom it has its outputs."""
        given = {"ledger": self.inputs.ledger, "n": 100_000}
        handle = submit(Costly, inputs=given, key=kind, labels={"kind": kind})
        handle.wait(20)
        return handle.row.options.cached_from
