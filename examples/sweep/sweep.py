"""A sweep of many points, of which no more than the licence allows run at a time, on all hosts together.

At which distance of its atoms is the energy of a crystal least? (`noble_gases.csv`: Lennard-Jones parameters
in meV and angstrom, and the distance that is measured; Kittel, Introduction to Solid State Physics.)

    quince limit set solver 2                   # may be changed at any time, and holds for all who ask for it
    quince submit sweep.py:Sweep --wait
    quince limit ls                             # who holds it, how many wait for it
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

from quince import ExitCode, Process, ProcessSpec, WorkChain, WorkChainSpec

SHELLS = 8  # distances of nearest neighbours, up to which pairs of atoms are added up


class Energy(Process):
    """The energy of an atom in a face-centred cubic crystal; pretends to need a licence."""

    limits = ("solver",)

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        super().define(spec)
        spec.input("epsilon", valid_type=float, help="meV")
        spec.input("sigma", valid_type=float, help="angstrom")
        spec.input("nearest", valid_type=float, help="angstrom")
        spec.output("energy", valid_type=float, help="meV")

    def run(self) -> None:
        reach, total = range(-SHELLS, SHELLS + 1), 0.0
        for x, y, z in itertools.product(reach, reach, reach):
            square = (x * x + y * y + z * z) / 2
            if (x + y + z) % 2 == 0 and 0 < square <= SHELLS**2 / 2:
                power = (self.inputs.sigma / self.inputs.nearest) ** 6 / square**3
                total += 2 * self.inputs.epsilon * (power**2 - power)
        self.out("energy", total)


class Sweep(WorkChain):
    """All distances for all elements; the best one of each."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input("points", valid_type=int, default=9, help="distances for each element")
        spec.output("best", valid_type=dict, help="by element: the distance, angstrom, and the energy, meV")
        spec.exit_code(410, "INCOMPLETE", "{count} of the energies are missing")
        spec.outline(cls.launch, cls.choose)

    def launch(self) -> None:
        with (Path(__file__).parent / "noble_gases.csv").open() as file:
            gases = list(csv.DictReader(file))
        steps = [1.05 + 0.1 * step / (self.inputs.points - 1) for step in range(self.inputs.points)]
        points: list[dict[str, float]] = []
        for gas, step in itertools.product(gases, steps):
            epsilon, sigma = float(gas["epsilon"]), float(gas["sigma"])
            points.append({"epsilon": epsilon, "sigma": sigma, "nearest": sigma * step})
        self.ctx.elements = [gas["element"] for gas in gases for _ in steps]
        self.ctx.points = points
        self.to_context(parts=self.map(Energy, points))

    def choose(self) -> ExitCode | None:
        if lost := sum(not part.is_finished_ok for part in self.ctx.parts):
            return self.exit_codes.INCOMPLETE.format(count=lost)
        best: dict[str, tuple[float, float]] = {}
        for element, point, part in zip(self.ctx.elements, self.ctx.points, self.ctx.parts, strict=True):
            energy = part.outputs.energy
            if element not in best or energy < best[element][1]:
                best[element] = (point["nearest"], energy)
        self.out("best", best)
        return None
