"""Seats, locks and the proof of death."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from quince_messaging.errors import ConnectionFailed
from quince_messaging.transports.local.directory import LONGEST_SOCKET_PATH, Directory


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path / "shared", "quince")
    made.prepare()
    return made


def test_it_is_private(directory: Directory) -> None:
    for folder in (directory.folder, directory.peers):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_seat_is_seen_when_it_is_published(directory: Directory) -> None:
    seat = directory.take_seat()
    assert directory.others("me") == []
    seat.publish()
    assert directory.others("me") == [seat.peer]
    assert directory.others(seat.peer) == []
    assert directory.address(seat.peer) == seat.address
    seat.leave()
    seat.leave()
    assert directory.others("me") == []
    assert directory.address(seat.peer) is None


def test_the_living_cannot_be_buried(directory: Directory) -> None:
    seat = directory.take_seat()
    seat.publish()
    with directory.bury(seat.peer) as dead:
        assert dead is False
    assert directory.others("me") == [seat.peer]
    seat.leave()


def test_one_that_left_is_not_dead(directory: Directory) -> None:
    with directory.bury("1-gone") as dead:
        assert dead is None


def test_the_dead_are_buried_by_one_only(directory: Directory) -> None:
    seat = directory.take_seat()
    seat.publish()
    Path(seat.address).touch()
    (descriptor,) = seat.descriptors()
    os.close(os.dup(descriptor))  # closing a copy frees nothing
    with directory.bury(seat.peer) as dead:
        assert dead is False
    directory_lock = directory.peers / f"{seat.peer}.lock"
    seat_lock_text = directory_lock.read_text()
    os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)  # as its process's death does
    with directory.bury(seat.peer) as first, directory.bury(seat.peer) as second:
        assert (first, second) == (True, False)
    assert seat_lock_text == seat.address
    assert not directory_lock.exists()
    assert not Path(seat.address).exists()
    seat.leave()


def test_a_burial_that_fails_leaves_the_dead_for_the_next(directory: Directory) -> None:
    (directory.peers / "1-dead.lock").write_text("")
    with pytest.raises(RuntimeError), directory.bury("1-dead"):
        raise RuntimeError("the disk is full")
    with directory.bury("1-dead") as dead:
        assert dead is True


def test_a_long_path_has_its_sockets_in_a_short_private_folder(tmp_path: Path) -> None:
    long = Directory(tmp_path / ("x" * 120), "quince")
    long.prepare()
    first, second = long.take_seat(), long.take_seat()
    assert len(os.fsencode(first.address)) <= LONGEST_SOCKET_PATH
    folder = Path(first.address).parent
    assert folder == Path(second.address).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(ConnectionFailed, match="not a private folder"):
        long.take_seat()
    folder.rmdir()
    first.leave()
    second.leave()


def test_only_old_leftovers_are_swept(directory: Directory) -> None:
    for name in ("1-old.new", "2-fresh.new"):
        (directory.peers / name).write_text(str(directory.peers / "1-old.sock"))
    (directory.peers / "1-old.sock").touch()
    os.utime(directory.peers / "1-old.new", (0, 0))
    living = directory.take_seat()
    os.utime(directory.peers / f"{living.peer}.new", (0, 0))
    directory.sweep()
    assert {path.name for path in directory.peers.iterdir()} == {"2-fresh.new", f"{living.peer}.new"}
    living.leave()


def test_a_full_disk_is_said_as_such(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ConnectionFailed, match=r"\(No space left on device\); make room on its disk"):
        directory.take_seat()
    assert list(directory.peers.iterdir()) == []
