"""Process classes that the tests of the pages run; importable by workers as `tests.integration.web.flows`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from quince import Process, WorkChain, append_, process
from tests.flows import Double


class Relax(WorkChain):
    """A child for each volume."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("volumes", valid_type=list)
        spec.input("title", valid_type=str, default="argon")
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> None:
        print(f"relaxing {len(self.inputs.volumes)} volumes")
        if not self.inputs.volumes:
            raise ValueError("nothing to relax")
        for number, _ in enumerate(self.inputs.volumes):
            self.to_context(parts=append_(self.submit(Double, value=number)))

    def collect(self) -> None:
        self.report("all are relaxed")


@dataclass
class Settings:
    """Values of a class of users."""

    depth: int = 3


class Paints(Process):
    """Puts out what is more than a number."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output_namespace("of", dynamic=True)
        for name in ("curve", "cell", "field", "photo", "settings"):
            spec.output(name)

    def run(self) -> None:
        self.out("curve", np.sin(np.linspace(0, 6, 200)))
        self.out("cell", np.eye(3))
        self.out("field", np.add.outer(np.arange(64.0), np.arange(48.0)))
        self.out("photo", np.zeros((32, 32, 3), dtype=np.uint8))
        self.out("settings", Settings())


class Wide(WorkChain):
    """Very many children."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("n", valid_type=int)
        spec.outline(cls.launch, cls.end)

    def launch(self) -> None:
        for number in range(self.inputs.n):
            self.to_context(parts=append_(self.submit(Double, value=number)))

    def end(self) -> None:
        """All have ended."""


@process
def says(text: str) -> str:
    """Says a text in every way that there is."""
    print(text)
    raise RuntimeError(text)
