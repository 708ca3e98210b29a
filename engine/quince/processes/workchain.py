"""Work chains: processes cut into steps, with a checkpoint after each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Never

from quince.moments import Deadline, Duration
from quince.processes.awaiting import Append, Awaited, ToContext, all_, any_, append_, with_timeout
from quince.processes.bases import run_by
from quince.processes.chain_execution import ChainExecution, chain_execution_of
from quince.processes.child import ChildProcess
from quince.processes.definition import ProcessFunctionLike
from quince.processes.instructions import if_, return_, while_
from quince.processes.options import Wishes
from quince.processes.outline import WorkChainSpec
from quince.processes.process import Process
from quince.processes.signals import signal_
from quince.processes.spec import HasSpec

__all__ = [
    "Append",
    "ToContext",
    "WorkChain",
    "WorkChainSpec",
    "all_",
    "any_",
    "append_",
    "if_",
    "return_",
    "signal_",
    "while_",
]


@run_by(ChainExecution)
class WorkChain(Process):
    """A process whose work is an outline of steps, with a checkpoint after each.

    Steps are methods of one argument, `def` (run in a thread, may block) or `async def`. `self.ctx`
    carries values from step to step. A crash costs at most the step that was running: it runs again
    from its beginning, with the context as the step before left it.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Declare inputs, outputs, exit codes and the outline; call `super().define(spec)` first.

        Args:
            spec: Takes `input`, `output`, `exit_code`, `outline` and so on.
        """
        super().define(spec)

    @property
    def ctx(self) -> Any:
        """The context: values that go from step to step, as a mapping and as attributes."""
        return chain_execution_of(self).context

    @property
    def timed_out(self) -> bool:
        """The wait before this step ended because its time was over, and not because what it was for had
        come."""
        return chain_execution_of(self).timed_out

    def to_context(
        self, /, *unnamed: Never, timeout: Duration | Awaited | None = None, **awaited: Awaited
    ) -> None:
        """Wait for processes and signals after this step, and find them in `ctx` in the next one.

        With `timeout="1 h"` (or seconds) the next step runs then, whatever has not come: `self.timed_out`,
        and `self.ctx.name.terminated` of each child, tell. A child that has not ended lives on.

        Args:
            awaited: `name=child` sets `ctx.name`; `name=append_(child)` appends to the list `ctx.name`;
                a list or a dict of children becomes a list or a dict there, also an empty one. A child is
                what `self.submit` returned, or a handle; `signal_("name")` stands for the value of a
                signal, alone or in `append_`.

        Raises:
            TypeError: it is nothing that can be waited for; says what to write instead.
        """
        if unnamed:
            raise TypeError("to_context(...) wants a name for what is awaited: self.to_context(name=child)")
        chain_execution_of(self).to_context(with_timeout(awaited, timeout))

    def map(
        self,
        process_class: type[Process] | ProcessFunctionLike[...],
        inputs: Iterable[Mapping[str, Any]],
        /,
        *,
        at_once: int | None = None,
        queue: str | None = None,
        priority: int | None = None,
        labels: Mapping[str, Any] | None = None,
        limits: Sequence[str] | None = None,
        on_failure: str | None = None,
        deadline: Deadline | None = None,
        cache: bool | None = None,
    ) -> list[ChildProcess]:
        """Submit a child for each mapping of inputs: `self.to_context(points=self.map(Point, inputs))` waits
        for all, and the next step finds them in `self.ctx.points`, in the order of the inputs.

        Args:
            process_class: A process class or a `@process` function.
            inputs: The inputs of each child, by name.
            at_once: How many of them are at work at the same time, on all hosts together; any number if not
                given.
            queue: Where they run; this process's queue if not given.
            priority: 0 to 9 (first); this process's priority if not given.
            labels: By which they are found, besides those of this process.
            limits: Names of limits that each holds while it is at work.
            on_failure: `fail` or `pause`; as the class says if not given.
            deadline: When each must have ended, with its tree (`"2 h"`, or a `datetime`); then it is killed.
            cache: Whether the outputs of one that ended well with the same inputs may be taken for its own.

        Raises:
            InvalidInput: names the port and what is wrong.
            Unsaveable: an input that cannot be stored; names where it is.
        """
        wishes = Wishes(None, queue, priority, labels, limits, on_failure, deadline, cache)
        return chain_execution_of(self).map(process_class, inputs, at_once, wishes)

    def exposed_inputs(self, process_class: HasSpec, namespace: str | None = None) -> dict[str, Any]:
        """The inputs for a process whose inputs the chain has exposed (`spec.expose_inputs`).

        `self.submit(Other, **self.exposed_inputs(Other, "other"))`. What was exposed in an outer namespace
        counts too.

        Raises:
            InvalidDefinition: they are not exposed so.
        """
        return chain_execution_of(self).exposed_inputs(process_class, namespace)

    def exposed_outputs(
        self, child: ChildProcess, process_class: HasSpec, namespace: str | None = None
    ) -> dict[str, Any]:
        """The outputs of a child, under the names by which the chain exposes them (`spec.expose_outputs`).

        `self.out_many(self.exposed_outputs(self.ctx.child, Other, "other"))`.

        Raises:
            InvalidDefinition: they are not exposed so.
            ResultUnavailable: the child has not ended.
        """
        return chain_execution_of(self).exposed_outputs(child, process_class, namespace)

    def sleep(self, duration: Duration) -> None:
        """Wait at least so long after this step: `"2 h"`, or seconds. It holds no slot and no memory.

        Raises:
            ValueError: it is no duration.
        """
        chain_execution_of(self).sleep(duration)
