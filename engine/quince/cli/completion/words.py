"""A line that somebody types, taken apart as a shell does it, up to the cursor."""

from __future__ import annotations

import re
from pathlib import PurePath

_BLANK, _APART = " \t\n", frozenset({"|", "||", "&", "&&", ";", "(", "{", "!"})


def words_of(line: str, program: str = "quince") -> list[str]:
    """The words of the last command of that name in a line, without the name; the last one is being typed."""
    words = _split(line)
    starts = [place for place, word in enumerate(words[:-1]) if PurePath(word).name == program]
    return words[starts[-1] + 1 :] if starts else words[-1:]


def _split(line: str) -> list[str]:
    words: list[str] = []
    word, quote, escaped = "", "", False
    for letter in line:
        if escaped:
            word, escaped = word + letter, False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote, word = ("", word) if letter == quote else (quote, word + letter)
        elif letter in "'\"":
            quote = letter
        elif letter in _BLANK:
            words, word = [*words, word] if word else words, ""
        else:
            word += letter
    return [*words, word]


def replaced_by_bash(word: str) -> int:
    """How many letters of a word bash leaves as they are: those up to the last of its word breaks."""
    found = re.search(r"^.*[:=]", word)
    return found.end() if found else 0
