"""Values of our own types in stores: of today, and as an earlier version wrote them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import quince
import quince_messaging
from quince import Completed, ExitCode, ProcessState
from quince.workspace import own_types
from quince.workspace.class_loader import ClassLoader
from quince_persistence.codec import decode, encode, find_classes_by
from quince_persistence.codec.kinds import Code

OF_BEFORE = bytes.fromhex(
    # {"any": {"a": [ExitCode(1, "x")], "s": State.KILLED}}, from the inputs of a store of version 0.1 before
    # the packages were renamed
    "81a3616e7982a16191c73f1495a964617461636c617373b4656e67696e652e737065633a45786974436f646593a6737461"
    "747573a76d657373616765a56c6162656c03c705009301a178c0a173c7221592b970657273697374656e63652e7265636f"
    "7264733a5374617465a64b494c4c4544"
)


@pytest.fixture(autouse=True)
def loader(tmp_path: Path) -> ClassLoader:
    """Of a workspace that allows no module of ours."""
    loader = ClassLoader(tmp_path, ["mine.*"])
    find_classes_by(loader)
    return loader


@pytest.mark.parametrize("name", own_types.HOMES)
def test_a_type_has_the_name_by_which_users_import_it(name: str, loader: ClassLoader) -> None:
    found = own_types.load(name)
    assert found is not None
    assert loader.name_of(found) == name
    package, _, exported = name.partition(":")
    assert (
        getattr({"quince": quince, "quince_messaging": quince_messaging}[package], exported, found) is found
    )


@pytest.mark.parametrize("name", own_types.EARLIER)
def test_the_name_of_before_leads_to_the_type_of_today(name: str, loader: ClassLoader) -> None:
    assert loader.load(name) is loader.load(own_types.EARLIER[name])
    assert isinstance(loader.load(name), type)


def test_what_an_earlier_version_wrote_is_read() -> None:
    assert decode(OF_BEFORE) == {"any": {"a": [ExitCode(1, "x")], "s": ProcessState.KILLED}}


def test_what_an_earlier_version_kept_of_a_program_is_read() -> None:
    head = ["dataclass", "engine.commands:Completed", ["arguments", "status", "stdout", "stderr"], 4]
    content = msgspec.msgpack.Ext(0, msgspec.msgpack.encode([["echo"], 0, b"hi", b""]))
    plain = msgspec.msgpack.encode([*head, content])
    stored = msgspec.msgpack.encode(msgspec.msgpack.Ext(int(Code.INSTANCE), plain))
    assert decode(stored) == Completed(["echo"], 0, b"hi", b"")


def test_what_is_written_does_not_name_our_modules() -> None:
    written = encode([ExitCode(7, "seven"), ProcessState.WAITING, Completed(["x"], 0, b"", b"")])
    assert b"quince:ExitCode" in written
    assert b"quince_persistence" not in written
    assert b"quince." not in written
    assert decode(written)[0] == ExitCode(7, "seven")
