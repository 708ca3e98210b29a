"""Every command, while everything that a store, a log and a command line can hold is hostile text."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from quince.cli.main import COMMANDS
from quince.hosts.output_files import OutputFiles
from quince.processes.error_record import ErrorRecord
from quince.text import UNSEEN
from quince.workspace.location import locate
from quince.workspace.workspace import open_store
from quince_persistence.codec import encode
from quince_persistence.records import NewProcess
from tests.forked import ForkServer
from tests.integration.commands import Quince

FORGED = "2030-01-31 12:00:00 FORGED"
HOSTILE = (
    "x\x1b[31mred\x1b[2J\x1b]8;;http://evil\x07link\x1b]8;;\x07\x9b31m\x08\x7f\r\n"
    f"{FORGED} \u202egnp.exe\u200b\u2028{FORGED}\x85{FORGED}\n{FORGED} [red]markup[/red] [/] :smile:"
)
ONE_LINE = HOSTILE.replace("\n", " ")
"""For a log, or what a step has printed, whose lines stand there as they are."""

STYLES = re.compile(r"\x1b\[[0-9;]*m")
"""What a terminal that has colours is sent by ourselves."""

EXCEPTED, FINISHED, PAUSED, WAITING, RUNNING, CHILD = range(1, 7)
STATES = {
    EXCEPTED: "excepted",
    FINISHED: "finished",
    PAUSED: "created",
    WAITING: "waiting",
    RUNNING: "running",
    CHILD: "killed",
}
EVENTS = [
    ("report", {"text": HOSTILE, "at": 1.0}),
    ("state", {"from": HOSTILE, "to": HOSTILE}),
    ("control", {"verb": HOSTILE, "reason": HOSTILE}),
    ("control", {"verb": "pause", "reason": HOSTILE}),
    ("signal", {"name": HOSTILE}),
    ("odd", {HOSTILE: HOSTILE}),
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, forks: ForkServer) -> Quince:
    """A workspace in which every text is."""
    folder = tmp_path_factory.mktemp("hostile")
    location = locate(folder)
    with open_store(location) as store:
        store.insert(
            [
                NewProcess(pid, "x:Y", encode({HOSTILE: HOSTILE, "in": {HOSTILE: [HOSTILE]}}, "inputs"))
                for pid in STATES
            ]
        ).result()
    story = ErrorRecord(HOSTILE, HOSTILE, f"Traceback of {HOSTILE}").encode()
    outputs = encode({HOSTILE: HOSTILE, "out": {HOSTILE: (HOSTILE,)}}, "outputs")
    with sqlite3.connect(folder / ".quince" / "quince.db") as database:
        database.execute(
            "UPDATE processes SET class_path = 'flows:' || ?, class_version = ?, queue = ?, key = pid || ?, "
            "status = ?, step = ?, exit_message = ?, intent_reason = ?",
            (HOSTILE,) * 8,
        )
        options = json.dumps({"labels": {HOSTILE: HOSTILE}})
        database.execute("UPDATE processes SET options = ?", (options,))
        database.execute("INSERT INTO labels SELECT pid, ?, ? FROM processes", (HOSTILE, HOSTILE))
        for pid, state in STATES.items():
            ended = time.time() if state in ("excepted", "finished", "killed") else None
            database.execute("UPDATE processes SET state = ?, ended = ? WHERE pid = ?", (state, ended, pid))
            database.execute(
                "INSERT INTO results VALUES (?, ?, ?)", (pid, outputs, story if pid == EXCEPTED else None)
            )
            database.executemany(
                "INSERT INTO events (pid, at, kind, body, author) VALUES (?, 1.0, ?, ?, ?)",
                [(pid, kind, json.dumps(body), HOSTILE) for kind, body in EVENTS],
            )
        database.execute("UPDATE processes SET parent = 1, root = 1 WHERE pid = ?", (CHILD,))
        database.execute("UPDATE processes SET paused = 1 WHERE pid = ?", (PAUSED,))
        mailbox = json.dumps({"missing": [HOSTILE]})
        database.execute(
            "UPDATE processes SET awaiting = 1, ready = 0, signals = ? WHERE pid = ?", (mailbox, WAITING)
        )
        database.execute(
            "UPDATE processes SET state = 'created', owner = ?, intent = 'pause' WHERE pid = ?",
            (HOSTILE, RUNNING),
        )
        database.execute(
            "INSERT INTO workers (id, host, ospid, name, queues, slots, state, started, heartbeat, troubles) "
            "VALUES (?, ?, 1, ?, ?, 1, 'running', 1.0, ?, ?)",
            (HOSTILE, HOSTILE, HOSTILE, json.dumps([HOSTILE]), time.time() + 1e6, json.dumps([HOSTILE])),
        )
    (folder / ".quince" / "logs").mkdir(exist_ok=True)
    (folder / ".quince" / "logs" / "worker-1.log").write_text(f"INFO of {ONE_LINE}\n{ONE_LINE}\n")
    output = OutputFiles(folder)
    output.make()
    output.of(FINISHED).write_text(f"{ONE_LINE}\n{ONE_LINE}")
    return Quince(folder, forks)


PIDS = [str(pid) for pid in STATES]
LOOKS: list[list[str]] = [
    ["ps"],
    ["ps", "--all"],
    ["ps", "--state", HOSTILE],
    ["ps", "--class", HOSTILE],
    ["ps", "--since", HOSTILE],
    ["ps", "--label", HOSTILE],
    ["ps", "--exit", HOSTILE],
    ["ps", "--failed", "--text", HOSTILE[:20]],
    ["show", f"{FINISHED}{HOSTILE}"],
    ["show", f"{FINISHED}{HOSTILE[:-1]}"],
    ["prune", "--older-than", HOSTILE],
    ["prune", "--all", "--dry-run", "--label", HOSTILE],
    ["tree", *PIDS],
    ["logs", *PIDS],
    ["logs", "--states", *PIDS],
    ["logs", "--output", *PIDS],
    ["logs", "--output", "-f", str(FINISHED)],
    *(["show", pid] for pid in PIDS),
    *(["why", pid] for pid in PIDS),
    ["result", *PIDS],
    ["wait", str(EXCEPTED), str(FINISHED), str(CHILD)],
    ["wait", str(WAITING), "--timeout", "0.1"],
    ["status"],
    ["doctor"],
    ["metrics"],
    ["metrics", "--json"],
    ["daemon", "status"],
    ["daemon", "logs"],
    ["daemon", "logs", HOSTILE],
    ["pause", *PIDS, "--reason", HOSTILE],
    ["play", *PIDS, "--reason", HOSTILE],
    ["signal", str(WAITING), HOSTILE],
    ["signal", str(WAITING), "name", "--value", HOSTILE],
    ["show", HOSTILE],
    ["submit", HOSTILE],
    ["submit", f"{HOSTILE}.py:X"],
    ["run", "steps.py:add", f"x={HOSTILE}"],
    ["run", "steps.py:add", f"{HOSTILE}=1"],
    ["run", "steps.py:add", f"@{HOSTILE}"],
    ["submit", "steps.py:add", "x=1", "--key", f"{FINISHED}{HOSTILE}"],
    ["copy", "--to", HOSTILE],
    ["worker", "--folder", HOSTILE],
    ["init", "--store", f"postgresql://u:{HOSTILE}@127.0.0.1:1/x"],
    ["init", "--broker", HOSTILE],
    ["-C", HOSTILE, "ps"],
    [HOSTILE],
    ["ps", f"--{HOSTILE}"],
    ["show", "1", "--debug", "--workspace", HOSTILE],
    ["retry", str(WAITING), "--reason", HOSTILE],
    ["restart", str(FINISHED), "--from", HOSTILE],
    ["set", str(WAITING), f"priority={HOSTILE}"],
    ["limit", "set", HOSTILE, "4"],
    ["schedule", "show", HOSTILE],
    ["top", "--state", HOSTILE],
    ["help", HOSTILE],
    ["graph", HOSTILE],
    ["graph", str(WAITING)],
    ["web", "--port", HOSTILE],
    ["notify", HOSTILE],
    ["kill", *PIDS, "--reason", HOSTILE],
]
JSON = [
    ["ps"],
    ["tree", *PIDS],
    ["logs", *PIDS],
    ["logs", "--output", *PIDS],
    ["show", *PIDS],
    ["why", *PIDS],
    ["result", *PIDS],
    ["status"],
    ["daemon", "status"],
    ["doctor"],
]


COLOURS = {"FORCE_COLOR": "1", "COLUMNS": "300"}
DRAWN = ("tree", "status", "doctor", "show")


def test_every_command_is_walked() -> None:
    assert {word for words in LOOKS for word in words} >= set(COMMANDS)


@pytest.mark.parametrize(
    ("words", "variables"),
    [*((words, {}) for words in LOOKS), *((words, COLOURS) for words in LOOKS if words[0] in DRAWN)],
)
def test_nothing_hostile_reaches_the_terminal(
    hostile: Quince, words: list[str], variables: dict[str, str]
) -> None:
    ended = hostile.raw(*words, **variables)
    said = ended.out + ended.err
    assert said, "every one of them says something"
    plain = STYLES.sub("", said) if variables else said
    assert UNSEEN.findall(plain.replace("\n", "")) == []
    assert [line for line in plain.splitlines() if line.startswith("2030")] == []
    assert "unexpected" not in said, "no command stumbles over it"


@pytest.mark.parametrize("words", JSON, ids=lambda words: words[0])
def test_json_says_what_is_there(hostile: Quince, words: list[str]) -> None:
    ended = hostile.raw(*words, "--json")
    assert UNSEEN.findall(ended.out.replace("\n", "")) == []
    texts = list(_texts(json.loads(ended.out)))
    assert words[0] == "daemon" or any(HOSTILE in text or ONE_LINE in text for text in texts)


def test_keys_and_reasons_are_no_markup(hostile: Quince) -> None:
    said = hostile.good("show", str(PAUSED), COLUMNS="1000").out
    assert said.count("[red]markup[/red] [/] :smile:") >= 8


def _texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from (key, *_texts(value))
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value)
