"""What a work chain class declares: ports, exit codes and its outline."""

from __future__ import annotations

import sys

from quince.processes.instructions import Block, Instruction, block
from quince.processes.spec import ProcessSpec


class WorkChainSpec(ProcessSpec):
    """What a work chain declares: inputs, outputs, exit codes and the outline of its steps.

    Attributes:
        steps: The outline, as it was given; None if none was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps: Block | None = None

    def outline(self, *steps: Instruction) -> None:
        """Declare the work: methods of the class, `if_`, `while_` and `return_`, one after the other.

        `spec.outline(cls.begin, while_(cls.more)(cls.turn), if_(cls.failed)(return_(410)), cls.end)`
        """
        self._refuse_twice(id(self), "the", "outline", sys._getframe(1))
        self.steps = block(steps)
