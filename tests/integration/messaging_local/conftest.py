"""Members: operating-system processes that share a directory and do what the test tells them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 20.0  # seconds until a test gives up on an event


class Member:
    """One process in the directory. `tell` asks it to do something, `events` is what it met."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def order(self, do: str, **args: Any) -> None:
        """Ask for something that never ends."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **args}).encode() + b"\n")
        await self.process.stdin.drain()

    async def tell(self, do: str, **args: Any) -> Any:
        """Ask, and wait for the answer. A refusal raises Refused."""
        await self.order(do, **args)
        answer = await asyncio.wait_for(self._answers.get(), PATIENCE)
        if "error" in answer:
            raise Refused(*answer["error"])
        return answer["answer"]

    def met(self, event: str) -> list[dict[str, Any]]:
        return [met for met in self.events if met["event"] == event]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until its events make `condition` true."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    async def until_met(self, event: str, count: int) -> list[dict[str, Any]]:
        await self.until(lambda: len(self.met(event)) >= count)
        return self.met(event)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            told = json.loads(line)
            if "event" in told:
                async with self._changed:
                    self.events.append(told)
                    self._changed.notify_all()
            else:
                await self._answers.put(told)


class Refused(Exception):
    """A member met a MessagingError: its type's name, and its text."""


Join = Callable[..., Awaitable[Member]]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: the sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ql-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture
async def join(directory: Path) -> AsyncIterator[Join]:
    """Start members; all are killed at the end."""
    members: list[Member] = []

    async def start(*, opened: bool = True, path: Path = directory, **popen: Any) -> Member:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.messaging_local.member",
            str(path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**20,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            **popen,
        )
        member = Member(process)
        members.append(member)
        if opened:
            await member.tell("open")
        return member

    yield start
    for member in members:
        await member.kill()
