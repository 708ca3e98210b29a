"""What all parts of the engine agree on: names of files and of environment variables, and defaults."""

from __future__ import annotations

import os
import socket

DEFAULT_SLOTS = 64

LINGER_SECONDS = 2.0

GRACE_SECONDS = 30.0
NO_CEILING = 1e9
"""Seconds that are never over: what steps get with `--timeout none` when their worker is to leave."""

KILL_GRACE_SECONDS = 5.0
"""Seconds that a step has to end when it is killed, if `kill_grace` in `quince.toml` does not say."""

READY_VARIABLE = "QUINCE_READY_FD"
"""Number of a file descriptor on which a worker says that it is ready (or why it is not)."""

SETTINGS = "daemon.json"
"""The file with the daemon's settings, in the folder of the workspace's own files."""

SUPERVISOR_VARIABLE = "QUINCE_SUPERVISOR"
"""Process id of the daemon, with which its workers end."""

STORE_VARIABLE = "QUINCE_STORE"

BROKER_VARIABLE = "QUINCE_BROKER"

CONFIG = "quince.toml"

STATE = ".quince"

MESSAGES = "messages"

DAEMON_LOCK = "daemon.lock"

LOG_FORMAT_VARIABLE = "QUINCE_LOG_FORMAT"
"""`text` or `json`: how a worker writes its log."""

LOG_LEVEL_VARIABLE = "QUINCE_LOG"

LOG_SIZE, LOG_FILES = "QUINCE_LOG_MB", "QUINCE_LOG_FILES"
"""Megabytes after which the log of a daemon, or of one of its workers, is begun anew; how many of before are
kept of each."""

OUTPUT_SIZE, OUTPUT_TOTAL = "QUINCE_OUTPUT_MB", "QUINCE_OUTPUT_TOTAL_MB"
"""Megabytes after which the file with what a process prints is begun anew, with one of before kept; and of
all such files, above which those of processes that ended long ago go."""

SIZES = {LOG_SIZE: 50, LOG_FILES: 4, OUTPUT_SIZE: 8, OUTPUT_TOTAL: 1000}
"""What holds if the environment does not say otherwise."""

CHECK_VARIABLE = "QUINCE_CHECK"
"""`1`: round-trip each checkpoint, in daemon workers too. `0`: not even in `run()`."""

HEARTBEAT_SECONDS = 2.0

EXPIRY_SECONDS = 6.5


def host_name() -> str:
    """The name under which this host's locks are believed."""
    return os.environ.get("QUINCE_HOST") or socket.gethostname()
