"""What `quince.toml` may say of those who are told, and what they get, whatever stands in it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from quince.errors import WorkspaceError
from quince.notify.failures import NotSent
from quince.notify.mails import mail_of
from quince.notify.messages import Message, messages_of
from quince.notify.sending import send
from quince.settings import CONFIG
from quince.workspace.location import locate
from quince.workspace.receivers import Receiver
from quince.workspace.workspace import resolve
from quince_persistence.records.notices import Happening, NoticeRow
from tests.crew import eventually
from tests.receivers import Post, mail_server, web_service

HOSTILE = "x\r\nBcc: all@example.org\n\n\x1b[31m‮ä\0http://u:secret@h/"
PROCESS: dict[str, Any] = {
    "pid": 17, "parent": None, "root": 17, "class": "jobs:Scan", "state": "excepted", "step": "collect",
    "key": None, "queue": "default", "labels": {"study": "argon"}, "exit_status": None,
    "exit_message": "ValueError: no", "status": None,
}  # fmt: skip


def slow(_: Post) -> int:
    time.sleep(1)
    return 200


def receiver(text: str, folder: Path) -> Receiver:
    (folder / CONFIG).write_text(text)
    (found,) = locate(folder).receivers
    return found


def notice(event: Happening = Happening.FAILED, number: int = 1, **changes: Any) -> NoticeRow:
    return NoticeRow(f"17-failed-{number}", "ops", event, 0.0, PROCESS | changes, 1, 0.0)


def message(*notices: NoticeRow) -> Message:
    return messages_of(notices or [notice()], "0123456789ab")[0][0]


def test_a_workspace_that_says_all_this_is_found_again(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text(
        "[notify.a]\non = ['failed']\nwebhook = 'https://h/'\nheaders = {A = 'b'}\nlabels = {a = 'b'}\n"
        "[metrics]\nport = 9464\n[traces]\nendpoint = 'http://h/'\n[retention]\nolder-than = '30d'\n"
    )
    assert resolve(tmp_path) is resolve(tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("notify = 5", "notify must be a table, not a int"),
        ("[notify]\non = ['failed']", "on must be a table, "),
        ("[notify.'a b']\non = ['failed']", "'a b' is no name"),
        ("[notify.a]\ncommand = ['x']", "does not say of what it is told"),
        ("[notify.a]\non = ['fail']\ncommand = ['x']", "'fail' is none of failed, .*did you mean 'failed'"),
        ("[notify.a]\non = ['test']\ncommand = ['x']", "'test' is none of failed"),
        ("[notify.a]\non = ['failed']", "must have one of command, webhook, mail"),
        ("[notify.a]\non = ['failed']\ncommand = ['x']\nmail = ['a@b']", "must have one of"),
        ("[notify.a]\non = ['failed']\ncommand = 'x'", "command must be a list of texts, not a str"),
        ("[notify.a]\non = ['failed']\ncommand = ['']", "command must be a list of texts, none of them"),
        ("[notify.a]\non = ['failed']\nwebhook = 'ftp://x'", "webhook must be a URL of http or https"),
        ("[notify.a]\non = ['failed']\nwebhook = 'https://u:p@x'", "a secret belongs into the environment"),
        ("[notify.a]\non = ['failed']\nmail = ['a@b']\npassword = 'p'", "password stands in the file"),
        ("[notify.a]\non = ['failed']\nmail = ['a b']", "'a b' is no address of mail"),
        ("[notify.a]\non = ['failed']\nmail = ['a@b']\nfrom = \"a@b\\nTo: c@d\"", "is no address of mail"),
        ("[notify.a]\non = ['failed']\nmail = ['a@b']\nserver = 'x:25'", "server must be smtp://HOST:PORT"),
        ("[notify.a]\non = ['failed']\ncommand = ['x']\nlables = {a = 'b'}", "did you mean 'labels'"),
        ("[notify.a]\non = ['failed']\ncommand = ['x']\ntimeout = 1000", "timeout must be a number of"),
        ("[notify.a]\non = ['failed']\ncommand = ['x']\nroots = 1", "roots must be a true or false"),
        ("[notify.a]\non = ['failed']\ncommand = ['x']\ntimeout = true", "timeout must be a number, not"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(WorkspaceError, match=complaint):
        locate(tmp_path)


@pytest.mark.parametrize(
    ("filters", "changes", "wanted"),
    [
        ("", {}, True),
        ("classes = ['Scan']", {}, True),
        ("classes = ['jobs:Scan']", {}, True),
        ("classes = ['Relax']", {}, False),
        ("labels = {study = 'argon'}", {}, True),
        ("labels = {study = 'neon'}", {}, False),
        ("states = ['killed']", {}, False),
        ("states = ['killed']", {"state": "running"}, True),
        ("roots = true", {"parent": 3}, False),
    ],
)
def test_filters(tmp_path: Path, filters: str, changes: dict[str, Any], wanted: bool) -> None:
    one = receiver(f"[notify.a]\non = ['failed']\ncommand = ['x']\n{filters}\n", tmp_path)
    assert one.wants(Happening.FAILED, PROCESS | changes) is wanted
    assert one.wants(Happening.TROUBLE, {"text": "full"})


def test_what_is_said_of_each_kind() -> None:
    waits = {"state": "waiting", "signals": ["a", "b"]}
    said = {
        event: message(notice(event, **more)).text
        for event, more in (
            (Happening.FAILED, {}),
            (Happening.PAUSED, {"status": "held: its step failed: E"}),
            (Happening.WAITING, waits),
            (Happening.ENDED, {"state": "finished", "exit_status": 0, "exit_message": None, "step": None}),
        )
    }
    who = "process 17 (Scan, study=argon)"
    assert said == {
        Happening.FAILED: f"{who} has failed in step collect: ValueError: no",
        Happening.PAUSED: f"{who} is paused and waits for somebody: its step failed: E",
        Happening.WAITING: f"{who} waits for the signals a, b",
        Happening.ENDED: f"{who} has finished",
    }


def test_many_at_once_are_one_message() -> None:
    notices = [notice(number=n) for n in range(8)] + [notice(number=8, more=7)]
    ((several, told),) = messages_of(notices, "s")
    assert len(told) == 9
    assert several.text.startswith("16 things have happened: 9 Scan excepted")
    assert [one["id"] for one in several.document["notices"]] == [f"17-failed-{n}" for n in range(9)]
    assert len(messages_of([notice(number=n) for n in range(5)], "s")) == 5


def test_no_name_begins_a_header_or_acts_on_a_terminal(tmp_path: Path) -> None:
    one = receiver("[notify.a]\non = ['failed']\nmail = ['me@example.org']\n", tmp_path)
    changes: Any = {"exit_message": HOSTILE, "labels": {HOSTILE: HOSTILE}, "class": "m:x\n\x1b[31m"}
    hostile = notice(**changes)
    mail = mail_of(one, message(hostile))
    written = mail.as_bytes()
    assert b"\nBcc:" not in written.split(b"\r\n\r\n")[0]
    text = mail.get_content()
    assert not {"\x1b", "\0", "‮"} & set(text)
    assert "secret" not in message(hostile).text
    assert mail["Message-ID"] == "<17-failed-1@0123456789ab.quince>"


def test_mail_arrives_and_a_refusal_is_told(tmp_path: Path) -> None:
    with mail_server() as mails:
        one = receiver(
            "[notify.a]\non = ['failed']\nmail = ['me@example.org', 'you@example.org']\n"
            f"from = 'q@example.org'\nserver = 'smtp://127.0.0.1:{mails.port}'\n",
            tmp_path,
        )
        send(one, message(), tmp_path)
        (mail,) = mails.got
        assert mail["Subject"] == f"Quince: {message().text}"
        assert mails.to == [["me@example.org", "you@example.org"]]
        assert "`quince show 17` tells more." in mail.get_content()
        mails.refuse = "554 no\x1b[31m thanks"
        with pytest.raises(NotSent, match=r"127.0.0.1 answered 554: no\\x1b\[31m thanks"):
            send(one, message(), tmp_path)
    with pytest.raises(NotSent, match="takes no mail"):
        send(one, message(), tmp_path)


def test_a_webhook_gets_it_with_its_secrets_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_service() as web:
        one = receiver(
            "[notify.a]\non = ['failed']\nwebhook = '${HOOK}/x'\n"
            "headers = {Authorization = 'Bearer ${TOKEN}'}\ntimeout = 0.3\n",
            tmp_path,
        )
        with pytest.raises(NotSent, match="variable HOOK is not set"):
            send(one, message(), tmp_path)
        monkeypatch.setenv("HOOK", web.url)
        monkeypatch.setenv("TOKEN", "t0ken")
        send(one, message(), tmp_path)
        (post,) = web.posts
        assert (post.path, post.headers["Authorization"]) == ("/x", "Bearer t0ken")
        assert post.headers["Idempotency-Key"] == post.json["id"] == "17-failed-1"
        assert (post.json["event"], post.json["process"]["pid"]) == ("failed", 17)
        web.answer, web.body, web.headers = lambda _: 503, b"later\n\x1b", {"Retry-After": "77"}
        with pytest.raises(NotSent, match="answered 503: later") as refused:
            send(one, message(), tmp_path)
        assert refused.value.after == 77
        web.answer, web.headers = lambda _: 307, {"Location": f"{web.url}/elsewhere"}
        with pytest.raises(NotSent, match="answered 307"):
            send(one, message(), tmp_path)
        assert all(post.path == "/x" for post in web.posts)
        web.answer = slow
        with pytest.raises(NotSent, match="webhook"):
            send(one, message(), tmp_path)
    with pytest.raises(NotSent, match="does not answer"):
        send(one, message(), tmp_path)


def test_a_command_gets_it_on_its_standard_input(tmp_path: Path) -> None:
    def one(*words: str) -> Receiver:
        return Receiver("a", frozenset({Happening.FAILED}), command=words, timeout=0.5)

    send(one("sh", "-c", "cat > told"), message(), tmp_path)
    assert '"id":"17-failed-1"' in (tmp_path / "told").read_text()
    send(one("true"), message(notice(exit_message="x" * 500_000)), tmp_path)  # it reads nothing
    with pytest.raises(NotSent, match="sh ended with status 3: no"):
        send(one("sh", "-c", "echo no >&2; exit 3"), message(), tmp_path)
    with pytest.raises(NotSent, match="nowhere cannot be run"):
        send(one("/nowhere"), message(), tmp_path)
    with pytest.raises(NotSent, match="took longer than"):
        send(one("sh", "-c", "sleep 600 & echo $! > child; wait"), message(), tmp_path)
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not psutil.pid_exists(child), what="the end of what the command has begun")
