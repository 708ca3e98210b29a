"""Deleting what has ended long ago: whole trees, some at a time, so that nobody else waits for long."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quince.client.find import root_selection
from quince.client.handle import WorkspaceLike
from quince.client.twins import twin
from quince.errors import WorkspaceError
from quince.hosts.output_files import OutputFiles
from quince.moments import Duration, seconds_of
from quince.processes.child import ProcessReference
from quince.processes.functions import ProcessFunction
from quince.processes.process import Process
from quince.settings import EXPIRY_SECONDS
from quince.workspace.retention import Retention
from quince.workspace.workspace import Workspace, resolve
from quince_persistence.contract import StoreContract
from quince_persistence.records import ProcessRow, Selection, State
from quince_persistence.records.pruning import Pruned, Spared

PAGE = 200
"""Trees that are looked at together."""
BATCH = 500
"""Processes that are deleted in one transaction, unless a single tree has more."""
REST = 0.5
"""Share of the time of a batch for which the next one waits, so that others get their turn."""


@dataclass(slots=True)
class PruneReport:
    """What was deleted, or would be.

    Attributes:
        processes: How many.
        trees: Their roots.
        kept: Roots of trees that had ended long enough ago, or were named, and stay, with why.
        dry_run: Nothing was deleted.
        shrunk: Bytes that the database took before and takes after its vacuum; None: it had none.
    """

    processes: int = 0
    trees: list[int] = field(default_factory=list)
    kept: dict[int, str] = field(default_factory=dict)
    dry_run: bool = False
    shrunk: tuple[int, int] | None = None


class Pruning:
    """One pass over all trees, the newest first: what refers to another goes before that.

    Args:
        selection: Of roots, or of named processes.
        before: By when all of a tree must have ended whose root has ended well.
        failed_before: The same of the others.
    """

    def __init__(
        self, store: StoreContract, selection: Selection, before: float, failed_before: float, *, dry: bool
    ) -> None:
        self._store, self._selection = store, selection
        self._before, self._failed_before, self._dry = before, failed_before, dry
        self.report = PruneReport(dry_run=dry)

    def batches(self) -> Iterator[list[int]]:
        """Roots that may be pruned together. Reads the store in between."""
        wanted = replace(self._selection, limit=PAGE)
        if not wanted.pids:
            latest = max(self._before, self._failed_before)
            wanted = replace(wanted, roots=True, ended_until=latest)
        while page := self._store.select(wanted):
            roots = [row.pid for row in page if wanted.pids or self._is_old(row)]
            sizes = self._store.tree_sizes(roots)
            yield from _packed(roots, sizes)
            wanted = replace(wanted, before=min(row.pid for row in page))

    def _is_old(self, row: ProcessRow) -> bool:
        well = row.state is State.FINISHED and not row.exit_status
        return row.ended is not None and row.ended <= (self._before if well else self._failed_before)

    def call(self, roots: Sequence[int]) -> dict[str, object]:
        """What `StoreContract.prune` is to be given beside the roots."""
        gone: Collection[int] = self.report.trees if self._dry else ()
        return {"before": self._before, "failed_before": self._failed_before, "gone": gone, "dry": self._dry}

    def took(self, pruned: Pruned) -> None:
        """Count what a batch has come to."""
        self.report.processes += len(pruned.pids)
        self.report.trees += pruned.roots
        self.report.kept.update((root, why.value) for root, why in pruned.kept.items())

    @property
    def may_go_on(self) -> bool:
        """Some stayed for something that was pruned after them."""
        return bool(self.report.trees) and Spared.REFERRED.value in self.report.kept.values()


def _packed(roots: Sequence[int], sizes: Mapping[int, int]) -> Iterator[list[int]]:
    """Some together that have not too many processes."""
    batch: list[int] = []
    many = 0
    for root in roots:
        if batch and many + sizes.get(root, 1) > BATCH:
            yield batch
            batch, many = [], 0
        batch.append(root)
        many += sizes.get(root, 1)
    if batch:
        yield batch


def prune_selected(
    home: Workspace,
    selection: Selection,
    *,
    before: float,
    failed_before: float,
    dry: bool = False,
    vacuum: bool = False,
) -> PruneReport:
    """Delete the trees of a selection that have ended by then. Interrupted, it has deleted some of them, and
    goes on when it is called again.

    Args:
        selection: Of roots, or of named processes.
        before: By when all of a tree must have ended whose root has ended well.
        failed_before: The same of the others.
        dry: Delete nothing; say what would be.
        vacuum: Give the room back afterwards.

    Raises:
        WorkspaceError: the file cannot get smaller while workers run. Nothing was deleted.
        StoreFull: nor where there is no room for a second one; what was to be deleted is.
    """
    if vacuum and not dry:
        require_nobody_at_work(home)
    files = OutputFiles(home.location.folder)
    pruning = Pruning(home.store, selection, before, failed_before, dry=dry)
    for roots in pruning.batches():
        began = time.monotonic()
        pruned = home.store.prune(roots, **pruning.call(roots)).result()  # type: ignore[arg-type]
        pruning.took(pruned)
        if not dry:
            forget_printed(files, pruned.pids)
            time.sleep(REST * (time.monotonic() - began))
    report = pruning.report
    if pruning.may_go_on and not dry:
        rest = prune_selected(home, selection, before=before, failed_before=failed_before)
        report.processes += rest.processes
        report.trees += rest.trees
        report.kept = rest.kept
    if report.trees and not dry and not _at_work(home):  # else their sweeps do it, some at a time
        home.store.drop_unused().result()
    if vacuum and not dry:
        report.shrunk = home.store.vacuum()
    return report


def forget_printed(files: OutputFiles, pids: Sequence[int]) -> None:
    """Remove what pruned processes have printed on this host; other hosts' workers find theirs."""
    if files.folder.is_dir():
        for pid in pids:
            files.forget(pid)


def require_nobody_at_work(home: Workspace) -> None:
    """Refuse to rewrite a file that workers write to: they would wait for it, perhaps for too long.

    Raises:
        WorkspaceError: some are.
    """
    names = _at_work(home) if home.location.store.startswith("sqlite") else []
    if names:
        raise WorkspaceError(
            f"the store's file cannot be made smaller while workers use it ({', '.join(names[:5])}): end "
            "them first (`quince daemon stop`), or prune without that: the room is used again all the same"
        )


def _at_work(home: Workspace) -> list[str]:
    """The workers that live."""
    since = home.store.clock() - EXPIRY_SECONDS
    return [f"{one.name} on {one.host}" for one in home.store.workers() if one.heartbeat > since]


def prune(
    *,
    older_than: Duration | None = None,
    failed_older_than: Duration | None = None,
    processes: Iterable[ProcessReference | int | str] | None = None,
    state: State | str | Iterable[State | str] | None = None,
    cls: type[Process] | ProcessFunction[..., Any, Any] | str | None = None,
    labels: Mapping[str, Any] | None = None,
    queue: str | None = None,
    dry_run: bool = False,
    vacuum: bool = False,
    workspace: WorkspaceLike = None,
) -> PruneReport:
    """Delete trees of processes that have ended, with all that is known of them. Their keys are free again.

    A tree stays as long as anything of it lives, is awaited, was given to a process that lives, or is where
    something that stays has its outputs from (the cache) or was begun anew from.

    Args:
        older_than: All of a tree has ended so long ago (`"30 d"`, seconds, a `timedelta`).
        failed_older_than: The same for trees whose root has not ended well; as `older_than` if not given.
        processes: Only these: handles, pids or keys of roots; then no age need be given.
        state: Only trees whose root ended so.
        cls: Only trees whose root is of this class.
        labels: Only trees whose root has these labels; a value of None is any value.
        queue: Only trees whose root is of this queue.
        dry_run: Delete nothing; say what would be.
        vacuum: Give the room back to the disk afterwards; no worker may run then.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.

    Raises:
        ValueError: something that is given is nothing of the kind; or neither an age nor processes are given.
        ProcessNotFound: one that was named does not exist.
        WorkspaceError: with `vacuum`, workers run. Nothing was deleted.
        PersistenceError: no store.
    """
    ages = [None if age is None else seconds_of(age) for age in (older_than, failed_older_than)]
    for name, flag in (("dry_run", dry_run), ("vacuum", vacuum)):
        if type(flag) is not bool:
            raise ValueError(f"{name} is {flag!r}, and must be True or False")
    if ages == [None, None]:
        if processes is None:
            raise ValueError('say what to prune: older_than="30 d", or processes=[...]')
        ages = [0.0, 0.0]
    policy = Retention(ages[0], ages[0] if ages[1] is None else ages[1])
    home = resolve(workspace)
    before, failed_before = policy.before(home.store.clock())
    selection = root_selection(home, processes, state=state, cls=cls, labels=labels, queue=queue)
    if selection is None:
        return PruneReport(dry_run=dry_run)
    return prune_selected(
        home, selection, before=before, failed_before=failed_before, dry=dry_run, vacuum=vacuum
    )


aprune = twin(prune)
