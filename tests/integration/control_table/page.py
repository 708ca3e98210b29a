"""The table of docs/control.md, read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "control.md"
VERBS = ("pause", "pause --now", "play", "kill", "kill --force", "retry", "status")
WORDS = ("now", "at once", "within 2 s", "grace", "step's end", "return", "refused")


@dataclass(frozen=True)
class Row:
    """One state, and what each verb is answered in it."""

    name: str
    backends: tuple[str, ...]
    answers: dict[str, str]


def rows() -> list[Row]:
    """The rows of the table, in its order."""
    lines = iter(PAGE.read_text().splitlines())
    heading = next(cells for line in lines if (cells := _cells(line))[:1] == ["row"])
    next(lines)
    table: list[Row] = []
    for line in lines:
        cells = _cells(line)
        if not cells:
            return table
        found = dict(zip(heading, cells, strict=True))
        on = found["on"]
        backends = ("embedded", "servers") if on == "both" else (on,)
        table.append(Row(found["row"].strip("`"), backends, {verb: found[verb] for verb in VERBS}))
    raise ValueError(f"{PAGE} ends within its table")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
