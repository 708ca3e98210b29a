"""What can go wrong in persistence.

PersistenceError
├── InvalidUrl             the URL names no database that Quince can use
├── MissingDriver          the database's driver is not installed
├── StoreUnavailable       nobody answers, or the connection was lost for too long
│   ├── StoreMoved         its file was moved, removed or replaced under this program
│   ├── StoreBusy          another program holds the database's lock for too long
│   └── StoreFull          there is no space left; nothing of the call was written
├── StoreClosed            used before open() or after close()
├── NotAStore              the database holds something else, or is damaged
├── SchemaOutdated         written by an older Quince: upgrade it
├── SchemaTooNew           written by a newer Quince: upgrade Quince
├── RecordRefused          the database does not take these values; nothing was written
│   ├── IllegalTransition  a process cannot go from that state to that one
│   ├── UnknownProcess     a process that is mentioned does not exist
│   ├── PidTaken           a new process has the pid of one that is there
│   ├── KeyTaken           a child's key belongs to another process
│   ├── ScheduleTaken      a schedule of that name is there
│   ├── UnknownSchedule    there is no schedule of that name
│   ├── ScheduleUnreadable  its row is damaged
│   └── UnknownWorker      the worker has no row (it was declared dead, or never registered)
├── CopyRefused            a store cannot be copied as it is, or not to there
├── Unsaveable             a value that the codec cannot write
│   └── TooLarge           it has more bytes than may be saved
└── Unreadable             bytes that the codec cannot read
    └── UnreadableValueUsed  a value was used whose class, or what it needs, is not there
"""

from __future__ import annotations


class PersistenceError(Exception):
    """Root of every error that this package raises."""


class InvalidUrl(PersistenceError, ValueError):
    """The URL names no database that Quince can use."""


class MissingDriver(PersistenceError, ImportError):
    """The database's driver is not installed."""


class StoreUnavailable(PersistenceError, ConnectionError):
    """Nobody answers, or the connection was lost for longer than the store's patience.

    Attributes:
        in_doubt: Whether the call may have been committed all the same (the connection broke in
            the middle of the commit and the database did not come back to tell).
    """

    def __init__(self, message: str, *, in_doubt: bool = False) -> None:
        super().__init__(message)
        self.in_doubt = in_doubt


class StoreBusy(StoreUnavailable):
    """Another program holds the database's lock for too long. Nothing was written."""


class StoreMoved(StoreUnavailable):
    """The database's file was moved, removed or replaced under this program. Nothing was written, and nothing
    will be: what is there now is another store, or none."""


class StoreFull(StoreUnavailable):
    """There is no space left where the database is. Nothing was written."""


class StoreClosed(PersistenceError):
    """The store was used before `open()` or after `close()`."""

    def __init__(self, message: str = "the store is not open; use it inside `with store:`") -> None:
        super().__init__(message)


class CopyRefused(PersistenceError):
    """A store cannot be copied while workers write to it, nor into one that has processes of its own."""


class NotAStore(PersistenceError):
    """The database holds something else, or is damaged."""


class SchemaOutdated(PersistenceError):
    """The store was written by an older Quince.

    Attributes:
        found, wanted: Versions of the schema.
    """

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__(
            f"the store has schema {found}, this Quince needs {wanted}; "
            "upgrade it with: quince init --upgrade"
        )
        self.found, self.wanted = found, wanted


class SchemaTooNew(PersistenceError):
    """The store was written by a newer Quince.

    Attributes:
        found, known: Versions of the schema.
    """

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"the store has schema {found}, this Quince knows only up to {known}; upgrade quince to open it"
        )
        self.found, self.known = found, known


class RecordRefused(PersistenceError, ValueError):
    """The database does not take these values. Nothing of the call was written."""


class IllegalTransition(RecordRefused):
    """A process cannot go from that state to that one."""

    def __init__(self, pid: int, before: str, after: str) -> None:
        super().__init__(f"process {pid} is {before} and cannot become {after}")
        self.pid, self.before, self.after = pid, before, after


class UnknownProcess(RecordRefused):
    """A process that is mentioned does not exist."""

    def __init__(self, pid: int, mentioned: str) -> None:
        super().__init__(f"there is no process {pid}, {mentioned}")
        self.pid = pid


class PidTaken(RecordRefused):
    """A new process has the pid of one that is there: the store was put back to before the pid was
    allocated, and gave it again. Call `forget_pids`, and allocate another."""

    def __init__(self) -> None:
        super().__init__("a process with this pid is there already; take pids from allocate_pids")


class KeyTaken(RecordRefused):
    """A child's key belongs to another process."""

    def __init__(self, key: str, pid: int) -> None:
        super().__init__(
            f"the key {key!r} belongs to process {pid} already; wait for that one or choose another key"
        )
        self.key, self.pid = key, pid


class ScheduleTaken(RecordRefused):
    """A schedule of that name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is a schedule {name!r} already; replace it (`--replace`, `replace=True`), or choose "
            "another name"
        )
        self.name = name


class UnknownSchedule(RecordRefused):
    """There is no schedule of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no schedule {name!r}; `quince schedule ls` lists those that there are")
        self.name = name


class ScheduleUnreadable(RecordRefused):
    """The row of a schedule cannot be read: it is damaged, or a newer Quince has written it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"schedule {name!r} cannot be read ({reason}): it does not fire; add it again with `--replace` "
            "(`replace=True`), or remove it with `quince schedule rm`"
        )
        self.name, self.reason = name, reason


class UnknownWorker(RecordRefused):
    """The worker has no row: it was declared dead, or never registered."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(
            f"worker {worker_id} is not registered (any more): it was declared dead, or has been removed;"
            " go on under a new worker id"
        )
        self.worker_id = worker_id


class Unsaveable(PersistenceError, TypeError):
    """A value that the codec cannot write.

    Attributes:
        key: Where it is, for example `ctx.model.weights[3]`.
        type_name: What it is.
    """

    def __init__(self, key: str, type_name: str, advice: str) -> None:
        super().__init__(f"{key or 'the value'} cannot be saved: it is of type {type_name}; {advice}")
        self.key, self.type_name = key, type_name


class TooLarge(Unsaveable):
    """A value, or values that are saved together, of more bytes than may be saved.

    Attributes:
        key: Where it is, for example `ctx.density`.
        size, limit: In bytes.
    """

    def __init__(self, key: str, size: int, limit: int, most: tuple[str, int] | None = None) -> None:
        share = "" if most is None else f" ({most[0]} alone has {megabytes(most[1])})"
        PersistenceError.__init__(
            self,
            f"{key or 'the value'} cannot be saved: {megabytes(size)}{share}, and at most {megabytes(limit)} "
            "can be; write it to a file, and save where that is",
        )
        self.key, self.type_name = key, ""
        self.size, self.limit = size, limit


class Unreadable(PersistenceError, ValueError):
    """Bytes that the codec cannot read."""


class UnreadableValueUsed(Unreadable, AttributeError):
    """A value was used that cannot be read here, as its class or what it needs is not there."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"a stored {kind} cannot be read here: {reason}")


def megabytes(size: int) -> str:
    """`200 MB`, `1.5 MB`, `20 kB`."""
    return f"{size / 1e6:.1f}".removesuffix(".0") + " MB" if size >= 1_000_000 else f"{size / 1e3:.0f} kB"
