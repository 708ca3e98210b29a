"""Map and reduce: one process counts the words of each file, four at a time; the last step adds up.

quince run word_count.py:WordCount                             # the sonnets beside this file
quince submit word_count.py:WordCount folder=/usr/share/doc pattern='*/copyright' --wait
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from quince import ExitCode, WorkChain, WorkChainSpec, process


@process
def count(file: Path) -> dict[str, Counter[str]]:
    """How often each word stands in a file."""
    return {"words": Counter(re.findall(r"[a-z]+(?:'[a-z]+)?", file.read_text().lower()))}


class WordCount(WorkChain):
    """The words that are used most in all files of a folder."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input("folder", valid_type=Path, default=Path(__file__).parent / "texts")
        spec.input("pattern", valid_type=str, default="*.txt")
        spec.output("words", valid_type=int, help="how many there are")
        spec.output("most", valid_type=list, help="the ten that are used most, with how often")
        spec.exit_code(410, "NO_FILES", "no file in {folder} is called {pattern}")
        spec.exit_code(420, "UNREAD", "{count} files could not be read: {why}")
        spec.outline(cls.map_files, cls.reduce)

    def map_files(self) -> ExitCode | None:
        files = sorted(self.inputs.folder.glob(self.inputs.pattern))
        if not files:
            return self.exit_codes.NO_FILES.format(folder=self.inputs.folder, pattern=self.inputs.pattern)
        self.to_context(parts=self.map(count, [{"file": file} for file in files], at_once=4))
        return None

    def reduce(self) -> ExitCode | None:
        failed = [part for part in self.ctx.parts if not part.is_finished_ok]
        if failed:
            return self.exit_codes.UNREAD.format(count=len(failed), why=failed[0].exit_message)
        total: Counter[str] = Counter()
        for part in self.ctx.parts:
            total.update(part.outputs.words)
        self.out("words", total.total())
        self.out("most", total.most_common(10))
        return None
