"""The pages of a workspace, asked by a client that behaves as a browser does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest

from quince import Workspace
from quince.web.access import Access
from quince.web.app import make_app
from quince.web.declared import QuickMonitor
from quince.web.site import Site
from tests.crew import importing

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
        answer = self.ask(
            "POST",
            path,
            data={"form_key": self.site.form_key, **fields},
            headers={"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "HX-Request": "true"},
        )
        assert answer.status_code == status, f"{path}: {answer.status_code}\n{answer.text[:2000]}"
        return text_of(answer.text)


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
