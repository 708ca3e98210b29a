"""A real browser without a window: Debian's Chromium, driven by its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.crew import eventually


class NoBrowser(Exception):
    """Chromium is not installed."""


class Browser:
    """One Chromium with one page, closed by `with`."""

    def __init__(self) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            raise NoBrowser("chromium is not installed (Debian: apt-get install chromium)")
        self._folder = tempfile.TemporaryDirectory(prefix="quince-browser-", ignore_cleanup_errors=True)
        profile = Path(self._folder.name)
        self._process = subprocess.Popen(
            [
                program, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}",
                "--no-first-run", "--disable-gpu", "--no-sandbox", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
                "--no-proxy-server", "--host-resolver-rules=MAP lab.example 127.0.0.1", "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._folder.name}, start_new_session=True,
        )  # fmt: skip
        self._numbers = itertools.count(1)
        self._stack = ExitStack()
        self.complaints: list[str] = []
        try:
            self._page: ClientConnection = self._stack.enter_context(
                connect(self._address(profile), max_size=None, proxy=None, ping_interval=None)
            )
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _address(self, profile: Path) -> str:
        """Where its first page is driven."""
        told = profile / "DevToolsActivePort"
        port = eventually(lambda: told.exists() and told.read_text().split("\n")[0], 60, "a browser")

        def page() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page"]
            return str(pages[0]["webSocketDebuggerUrl"]) if pages else ""

        return eventually(page, 30, "a page")

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # with its helpers: they are a session of their own
        self._process.wait()
        with suppress(OSError, ConnectionClosed):
            self._stack.close()
        self._folder.cleanup()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the browser; what it complains of meanwhile is kept in `complaints`."""
        number = next(self._numbers)
        self._page.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            told = json.loads(self._page.recv(timeout=60))
            if told.get("id") == number:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result
            self._heard(told)

    def _heard(self, told: dict[str, Any]) -> None:
        params = told.get("params", {})
        if told["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params)[:600])
        elif told["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def ask(self, expression: str) -> Any:
        """What an expression is in the page; promises are awaited."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def go(self, url: str) -> None:
        """Load a page, to its end."""
        self.call("Page.navigate", url=url)
        time.sleep(0.05)
        self.until(
            "document.readyState === 'complete' && location.href !== 'about:blank' && 'htmx' in window"
        )

    @contextmanager
    def at(self, address: str) -> Iterator[None]:
        """At a page that is live, as on a desk; what is complained of from now on is kept."""
        self.size(1280, 900)
        self.complaints.clear()
        self.go(address)
        self.until("document.querySelector('.live.on') !== null")
        yield
        self.call("Page.navigate", url="about:blank")  # it asks a server that is gone for nothing more

    def until(self, expression: str, seconds: float = 30) -> None:
        """Wait until an expression is true."""

        def look() -> Any:
            try:
                return self.ask(f"!!({expression})")
            except AssertionError:  # between two pages
                return None

        try:
            eventually(look, seconds, expression)
        except AssertionError as error:
            error.add_note(f"{self.ask('document.body.innerText')[:1500]}\n{self.complaints}")
            raise

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=text if kind == "keyDown" else "")

    def write(self, text: str) -> None:
        """Type text where the focus is."""
        self.call("Input.insertText", text=text)

    def size(self, width: int, height: int, *, dark: bool = False, scale: float = 1) -> None:
        """As wide and high a window, and a light or dark one."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """A PNG of what is seen, or of the whole page."""
        told = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(told["data"]))
