"""Seats, locks and the proof of death."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from quince_messaging.errors import ConnectionFailed
from quince_messaging.transports.local.directory import LONGEST_SOCKET_PATH, Directory
from quince_messaging.transports.local.registration import register


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path / "shared", "quince")
    made.prepare()
    return made


def test_it_is_private(directory: Directory) -> None:
    for folder in (directory.folder, directory.peers):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_seat_is_seen_when_it_is_published(directory: Directory) -> None:
    registration = register(directory)
    assert directory.others("me") == []
    registration.publish()
    assert directory.others("me") == [registration.peer]
    assert directory.others(registration.peer) == []
    assert directory.address(registration.peer) == registration.address
    registration.remove()
    registration.remove()
    assert directory.others("me") == []
    assert directory.address(registration.peer) is None


def test_the_living_are_not_released(directory: Directory) -> None:
    registration = register(directory)
    registration.publish()
    with directory.release_dead(registration.peer) as dead:
        assert dead is False
    assert directory.others("me") == [registration.peer]
    registration.remove()


def test_one_that_left_is_not_dead(directory: Directory) -> None:
    with directory.release_dead("1-gone") as dead:
        assert dead is None


def test_the_dead_are_released_by_one_only(directory: Directory) -> None:
    registration = register(directory)
    registration.publish()
    Path(registration.address).touch()
    (descriptor,) = registration.descriptors()
    os.close(os.dup(descriptor))  # closing a copy frees nothing
    with directory.release_dead(registration.peer) as dead:
        assert dead is False
    directory_lock = directory.peers / f"{registration.peer}.lock"
    seat_lock_text = directory_lock.read_text()
    os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)  # as its process's death does
    with (
        directory.release_dead(registration.peer) as first,
        directory.release_dead(registration.peer) as second,
    ):
        assert (first, second) == (True, False)
    assert seat_lock_text == registration.address
    assert not directory_lock.exists()
    assert not Path(registration.address).exists()
    registration.remove()


def test_a_burial_that_fails_leaves_the_dead_for_the_next(directory: Directory) -> None:
    (directory.peers / "1-dead.lock").write_text("")
    with pytest.raises(RuntimeError), directory.release_dead("1-dead"):
        raise RuntimeError("the disk is full")
    with directory.release_dead("1-dead") as dead:
        assert dead is True


def test_a_long_path_has_its_sockets_in_a_short_private_folder(tmp_path: Path) -> None:
    long = Directory(tmp_path / ("x" * 120), "quince")
    long.prepare()
    first, second = register(long), register(long)
    assert len(os.fsencode(first.address)) <= LONGEST_SOCKET_PATH
    folder = Path(first.address).parent
    assert folder == Path(second.address).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(ConnectionFailed, match="not a private folder"):
        register(long)
    folder.rmdir()
    first.remove()
    second.remove()


def test_only_old_leftovers_are_swept(directory: Directory) -> None:
    for name in ("1-old.new", "2-fresh.new"):
        (directory.peers / name).write_text(str(directory.peers / "1-old.sock"))
    (directory.peers / "1-old.sock").touch()
    os.utime(directory.peers / "1-old.new", (0, 0))
    living = register(directory)
    os.utime(directory.peers / f"{living.peer}.new", (0, 0))
    directory.sweep()
    assert {path.name for path in directory.peers.iterdir()} == {"2-fresh.new", f"{living.peer}.new"}
    living.remove()


def test_a_full_disk_is_said_as_such(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ConnectionFailed, match=r"\(No space left on device\); make room on its disk"):
        register(directory)
    assert list(directory.peers.iterdir()) == []
