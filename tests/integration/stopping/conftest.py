"""Where the subjects work: with a worker for each test, on either backend; or with one for all tests of a
module, where no backend has a part in what they show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from quince import Workspace
from quince.settings import CONFIG
from quince.workspace.location import Location
from tests.crew import Crew
from tests.forked import ForkServer
from tests.integration.stopping.scene import GRACE, Scene


def new_scene(home: Workspace, crew: Crew) -> Scene:
    folder = home.location.folder
    (folder / CONFIG).write_text(f"kill_grace = {GRACE}\n")
    (folder / "notes").mkdir()
    crew.start(slots=64)
    return Scene(home, folder / "notes")


@pytest.fixture
def scene(home: Workspace, crew: Crew) -> Scene:
    return new_scene(home, crew)


@pytest.fixture
def stage(lasting_scene: Scene) -> Iterator[Scene]:
    yield lasting_scene
    lasting_scene.clear()


@pytest.fixture(scope="module")
def lasting_scene(tmp_path_factory: pytest.TempPathFactory, worker_forks: ForkServer) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("stopping")
    state = folder / ".quince"
    location = Location(folder, f"sqlite:///{state}/quince.db", f"local://{state}/messages")
    with ExitStack() as stack:
        home = stack.enter_context(Workspace(location))
        yield new_scene(home, stack.enter_context(closing(Crew(location, worker_forks))))
