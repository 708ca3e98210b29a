"""The physics of the example, against numbers that are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import birch_murnaghan
import numpy as np
import pytest
from crystal import Structure, read_poscar, scaled, volume_per_atom
from lennard_jones import lennard_jones, shells, tail

ARGON = read_poscar(
    (Path(__file__).parents[3] / "examples/equation_of_state/argon.poscar").read_text(encoding="utf-8")
)
A12, A6 = 12.13188, 14.45392  # lattice sums of fcc; Source: Kittel, Introduction to Solid State Physics


def energy(structure: Structure, cutoff: float) -> float:
    """Energy per atom in units of epsilon, lengths in units of sigma."""
    distances, counts = shells(structure, cutoff)
    pairs = counts @ lennard_jones(distances) / (2 * len(structure["symbols"]))
    return float(pairs + tail(cutoff, 1 / volume_per_atom(structure)))


def primitive(nearest: float) -> Structure:
    """One atom in the primitive, skewed cell of fcc."""
    cell = (np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * nearest / np.sqrt(2)).tolist()
    return {"cell": cell, "symbols": ["Ar"], "positions": [[0.3, 0.9, -0.7]]}


def cubic(nearest: float) -> Structure:
    return scaled(ARGON, nearest**3 / np.sqrt(2) / volume_per_atom(ARGON))


def lattice_sum(nearest: float) -> float:
    return 2 * (A12 * nearest**-12 - A6 * nearest**-6)


@pytest.mark.parametrize("cell", [primitive, cubic])
@pytest.mark.parametrize("nearest", [1.0, 1.0902, 1.2])
def test_energy_is_the_known_lattice_sum(cell: Callable[[float], Structure], nearest: float) -> None:
    assert energy(cell(nearest), cutoff=15.0) == pytest.approx(lattice_sum(nearest), rel=1e-5)


def test_the_minimum_is_where_it_is_known_to_be() -> None:
    nearest = np.linspace(1.05, 1.13, 9)
    energies = [energy(primitive(r), cutoff=15.0) for r in nearest]
    fit = birch_murnaghan.fit(nearest**3 / np.sqrt(2), energies)
    assert fit.energy == pytest.approx(-8.610, abs=0.001)
    assert np.cbrt(fit.volume * np.sqrt(2)) == pytest.approx(1.0902, abs=0.0002)
    assert fit.bulk_modulus == pytest.approx(75.2, rel=0.01)


def test_without_its_tail_the_energy_is_wrong() -> None:
    distances, counts = shells(primitive(1.0902), 8.0)
    assert counts @ lennard_jones(distances) / 2 > lattice_sum(1.0902) + 0.01


def test_first_shells_of_fcc() -> None:
    distances, counts = shells(cubic(1.0), 1.8)
    assert distances == pytest.approx(np.sqrt([1, 2, 3]))
    assert list(counts) == [4 * 12, 4 * 6, 4 * 24]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("Direct", "0.25 0.25 0.5"), ("Cartesian", "0.5 0.5 1.0"), ("Selective\nD", ".25 .25 .5")],
)
def test_poscar_in_direct_and_cartesian_coordinates(kind: str, rows: str) -> None:
    structure = read_poscar(f"title\n2.0\n2 0 0\n0 2 0\n0 0 2\nAr\n1\n{kind}\n{rows}\n")
    assert structure["cell"] == [[4, 0, 0], [0, 4, 0], [0, 0, 4]]
    assert np.allclose(structure["positions"], [[0.25, 0.25, 0.5]])


def test_poscar_with_a_volume_for_a_scale() -> None:
    structure = read_poscar("title\n-64\n1 0 0\n0 1 0\n0 0 1\nAr\n1\nDirect\n0 0 0\n")
    assert volume_per_atom(structure) == pytest.approx(64)


@pytest.mark.parametrize(
    "text", ["", "not a\nPOSCAR\n", "t\n1.0\n1 0 0\n0 1 0\n0 0 1\nAr\n2\nDirect\n0 0 0\n"]
)
def test_what_is_no_poscar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a POSCAR file"):
        read_poscar(text)


def test_fit_finds_the_parameters_of_its_own_curve() -> None:
    volumes = np.linspace(30, 42, 9)
    energies = birch_murnaghan.birch_murnaghan(volumes, 36.0, -0.09, 0.02, 7.0)
    fit = birch_murnaghan.fit(volumes, energies)
    assert (fit.volume, fit.energy, fit.bulk_modulus, fit.derivative) == pytest.approx(
        (36.0, -0.09, 0.02, 7.0)
    )


@pytest.mark.parametrize(
    ("volumes", "energies", "reason"),
    [([1, 2, 3], [1, 0, 1], "too few"), ([1, 2, 3, 4, 5], [1, 2, 4, 8, 16], "no minimum")],
)
def test_fit_refuses_what_it_cannot_do(volumes: list[float], energies: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        birch_murnaghan.fit(volumes, energies)
