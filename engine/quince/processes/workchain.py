"""Work chains: processes cut into steps, with a checkpoint after each."""

from __future__ import annotations

from typing import Any, Never

from quince.processes.awaiting import Append, Awaited, ToContext, append_
from quince.processes.bases import run_by
from quince.processes.chain_execution import ChainExecution, chain_execution_of
from quince.processes.child import ChildProcess
from quince.processes.instructions import if_, return_, while_
from quince.processes.outline import WorkChainSpec
from quince.processes.process import Process
from quince.processes.signals import signal_
from quince.processes.spec import HasSpec

__all__ = [
    "Append",
    "ToContext",
    "WorkChain",
    "WorkChainSpec",
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

    def to_context(self, /, *unnamed: Never, **awaited: Awaited) -> None:
        """Wait for processes and signals after this step, and find them in `ctx` in the next one.

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
        chain_execution_of(self).to_context(awaited)

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

    def sleep(self, seconds: float) -> None:
        """Wait at least so many seconds after this step; the wait holds no slot and no memory.

        Raises:
            ValueError: not a number of seconds from 0 on.
        """
        chain_execution_of(self).sleep(seconds)
