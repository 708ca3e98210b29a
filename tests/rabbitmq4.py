"""RabbitMQ 4.0 beside the installed one: from Debian 13, in a root of its own.

`pytest --rabbitmq4` (or QUINCE_RABBITMQ4=1) gives this node to every test that asks for a RabbitMQ.
It needs Linux, root and `debootstrap`. The root is made once, in the user's cache folder, from the mirror
that apt is configured with; a node sees it through mounts that only its own processes have.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.server import ServiceFailed, ServiceMissing, plain_environment
from tests.services import RabbitMQ

SUITE = "trixie"
VARIABLE = "QUINCE_RABBITMQ4"
MAKING_TAKES = 600.0

_ENTER = 'mount --bind "$1" "$0$1" && mount -t proc proc "$0/proc" && shift && exec chroot "$0" "$@"'


class RabbitMQ4(RabbitMQ):
    """As `RabbitMQ`, in every method; its binaries are those of the other root.

    Raises:
        ServiceMissing: not root, no debootstrap, or no mirror; made when the first node is.
    """

    def _find_binaries(self) -> None:
        self._root = make_root()
        self._binaries = Path("/usr/lib/rabbitmq/bin")
        self._epmd = Path("/usr/bin/epmd")

    def _within(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """The command in the other root, where this server's folder has the name that it has here."""
        (self._root / self.folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
        private = ["unshare", "--mount", "--propagation", "private"]
        return [*private, "sh", "-c", _ENTER, self._root, self.folder, *argv]

    def close(self) -> None:
        """Take it down, and its folder's name out of the other root."""
        super().close()
        mounted_on = self._root / self.folder.relative_to("/")
        if self.folder.is_absolute() and mounted_on.is_dir():
            mounted_on.rmdir()


def make_root() -> Path:
    """The folder with Debian 13 and its RabbitMQ; made now if it is not there, in about a minute."""
    root = _cache() / f"rabbitmq-{SUITE}"
    if (root / "usr/lib/rabbitmq/bin/rabbitmq-server").exists() and os.geteuid() == 0:
        return root
    _must_be_possible()
    root.parent.mkdir(parents=True, exist_ok=True)
    # made beside it and renamed, so that a root is whole or not there; whoever comes second uses the first's
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="making-", ignore_cleanup_errors=True) as making:
        made = Path(making) / "root"
        _debootstrap(made)
        try:
            made.rename(root)
        except OSError:
            if not root.exists():
                raise
    return root


def _must_be_possible() -> None:
    if os.geteuid() != 0:
        raise ServiceMissing("RabbitMQ 4.0 for tests needs root (it runs in a root folder of its own)")
    for program in ("debootstrap", "unshare", "chroot"):
        if shutil.which(program) is None:
            raise ServiceMissing(
                f"RabbitMQ 4.0 for tests needs {program} (Debian: apt-get install debootstrap)"
            )


def _debootstrap(target: Path) -> None:
    command: list[str | Path] = ["debootstrap", "--variant=minbase", "--include=rabbitmq-server", SUITE]
    command += [target, _mirror()]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", *command],
        env=plain_environment(target.parent) | _proxy(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MAKING_TAKES,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise ServiceFailed(f"debootstrap could not make Debian's {SUITE}; it says:\n{said}")


def _mirror() -> str:
    """The first mirror of Debian itself that this machine's apt uses."""
    query = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"]
    for line in _told(query).splitlines():
        origin, label, mirror = line.split("|", 2)
        if origin == label == "Debian":
            return mirror
    raise ServiceMissing("apt knows no mirror of Debian (run apt-get update on a Debian machine)")


def _proxy() -> dict[str, str]:
    """The proxy that apt goes through, or the one that the environment names."""
    told = _told(["apt-config", "shell", "proxy", "Acquire::http::Proxy"])
    words = shlex.split(told.removeprefix("proxy="))
    named = {name: os.environ[name] for name in ("http_proxy", "https_proxy") if name in os.environ}
    return named | ({"http_proxy": words[0]} if words else {})


def _told(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise ServiceMissing(f"{command[0]} is not installed: this is not Debian") from error


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quince"
