"""Crystal structures as plain data, so that one process can pass them to another."""

from __future__ import annotations

from typing import TypedDict

import numpy as np


class Structure(TypedDict):
    """A periodic cell and the atoms in it.

    Attributes:
        cell: Three rows, the cell vectors in angstrom.
        symbols: The element of each atom.
        positions: One row for each atom: its fractional coordinates.
    """

    cell: list[list[float]]
    symbols: list[str]
    positions: list[list[float]]


def read_poscar(text: str) -> Structure:
    """Read a POSCAR file (VASP 5 or later, direct or Cartesian coordinates).

    Raises:
        ValueError: says which part cannot be read.
    """
    lines = text.splitlines()
    try:
        scale = float(lines[1])
        cell = np.array([line.split()[:3] for line in lines[2:5]], dtype=float)
        numbers = [int(word) for word in lines[6].split()]
        symbols = [name for name, n in zip(lines[5].split(), numbers, strict=True) for _ in range(n)]
        start = 8 if lines[7].strip()[:1] in "sS" else 7
        rows = [line.split()[:3] for line in lines[start + 1 : start + 1 + len(symbols)]]
        positions = np.array(rows, dtype=float).reshape(len(symbols), 3)
    except (IndexError, ValueError) as error:
        raise ValueError(f"this is not a POSCAR file: {error}") from error
    if scale < 0:  # then it is the volume
        scale = float(np.cbrt(-scale / abs(np.linalg.det(cell))))
    if lines[start].strip()[:1] in "cCkK":
        positions = positions @ np.linalg.inv(cell)
    return {"cell": (scale * cell).tolist(), "symbols": symbols, "positions": positions.tolist()}


def volume_per_atom(structure: Structure) -> float:
    """Volume of the cell over the number of atoms, in cubic angstrom."""
    return float(abs(np.linalg.det(structure["cell"]))) / len(structure["symbols"])


def scaled(structure: Structure, factor: float) -> Structure:
    """The same crystal with `factor` times its volume."""
    cell = np.cbrt(factor) * np.array(structure["cell"])
    return {**structure, "cell": cell.tolist()}
