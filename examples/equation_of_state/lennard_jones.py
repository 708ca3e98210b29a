"""The energy of one crystal: pairs of atoms, periodic images, and what lies beyond the cutoff."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from crystal import Structure, volume_per_atom
from numpy.typing import NDArray

from quince import WorkChain

Array = NDArray[np.float64]


class LennardJonesEnergy(WorkChain):
    """Lennard-Jones energy per atom of one structure, in two steps: find the pairs, add them up."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        number = (int, float)
        spec.input("structure", valid_type=dict, help="cell, symbols and positions")
        spec.input("epsilon", valid_type=number, default=0.010323, help="depth of the well in eV (argon)")
        spec.input("sigma", valid_type=number, default=3.405, help="where the energy is zero, in angstrom")
        spec.input("cutoff", valid_type=number, default=40.0, help="in angstrom; a tail is added beyond")
        spec.input("delay", valid_type=number, default=0.0, help="seconds that each step takes longer")
        spec.output("volume", valid_type=float, help="cubic angstrom per atom")
        spec.output("energy", valid_type=float, help="eV per atom")
        spec.outline(cls.find_pairs, cls.add_up)

    def find_pairs(self) -> None:
        time.sleep(self.inputs.delay)
        distances, counts = shells(self.inputs.structure, self.inputs.cutoff)
        self.ctx.distances, self.ctx.counts = distances.tolist(), counts.tolist()
        self.report(f"{sum(self.ctx.counts)} pairs at {len(self.ctx.counts)} distances")

    def add_up(self) -> None:
        time.sleep(self.inputs.delay)
        epsilon, sigma, cutoff = self.inputs.epsilon, self.inputs.sigma, self.inputs.cutoff
        atoms, volume = len(self.inputs.structure["symbols"]), volume_per_atom(self.inputs.structure)
        pairs = np.array(self.ctx.counts) @ lennard_jones(np.array(self.ctx.distances) / sigma)
        energy = epsilon * (pairs / (2 * atoms) + tail(cutoff / sigma, sigma**3 / volume))
        self.out("volume", volume)
        self.out("energy", float(energy))


def lennard_jones(r: Array) -> Array:
    """Energy of a pair in units of epsilon, at a distance in units of sigma."""
    return 4 * (r**-12 - r**-6)


def tail(cutoff: float, density: float) -> float:
    """Energy per atom of all pairs beyond the cutoff, as if atoms were spread evenly there."""
    return 8 * np.pi * density * (cutoff**-9 / 9 - cutoff**-3 / 3)


def shells(structure: Structure, cutoff: float) -> tuple[Array, NDArray[np.int64]]:
    """The distances up to the cutoff that occur, and how many ordered pairs have each of them."""
    cell, positions = np.array(structure["cell"]), np.array(structure["positions"])
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    reach = np.ceil(cutoff / heights).astype(int) + 1
    images = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach)), axis=-1).reshape(-1, 3)
    between = (positions % 1)[:, None] - (positions % 1)[None, :]
    distances = np.linalg.norm((between[:, :, None] + images) @ cell, axis=-1)
    near = distances[(distances > 1e-8) & (distances <= cutoff)]
    return np.unique(near.round(9), return_counts=True)
