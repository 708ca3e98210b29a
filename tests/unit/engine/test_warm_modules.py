"""What a template may import before it forks step hosts."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from quince.hosts.warm_modules import installed_since, shadowed

MODULES = {
    "harmless": "x = 1",
    "starts_a_thread": "import _thread, time; _thread.start_new_thread(time.sleep, (9,))",
    "sets_a_variable": "import os; os.environ['OMP_NUM_THREADS'] = '1'",
    "imports_a_users": "import users",
}


@pytest.mark.parametrize(
    ("module", "good"),
    [("harmless", True), ("starts_a_thread", False), ("sets_a_variable", False), ("imports_a_users", False)],
)
def test_what_would_harm_hosts_is_not_shared(tmp_path: Path, module: str, good: bool) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / f"{module}.py").write_text(MODULES[module])
    (tmp_path / "users.py").write_text("")
    script = f"""
        import sys
        from quince.hosts.warm_modules import import_them
        sys.path[:0] = [{str(installed)!r}, {str(tmp_path)!r}]
        print(import_them([{module!r}]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(good)


def test_only_what_is_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site-packages"
    for package in ("lib", "users_package"):
        (installed / package).mkdir(parents=True)
        for module in ("__init__", "part", "_private"):
            (installed / package / f"{module}.py").write_text("")
    (tmp_path / "users.py").write_text("import lib.part, lib._private, users_package.part, this")
    monkeypatch.setattr(sys, "path", [str(installed), str(tmp_path), *sys.path])
    before, known = len(sys.modules), set(sys.modules)
    __import__("users")
    try:
        assert installed_since(before, except_for="users_package") == ["lib", "lib.part"]
    finally:
        for name in set(sys.modules) - known:
            del sys.modules[name]


@pytest.mark.parametrize(("there", "found"), [("numpy.py", True), ("scipy", True), ("numpy_.py", False)])
def test_a_file_of_the_users_comes_before_what_is_installed(tmp_path: Path, there: str, found: bool) -> None:
    (tmp_path / there).touch()
    assert shadowed(["numpy.linalg", "scipy"], [tmp_path]) is found
