"""Whose configuration is believed, and how the user says otherwise."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quince.errors import UnloadableClass, WorkspaceError
from quince.settings import CONFIG, STATE
from quince.workspace.class_loader import ClassLoader
from quince.workspace.location import locate
from quince.workspace.trust import settings_file

NOBODY = pwd.getpwnam("nobody")
two_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
EVIL = "from pathlib import Path\nPath(__file__).with_name('was-run').touch()\n"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    for name in ("QUINCE_TRUST", "QUINCE_STORE", "QUINCE_BROKER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (made := tmp_path / "project").mkdir(mode=0o755)
    return made


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user can enter."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def give(path: Path) -> Path:
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)
    return path


def make(path: Path) -> Path:
    """The configuration, or the folder of state."""
    if path.name == CONFIG:
        path.write_text('modules = ["x"]\n')
    else:
        path.mkdir(mode=0o700)
    return path


def test_what_is_the_users_own_is_believed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folder / CONFIG)
    make(folder / STATE)
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert locate().allowed == ("x",)


@two_users
@pytest.mark.parametrize("name", [CONFIG, STATE])
def test_what_another_user_put_into_a_folder_above_is_not_believed(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(make(folder / name))
    (folder / "mine").mkdir()
    monkeypatch.chdir(folder / "mine")
    with pytest.raises(WorkspaceError, match=r"belongs to nobody .*QUINCE_TRUST=.*config\.toml.*quince init"):
        locate()
    with pytest.raises(WorkspaceError):  # naming the folder is not trusting it
        locate(folder)
    assert locate(folder / "mine").folder == folder / "mine"  # as `quince init` there does


@two_users
def test_root_does_not_believe_a_users_project(folder: Path) -> None:
    give(folder)
    with pytest.raises(WorkspaceError, match=r"you are root.*run this as their user"):
        locate(folder)


@two_users
def test_root_is_believed_by_everybody(open_folder: Path) -> None:
    make(open_folder / CONFIG)
    said = _as_nobody(
        f"from quince.workspace.workspace import locate; print(locate({str(open_folder)!r}).allowed)"
    )
    assert said == "('x',)"


@two_users
def test_a_command_runs_nothing_of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `quince doctor` would, which imports the classes of what lives in the store."""
    give(make(folder / CONFIG))
    (folder / "evil.py").write_text(EVIL)
    command = [sys.executable, "-m", "quince.cli.main", "doctor"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "is not believed" in ended.stderr
    assert not (folder / "was-run").exists()


@pytest.mark.parametrize("name", ["", CONFIG, STATE])
def test_what_everybody_may_write_to_is_not_believed(folder: Path, name: str) -> None:
    if name:
        make(folder / name)
    (folder / name).chmod(0o1777 if (folder / name).is_dir() else 0o666)
    with pytest.raises(WorkspaceError, match="written to by everybody"):
        locate(folder)


@two_users
def test_a_group_with_others_in_it_is_not_believed(folder: Path) -> None:
    folder.chmod(0o775)
    assert locate(folder).folder == folder, "the group of a user alone is no one else"
    os.chown(folder, -1, 100)
    with pytest.raises(WorkspaceError, match="written to by the group"):
        locate(folder)


def test_an_access_list_counts_as_others(folder: Path) -> None:
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    done = subprocess.run(["setfacl", "-m", "u:nobody:rwx", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("no access lists on this file system")
    with pytest.raises(WorkspaceError, match="written to by the group"):
        locate(folder)


@two_users
@pytest.mark.parametrize("whose", ["link", "target"])
def test_a_link_counts_with_what_it_leads_to(folder: Path, tmp_path: Path, whose: str) -> None:
    target = make(tmp_path / CONFIG)
    (folder / CONFIG).symlink_to(target)
    assert locate(folder).allowed == ("x",)
    give(folder / CONFIG if whose == "link" else target)
    with pytest.raises(WorkspaceError, match="belongs to nobody"):
        locate(folder)


@pytest.mark.parametrize("entry", ["{0}", "/elsewhere:{0}", "{0}/", "{1}/*", "*", "{0}/below/.."])
def test_the_variable_names_what_is_trusted(
    folder: Path, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o777)
    monkeypatch.setenv("QUINCE_TRUST", entry.format(folder, folder.parent))
    assert locate(folder).folder == folder


@pytest.mark.parametrize("entry", ["", ":", "{1}", "{0}x", "{0}/below", "{0}/below/*"])
def test_the_variable_names_no_more_than_it_says(
    folder: Path, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o777)
    monkeypatch.setenv("QUINCE_TRUST", entry.format(folder, folder.parent))
    with pytest.raises(WorkspaceError):
        locate(folder)


def test_the_users_own_settings_name_what_is_trusted(folder: Path) -> None:
    folder.chmod(0o777)
    settings_file().parent.mkdir(parents=True)
    settings_file().write_text(f'trust = ["{folder}"]\n')
    settings_file().chmod(0o644)
    assert locate(folder).folder == folder
    settings_file().chmod(0o666)  # ... unless somebody else could have written them
    with pytest.raises(WorkspaceError):
        locate(folder)
    settings_file().chmod(0o600)
    settings_file().write_text("trust = 1\n")
    with pytest.raises(WorkspaceError, match="list of folders"):
        locate(folder)


@pytest.mark.parametrize("open_to_others", ["file", "folder"])
def test_no_class_is_imported_from_a_file_of_others(
    folder: Path, tmp_path: Path, open_to_others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored class path may name any file: who writes to the store may not run any other user's."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (elsewhere := tmp_path / "elsewhere").mkdir(mode=0o755)
    (file := elsewhere / "evil.py").write_text(EVIL)
    (file if open_to_others == "file" else elsewhere).chmod(0o777)
    for path in (f"{file}:Flow", "../elsewhere/evil.py:Flow"):
        with pytest.raises(UnloadableClass, match="can be written to by everybody"):
            ClassLoader(folder).load(path)
    (folder / "link.py").symlink_to(file)
    with pytest.raises(UnloadableClass, match="can be written to by everybody"):
        ClassLoader(folder).load("link.py:Flow")
    assert not (elsewhere / "was-run").exists()
    monkeypatch.setenv("QUINCE_TRUST", str(elsewhere))
    with pytest.raises(UnloadableClass, match="has no 'Flow'"):
        ClassLoader(folder).load(f"{file}:Flow")
    assert (elsewhere / "was-run").exists()


def _as_nobody(program: str) -> str:
    """What a Python of another user prints, which has imported our code before it became that user."""
    lines = [
        "import os, sys, quince.workspace.workspace, quince.workspace.trust",
        f"os.setgroups([]); os.setgid({NOBODY.pw_gid}); os.setuid({NOBODY.pw_uid})",
        program,
    ]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd="/", capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()
