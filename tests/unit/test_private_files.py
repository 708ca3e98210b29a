"""Files are their owner's alone, whatever the umask, and nobody's links are followed."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import quince_messaging
from quince.cli.init import write_config
from quince.daemon.files import DaemonFiles, Settings
from quince.diagnosis.doctor import doctor
from quince.diagnosis.exposed_files import exposed
from quince.errors import WorkspaceError
from quince.private_files import open_private, write_private
from quince.recovery.lease import Lease
from quince.settings import CONFIG, STATE
from quince.workspace.location import locate
from quince.workspace.workspace import Workspace
from quince_persistence.errors import PersistenceError
from quince_persistence.store import Store
from tests.unit.engine.test_trust import give, two_users


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def seen() -> Iterator[Path]:
    """A folder of this user's that all others can look into."""
    made = Path(tempfile.mkdtemp()).resolve()
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def open_to_others(folder: Path) -> list[str]:
    """What of all that was made there others have any right to. (Sockets lie in a private folder.)"""
    return [
        f"{path} {stat.filemode(path.lstat().st_mode)}"
        for path in folder.rglob("*")
        if path.lstat().st_mode & 0o077 and not path.is_socket()
    ]


def test_whatever_a_workspace_makes_is_private(seen: Path, umask: int) -> None:
    """Store, log, lock, messages, settings, and all that is written beside them while they are in use."""
    location = locate(seen)
    with Workspace(location) as home, quince_messaging.connect(location.broker) as communicator:
        assert home.store.counts() is not None
        communicator.task_send({"pid": 1})
        files = DaemonFiles(seen)
        files.write(Settings())
        lease = Lease(home.store, "h:1:a", location.state / "locks" / "lock", print)
        with files.hold(), open_private(files.log("worker-1"), "ab"), lease:
            made = {path.name for path in seen.rglob("*")}
            assert open_to_others(seen) == []
    assert made >= {"quince.db", "quince.db-wal", "tasks.sqlite", "worker-1.log", "daemon.json", "lock"}
    assert list(exposed(location)) == []


def test_a_database_named_by_its_url_is_private(seen: Path, umask: int) -> None:
    with Store(f"sqlite:///{seen}/x.db") as store:
        store.allocate_pids(1)
        assert {path.name for path in seen.iterdir()} >= {
            "x.db",
            "x.db-wal",
            "x.db-shm",
            "x.db-gate",
            "x.db-turn",
        }
        assert open_to_others(seen) == []


def test_a_database_that_is_shared_stays_so(seen: Path) -> None:
    """Whoever gave a group its rights meant it: what is written beside the file has the same mode."""
    (seen / "x.db").touch()
    (seen / "x.db").chmod(0o660)
    before = os.umask(0)
    try:
        with Store(f"sqlite:///{seen}/x.db") as store:
            store.allocate_pids(1)
            assert {stat.S_IMODE(path.stat().st_mode) for path in seen.iterdir()} == {0o660}
    finally:
        os.umask(before)


@two_users
def test_no_database_is_made_through_a_link_of_somebody_else(seen: Path) -> None:
    (seen / "x.db").symlink_to(seen / "mine")
    give(seen / "x.db")
    with pytest.raises(PersistenceError, match="link that another user has made"):
        Store(f"sqlite:///{seen}/x.db").open()
    assert not (seen / "mine").exists()


def test_the_configuration_is_private_and_keeps_a_stricter_mode(seen: Path, umask: int) -> None:
    file = seen / CONFIG
    for there, mode in ((None, 0o600), (0o644, 0o600), (0o666, 0o600), (0o400, 0o400), (0o600, 0o600)):
        file.unlink(missing_ok=True)
        if there is not None:
            file.touch()
            file.chmod(there)
        write_config(file, store="sqlite:///x.db", broker=None)
        assert stat.S_IMODE(file.stat().st_mode) == mode
        assert [path.name for path in seen.iterdir()] == [CONFIG]


def test_a_planted_link_is_not_written_through(seen: Path) -> None:
    """Names that an earlier version wrote to, and its own."""
    (victim := seen / "victim").write_text("mine")
    for name in (f"{CONFIG}.new", f".{CONFIG}.new", f"{CONFIG}.tmp"):
        (seen / name).symlink_to(victim)
    write_config(seen / CONFIG, store="sqlite:///x.db", broker=None)
    assert victim.read_text() == "mine"
    (seen / "log").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        open_private(seen / "log", "ab")


def test_a_link_of_ones_own_is_followed(seen: Path) -> None:
    (seen / "dotfiles").mkdir()
    (seen / CONFIG).symlink_to(seen / "dotfiles" / CONFIG)
    write_config(seen / CONFIG, store="sqlite:///x.db", broker=None)
    assert (seen / CONFIG).is_symlink()
    assert "x.db" in (seen / "dotfiles" / CONFIG).read_text()


@two_users
def test_a_link_of_somebody_else_is_not_followed(seen: Path) -> None:
    (seen / "mine").write_text("")
    (seen / CONFIG).symlink_to(seen / "mine")
    give(seen / CONFIG)
    with pytest.raises(WorkspaceError, match=CONFIG):
        write_config(seen / CONFIG, store="sqlite:///x.db", broker=None)
    assert (seen / "mine").read_text() == ""


def test_a_file_that_is_cut_off_in_writing_is_the_old_one(
    seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_private(seen / "x", "old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_private(seen / "x", "new")
    assert (seen / "x").read_text() == "old"
    assert [path.name for path in seen.iterdir()] == ["x"]


def test_what_others_can_read_is_told_and_mended(seen: Path) -> None:
    (seen / CONFIG).write_text('store = "sqlite:///x.db"\nbroker = "local://m"\n')
    with Workspace(locate(seen)) as home:
        home.store.counts()
        assert [one.about for one in doctor(home)] == []
        (seen / CONFIG).write_text('store = "sqlite:///x.db"\n# broker = "amqp://user:pw@host/"\n')
        for path in (seen / CONFIG, seen / "x.db", seen / "x.db-wal", seen / STATE):
            path.chmod(0o755)
        told = [one for one in doctor(home) if one.about == "files"]
        assert [one.sentence.split()[0] for one in told] == [
            str(seen / name) for name in (CONFIG, STATE, "x.db", "x.db-wal")
        ]
        assert all("chmod go=" in one.remedy for one in told)
        assert all(one.mended for one in doctor(home, mend=True))
        assert doctor(home) == []
        assert stat.S_IMODE((seen / "x.db").stat().st_mode) == 0o700


def test_what_lies_where_others_cannot_come_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    (file := tmp_path / "closed" / "x.db").touch()
    file.chmod(0o644)
    assert list(exposed(locate(tmp_path, store=f"sqlite:///{file}"))) == []


def test_no_password_is_on_a_command_line(seen: Path) -> None:
    """The list of processes is for everybody to see: URLs go through the environment, which is not."""
    program = (
        "import os, subprocess, sys\n"
        "from quince.daemon import operations as daemon\n"
        "from quince.daemon.files import Settings\n"
        "subprocess.Popen = lambda words, **rest: (print(words), sys.exit())\n"
        "from quince.workspace.workspace import locate\n"
        "daemon.start(locate(), Settings())\n"
    )
    environment = os.environ | {
        "QUINCE_STORE": "postgresql://user:s3cr3t@127.0.0.1:1/x", "QUINCE_BROKER": "amqp://user:s3cr3t@127.0.0.1:1/",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=seen, env=environment, capture_output=True, text=True
    )
    assert "quince.daemon.supervisor" in done.stdout
    assert "s3cr3t" not in done.stdout + done.stderr
