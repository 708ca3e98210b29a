"""The documentation: no link leads nowhere; the reference and the navigation have all that there is."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from pymdownx.slugs import slugify
from typer.main import get_command

from quince.cli import pages
from quince.cli.help import MADE, text_of
from quince.cli.main import COMMANDS, app
from quince.cli.reference.commands import commands
from quince.cli.reference.markdown import commands_page
from quince.cli.reference.names import FACES, names_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
ALL = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]
FENCED = re.compile(r"^( *)(```+|~~~+).*?^ *\2", flags=re.MULTILINE | re.DOTALL)
SITE = {"commands.md": commands_page, "python.md": names_page}
"""Pages that are made when the site is, and when `quince help` is called."""


@cache
def prose(page: Path) -> str:
    """A page without its code blocks."""
    made = SITE.get(page.name) if page.parent == ROOT / "docs" else None
    return FENCED.sub("", made() if made else page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Those of its headings, as the site makes them, and GitHub."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    slug = slugify(case="lower")
    return frozenset(slug(re.sub(r"[`*]", "", heading), "-") for heading in headings)


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_leads_nowhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", prose(page))
    broken = []
    for link in (one or other for one, other in links):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        made = target.parent == ROOT / "docs" and target.name in SITE
        if not (made or target.exists()) or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_pages_of_the_site_link_to_no_file_outside_of_it() -> None:
    assert [page.name for page in PAGES if re.search(r"\]\((\.\./|/)", prose(page))] == []


def test_every_page_is_in_the_navigation_and_on_the_first_page_once() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    named = re.findall(r"'([\w-]+)\.md'", str(nav))
    chapters = {page.stem for page in PAGES} | {name.removesuffix(".md") for name in SITE}
    assert sorted(named) == sorted(chapters)
    assert sorted(pages.topics()) == sorted(chapters - {pages.INDEX})


@pytest.mark.parametrize("topic", sorted(pages.topics()))
def test_every_chapter_is_shown_by_help(topic: str) -> None:
    text = text_of(topic)
    assert text == (MADE[topic]() if topic in MADE else (ROOT / "docs" / f"{topic}.md").read_text())
    assert "fragment\n" not in pages.for_terminals(text)


def test_the_reference_has_every_command_and_option() -> None:
    page = commands_page()
    assert {command.words[1] for command in commands() if command.name} == {*COMMANDS}
    for command in commands():
        section = page.partition(f"# `{' '.join(command.words)}`\n")[2].partition("\n## ")[0]
        assert command.summary
        assert command.usage in section
        assert [
            one for one in command.parameters if f"`{one.names[0]}`" not in section and not one.positional
        ] == []
        assert [one for one in command.parameters if not one.help and one.names[0] != "--help"] == []


@pytest.mark.parametrize("face", sorted(FACES))
def test_the_reference_has_every_public_name(face: str) -> None:
    module: Any = importlib.import_module(face)
    headings = re.findall(r"^### `([\w.]+)`$", names_page(), flags=re.MULTILINE)
    assert {*module.__all__} <= {*headings}


SHELL = re.compile(r"^ *```(sh|console)[^\n]*\n(.*?)^ *```", flags=re.MULTILINE | re.DOTALL)
CALLED = re.compile(r"(?:^|[|&;] |\$ )(quince|make|(?:\S*/)?python -m) (.*)")
USAGE_ERROR: type[BaseException] = typer.BadParameter.__mro__[1]
DONE_AT_ONCE = {"--help", "--version", "--install-completion"}
"""Options that would be done while they are parsed."""


def shell_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands of this project in the blocks for a shell, up to a pipe: the program, and the words."""
    for language, code in SHELL.findall(page.read_text(encoding="utf-8")):
        for line in code.replace("\\\n", " ").splitlines():
            if (found := CALLED.search(line)) and ("$ " in line or language == "sh"):
                yield found[1], words_of(found[2])


def words_of(line: str) -> list[str]:
    """As a shell would take them, up to what goes into a pipe or a file."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    return list(itertools.takewhile(lambda word: not set(word) <= set("|&;<>()"), lexer))


def parse(words: list[str]) -> None:
    """Have the command line take the words after `quince`, and do nothing.

    Raises:
        USAGE_ERROR: it does not.
    """
    command: Any = get_command(app)
    words = words[2:] if words[:1] in (["-C"], ["--workspace"]) else words
    while hasattr(command, "list_commands") and words and not DONE_AT_ONCE & {*words}:
        group, command = command, command.get_command(None, words[0])
        assert command is not None, f"{words[0]} is none of {group.list_commands(None)}"
        words = words[1:]
        if not hasattr(command, "list_commands"):
            command.make_context(command.name, words)


def wrong_of(program: str, words: list[str]) -> str | None:
    """What is wrong with a command that a page shows."""
    if program == "quince":
        try:
            parse(words)
        except (USAGE_ERROR, AssertionError) as error:
            return f"quince {' '.join(words)}: {type(error).__name__} {error}"
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        if words[0] not in targets:
            return f"make {words[0]}"
    elif importlib.util.find_spec(words[0]) is None:
        return f"python -m {words[0]}"
    return None


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_a_block_can_be_called_so(page: Path) -> None:
    """It has these arguments and options, with values that they take."""
    assert [wrong for shown in shell_commands(page) if (wrong := wrong_of(*shown))] == []


def test_commands_in_blocks_are_found() -> None:
    assert sum(1 for page in ALL for _ in shell_commands(page)) > 80
    wrong = ["ps --stat x", "limit st x", "pause 1 --reason", "submit", "daemon start -n none", "nothing"]
    assert [words for words in wrong if wrong_of("quince", words.split()) is None] == []
    assert wrong_of("quince", words_of("ps --json | jq .[] > file # all")) is None


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_text_names_is_one(page: Path) -> None:
    """With options that it has; what it needs may be left out."""
    wrong = []
    for span in re.findall(r"`(quince [^`]+)`", SHELL.sub("", page.read_text(encoding="utf-8"))):
        try:
            parse(words_of(span)[1:])
        except (USAGE_ERROR, AssertionError) as error:
            if type(error).__name__ != "MissingParameter":
                wrong.append(f"{span}: {error}")
    assert wrong == []


def test_nothing_is_fetched_from_elsewhere() -> None:
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    assert project["theme"]["font"] is False
    assert "http" not in str(project)


def test_a_topic_that_is_none_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "quince.cli.main", "help", "contrl"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "did you mean 'control'" in done.stderr
    assert "schedules" in done.stderr


@pytest.mark.parametrize(
    ("topic", "found"),
    [
        ("limit set", "quince limit set [OPTIONS] NAME [N]"),
        ("quince pause", "quince pause [OPTIONS] [PID]..."),
        ("Retry", "How often a step is tried"),
        ("ProcessHandle.pause", "reason: str | None = None"),
    ],
)
def test_commands_and_names_are_topics_too(topic: str, found: str) -> None:
    assert found in text_of(topic)
