"""The picture of an equation of state."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from birch_murnaghan import GPA, Fit, birch_murnaghan
from matplotlib.figure import Figure

INK, BLUE, QUINCE = "#22272e", "#2f6690", "#d9a404"


def draw(volumes: Sequence[float], energies: Sequence[float], fit: Fit) -> bytes:
    """A PNG: the points, the fitted curve and its minimum. Touches no global state of matplotlib."""
    figure = Figure(figsize=(6.4, 4.4), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    margin = 0.04 * (max(volumes) - min(volumes))
    v = np.linspace(min(volumes) - margin, max(volumes) + margin, 300)
    curve = birch_murnaghan(v, fit.volume, fit.energy, fit.bulk_modulus, fit.derivative)
    axes.plot(v, 1e3 * curve, color=BLUE, lw=2, zorder=2, label="Birch–Murnaghan fit")
    axes.plot(
        volumes,
        1e3 * np.array(energies),
        "o",
        ms=7,
        mfc="white",
        mec=INK,
        mew=1.5,
        zorder=3,
        label="computed",
    )
    axes.plot(fit.volume, 1e3 * fit.energy, "D", ms=8, color=QUINCE, zorder=4, label="equilibrium")
    axes.vlines(fit.volume, 1e3 * fit.energy - 1.0, 1e3 * fit.energy, color=QUINCE, lw=1, ls=(0, (4, 3)))
    numbers = (
        f"$V_0$ = {fit.volume:.2f} Å³,  $E_0$ = −{-1e3 * fit.energy:.2f} meV,  "
        f"$B_0$ = {fit.bulk_modulus * GPA:.2f} GPa,  $B_0'$ = {fit.derivative:.1f}"
    )
    axes.set_title(numbers, loc="left", color=INK, size=10)
    figure.suptitle("Equation of state", x=0.02, ha="left", color=INK, weight="bold")
    axes.set_xlabel("volume per atom (Å³)", color=INK)
    axes.set_ylabel("energy per atom (meV)", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e7eb", lw=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0)
    height = 1e3 * float(np.ptp(curve))
    axes.set_ylim(1e3 * fit.energy - 0.12 * height, 1e3 * fit.energy + 1.08 * height)
    axes.legend(frameon=False, loc="upper center")
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
