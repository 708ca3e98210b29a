"""One place where text becomes terminal text, and one where records become log lines."""

from __future__ import annotations

import ast
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.table import Table

from quince.cli.output import complain, put, say
from quince.cli.results import values_table
from quince.cli.terminal import Styled, Text, block, show, show_json
from quince.logs import LineFormatter
from quince.text import UNSEEN, in_line, visible

ENGINE = Path(__file__).parents[3] / "engine" / "quince"
WRITERS = {"output.py", "terminal.py", "answer.py"}
"""The last one answers a shell, which wants words: it lets none through that is not printable."""
USES = (ast.Call, ast.Attribute)
WRITE = ("print", "typer.echo", "Console", "sys.stdout.write", "sys.stdout.writelines", "sys.stderr.write",
         "traceback.print_exc")  # fmt: skip

ACTING = [
    *(chr(code) for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"),
    *"\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202d\u202e\u2060\u2066\u2069\ufeff\ufff9",
    "\ud800", "\udcff", "\udfff", "\U000e0041",
]  # fmt: skip
HARMLESS = "plain äöü 漢字 😀 ✔ ● [red] [/] :smile: \\x1b"


def _calls(file: Path) -> list[str]:
    """What a module uses that writes to a terminal, or makes text for one."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        name = (
            ast.unparse(node.func if isinstance(node, ast.Call) else node) if isinstance(node, USES) else ""
        )
        if isinstance(node, ast.ImportFrom) and node.module in ("rich.text", "rich.markup", "rich.pretty"):
            found += [alias.name for alias in node.names if alias.name != "pretty_repr"]
        elif name in WRITE:
            found.append(name)
    return found


def test_nothing_else_writes_to_a_terminal() -> None:
    files = [
        file for file in ENGINE.rglob("*.py") if "testing" not in file.parts and file.name not in WRITERS
    ]
    assert len(files) > 70
    assert {str(file): found for file in files if (found := _calls(file))} == {}
    assert _calls(ENGINE / "cli" / "output.py"), "the test sees what it looks for"


@pytest.mark.parametrize("character", ACTING, ids=ascii)
def test_what_acts_or_is_not_seen_is_written_out(character: str) -> None:
    assert not UNSEEN.search(visible(f"a{character}b"))
    assert visible(f"a{character}b").startswith("a\\")


def test_it_is_written_as_python_writes_it() -> None:
    assert visible("\x1b\x9b\u202e\udcff\U000e0041") == r"\x1b\x9b\u202e\udcff\U000e0041"


def test_everything_else_is_left_alone() -> None:
    assert visible(HARMLESS) == HARMLESS == in_line(HARMLESS)
    assert visible("a\n\tb") == "a\n\tb"
    assert in_line("a\n\tb") == "a\\n\\tb"


def _show(text: str) -> None:
    show(Text(text))


def _append(text: str) -> None:
    show(Text("x").append(text))


@pytest.mark.parametrize("write", [put, say, complain, _show, _append])
def test_a_line_is_one_line(write: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    write(f"one\nFORGED{''.join(ACTING)}{HARMLESS}")
    said = "".join(capsys.readouterr())
    assert said.count("\n") == 1
    assert not UNSEEN.search(said)
    assert HARMLESS in said


def test_a_table_reads_no_markup_and_keeps_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(box=None)
    table.add_column("A")
    table.add_column("B")
    table.add_row("[red]key[/red] [/] :smile:", "x\nFORGED\x1b[2J")
    show(table)
    _, line = capsys.readouterr().out.splitlines()
    assert line.split() == ["[red]key[/red]", "[/]", ":smile:", "x\\nFORGED\\x1b[2J"]


def test_a_block_keeps_its_lines_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    show(Text.assemble("then  ", block("one\ntwo\x1b[2J", indent=6)))
    assert capsys.readouterr().out == "then  one\n      two\\x1b[2J\n"


class Hostile:
    def __repr__(self) -> str:
        return "\x1b]8;;http://evil\x07link\x1b[8m"


def test_what_reaches_a_console_all_the_same_is_cleaned_on_its_way_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Raw:
        def __rich__(self) -> str:
            return repr(Hostile())

    show(Styled("a\x1b[2Jb"))
    show(Raw())
    show(values_table({"value": [Hostile()]}))
    assert UNSEEN.findall(capsys.readouterr().out.replace("\n", "")) == []


def test_json_says_what_is_stored_and_acts_on_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    document = {" ".join(ACTING): [HARMLESS, "\n\t", *ACTING]}
    show_json(document)
    said = capsys.readouterr().out
    assert json.loads(said) == document
    assert not UNSEEN.search(said.removesuffix("\n"))
    assert HARMLESS.replace("\\", "\\\\") in said


def test_a_record_begins_a_line_and_nothing_else_does() -> None:
    formatter = LineFormatter("%(levelname)s: %(message)s")
    try:
        raise ValueError("bad\nERROR: forged\x1b[2J of amqp://user:s3cr3t@host/")
    except ValueError:
        said = ("a\r\nERROR: forged\x85ERROR: forged",)
        record = logging.LogRecord("x", logging.INFO, "f", 1, "of %s", said, sys.exc_info())
    lines = formatter.format(record).splitlines()
    assert lines[0] == "INFO: of a\\x0d"
    assert all(line.startswith("    ") for line in lines[1:])
    assert not UNSEEN.search("".join(lines))
    assert "s3cr3t" not in "".join(lines)
    assert "ValueError: bad" in "".join(lines)
