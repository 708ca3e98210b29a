"""Stores of every kind, for the tests of their contract: import the fixtures that a module needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from quince_persistence.records import Claim, NewProcess, State
from quince_persistence.records.steps import Step, StepOutcome
from quince_persistence.store import Store

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store in a database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'quince.sqlite'}"
    url: str = request.getfixturevalue("postgres_store_url")
    return url


@pytest.fixture(params=BACKENDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'quince.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url) as opened:
        yield opened


@pytest.fixture
def stores(store_url: str) -> Iterator[tuple[Store, Store]]:
    """Two stores on one database, as in two programs: each with its own writer thread."""
    with ExitStack() as stack:
        yield stack.enter_context(Store(store_url)), stack.enter_context(Store(store_url))


def new(store: Store, count: int = 1, **fields: object) -> list[NewProcess]:
    """Processes about to be inserted."""
    given = {"class_path": "tests.things:Thing", "inputs": b"inputs", **fields}
    return [NewProcess(pid=pid, **given) for pid in store.allocate_pids(count)]  # type: ignore[arg-type]


def born(store: Store, count: int = 1, **fields: object) -> Sequence[int]:
    """The pids of inserted processes."""
    return store.insert(new(store, count, **fields)).result()


def held(store: Store, owner: str, count: int = 1, **fields: object) -> list[Claim]:
    """Processes that were inserted and claimed."""
    return list(store.claim(born(store, count, **fields), owner).result())


def step(store: Store, claim: Claim, state: State, **fields: object) -> StepOutcome:
    """Commit a step under a claim."""
    assert claim.row.owner is not None
    made = Step(claim.row.pid, claim.row.owner, claim.row.epoch, state, **fields)  # type: ignore[arg-type]
    return store.commit(made).result()


def finish(store: Store, claim: Claim) -> StepOutcome:
    return step(store, claim, State.FINISHED, outputs=b"outputs", exit_status=0)
