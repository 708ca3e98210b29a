"""Nobody looks without the token, nothing is written from elsewhere, and nothing of users acts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import pytest

from quince import Workspace, submit
from quince.web.access import Access
from quince.workspace.location import Location
from tests.crew import Crew
from tests.flows import Double
from tests.integration.web.conftest import ORIGIN, Pages
from tests.integration.web.flows import Relax, says

pytestmark = pytest.mark.parametrize("location", ["embedded"], indirect=True)

ADDRESSES = (
    "/", "/processes", "/process/1", "/process/1/tree", "/process/1/output", "/limits", "/events?watch=*",
    "/find?q=1", "/metrics",
)  # fmt: skip


def test_nothing_is_shown_without_the_token(pages: Pages, home: Workspace) -> None:
    submit(Double, value=1, workspace=home)
    given: Sequence[dict[str, str]] = (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Cookie": f"{pages.site.access.cookie}=x"},
    )
    for address, headers in itertools.product(ADDRESSES, given):
        answer = pages.ask("GET", address, known=False, headers=headers)
        assert answer.status_code == 401
        assert "Double" not in answer.text


def test_the_token_becomes_a_cookie_that_no_script_sees_and_no_other_site_sends(pages: Pages) -> None:
    access = pages.site.access
    answer = pages.ask("GET", f"/processes?state=running&token={access.token}", known=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/processes?state=running")
    cookie = answer.headers["set-cookie"]
    assert access.token not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert pages.ask("GET", "/?token=nonsense").status_code == 401
    assert (
        pages.ask("GET", f"{ORIGIN}//elsewhere.org/?token={access.token}").headers["location"]
        == "/elsewhere.org/"
    )
    read = pages.ask("GET", "/", known=False, headers={"Authorization": f"Bearer {access.token}"})
    assert read.status_code == 200


def test_a_link_from_elsewhere_asks_once_more_by_itself(pages: Pages) -> None:
    """`SameSite=Strict` keeps the cookie back there; the second request comes from our own page."""
    from_chat = pages.ask("GET", "/processes", known=False, headers={"Sec-Fetch-Site": "cross-site"})
    again = pages.ask("GET", "/processes", known=False, headers={"Sec-Fetch-Site": "same-origin"})
    assert 'http-equiv="refresh"' in from_chat.text
    assert 'http-equiv="refresh"' not in again.text


SAME = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


FORGED: Sequence[tuple[dict[str, str], str, bool]] = [
    ({}, "right", True),
    ({"Origin": "http://evil.example"}, "right", True),
    ({"Origin": "null"}, "right", True),
    ({"Origin": "http://127.0.0.1:9999"}, "right", True),
    ({"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}, "right", True),
    ({"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"}, "right", True),
    (SAME, "", True),
    (SAME, "wrong", True),
    (SAME, "right", False),
    ({**SAME, "Authorization": "Bearer right"}, "right", False),
]
"""Headers, the key in the form, and whether the cookie is sent."""


def test_nothing_is_written_without_the_token_the_form_and_the_same_origin(
    pages: Pages, home: Workspace
) -> None:
    access, handle = pages.site.access, submit(Double, value=1, workspace=home)
    for address, (headers, key, known) in itertools.product(("/control", "/limit", "/schedule"), FORGED):
        given = {name: value.replace("right", access.token) for name, value in headers.items()}
        form: dict[str, Any] = {"pid": handle.pid, "verb": "kill", "name": "licence", "slots": "1"}
        form["form_key"] = access.form_key if key == "right" else key
        answer = pages.ask("POST", address, known=known, headers=given, data=form)
        assert answer.status_code in (401, 403), (address, headers, key, known)
    assert handle.state == "created"
    assert home.store.limits() == []


def test_a_name_that_was_made_to_lead_here_is_refused(pages: Pages) -> None:
    for host in ("127.0.0.1:8642", "localhost", "[::1]:9", "LOCALHOST:1"):
        assert pages.ask("GET", "/limits", headers={"Host": host}).status_code == 200
    for host in (
        "evil.example", "evil.example:8642", "127.0.0.1.evil.example", "", "localhost@evil.example",
        "10.0.0.1", "localhost:port", "/",
    ):  # fmt: skip
        assert pages.ask("GET", "/limits", headers={"Host": host}).status_code == 421


def test_a_server_for_others_takes_addresses_and_the_names_that_it_was_given(location: Location) -> None:
    access = Access("0.0.0.0", names=frozenset({"quince.lab"}))
    assert all(map(access.is_named, ["192.168.1.5:8642", "quince.lab", "localhost"]))
    assert not access.is_named("evil.example")
    assert access.is_same_origin("127.0.0.1:8642", "https://quince.lab", "same-origin")
    assert not access.is_same_origin("quince.lab", "https://evil.example", "same-origin")
    for base in ("quince", "/a/", "/../x", "/a b", '/"x'):
        with pytest.raises(ValueError, match="base path"):
            Access(base_path=base)


def test_every_answer_forbids_what_pages_do_not_do(pages: Pages) -> None:
    for path in ("/", "/nowhere", "/static/quince.css", "/events?watch=x"):
        headers = pages.ask("GET", path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
    assert pages.ask("GET", "/").headers["cache-control"] == "no-store"
    for name in ("..%2Fapp.py", "htmx.LICENSE", "quince.css/../../app.py", "%2e%2e"):
        assert pages.ask("GET", f"/static/{name}").status_code == 404


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "'-alert(3)-'",
    "</textarea></pre><svg onload=alert(4)>",
    "{{ 7 * 7 }}{% include 'base.html' %}",
    "\u202egnitteg\x1b[31m\x07red\x00",
    "&lt;b&gt;&#60;",
)


def test_names_reports_tracebacks_labels_and_keys_of_users_do_not_act(
    pages: Pages, home: Workspace, crew: Crew
) -> None:
    crew.start()
    named = [text for text in HOSTILE if text.isprintable()]  # the engine takes no other names
    handles = [
        submit(says, text=text, workspace=home, labels={"study": text}, key=text) if text in named
        else submit(says, text=text.replace("\0", ""), workspace=home)
        for text in HOSTILE
    ]  # fmt: skip
    odd = submit(Relax, volumes=[], title=HOSTILE[1], workspace=home)
    for handle in (*handles, odd):
        handle.wait(60)
    odd.retry(HOSTILE[0], author=HOSTILE[3])
    addresses = ["/", "/processes", f"/processes?text={HOSTILE[0]}", "/processes?label=study"]
    for handle in (*handles, odd):
        addresses += [
            f"/process/{handle.pid}{view}"
            for view in ("", "/tree", "/graph", "/timeline", "/output", "/history")
        ]
    for address in addresses:
        page = pages.get(address)
        assert not re.search(r"<script>|<img src=x|<svg onload|</textarea></pre>|\bonerror=alert\(2\)>", page)
        assert not re.search("[\u202e\x1b\x07\x00]", page)
        assert "49" not in re.findall(r"<pre[^>]*>(49.*?)</pre>", page)
    page = pages.get(f"/process/{handles[0].pid}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_what_is_no_form_is_refused(pages: Pages) -> None:
    for content in (b"\xff\xfe=1", b"a=1&" * 6000, b"x" * 1_100_000, b""):
        answer = pages.ask("POST", "/control", headers=SAME, content=content)
        assert answer.status_code in (400, 403)
    assert pages.ask("GET", "/control").status_code == 405
    assert pages.ask("POST", "/", headers=SAME).status_code == 405
    assert pages.ask("DELETE", "/processes", headers=SAME).status_code == 405
