"""Whose files are believed: what stands in a workspace decides which code runs as this user.

Believed is what only this user, or root, could have put there. Anything else has to be named by the user:
in `QUINCE_TRUST` (folders, separated by colons), or under `trust` in `~/.config/quince/config.toml`.
`FOLDER/*` names all below a folder, `*` everything; so does git, with `safe.directory`.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from quince.errors import WorkspaceError

TRUST_VARIABLE = "QUINCE_TRUST"
_ACCESS_LIST = "system.posix_acl_access"


def require_trusted(folder: Path, members: Sequence[str] = ()) -> None:
    """Refuse a folder in which others could have written what is about to be believed.

    Args:
        folder: Real path of the folder (no link in it).
        members: What is believed in it, besides code; what is not there is not looked at.

    Raises:
        WorkspaceError: names what could be of others, whose, and both ways out.
    """
    for path in (folder, *(folder / name for name in members)):
        reason = distrust(path)
        if reason is None:
            continue
        if is_named(folder):
            return
        raise WorkspaceError(
            f"{path} {reason}: it is not believed, since it decides which code runs as you. {_remedy(folder)}"
        )


def distrust(path: Path) -> str | None:
    """Who other than this user and root could have written there, said of the path; None if nobody."""
    for look in (path.lstat, path.stat):  # a link, and what it leads to
        try:
            found = look()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return f"cannot be looked at ({error.strerror})"
        reason = _foreign(path, found)
        if reason is not None:
            return reason
    return None


def is_named(folder: Path) -> bool:
    """The user has said that this folder is to be trusted."""
    return any(_covers(entry, folder) for entry in _named())


def settings_file() -> Path:
    """The user's own file of settings."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "quince" / "config.toml"


def _foreign(path: Path, found: os.stat_result) -> str | None:
    if found.st_uid not in (os.geteuid(), 0):
        return f"belongs to {_user(found.st_uid)}" + ("" if os.geteuid() else ", and you are root")
    if stat.S_ISLNK(found.st_mode):
        return None
    if found.st_mode & stat.S_IWOTH:
        return "can be written to by everybody"
    if found.st_mode & stat.S_IWGRP and not (_has_private_group(found) and _is_unlisted(path)):
        return f"can be written to by the group {_group(found.st_gid)}"
    return None


def _has_private_group(found: os.stat_result) -> bool:
    """Its group is called like its owner and has no other member: many systems give each user one."""
    try:
        group, owner = grp.getgrgid(found.st_gid), pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        return False
    return group.gr_name == owner and set(group.gr_mem) <= {owner}


def _is_unlisted(path: Path) -> bool:
    """No access list gives more rights; with one the bits of the group are those of all whom it names."""
    try:
        return not hasattr(os, "getxattr") or not os.getxattr(path, _ACCESS_LIST)
    except OSError:
        return True


def _named() -> Iterator[str]:
    yield from os.environ.get(TRUST_VARIABLE, "").split(os.pathsep)
    file = settings_file()
    if not file.is_file() or distrust(file) is not None:
        return
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8")).get("trust", [])
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{file} cannot be read: {error}") from error
    if not isinstance(entries, list):
        raise WorkspaceError(f'{file}: trust must be a list of folders, as in trust = ["/data/lab"]')
    yield from (str(entry) for entry in entries)


def _covers(entry: str, folder: Path) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    below = entry.endswith("/*")
    named = Path(entry.removesuffix("/*") or "/").expanduser().resolve()
    return folder == named or (below and folder.is_relative_to(named))


def _remedy(folder: Path) -> str:
    name = shlex.quote(str(folder))
    return (
        f"If you trust all who can write there: {TRUST_VARIABLE}={name}, or trust = [{str(folder)!r}] in "
        f"{settings_file()}. Else take their rights away, run this as their user, or go into a folder of "
        "yours (`quince init` makes it a workspace)"
    )


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} (user {number})"
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
