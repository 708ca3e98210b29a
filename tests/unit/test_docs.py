"""The documentation: no link leads nowhere; the reference and the navigation have all that there is."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pymdownx.slugs import slugify

from quince.cli import pages
from quince.cli.help import MADE, text_of
from quince.cli.main import COMMANDS
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


CALLED = re.compile(r"(?:^|`|\$ |&& )quince ([^`|>#\n]*)", flags=re.MULTILINE)


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_is_one(page: Path) -> None:
    """With options that it has; as far as a line can be read as words."""
    known = {command.name: command for command in commands()}
    wrong = []
    for line in CALLED.findall(page.read_text(encoding="utf-8")):
        words = re.sub(r"^(--debug|-C \S+|--workspace \S+) ", "", line).split()
        name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in known), "")
        options = {option for one in known[name].parameters for option in one.names} | {"--help", "--debug"}
        given = [word.partition("=")[0].rstrip(".,;:)'") for word in words if re.match(r"--\w", word)]
        if (not name and re.match(r"[a-z]+\b", line)) or {*given} - options:
            wrong.append(line)
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
