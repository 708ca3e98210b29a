"""Garbage: on the socket, in the task file, among the files."""

from __future__ import annotations

import random
import socket
import sqlite3
from pathlib import Path

from quince_messaging.transports.local.frames import VERSION, Bell, Hello, Noted, Wants, frame, frame_note
from quince_messaging.wire.envelope import Task, encode
from tests.integration.messaging_local.conftest import Join, Member


def address_of(member: Member, directory: Path) -> str:
    (lock,) = (directory / "quince" / "peers").glob(f"{member.process.pid}-*.lock")
    return lock.read_text()


def stranger(address: str, *pieces: bytes) -> bytes:
    """Write to a member's socket; returns all that it says until it hangs up or falls silent."""
    said = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect(address)
        try:
            for piece in pieces:
                connection.sendall(piece)
            while got := connection.recv(65536):
                said += got
        except (BrokenPipeError, ConnectionResetError):
            pass
    return said


async def test_garbage_on_the_socket_is_hung_up_on_and_nothing_else(join: Join, directory: Path) -> None:
    member, client = await join(), await join()
    await member.tell("serve", identifier="s")
    address = address_of(member, directory)
    chance = random.Random(7)
    for size in (1, 4, 5, 64, 5000):
        stranger(address, b"\xff\xff\xff\xff" + chance.randbytes(size))  # a frame too large
        stranger(address, frame(b"\0" + chance.randbytes(size)))  # no note
        stranger(address, frame(chance.randbytes(size)))  # no hello
    stranger(address, frame_note(Hello(VERSION + 1, "9-x", 0, [])))
    stranger(address, frame(encode(Task(1))))
    victim = directory / "mine.lock"
    victim.write_text(str(victim))
    stranger(address, frame_note(Hello(VERSION, f"../../{victim.stem}", 0, [])))
    assert (await client.tell("call", identifier="s", body=1))["answer"]["body"] == 1
    assert (await member.tell("usage"))["cpu"] < 5
    assert victim.exists()


async def test_nonsense_after_a_hello_is_survived(join: Join, directory: Path) -> None:
    member, client = await join(), await join()
    await member.tell("serve", identifier="s")
    hello = frame_note(Hello(VERSION, "9-stranger", 0, []))
    address = address_of(member, directory)
    for nonsense in (
        frame(b""),
        frame(b"\x01\xc1"),
        frame(b"\x63abc"),
        frame(encode(Task(1))),
        frame_note(Bell("no queue", 12345, 7)),
        frame_note(Noted(99)),
        frame_note(Wants(-5, [], [])),
        hello,
    ):
        stranger(address, hello, nonsense, frame(b"\0garbage"))
    assert (await client.tell("call", identifier="s", body=1))["answer"]["body"] == 1


async def test_an_unreadable_task_is_dead_lettered_and_the_others_arrive(join: Join, directory: Path) -> None:
    member = await join()
    rows = [("q", b"garbage"), ("q", encode(Task("fine"))), ("q", b""), ("q", b"\x01\x90")]
    with sqlite3.connect(directory / "quince" / "tasks.sqlite") as file:
        file.executemany("INSERT INTO tasks (queue, priority, body) VALUES (?, 0, ?)", rows)
    file.close()
    await member.tell("consume", queue="q", prefetch=1, settle=True)
    (task,) = await member.until_met("task", 1)
    assert task["body"] == "fine"
    await member.tell("send", bodies=["last"], queue="q")
    await member.until_met("task", 2)
    await member.tell("close")
    with sqlite3.connect(directory / "quince" / "tasks.sqlite") as file:
        dead = file.execute("SELECT reason, body FROM dead_letters ORDER BY id").fetchall()
        assert file.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    file.close()
    assert [body for _, body in dead] == [b"garbage", b"", b"\x01\x90"]
    assert all(reason for reason, _ in dead)


async def test_leftovers_of_a_stranger_among_the_files_are_ignored(join: Join, directory: Path) -> None:
    await join()
    peers = directory / "quince" / "peers"
    (peers / "1-nobody.lock").write_text(str(peers / "1-nobody.sock"))
    (peers / "1-empty.lock").write_text("")
    (peers / "1-nobody.sock").write_text("not a socket")
    second = await join()
    await second.tell("send", bodies=[1], queue="q")
    assert not list(peers.glob("1-*"))
