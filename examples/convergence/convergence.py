"""A convergence study: the cutoff grows until the energy does not change any more.

The cohesive energy of a crystal of noble gas atoms (`noble_gases.csv`: Lennard-Jones parameters in meV and
angstrom, and the distance of nearest neighbours; Kittel, Introduction to Solid State Physics).

    quince run convergence.py:Converged element=Xe
    quince submit convergence.py:Converged tolerance=1e-4 --wait
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

from quince import ExitCode, WorkChain, WorkChainSpec, process, while_


@process
def energy(epsilon: float, sigma: float, nearest: float, cutoff: float) -> float:
    """Of one atom (meV): all its pairs in a face-centred cubic crystal up to the cutoff."""
    total, reach = 0.0, int(cutoff / nearest * 2**0.5) + 1
    for place in itertools.product(range(-reach, reach + 1), repeat=3):
        square = sum(x * x for x in place) * nearest**2 / 2
        if sum(place) % 2 == 0 and 0 < square <= cutoff**2:
            power = (sigma**2 / square) ** 3
            total += 2 * epsilon * (power**2 - power)
    return total


class Converged(WorkChain):
    """Makes the cutoff larger by a quarter, until that changes less than `tolerance`."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input("element", valid_type=str, default="Ar")
        spec.input("tolerance", valid_type=float, default=1e-3, help="relative change of the energy")
        spec.output("energy", valid_type=float, help="meV per atom")
        spec.output("cutoff", valid_type=float, help="angstrom")
        spec.exit_code(410, "UNKNOWN_ELEMENT", "there is no {element} in noble_gases.csv")
        spec.exit_code(420, "FAILED", "the energy at {cutoff:.1f} angstrom was not computed: {why}")
        spec.outline(cls.look_up, while_(cls.changes)(cls.compute, cls.compare), cls.conclude)

    def look_up(self) -> ExitCode | None:
        with (Path(__file__).parent / "noble_gases.csv").open() as file:
            table = {row.pop("element"): row for row in csv.DictReader(file)}
        if self.inputs.element not in table:
            return self.exit_codes.UNKNOWN_ELEMENT.format(element=self.inputs.element)
        self.ctx.crystal = {name: float(value) for name, value in table[self.inputs.element].items()}
        self.ctx.cutoff, self.ctx.energies = 2 * self.ctx.crystal["nearest"], []
        return None

    def changes(self) -> bool:
        last = self.ctx.energies[-2:]
        return len(last) < 2 or abs(last[1] - last[0]) > self.inputs.tolerance * abs(last[1])

    def compute(self) -> None:
        self.ctx.cutoff *= 1.25
        self.to_context(part=self.submit(energy, **self.ctx.crystal, cutoff=self.ctx.cutoff))

    def compare(self) -> ExitCode | None:
        part = self.ctx.part
        if not part.is_finished_ok:
            return self.exit_codes.FAILED.format(cutoff=self.ctx.cutoff, why=part.exit_message)
        self.ctx.energies.append(part.outputs.result)
        self.report(f"{self.ctx.cutoff:.1f} angstrom: {self.ctx.energies[-1]:.3f} meV")
        return None

    def conclude(self) -> None:
        self.out_many({"energy": self.ctx.energies[-1], "cutoff": self.ctx.cutoff})
