"""Processes that others have in their inputs or contexts, and what becomes of these when they are pruned."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete

from quince import (
    ProcessExcepted,
    ProcessState,
    WorkChain,
    get_process,
    process,
    prune,
    signal_,
    submit,
)
from quince.testing import Sandbox
from quince_persistence.schema.tables import refers


@process
def add(x: int, y: int = 1) -> int:
    return x + y


class Remembers(WorkChain):
    """Has a process in its context while it waits for a signal; then asks for its outputs, or waits again."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("pid", valid_type=int, default=0)
        spec.input("other", required=False)
        spec.input("waits", valid_type=bool, default=False)
        spec.output("sum", valid_type=int)
        spec.outline(cls.begin, cls.rest, cls.look, cls.end)

    def begin(self) -> None:
        if self.inputs.pid:
            self.ctx.other = get_process(self.inputs.pid)

    def rest(self) -> None:
        self.to_context(go=signal_("go"))

    def look(self) -> None:
        if self.inputs.waits:
            self.to_context(again=self.ctx.other)

    def end(self) -> None:
        other = self.inputs.other if "other" in self.inputs else self.ctx.other
        self.out("sum", other.outputs["result"])


@pytest.mark.parametrize("given", [True, False])
def test_what_a_live_process_has_stays_until_it_has_ended(quince_sandbox: Sandbox, given: bool) -> None:
    first = submit(add, x=1)
    quince_sandbox.settle()
    user = submit(Remembers, inputs={"other": first} if given else {"pid": first.pid})
    quince_sandbox.settle()
    assert prune(older_than=0).kept == {first.pid: "something that stays refers to it"}
    user.signal("go")
    quince_sandbox.settle()
    assert user.result(10) == {"sum": 2}
    assert sorted(prune(older_than=0).trees) == [first.pid, user.pid]


@pytest.mark.parametrize("waits", [True, False])
def test_a_step_that_asks_for_what_was_pruned_is_told(quince_sandbox: Sandbox, waits: bool) -> None:
    first = submit(add, x=1)
    quince_sandbox.settle()
    user = submit(Remembers, pid=first.pid, waits=waits)
    quince_sandbox.settle()
    store = quince_sandbox.workspace.store
    with store._database.exclusive(), store._database.engine().connect() as connection:
        connection.execute(delete(refers))  # as with a process that nobody knew to be referred to
        connection.commit()
    assert prune(older_than=0).trees == [first.pid]
    user.signal("go")
    quince_sandbox.settle()
    assert user.state is ProcessState.EXCEPTED
    with pytest.raises(ProcessExcepted, match=f"process {first.pid} is not there any more: it was pruned"):
        user.result(10)
    assert user.row.deaths == 0
