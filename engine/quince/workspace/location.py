"""Where a workspace is, and how it is found: arguments, environment, `quince.toml` or `.quince/`."""

from __future__ import annotations

import fcntl
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quince.errors import WorkspaceError
from quince.settings import (
    BROKER_VARIABLE,
    CONFIG,
    DAEMON_LOCK,
    KILL_GRACE_SECONDS,
    MESSAGES,
    STATE,
    STORE_VARIABLE,
)
from quince.workspace.observation import Metrics, Traces, metrics_of, traces_of
from quince.workspace.receivers import Receiver, receivers_of
from quince.workspace.retention import KEEP_ALL, Retention, retention_of
from quince.workspace.trust import require_trusted
from quince_messaging.passwords import without_password
from quince_messaging.uri import DEFAULT_PREFIX, folder_of, folder_uri, parse_uri
from quince_persistence.databases.sqlite_url import file_of, file_url

_SETTINGS: dict[str, tuple[str, tuple[type, ...]]] = {
    "store": ("text", (str,)),
    "broker": ("text", (str,)),
    "modules": ("list", (list,)),
    "kill_grace": ("number", (int, float)),
    "on_failure": ("text", (str,)),
    "retention": ("table", (dict,)),
    "keep_checkpoints": ("true or false", (bool,)),
    "notify": ("table", (dict,)),
    "metrics": ("table", (dict,)),
    "traces": ("table", (dict,)),
}
"""What `quince.toml` may say, and what that must be."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a workspace is, before anything is opened.

    Attributes:
        folder: Its folder: workers import users' modules from there.
        store: SQLAlchemy URL.
        broker: URI of the messages.
        allowed: Patterns of modules that workers may load; empty: any.
        kill_grace: Seconds that a step has to end when it is killed.
        on_failure: What happens, `fail` or `pause`, when a step fails of which nobody else has said it.
        retention: How long what has ended is kept.
        keep_checkpoints: Workers keep the checkpoints before all steps, whatever the class says.
        receivers: Who is told of what happens.
        metrics: Where workers serve their metrics; None: nowhere.
        traces: Where spans are sent to; None: nowhere.
        opener: Makes a store of what lives in the memory of this program; None: the URL says where it is.
    """

    folder: Path
    store: str
    broker: str
    allowed: tuple[str, ...] = ()
    kill_grace: float = KILL_GRACE_SECONDS
    on_failure: str = "fail"
    retention: Retention = KEEP_ALL
    keep_checkpoints: bool = False
    receivers: tuple[Receiver, ...] = ()
    metrics: Metrics | None = None
    traces: Traces | None = None
    opener: Callable[[], Any] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        urls = f"store={without_password(self.store)!r}, broker={without_password(self.broker)!r}"
        return f"Location(folder={str(self.folder)!r}, {urls}, allowed={self.allowed!r})"

    @property
    def state(self) -> Path:
        """The folder of logs, locks and the embedded store."""
        return self.folder / STATE

    def require_made(self) -> None:
        """Refuse to read an embedded store that nobody has made yet.

        Raises:
            WorkspaceError: it is not there; says what makes one.
        """
        self.require_not_lost()
        file = file_of(self.store)
        if file is None or file.exists():
            return
        there = "workspace in" if self.has_own_store else f"store {file} of the workspace"
        raise WorkspaceError(
            f"there is no {there} {self.folder} yet: `quince init` makes one, and so do `quince submit`, "
            "`run` and `daemon start`"
        )

    def require_not_lost(self) -> None:
        """Refuse to make an empty store where there was one: a daemon has made it before it began.

        Raises:
            WorkspaceError: the store's file is not there, and a daemon runs.
        """
        file = file_of(self.store)
        if file is not None and not file.exists() and self._has_daemon():
            raise WorkspaceError(
                f"the store {file} was moved or removed while the daemon runs: put it back, and all goes on; "
                "to begin with an empty one, stop the daemon first (`quince daemon stop`)"
            )

    def _has_daemon(self) -> bool:
        """Somebody holds the daemon's lock."""
        try:
            with (self.state / DAEMON_LOCK).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def require_shared(self) -> None:
        """Refuse a store or broker that no other process could see.

        Raises:
            WorkspaceError: it lives in memory; names it and the way out.
        """
        if self.opener is not None:  # those who work on it are in this program
            return
        for what, url, memory in (
            ("store", self.store, self.store in {"sqlite://", "sqlite:///:memory:"}),
            ("broker", self.broker, self.broker.startswith("memory:")),
        ):
            if memory:
                raise WorkspaceError(
                    f"the {what} {without_password(url)} lives in the memory of one program, "
                    "where no worker could see it; use a file, a folder or a server"
                )

    @property
    def is_observed(self) -> bool:
        """Somebody looks on while its workers work."""
        return self.metrics is not None or self.traces is not None

    @property
    def has_own_store(self) -> bool:
        """Its store is a file in its folder of state, as when nothing else was said."""
        file = file_of(self.store)
        return file is not None and file.is_relative_to(self.state)

    @property
    def has_own_broker(self) -> bool:
        """Its messages are in its folder of state, as when nothing else was said."""
        return self.broker == folder_uri(self.state / MESSAGES)

    @property
    def has_guests(self) -> bool:
        """Somebody with another store uses, or has used, the messages in its folder of state."""
        try:
            return self.has_own_broker and len(list((self.state / MESSAGES).iterdir())) > 1
        except OSError:
            return False

    def names(self, identity: str) -> str | None:
        """First part of all names on the broker; None: the usual one, since nobody else is there.

        Programs with another store get none of ours: neither tasks nor controls.

        Args:
            identity: Of its store.
        """
        if self.has_own_store and self.has_own_broker:
            return None
        return f"{parse_uri(self.broker).prefix or DEFAULT_PREFIX}.{identity}"

    @property
    def embedded(self) -> bool:
        """No server is needed."""
        return self.store.startswith("sqlite") and self.broker.startswith("local:")


def locate(
    folder: Path | str | None = None, *, store: str | None = None, broker: str | None = None
) -> Location:
    """Find the workspace, without opening or making anything.

    Raises:
        WorkspaceError: there is no such folder; `quince.toml` cannot be read, or says something impossible;
            or others than this user could have written what stands there.
    """
    if folder is not None and not Path(folder).is_dir():
        raise WorkspaceError(f"there is no folder {folder}: a workspace is a folder that exists")
    root = Path(folder).resolve() if folder is not None else _search(Path.cwd())
    require_trusted(root, (CONFIG, STATE))
    settings = _read(root / CONFIG)
    return Location(
        folder=root,
        store=_absolute(store or os.environ.get(STORE_VARIABLE), Path.cwd())
        or _absolute(settings.get("store"), root)
        or file_url(root / STATE / "quince.db"),
        broker=_absolute(broker or os.environ.get(BROKER_VARIABLE), Path.cwd())
        or _absolute(settings.get("broker"), root)
        or folder_uri(root / STATE / MESSAGES),
        allowed=tuple(settings.get("modules", ())),
        kill_grace=float(settings.get("kill_grace", KILL_GRACE_SECONDS)),
        on_failure=settings.get("on_failure", "fail"),
        retention=retention_of(settings.get("retention", {})),
        keep_checkpoints=bool(settings.get("keep_checkpoints", False)),
        receivers=receivers_of(settings.get("notify", {})),
        metrics=metrics_of(settings.get("metrics")),
        traces=traces_of(settings.get("traces")),
    )


def _absolute(url: str | None, base: Path) -> str | None:
    """A URL that names a file or folder, so that it means the same in every working directory."""
    if url is None:
        return None
    _, mark, options = url.partition("?")
    if (file := file_of(url)) is not None:
        return file_url(base / file) + mark + options
    if (folder := folder_of(url)) is not None:
        return folder_uri(base / folder.expanduser()) + mark + options
    return url


def _search(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file() or (folder / STATE).is_dir():
            return folder
    return start


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        settings = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{file} cannot be read: {error}") from error
    unknown = set(settings) - set(_SETTINGS)
    if unknown:
        raise WorkspaceError(
            f"{file} has a setting {min(unknown)!r} that means nothing; it may have "
            f"{', '.join(list(_SETTINGS)[:-1])} and {list(_SETTINGS)[-1]}"
        )
    for name, value in settings.items():
        kind, types = _SETTINGS[name]
        if type(value) not in types:
            raise WorkspaceError(f"{file}: {name} must be a {kind}, not a {type(value).__name__}")
    if not 0 <= settings.get("kill_grace", 0) < float("inf"):
        raise WorkspaceError(f"{file}: kill_grace must be a number of seconds, not {settings['kill_grace']}")
    if settings.get("on_failure", "fail") not in ("fail", "pause"):
        raise WorkspaceError(f"{file}: on_failure must be 'fail' or 'pause', not {settings['on_failure']!r}")
    try:
        retention_of(settings.get("retention", {}))
        receivers_of(settings.get("notify", {}))
        metrics_of(settings.get("metrics"))
        traces_of(settings.get("traces"))
    except ValueError as error:
        raise WorkspaceError(f"{file}: {error}") from None
    return settings
