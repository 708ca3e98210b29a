"""What implements a contract has all that the contract promises: mypy compares them here."""

from __future__ import annotations

from quince_messaging.clients.awaitable import AwaitableCommunicator
from quince_messaging.clients.blocking import Communicator as BlockingCommunicator
from quince_messaging.clients.task_queue import TaskQueue as BlockingTaskQueue
from quince_messaging.contract import AsyncCommunicator, Communicator, TaskQueue
from quince_persistence.contract import StoreContract
from quince_persistence.schema.mutable_row import COLUMNS, MutableRow
from quince_persistence.store import Store

_store: type[StoreContract] = Store
_awaitable: type[AsyncCommunicator] = AwaitableCommunicator
_blocking: type[Communicator] = BlockingCommunicator
_queue: type[TaskQueue] = BlockingTaskQueue


def test_a_store_and_a_communicator_have_what_their_contracts_name() -> None:
    for contract, implementation in (
        (StoreContract, Store),
        (AsyncCommunicator, AwaitableCommunicator),
        (Communicator, BlockingCommunicator),
    ):
        named = {name for name in vars(contract) if not name.startswith("_")} | set(contract.__annotations__)
        assert named
        assert [name for name in named if not hasattr(implementation, name)] == []


def test_a_row_in_memory_begins_with_the_columns_of_its_table() -> None:
    assert MutableRow.__struct_fields__[: len(COLUMNS)] == tuple(column.name for column in COLUMNS)
