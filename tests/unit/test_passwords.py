"""Whatever a URL looks like, and whoever complains of it: its password is not shown."""

from __future__ import annotations

import inspect
import io
import logging
import traceback
from pathlib import Path

import pytest

import quince_messaging.at_fork
import quince_messaging.passwords
from quince.errors import WorkspaceError
from quince.workspace.location import locate
from quince.workspace.workspace import Workspace
from quince_messaging import make_transport
from quince_messaging.errors import MessagingError
from quince_messaging.passwords import without_password
from quince_messaging.uri import parse_uri
from quince_persistence.databases import passwords as of_the_store
from quince_persistence.databases.at_fork import ForkGuard
from quince_persistence.errors import PersistenceError
from quince_persistence.store import Store
from tests.server import free_port

PARTS = ("s3cr3t", "h1dd3n")
"""Two halves of a password, between which stands what should have been encoded."""

BETWEEN = (
    *("", "@", "/", "#", "?", ":", "%", "%40", "@/", "/@", "#@", "?@", "@@", "&", ";", "="),
    *(" ", "\\", "[", "]", "é"),
)
SHAPES = (
    "{scheme}://user:{pw}@no-host.invalid/db",
    "{scheme}://user:{pw}@no-host.invalid:port/db",
    "{scheme}://user:{pw}@no-host.invalid:99999999/db",
    "{scheme}://user:{pw}@/db",
    "{scheme}://user:{pw}@",
    "{scheme}://user:{pw}",
    "{scheme}://:{pw}@no-host.invalid",
    "{scheme}://us/er:{pw}@no-host.invalid/db",
    "{scheme}://user%3A{pw}@no-host.invalid/db",
    "{scheme}:/user:{pw}@no-host.invalid/db",
    "{scheme}:user:{pw}@no-host.invalid/db",
    "{scheme}:///user:{pw}@no-host.invalid/db",
    "{scheme}//user:{pw}@no-host.invalid/db",
    "user:{pw}@no-host.invalid/db",
    "://user:{pw}@no-host.invalid/db",
    " {scheme}://user:{pw}@no-host.invalid/db",
    "{scheme}://user:{pw}@[no-host.invalid/db",
    "{scheme}://no-host.invalid:1/db?password={pw}&y=2",
    "{scheme}://user@no-host.invalid:1/db?x=1&sslpassword={pw}&y=2",
    "{scheme}://user:5{pw}@no-host.invalid:1/db#a@b",
)
SCHEMES = ("amqp", "amqps", "postgresql", "postgresql+psycopg", "postgres", "mysql", "sqlite", "ampq", "")
URLS = [
    shape.format(scheme=scheme, pw=between.join(PARTS))
    for shape in SHAPES
    for scheme in SCHEMES
    for between in BETWEEN
    if not (shape.startswith("{scheme}:///") and scheme == "sqlite")  # a path
    and not (shape.endswith("{pw}") and "@" in between)  # a password and a host, as it should be
    and not ("password=" in shape and between == "&")  # another option
]


def leaks(text: str) -> bool:
    return any(part in text for part in PARTS)


def test_no_url_is_shown_with_its_password() -> None:
    assert [url for url in URLS if leaks(without_password(url))] == []


@pytest.mark.parametrize(
    "url",
    [
        "amqp://host/", "amqp://host:5672/vhost", "amqps://host?cafile=/etc/ca.pem", "amqp://user@host/",
        "postgresql://host:5432/db", "postgresql+psycopg:///db?host=/run/postgresql", "amqp://[::1]:5672/v",
        "sqlite:////data/a:b@c/x.db", "local:///data/a:b@c", "memory://tests", "sqlite://", "sqlite:///:memory:",
        "sqlite:quince.db", "quince.db", "amqp:/host/", "",
    ],
)  # fmt: skip
def test_what_holds_no_password_is_shown_whole(url: str) -> None:
    assert without_password(url) == url


def test_the_rest_of_a_url_is_shown() -> None:
    assert (
        without_password("amqp://user:s3cr3t@host:5672/v?prefix=x") == "amqp://user:***@host:5672/v?prefix=x"
    )
    assert (
        without_password("postgresql://h/d?user=u&password=x&y=1")
        == "postgresql://h/d?user=u&password=***&y=1"
    )


def test_what_both_packages_have_is_the_same() -> None:
    assert inspect.getsource(quince_messaging.passwords) == inspect.getsource(of_the_store)
    assert inspect.getsource(quince_messaging.at_fork.ForkGuard) == inspect.getsource(ForkGuard)


def test_no_complaint_and_no_object_shows_the_password(tmp_path: Path) -> None:
    """The whole chain of the error, as a traceback would print it, and what was logged meanwhile."""
    shown = []
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        for url in URLS:
            for attempt in (_use_as_store, _use_as_broker, _use_as_place):
                try:
                    attempt(url, tmp_path)
                except (PersistenceError, MessagingError, WorkspaceError) as error:
                    told = _story(error) + str(error) + repr(error)
                else:
                    told = ""
                shown.append((attempt.__name__, url, told))
    finally:
        logging.getLogger().removeHandler(handler)
    assert [(name, url, told) for name, url, told in shown if leaks(told)] == []
    assert not leaks(stream.getvalue())


def _story(error: BaseException) -> str:
    """Messages of the error and of what it came from. (Lines of code name no values.)"""
    return "".join(traceback.format_exception(error))


def _use_as_store(url: str, _folder: Path) -> None:
    store = Store(url)
    assert not leaks(f"{store} {store!r} {store.url}")


def _use_as_broker(url: str, _folder: Path) -> None:
    assert not leaks(repr(parse_uri(url)))
    transport = make_transport(url)
    assert not leaks(repr(transport))


def _use_as_place(url: str, folder: Path) -> None:
    for location in (locate(folder, store=url), locate(folder, broker=url)):
        assert not leaks(f"{location} {location!r} {Workspace(location)!r}")
        location.require_made()


@pytest.mark.parametrize("between", ["", "@", "#", "/", "%40"])
def test_no_failed_connection_shows_the_password(between: str) -> None:
    """What the drivers say of a host that does not answer is part of the complaint."""
    password, unused_port = between.join(PARTS), free_port()
    with pytest.raises(MessagingError) as broker:
        quince_messaging.connect(f"amqp://user:{password}@127.0.0.1:{unused_port}/")
    store = f"postgresql://user:{password}@127.0.0.1:{unused_port}/db?password=s3cr3t"
    with pytest.raises(PersistenceError) as database:
        Store(store).open()
    assert not leaks(_story(broker.value) + _story(database.value))
