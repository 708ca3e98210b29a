"""A disk that can be filled without hurting anybody: a small tmpfs, which only root can mount."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[str | None]:
    """Mount a disk on a folder, which is made, for the time of the block.

    Args:
        size: As `mount` takes it: `8m`.

    Yields:
        None, or why there is none (the folder is then an ordinary one).
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        yield "only root can mount a small disk"
        return
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        yield f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}"
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(file: Path) -> None:
    """Write until nothing fits any more, and go on for a while: others give room back."""
    with file.open("ab", buffering=0) as ballast:
        for _ in range(30):
            for size in (1 << 20, 1 << 16, 1 << 12):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    continue
            time.sleep(0.02)
