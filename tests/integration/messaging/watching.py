"""Waiting in fault tests: for conditions, with a limit, never for a length of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from quince_messaging import AwaitableCommunicator, LinkState, MessagingError


async def until(check: Callable[[], bool], *, within: float = 30.0, what: str = "it") -> float:
    """Wait for a condition; returns how many seconds it took."""
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > within:
            raise TimeoutError(f"{what} did not happen within {within:g} s")
        await asyncio.sleep(0.005)
    return time.monotonic() - began


async def until_async(check: Callable[[], Awaitable[bool]], *, within: float = 30.0) -> None:
    """Wait for a condition that must be asked for."""
    async with asyncio.timeout(within):
        while not await check():  # noqa: ASYNC110 - it holds on the broker, which does not tell
            await asyncio.sleep(0.02)


async def until_state(communicator: AwaitableCommunicator, state: LinkState, within: float = 30.0) -> float:
    """Wait for a state of the link."""
    return await until(lambda: communicator.state is state, within=within, what=str(state))


async def stubbornly(action: Callable[[], Awaitable[Any]], *, within: float = 30.0) -> Any:
    """Try until it is done, as a caller does who wants his message delivered."""
    deadline = time.monotonic() + within
    while True:
        try:
            return await action()
        except MessagingError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
