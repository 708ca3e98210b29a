"""Bad input on the command line: one sentence, an exit status, no traceback, nothing half-written."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from quince.workspace.location import locate
from quince.workspace.workspace import open_store
from tests.forked import ForkServer
from tests.integration.commands import Quince

NOBODY = "127.0.0.1:1"
"""An address where nothing listens."""


@pytest.fixture
def made(quince: Quince) -> Quince:
    """A workspace whose store is there, and empty."""
    open_store(locate(quince.folder)).close()
    return quince


@pytest.fixture
def quince(tmp_path: Path, forks: ForkServer) -> Quince:
    return Quince(tmp_path, forks)


@pytest.mark.parametrize("verb", ["run", "submit"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere:Part"], "there is no module 'nowhere'"),
        (["nowhere.py:Part"], "there is no file 'nowhere.py'"),
        (["steps.py:Party", "n=1"], "steps.py has no 'Party'; it has"),
        (["steps:Party", "n=1"], "steps has no 'Party'; it has"),
        (["steps.py", "n=1"], "several process classes"),
        (["steps.py:Any", "n=1"], "is no process class"),
        (["not a target"], "is no target: write module:Class or file.py:Class"),
        (["broken.py:Part"], "importing broken.py failed with SyntaxError"),
        (["raises:Part"], "importing raises failed with RuntimeError: no licence"),
        (["leaves.py:Part"], "importing leaves.py failed with SystemExit"),
        (["steps.py:Part"], "Part: input 'n': required value was not provided"),
        (["steps.py:Part", "n=many"], "input 'n': it is 'many', and must be int; write a whole number: 3"),
        (["steps.py:Part", "n=1", "m=2"], "Part has no input 'm'; it takes gate, n"),
        (["steps.py:add", "x=1.5"], "add: input 'x'"),
        (["defaults.py:Strange"], "inputs.box"),
    ],
)
def test_what_cannot_be_launched(quince: Quince, verb: str, words: list[str], sentence: str) -> None:
    (quince.folder / "broken.py").write_text("class Part(:\n")
    (quince.folder / "raises.py").write_text("raise RuntimeError('no licence')\n")
    (quince.folder / "leaves.py").write_text("raise SystemExit(3)\n")
    (quince.folder / "defaults.py").write_text(
        "from quince import Process\n"
        "class Strange(Process):\n"
        "    @classmethod\n"
        "    def define(cls, spec):\n"
        "        super().define(spec)\n"
        "        spec.input('box', default=lambda: object())\n"
        "    async def run(self): ...\n"
    )
    ended = quince(verb, *words)
    assert sentence in ended.complaint()
    assert (ended.status, ended.out) == (1, "")
    assert _written(quince) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["show", "99"], "there is no process 99"),
        (["tree", "98", "99"], "there is no process 98, 99"),
        (["logs", "99"], "there is no process 99"),
        (["result", "99"], "there is no process 99"),
        (["wait", "99"], "there is no process 99"),
        (["ps", "99"], "there is no process 99"),
        (["pause", "99"], "there is no process 99"),
        (["kill", "99", "--tree"], "there is no process 99"),
        (["daemon", "scale", "3"], "no daemon runs"),
        (["daemon", "restart"], "no daemon runs"),
        (["daemon", "logs"], "no daemon has run here"),
        (["-C", "nowhere", "ps"], "there is no folder nowhere"),
    ],
)
def test_what_is_not_there(made: Quince, words: list[str], sentence: str) -> None:
    ended = made(*words)
    assert sentence in ended.complaint()
    assert (ended.status, ended.out) == (1, "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fly"], "No such command 'fly'"),
        (["shw"], "Did you mean 'show'?"),
        (["ps", "--colour"], "No such option: --colour"),
        (["ps", "--state", "asleep"], "'asleep' is no state: created, running, waiting"),
        (["ps", "--since", "noon"], "is no time"),
        (["ps", "--limit", "0"], "--limit"),
        (["ps", "--tree"], "--tree wants pids"),
        (["pause"], "say which processes to pause: pids, a filter as --state waiting, or --all"),
        (["play"], "say which processes to play"),
        (["kill", "--force"], "say which processes to kill"),
        (["kill", "1", "--all"], "contradict each other"),
        (["show"], "say which processes"),
        (["wait", "1", "--timeout", "soon"], "--timeout"),
        (["submit"], "Missing argument"),
        (["submit", "steps.py:Part", "n"], "'n' is no input: write name=value"),
        (["submit", "steps.py:Part", "@none.json"], "cannot read the inputs in 'none.json'"),
        (["submit", "steps.py:Part", "n=1", "--priority", "10"], "--priority"),
        (["daemon", "start", "-n", "0"], "-n"),
        (["daemon", "fly"], "No such command 'fly'"),
    ],
)
def test_wrong_usage(made: Quince, words: list[str], sentence: str) -> None:
    ended = made(*words)
    complaint = ended.complaint()
    assert sentence in complaint
    assert "--help)" in complaint
    assert (ended.status, ended.out) == (2, "")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://u:s3cret@host/db", "not with mysql"),
        ("nonsense", "is not a database URL"),
        (f"postgresql://u:s3cret@{NOBODY}/db", NOBODY.partition(":")[0]),
        ("sqlite:////nowhere/at/all/quince.db", "/nowhere/at/all"),
    ],
)
def test_a_store_that_cannot_be_had(quince: Quince, url: str, sentence: str) -> None:
    for words in (["ps"], ["submit", "steps.py:Part", "n=1"], ["daemon", "start"]):
        ended = quince(*words, QUINCE_STORE=url)
        assert sentence in ended.complaint()
        assert "s3cret" not in ended.err
        assert (ended.status, ended.out) == (1, "")
    document = quince("status", "--json", QUINCE_STORE=url)
    assert document.status == 1
    assert (document.document["store"]["ok"], document.document["broker"]["ok"]) == (False, True)
    assert "s3cret" not in document.out
    refused = quince("init", "--store", url)
    assert refused.status == 1
    assert not (quince.folder / "quince.toml").exists()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("http://host/", "is no broker URI"),
        ("amqp://", "names no host"),
        (f"amqp://u:s3cret@{NOBODY}/", NOBODY),
    ],
)
def test_a_broker_that_cannot_be_had(quince: Quince, uri: str, sentence: str) -> None:
    for words in (["submit", "steps.py:Part", "n=1"], ["run", "steps.py:Part", "n=1"], ["daemon", "start"]):
        ended = quince(*words, QUINCE_BROKER=uri)
        assert sentence in ended.complaint()
        assert "s3cret" not in ended.err
        assert (ended.status, ended.out) == (1, "")
    assert quince.good("ps", "--json", QUINCE_BROKER=uri).document == []
    told = quince("status", QUINCE_BROKER=uri)
    assert (told.status, told.err) == (1, "")
    assert sentence in told.out
    assert "s3cret" not in told.out
    refused = quince("init", "--broker", uri)
    assert refused.status == 1
    assert not (quince.folder / "quince.toml").exists()


@pytest.mark.parametrize(
    ("variable", "url"), [("QUINCE_STORE", "sqlite://"), ("QUINCE_BROKER", "memory://x")]
)
def test_what_needs_other_programs_is_refused_in_memory(quince: Quince, variable: str, url: str) -> None:
    for words in (["submit", "steps.py:Part", "n=1"], ["daemon", "start"], ["worker"]):
        ended = quince(*words, **{variable: url})
        assert f"{url} lives in the memory of one program" in ended.complaint()
        assert (ended.status, ended.out) == (1, "")


def test_processes_are_seen_and_controlled_without_a_broker(quince: Quince) -> None:
    pid = quince.submit("steps.py:Part", "n=1")
    nobody = f"amqp://u:p@{NOBODY}/"
    paused = quince("pause", str(pid), "--json", QUINCE_BROKER=nobody)
    assert (paused.status, json.loads(paused.out)[0]["applied"]) == (0, True)
    assert quince.good("show", str(pid), "--json", QUINCE_BROKER=nobody).document["paused"] is True


@pytest.mark.parametrize(
    "words",
    [
        ["ps"], ["status"], ["doctor"], ["show", "1"], ["tree", "1"], ["logs", "1"], ["why", "1"],
        ["result", "1"], ["wait", "--all"], ["kill", "--all"], ["signal", "1", "go"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_who_only_looks_makes_no_workspace(quince: Quince, words: list[str]) -> None:
    ended = quince(*words)
    assert ended.status == 1
    assert ended.complaint().startswith(f"there is no workspace in {quince.folder} yet")
    assert not (quince.folder / ".quince").exists()


@pytest.mark.parametrize("name", ["ünï", "", "q" * 201])
def test_a_queue_that_no_broker_can_have(quince: Quince, name: str) -> None:
    ended = quince("submit", "steps.py:Part", "n=1", "--queue", name)
    assert "the name of a queue" in ended.complaint()
    assert (ended.status, _written(quince)) == (1, 0)


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_what_is_refused_makes_no_workspace(quince: Quince, verb: str) -> None:
    assert "it is 'many', and must be int" in quince(verb, "steps.py:Part", "n=many").complaint()
    assert not (quince.folder / ".quince").exists()


def test_a_store_of_a_newer_schema(quince: Quince) -> None:
    quince.good("init")
    with contextlib.closing(sqlite3.connect(quince.folder / ".quince" / "quince.db")) as database, database:
        database.execute("UPDATE quince_schema SET version_num = '9999'")
    for words in (["ps"], ["run", "steps.py:Part", "n=1"]):
        ended = quince(*words)
        assert ended.status == 1
        assert "9999" in ended.complaint()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("store = ", "quince.toml cannot be read"), ("stroe = 'x'", "'stroe'"), ("store = 3", "store must be")],
)
def test_a_config_that_says_something_else(quince: Quince, text: str, sentence: str) -> None:
    (quince.folder / "quince.toml").write_text(text)
    ended = quince("ps")
    assert sentence in ended.complaint()
    assert ended.status == 1


def test_an_exception_in_a_step_is_kept_and_shown(quince: Quince) -> None:
    failed = quince("run", "steps.py:Part", "n=-1")
    assert failed.status == 1
    assert any(line.startswith("error: process ") for line in failed.err.splitlines())
    (row,) = quince.good("ps", "--json").document
    assert "ValueError: -1 is negative" in quince.good("show", str(row["pid"])).out


def test_debug_shows_where_an_error_comes_from(made: Quince) -> None:
    for words, environment in ((("--debug",), {}), ((), {"QUINCE_DEBUG": "1"})):
        ended = made.raw("show", "99", *words, **environment)
        assert "Traceback" in ended.err
        assert ended.err.splitlines()[-1].startswith("error: there is no process 99")


def _written(quince: Quince) -> int:
    """How many processes are in the store, if there is one."""
    file = quince.folder / ".quince" / "quince.db"
    if not file.exists():
        return 0
    with contextlib.closing(sqlite3.connect(file)) as database:
        (count,) = database.execute("SELECT count(*) FROM processes").fetchone()
    return int(count)
