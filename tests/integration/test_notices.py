"""Who is told of what happens: by real workers, of which some are killed while they tell it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from quince import Workspace, submit
from quince.settings import CONFIG
from quince.worker import notices
from quince.workspace.location import locate
from quince_persistence.databases.opening import database_of
from quince_persistence.records import Control, Selection
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration import notice_flows as flows
from tests.integration.commands import Quince
from tests.receivers import Post, mail_server, web_service

EVERYTHING = "on = ['failed', 'paused', 'waiting', 'ended', 'trouble']"

EMBEDDED = pytest.mark.parametrize("location", ["embedded"], indirect=True)


def told(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_each_is_told_once_of_what_it_wants(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    with mail_server() as mails, web_service() as web:
        (tmp_path / CONFIG).write_text(
            f"[notify.file]\n{EVERYTHING}\ncommand = ['sh', '-c', 'cat >> told']\n"
            f"[notify.hook]\non = ['failed']\nclasses = ['boom']\nwebhook = '{web.url}'\n"
            "[notify.people]\non = ['ended']\nlabels = {study = 'ä'}\nmail = ['me@example.org']\n"
            f"server = 'smtp://127.0.0.1:{mails.port}'\n"
        )
        crew.start(2)
        bad = submit(flows.boom, text="x\r\nBcc: all", workspace=home)
        well = submit(flows.fine, inputs={"n": 1}, labels={"study": "ä"}, workspace=home)
        asks = submit(flows.Asks, workspace=home)
        eventually(lambda: asks.row.signals == ("approval",), what="the wait")
        asks.signal("approval", "yes")
        expected = {
            (bad.pid, "failed"), (well.pid, "ended"), (asks.pid, "waiting"), (asks.pid, "paused"),
        }  # fmt: skip
        eventually(
            lambda: {(one["process"]["pid"], one["event"]) for one in told(tmp_path / "told")} == expected,
            what="the file",
        )
        eventually(lambda: web.posts and mails.got, what="the webhook and the mail")
        eventually(lambda: not any(row.pending for row in home.store.receivers()), what="the end of them")
        assert len(told(tmp_path / "told")) == 4
        assert [post.json["process"]["pid"] for post in web.posts] == [bad.pid]
        assert mails.got[0]["Subject"] == f"Quince: process {well.pid} (fine, study=ä) has finished"
        assert len(mails.got) == 1


def test_a_worker_that_is_killed_while_it_tells_is_followed_by_another_one(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    with web_service() as web:
        (tmp_path / CONFIG).write_text(f"[notify.hook]\non = ['failed']\nwebhook = '{web.url}'\n")
        (first,) = crew.start()
        hanging, goes_on = threading.Event(), threading.Event()

        def hang(_: Post) -> int:
            hanging.set()
            goes_on.wait(60)
            return 200

        web.answer = hang
        bad = submit(flows.boom, text="x", workspace=home)
        assert hanging.wait(60)
        first.kill()
        web.answer = lambda _: 200
        goes_on.set()
        held = home.store.take_notices(["hook"], "me", most=9, hold=9).result()
        assert held == []  # the dead worker has it, for a while
        _let_go(home)
        crew.start()
        eventually(lambda: len(web.posts) == 2, what="another try")
        eventually(lambda: not home.store.receivers()[0].pending, what="its end")
        assert {post.headers["Idempotency-Key"] for post in web.posts} == {web.posts[0].json["id"]}
        assert web.posts[1].json["process"]["pid"] == bad.pid


def _let_go(home: Workspace) -> None:
    """As if the time were over for which the dead worker has them."""
    database = database_of(home.location.store)
    with database.engine().begin() as connection:
        connection.execute(text("UPDATE notices SET due = 0"))
    database.dispose()


@EMBEDDED
def test_who_takes_nothing_is_told_later_and_stands_in_nobodys_way(
    home: Workspace, crew: Crew, tmp_path: Path, forks: ForkServer
) -> None:
    quince = Quince(tmp_path, forks)
    with web_service() as web:
        (tmp_path / CONFIG).write_text(
            f"[notify.bad]\non = ['failed']\nwebhook = '{web.url}'\n"
            "[notify.file]\non = ['failed']\ncommand = ['sh', '-c', 'cat >> told']\n"
        )
        web.answer = lambda _: 500
        crew.start()
        bad = submit(flows.boom, text="x", workspace=home)
        eventually(lambda: told(tmp_path / "told"), what="the other one")
        eventually(lambda: home.store.receivers()[0].error, what="the failure")
        (listed, _) = quince.good("notify", "ls", "--json").document
        assert (listed["pending"], listed["error"]) == (1, "the webhook answered 500")
        assert quince.good("status", "--json").document["notices"]["bad"]["pending"] == 1
        assert "notices for bad could not be sent" in quince("doctor").out
        web.answer = lambda _: 200
        eventually(lambda: not home.store.receivers()[0].pending, what="its end")
        assert web.posts[-1].json["process"]["pid"] == bad.pid
        quince.good("notify", "test", "bad")
        assert web.posts[-1].json["event"] == "test"
        assert quince("notify", "test", "nobody").status == 2


@EMBEDDED
def test_a_tree_that_is_killed_is_one_message(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    with web_service() as web:
        (tmp_path / CONFIG).write_text(f"[notify.hook]\non = ['failed']\nwebhook = '{web.url}'\n")
        wanted = {receiver.name: receiver.on for receiver in locate(tmp_path).receivers}
        home.store.want_notices(wanted, keep=notices.KEEP_SECONDS, most=notices.MOST).result()
        pids = [submit(flows.fine, inputs={"n": n}, workspace=home).pid for n in range(30)]
        home.store.control(Control.KILL, Selection(pids=pids), author="me", reason="no").result()
        crew.start()
        eventually(lambda: web.posts, what="the message")
        eventually(lambda: not home.store.receivers()[0].pending, what="its end")
        (post,) = web.posts
        assert (post.json["event"], post.json["count"]) == ("several", 30)
