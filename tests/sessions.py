"""What a page of docs shows as files and commands, done as a reader does it, and compared with what it shows.

In such a page

- "```python" and "```toml" whose first line is `# name.py` or `# quince.toml` are files;
- "```console" is a session: its lines that begin with `$ ` are run (`ada$ `, `bob$ `: on the host of that
  name, which is a folder of its own). What stands below a command must be printed by it, in this order;
  `...` stands for any lines. Numbers, times and widths may differ; a pid that a reader would have to type is
  the one that was printed in its place;
- below a command that fails stands what it complains about: a line that begins with `error:`;
- a command that only looks is run again until what is shown has come about;
- "fragment" in the first line of a block: it is only shown.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.crew import eventually
from tests.forked import ForkServer
from tests.integration.commands import Quince

_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^(\w*)\$ (.*)$", flags=re.MULTILINE)
_FILE = re.compile(r"# ([\w.]+\.(?:py|toml))\n")
_PID = re.compile(r"^(?:submitted |[│├└─ ]*|worker-\d +\d+ +)(\d+)\b")
_LOOKS = {
    "ps", "tree", "show", "why", "status", "logs", "limit show", "limit ls", "schedule ls", "daemon status",
}  # fmt: skip


class NotAsShown(AssertionError):
    """A command did not print what the page says."""


@dataclass
class Session:
    """A reader of one page.

    Attributes:
        root: Where the folders of hosts are made.
        said: What stands in the page for what is here, such as URLs of servers.
    """

    root: Path
    forks: ForkServer
    said: Mapping[str, str] = field(default_factory=dict)
    _pids: dict[str, str] = field(default_factory=dict)
    _hosts: list[str] = field(default_factory=list)

    def read(self, page: Path) -> int:
        """Do all that it shows; says how many commands that were."""
        commands = 0
        for language, words, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
            if "fragment" in words.split():
                continue
            if language in ("python", "toml") and (name := _FILE.match(text)):
                for host in self._hosts or [""]:
                    (self._folder(host) / name[1]).write_text(self._here(text), encoding="utf-8")
            elif language == "console":
                for host, command, shown in _commands(self._here(text)):
                    self._do(host, command, shown)
                    commands += 1
        return commands

    def close(self) -> None:
        """Stop the daemons."""
        for host in self._hosts:
            self._run(host, "quince daemon stop --timeout 2")

    def _do(self, host: str, command: str, shown: list[str]) -> None:
        def done() -> bool:
            status, printed = self._run(host, command)
            failing = any(line.startswith("error:") for line in shown)
            if bool(status) != failing:
                raise NotAsShown(f"$ {command}\nended with {status}:\n{printed}")
            return self._matches(shown, printed.splitlines(), last)

        last: list[str] = []
        words = command.split()
        looks = {" ".join(words[1:2]), " ".join(words[1:3])} & _LOOKS and "-f" not in words
        try:
            eventually(done, timeout=60 if looks else 0.01, what=command)
        except AssertionError as error:
            raise NotAsShown("\n".join([f"$ {command}", "printed", *last, "and not", *shown])) from error

    def _matches(self, shown: list[str], printed: list[str], last: list[str]) -> bool:
        last[:] = printed
        left, found = iter(printed), []
        for line in shown:
            if line.strip() in ("", "..."):
                continue
            match = next((other for other in left if _plain(other) == _plain(line)), None)
            if match is None:
                return False
            found.append((line, match))
        for line, match in found:
            theirs, ours = _PID.match(line), _PID.match(match)
            if theirs and ours:
                self._pids[theirs[1]] = ours[1]
        return True

    def _run(self, host: str, command: str) -> tuple[int, str]:
        text = re.sub(r"(?<= )\d+(?= |$)", lambda pid: self._pids.get(pid[0], pid[0]), command)
        folder, environment = (
            self._folder(host),
            Quince.environment(**({"QUINCE_HOST": host} if host else {})),
        )
        words = shlex.split(text, comments=True)
        if words[0] == "quince" and not {"|", ">", "&&"} & {*words} and self.forks.can_run(environment):
            done = self.forks.run(words[1:], cwd=folder, env=environment, timeout=90)
            return done.returncode, done.stdout + done.stderr
        ended = subprocess.run(
            ["sh", "-ec", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=90
        )
        return ended.returncode, ended.stdout + ended.stderr

    def _here(self, text: str) -> str:
        for theirs, ours in self.said.items():
            text = text.replace(theirs, ours)
        return text

    def _folder(self, host: str) -> Path:
        folder = self.root / (host or "laptop")
        if host not in self._hosts:
            folder.mkdir()
            for first in self._hosts[-1:]:  # as a reader copies a project
                for file in (*self._folder(first).glob("*.py"), *self._folder(first).glob("*.toml")):
                    shutil.copy(file, folder)
            self._hosts.append(host)
        return folder


def _commands(text: str) -> Iterator[tuple[str, str, list[str]]]:
    starts = [*_PROMPT.finditer(text)]
    for start, end in zip(starts, [*(one.start() for one in starts[1:]), len(text)], strict=True):
        yield start[1], start[2], text[start.end() : end].splitlines()


def _plain(line: str) -> str:
    """A line without what differs from one time to the next."""
    line = re.sub(r"^submitted (\d+) \(.*\)$", r"\1", line)  # what it says in a pipe
    return " ".join(re.sub(r"\d+(\.\d+)?", "0", line).split())
