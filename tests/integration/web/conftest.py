"""The pages of a workspace, asked by a client that behaves as a browser does, or by a browser."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from quince import Workspace
from quince.web.access import Access
from quince.web.app import make_app
from quince.web.declared import QuickMonitor
from quince.web.site import Site
from tests.crew import importing
from tests.forked import ForkServer
from tests.integration.commands import Quince
from tests.integration.web.browser import Browser, NoBrowser
from tests.server import missing

ORIGIN = "http://127.0.0.1:8642"


class Pages:
    """A browser that has shown the token."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cookies = {site.access.cookie: site.access.session}
        self._app = make_app(site)

    def ask(self, method: str, path: str, *, known: bool = True, **how: Any) -> httpx.Response:
        """One request; `known`: with the cookie."""

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            cookies = self.cookies if known else {}
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=cookies) as client:
                return await client.request(method, path, **how)

        return asyncio.run(asked())

    def get(self, path: str, status: int = 200) -> str:
        """A page; it is never too large, and has no script or style in it."""
        answer = self.ask("GET", path)
        assert answer.status_code == status, f"{path}: {answer.status_code}\n{answer.text[:2000]}"
        assert len(answer.content) < 200_000, f"{path} has {len(answer.content)} bytes"
        if answer.headers["content-type"].startswith("text/html"):
            assert not re.search(r"<script(?! src)|<style| on[a-z]+=\"| style=\"|javascript:", answer.text)
        return answer.text

    def text(self, path: str) -> str:
        """What a reader of a page reads."""
        return text_of(self.get(path))

    def post(self, path: str, status: int = 200, /, **fields: Any) -> str:
        """Send a form as a page of ours does; what a reader reads of the answer."""
        answer = self.send(path, **fields)
        assert answer.status_code == status, f"{path}: {answer.status_code}\n{answer.text[:2000]}"
        return text_of(answer.text)

    def send(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form as a page of ours does."""
        headers = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "HX-Request": "true"}
        return self.ask("POST", path, data={"form_key": self.site.form_key, **fields}, headers=headers)


def text_of(page: str) -> str:
    """A page without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.fixture
def site(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("PYTHONPATH", importing()["PYTHONPATH"])  # of the programs that read classes
    _ = home.store
    monitor = QuickMonitor(home)
    yield Site(home, monitor, Access(), "ida")
    monitor.close()


@pytest.fixture
def pages(site: Site) -> Pages:
    return Pages(site)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    try:
        browser = Browser()
    except NoBrowser as error:
        missing(error)
    with browser:
        yield browser


Serve = Callable[..., str]
"""Starts `quince web` with further words; the address that it prints."""


@pytest.fixture
def serve(
    home: Workspace, tmp_path: Path, forks: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Serve]:
    _ = home.store
    monkeypatch.setenv("PYTHONPATH", importing()["PYTHONPATH"])  # of the programs that read classes
    programs: list[subprocess.Popen[str]] = []

    def start(*words: str) -> str:
        program = Quince(tmp_path, forks).start("web", "--port", "0", *words, stdout=subprocess.PIPE)
        programs.append(program)
        assert program.stdout is not None
        return program.stdout.readline().strip()

    yield start
    for program in programs:
        program.terminate()
        assert program.wait(30) == 0
        assert program.stdout is not None
        program.stdout.close()


@pytest.fixture
def browser(chromium: Browser, serve: Serve) -> Iterator[Browser]:
    """At the overview, with the cookie."""
    with chromium.at(serve()):
        yield chromium
