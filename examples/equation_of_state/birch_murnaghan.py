"""The Birch-Murnaghan equation of state, third order, and its fit.

Source: F. Birch, Phys. Rev. 71, 809 (1947).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit

Array = NDArray[np.float64]

GPA = 160.21766208
"""Gigapascal in one eV per cubic angstrom."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Where the energy is least, and how it rises from there.

    Attributes:
        volume: Equilibrium volume, cubic angstrom per atom.
        energy: Energy there, eV per atom.
        bulk_modulus: eV per cubic angstrom.
        derivative: Pressure derivative of the bulk modulus.
        error: Largest distance of a point from the curve, eV per atom.
    """

    volume: float
    energy: float
    bulk_modulus: float
    derivative: float
    error: float


def birch_murnaghan(volume: Array, v0: float, e0: float, b0: float, b1: float) -> Array:
    """Energy at each volume."""
    x = (v0 / volume) ** (2 / 3) - 1
    return e0 + 9 / 16 * v0 * b0 * (x**3 * b1 + x**2 * (2 - 4 * x))


def fit(volumes: ArrayLike, energies: ArrayLike) -> Fit:
    """Fit the equation to some points.

    Raises:
        ValueError: fewer than five points, or no minimum among them.
    """
    v, e = np.array(volumes, dtype=float), np.array(energies, dtype=float)
    if len(v) < 5:
        raise ValueError(f"{len(v)} points are too few for four parameters; take five or more")
    if e.argmin() in (v.argmin(), v.argmax()):
        raise ValueError(f"no minimum of the energy between {v.min():.2f} and {v.max():.2f} A^3 per atom")
    a, b, c = np.polyfit(v, e, 2)
    v0 = -b / (2 * a)
    guess = (v0, c - b**2 / (4 * a), 2 * a * v0, 4.0)
    best, _ = curve_fit(birch_murnaghan, v, e, p0=guess, maxfev=10_000, xtol=1e-12, ftol=1e-12)
    error = np.abs(birch_murnaghan(v, *best) - e).max()
    return Fit(*(float(number) for number in (*best, error)))
