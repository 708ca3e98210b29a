"""How many seeds are simulated."""

from __future__ import annotations

import pytest


@pytest.fixture
def simulation_seeds(request: pytest.FixtureRequest) -> int:
    """`--simulation-seeds N`, or QUINCE_SIMULATION_SEEDS."""
    return int(request.config.getoption("simulation_seeds"))
