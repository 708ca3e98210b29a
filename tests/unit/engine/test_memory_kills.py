"""Where it is counted how often the kernel has killed for want of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from quince.worker import memory_kills


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("user.slice/memory.events", "low 0\nhigh 12\nmax 7\noom 3\noom_kill 2\n"),
        ("memory.events", "oom 3\noom_kill 2\noom_group_kill 0\n"),
        ("memory/jobs/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    ],
)
def test_the_control_group_is_asked_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, text: str
) -> None:
    counts = tmp_path / file
    counts.parent.mkdir(parents=True, exist_ok=True)
    counts.write_text(text)
    read = Path.read_text
    groups = "4:memory:/jobs\n3:cpuset:/\n0::/user.slice\n"
    own = Path("/proc/self/cgroup")
    monkeypatch.setattr(memory_kills, "_MOUNT", tmp_path)
    monkeypatch.setattr(Path, "read_text", lambda path: groups if path == own else read(path))
    memory_kills._counter.cache_clear()
    try:
        assert memory_kills.memory_kills() == 2
        counts.write_text(text.replace("oom_kill 2", "oom_kill 5"))
        assert memory_kills.memory_kills() == 5
    finally:
        memory_kills._counter.cache_clear()
