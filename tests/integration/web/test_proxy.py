"""The pages behind a real proxy with TLS and a base path: nginx, set up as docs/web.md says."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from quince import Workspace, submit
from tests.crew import Crew, eventually
from tests.flows import Approval, Double
from tests.integration.web.browser import Browser
from tests.integration.web.conftest import Serve
from tests.integration.web.nginx import Nginx
from tests.server import missing
from tests.services import ServiceMissing

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.parametrize("location", ["embedded"], indirect=True),
]


@pytest.fixture
def proxied(serve: Serve) -> Iterator[tuple[str, str]]:
    """How a browser calls the proxy, and the address at which it begins."""
    printed = urlsplit(serve("--base-path", "/quince", "--allow-host", "lab.example"))
    assert printed.port is not None
    try:
        nginx = Nginx(printed.port)
    except ServiceMissing as error:
        missing(error)
    with nginx:
        yield nginx.origin, f"{nginx.origin}{printed.path}?{printed.query}"


def test_all_goes_through_it_as_without_it(
    chromium: Browser, proxied: tuple[str, str], home: Workspace, crew: Crew
) -> None:
    origin, address = proxied
    chromium.call("Security.setIgnoreCertificateErrors", ignore=True)  # it is of our own making
    with chromium.at(address):
        assert chromium.ask("location.href") == f"{origin}/quince/"
        (cookie,) = chromium.call("Network.getCookies")["cookies"]
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
        assert (cookie["domain"], cookie["path"]) == ("lab.example", "/quince")

        crew.start()
        asks = submit(Approval, workspace=home, key="scan-1")
        chromium.until(
            "document.querySelector('#waiting').innerText.includes('scan-1')"
        )  # told, not reloaded
        chromium.press("/")
        chromium.write("scan-1")
        chromium.press("Enter")
        chromium.until(f"location.pathname === '/quince/process/{asks.pid}'")
        chromium.until("document.querySelector('#do-pause') && document.querySelector('.live.on')")
        chromium.press("p")
        chromium.until("document.activeElement.name === 'reason'")
        chromium.press("Enter")
        chromium.until("document.querySelector('#answers').innerText.includes('paused')")
        assert asks.paused
        asks.play()
        asks.signal("approval", "yes")
        chromium.until("document.querySelector('#outputs').innerText.includes('yes')")

        all_that_lead = "[...document.querySelectorAll('[href],[src],[action]')]"
        leads = chromium.ask(f"{all_that_lead}.map((one) => one.href || one.src || one.action)")
        assert len(leads) > 15
        assert all(link.startswith(f"{origin}/quince/") for link in leads), leads
        assert chromium.complaints == []


def test_what_comes_from_elsewhere_is_refused_behind_it_too(
    proxied: tuple[str, str], home: Workspace
) -> None:
    origin, address = proxied
    here, there = urlsplit(origin), f"https://127.0.0.1:{urlsplit(origin).port}"
    handle = submit(Double, value=1, workspace=home)
    with httpx.Client(verify=False, headers={"Host": here.netloc}) as client:
        assert client.get(f"{there}/quince/").status_code == 401
        assert client.get(f"{there}/quince").headers["location"].endswith("/quince/")
        admitted = client.get(address.replace(origin, there))
        assert (admitted.status_code, admitted.headers["location"]) == (303, "/quince/")
        assert "Secure" in admitted.headers["set-cookie"]
        cookie = admitted.headers["set-cookie"].partition(";")[0]
        page = client.get(f"{there}/quince/process/{handle.pid}", headers={"Cookie": cookie}).text
        form = {"pid": handle.pid, "verb": "pause", "form_key": page.partition('"form_key" value="')[2][:64]}
        for sender, status in (
            ("https://evil.example", 403), (f"https://lab.example.evil.example:{here.port}", 403),
            (None, 403), (origin, 200),
        ):  # fmt: skip
            headers = {"Cookie": cookie, **({} if sender is None else {"Origin": sender})}
            answer = client.post(f"{there}/quince/control", data=form, headers=headers)
            assert answer.status_code == status, (sender, answer.text)
            assert handle.paused is (status == 200)
        wrong = client.get(f"{there}/quince/", headers={"Host": "evil.example", "Cookie": cookie})
        assert wrong.status_code == 421
    eventually(lambda: handle.paused)
