"""A TCP proxy that can cut, freeze and delay what goes through it, and swallow the answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Self


class Proxy:
    """Listens on a free port and hands on to another; every method may be called from any thread."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._delay = 0.0
        self._refusing = False
        self._swallowing = False
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *exc: object) -> None:
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def uri(self, uri: str) -> str:
        """An AMQP URI with the proxy in place of its server."""
        host, port = self._target
        return uri.replace(f"@{host}:{port}", f"@127.0.0.1:{self.port}")

    def cut(self) -> None:
        """Reset every connection; new ones are let through."""
        self._do(self._cut())

    def refuse(self, refusing: bool = True) -> None:
        """Reset every connection, and close new ones at once."""
        self._refusing = refusing
        if refusing:
            self._do(self._cut())

    def freeze(self) -> None:
        """Let nothing through in either direction, and tell nobody: a half-open connection."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def thaw(self) -> None:
        self._loop.call_soon_threadsafe(self._flowing.set)

    def swallow(self, swallowing: bool = True) -> None:
        """Hand on what clients say, and let no answer through: what they asked for is done, and they cannot
        know. The end of it resets every connection, since answers are missing in the middle of them."""
        self._swallowing = swallowing
        if not swallowing:
            self._do(self._cut())

    def delay(self, seconds: float) -> None:
        """Hold each piece of data back for so long."""
        self._delay = seconds

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._cut()
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            with contextlib.suppress(asyncio.CancelledError):  # asyncio asks its tasks for their errors
                await asyncio.gather(
                    self._pump(reader, far_writer), self._pump(far_reader, writer, answers=True)
                )
        finally:
            for end in (writer, far_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                if answers and self._swallowing:
                    continue
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
