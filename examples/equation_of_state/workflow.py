"""The equation of state of a crystal: one child for each volume, then a fit and a figure.

quince submit workflow.py:EquationOfState --wait       on the daemon
python workflow.py                                     here and now
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import birch_murnaghan
import numpy as np
from crystal import read_poscar, scaled
from figure import draw
from lennard_jones import LennardJonesEnergy

from quince import ExitCode, WorkChain, append_, run


class EquationOfState(WorkChain):
    """Equilibrium volume, energy and bulk modulus of a Lennard-Jones crystal."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        number = (int, float)
        spec.input("structure", valid_type=str, default=argon, help="text of a POSCAR file")
        spec.input("points", valid_type=int, default=9, help="how many volumes")
        spec.input("strain", valid_type=number, default=0.08, help="largest change of the volume")
        spec.input(
            "delay", valid_type=number, default=0.0, help="seconds that each step of a child takes longer"
        )
        spec.output("volume", valid_type=float, help="equilibrium volume, cubic angstrom per atom")
        spec.output("energy", valid_type=float, help="energy there, eV per atom")
        spec.output("bulk_modulus", valid_type=float, help="GPa")
        spec.output("plot", valid_type=bytes, help="the figure, a PNG")
        spec.exit_code(410, "ENERGY_FAILED", "the energy of {failed} of {points} volumes is missing")
        spec.exit_code(420, "NO_FIT", "{reason}")
        spec.outline(cls.launch_energies, cls.fit_equation, cls.draw_figure)

    def launch_energies(self) -> None:
        structure = read_poscar(self.inputs.structure)
        for factor in np.linspace(1 - self.inputs.strain, 1 + self.inputs.strain, self.inputs.points):
            child = self.submit(
                LennardJonesEnergy, structure=scaled(structure, factor), delay=self.inputs.delay
            )
            self.to_context(parts=append_(child))

    def fit_equation(self) -> ExitCode | None:
        done = [part.outputs for part in self.ctx.parts if part.is_finished_ok]
        if failed := len(self.ctx.parts) - len(done):
            return self.exit_codes.ENERGY_FAILED.format(failed=failed, points=len(self.ctx.parts))
        self.ctx.points = [[outputs[name] for outputs in done] for name in ("volume", "energy")]
        try:
            fit = birch_murnaghan.fit(*self.ctx.points)
        except ValueError as error:
            return self.exit_codes.NO_FIT.format(reason=error)
        self.out("volume", fit.volume)
        self.out("energy", fit.energy)
        self.out("bulk_modulus", fit.bulk_modulus * birch_murnaghan.GPA)
        self.ctx.fit = asdict(fit)
        return None

    def draw_figure(self) -> None:
        volumes, energies = self.ctx.points
        self.out("plot", draw(volumes, energies, birch_murnaghan.Fit(**self.ctx.fit)))


def argon() -> str:
    """The crystal in this folder."""
    return (Path(__file__).parent / "argon.poscar").read_text()


if __name__ == "__main__":
    outputs = run(EquationOfState)
    Path("argon.png").write_bytes(outputs["plot"])
    print({name: value for name, value in outputs.items() if name != "plot"}, "and argon.png")
