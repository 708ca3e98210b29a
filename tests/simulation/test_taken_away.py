"""Who pauses or kills a process that lingers takes it away from its worker; no step of it begins after."""

from __future__ import annotations

import pytest

from quince_persistence.records import Control, Selection, State
from tests.simulation.simulation import scene
from tests.simulation.test_findings import TREE, at_work


@pytest.mark.parametrize("verb", [Control.PAUSE, Control.KILL])
@pytest.mark.parametrize("seed", range(5))
def test_it_holds_although_the_worker_never_hears_of_it(seed: int, verb: Control) -> None:
    with scene(seed) as course:
        machine = at_work(course)
        machine.worker.linger = 60.0
        course.client.submit(TREE)
        (pid,) = course.client.roots

        def lingers() -> bool:
            runner = machine.worker.runners.get(pid)
            return runner is not None and runner.waiting.lingering

        assert course.world.run(lingers, 5.0)
        selection = Selection(pids=[pid])
        outcomes = course.client.store.control(verb, selection, author="ann").result()
        assert [(o.applied, o.owner) for o in outcomes if o.pid == pid] == [(True, machine.worker.id)]
        steps = {step for step in course.ledger.runs if step[0] == pid}
        assert course.world.run(lambda: pid not in machine.worker.runners, 90.0)
        assert {step for step in course.ledger.runs if step[0] == pid} == steps
        if verb is Control.PAUSE:
            course.client.control(Control.PLAY, [pid], tree=False)
        assert course.finish() == []
        row = course.client.store.get(pid)
        assert row is not None
        assert row.state is (State.KILLED if verb is Control.KILL else State.FINISHED)
