"""The shared folder: empty, crowded, missing, forbidden, full, or not what it should be."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.messaging_local.conftest import Join, Member, Refused

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: changes user, or mounts a file system")


@pytest.fixture
def open_to_all(directory: Path) -> Path:
    directory.chmod(0o755)
    return directory


@pytest.fixture
def writable_by_all(directory: Path) -> Path:
    directory.chmod(0o777)
    return directory


@pytest.fixture
def small_disk(directory: Path) -> Iterator[Path]:
    disk = directory / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", disk], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


async def test_many_start_at_once_in_an_empty_folder(join: Join, directory: Path) -> None:
    folder = directory / "made" / "by" / "them"
    members: list[Member] = await asyncio.gather(*(join(opened=False, path=folder) for _ in range(6)))
    await asyncio.gather(*(member.tell("open") for member in members))
    await asyncio.gather(*(m.tell("serve", identifier=str(m.process.pid)) for m in members))
    await asyncio.gather(*(m.tell("subscribe", subjects=["*"]) for m in members))
    for member in members:
        for other in members:
            outcome = await member.tell("call", identifier=str(other.process.pid), body=0)
            assert outcome["answer"] == {"by": other.process.pid, "body": 0}
        await member.tell("broadcast", subject="s", count=1, size=1)
    for member in members:
        await member.until_met("heard", len(members))


async def test_two_prefixes_of_one_folder_and_two_folders_share_nothing(join: Join, directory: Path) -> None:
    here, there = await join(path=directory / "a"), await join(path=directory / "b")
    await here.tell("serve", identifier="s")
    await here.tell("send", bodies=[1], queue="q")
    assert (await there.tell("call", identifier="s", body=1))["answer"] == "UnroutableError"
    assert await there.tell("size", queue="q") == 0


async def test_nobody_else_may_enter(join: Join, directory: Path) -> None:
    await join(path=directory / "new")
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory / "new").rglob("*")}
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077 and ".sock" not in name} == {}
    assert found["quince"] == found["peers"] == 0o700


async def test_a_path_too_long_for_sockets_works(join: Join, directory: Path) -> None:
    folder = directory / ("d" * 100) / ("e" * 100)
    first, second = await join(path=folder), await join(path=folder)
    await first.tell("serve", identifier="s")
    assert (await second.tell("call", identifier="s", body=1))["answer"]["by"] == first.process.pid
    await second.kill()
    await join(path=folder)
    assert len(list((folder / "quince" / "peers").glob("*.lock"))) == 2


async def test_a_removed_folder_is_said_and_nothing_is_lost_silently(join: Join, directory: Path) -> None:
    member = await join(path=directory / "gone")
    shutil.rmtree(directory / "gone")
    with pytest.raises(Refused, match=r"DeliveryFailed.*folder.*was removed"):
        await member.tell("send", bodies=[1], queue="q")
    await member.tell("close")


async def test_a_file_where_the_folder_should_be_is_said(join: Join, directory: Path) -> None:
    (directory / "file").write_text("")
    member = await join(opened=False, path=directory / "file")
    with pytest.raises(Refused, match=r"ConnectionFailed.*cannot be used.*choose a folder"):
        await member.tell("open")


@as_root
async def test_a_folder_that_cannot_be_written_to_is_said(join: Join, open_to_all: Path) -> None:
    member = await join(opened=False, path=open_to_all / "new")
    await member.tell("become", user=NOBODY)
    with pytest.raises(Refused, match=r"ConnectionFailed.*Permission denied.*that you may write to"):
        await member.tell("open")


@as_root
async def test_the_folder_of_somebody_else_is_said(join: Join, open_to_all: Path) -> None:
    await join(path=open_to_all)
    member = await join(opened=False, path=open_to_all)
    await member.tell("become", user=NOBODY)
    told = r"ConnectionFailed.*local:///.* cannot be used: /.*/quince belongs to root.*another folder"
    with pytest.raises(Refused, match=told):
        await member.tell("open")


@as_root
async def test_root_does_not_enter_the_folder_of_somebody_else_either(
    join: Join, writable_by_all: Path
) -> None:
    """What root made there, its owner could not read."""
    owner = await join(opened=False, path=writable_by_all)
    await owner.tell("become", user=NOBODY)
    await owner.tell("open")
    member = await join(opened=False, path=writable_by_all)
    with pytest.raises(Refused, match=rf"ConnectionFailed.*quince belongs to \w+ \(user {NOBODY}\)"):
        await member.tell("open")
    await owner.tell("send", bodies=[1], queue="q")
    assert await owner.tell("size", queue="q") == 1


@as_root
async def test_a_folder_that_cannot_be_seen_is_said(join: Join, directory: Path) -> None:
    member = await join(opened=False, path=directory / "new")  # it is private to root
    await member.tell("become", user=NOBODY)
    with pytest.raises(Refused, match=rf"ConnectionFailed.*{directory} belongs to root"):
        await member.tell("open")


async def test_a_task_file_that_is_none_is_said(join: Join, directory: Path) -> None:
    (directory / "quince").mkdir()
    (directory / "quince" / "tasks.sqlite").write_bytes(b"not a database" * 100)
    member = await join(opened=False)
    with pytest.raises(Refused, match=r"ConnectionFailed.*tasks\.sqlite cannot be opened.*not a database"):
        await member.tell("open")


async def test_a_task_file_of_another_version_is_said(join: Join, directory: Path) -> None:
    (directory / "quince").mkdir()
    with sqlite3.connect(directory / "quince" / "tasks.sqlite") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    member = await join(opened=False)
    with pytest.raises(Refused, match=r"ConnectionFailed.*another version \(99\)"):
        await member.tell("open")


@as_root
async def test_a_full_disk_is_said_and_work_goes_on_when_there_is_room(join: Join, small_disk: Path) -> None:
    member = await join(path=small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    too_much = ["x" * 50_000] * 100
    with pytest.raises(Refused, match=r"DeliveryFailed.*disk.*is full"):
        await member.tell("send", bodies=too_much, queue="q")
    assert await member.tell("size", queue="q") == 0
    ballast.unlink()
    await member.tell("send", bodies=["small"] * 10, queue="q")
    await member.tell("consume", queue="q", prefetch=3, settle=True)
    await member.until_met("task", 10)
    await member.kill()
