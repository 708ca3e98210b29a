"""The object that a user's class makes is the user's: any undocumented name is free, and the engine asks it
for nothing else; what is documented is refused by name when it is taken."""

from __future__ import annotations

import abc
import copy
import dataclasses
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from quince import (
    EngineError,
    InvalidDefinition,
    Process,
    ProcessKilled,
    WorkChain,
    Workspace,
    find,
    run,
    signal_,
)
from quince.hosts.stepper import Stepper
from quince.processes.bases import OVERRIDABLE
from quince.processes.chain_execution import ChainExecution, chain_execution_of
from quince.workspace.location import Location
from tests.crew import eventually
from tests.unit.engine.solo import Solo, solo

DOCS = Path(__file__).parents[3] / "docs" / "workflows.md"
ONCE_OURS = {
    "_appended", "_begin", "_check_definition", "_context", "_direct", "_exit_code", "_expect", "_given",
    "_host", "_instead", "_label", "_lists", "_look_at", "_memory", "_once_blocks", "_outline", "_outputs",
    "_outputs_of", "_over", "_pid", "_position", "_programs", "_recall", "_receive", "_record", "_row",
    "_search", "_set_timer", "_spec", "_spec_class", "_stop", "_took", "_used",
}  # fmt: skip
"""Names that the engine has had on processes; a user's method `_memory` ran a step three times."""


def _documented(cls: type) -> set[str]:
    return {name for base in (Process, WorkChain) if issubclass(cls, base) for name in vars(base)}


NAMES = sorted(
    {
        name
        for name in {*dir(WorkChain), *dir(ChainExecution), *ONCE_OURS, "process_class", "execution", "steps"}
        if not name.startswith("__") and name not in {n for n in _documented(WorkChain) if n[0] != "_"}
    }
)


@pytest.fixture
def host() -> Iterator[Solo]:
    with solo() as host:
        yield host


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Workspace]:
    state = tmp_path / ".quince"
    with Workspace(Location(tmp_path, f"sqlite:///{state}/quince.db", f"local://{state}/messages")) as home:
        yield home


def _step(name: str) -> Callable[[Any], None]:
    def step(self: Any) -> None:
        self.ctx.ran = [*self.ctx.get("ran", ()), name]
        self.out("ran", list(self.ctx.ran))

    step.__name__ = step.__qualname__ = name
    return step


def _define(cls: Any, spec: Any) -> None:
    super(cls, cls).define(spec)
    spec.outputs.dynamic = True
    spec.outline(*[cls.__dict__[name] for name in NAMES], *cls.last)


STEPS = {name: _step(name) for name in NAMES}
Steps = type("Steps", (WorkChain,), {"define": classmethod(_define), "last": (), **STEPS})


def _helps(self: Any) -> None:
    for name in NAMES:
        assert getattr(self, name)(7) == (name, 7)
    for name in NAMES:
        setattr(self, name, name)
    assert vars(self) == {name: name for name in NAMES}
    self.out("held", [getattr(self, name) for name in NAMES])


def _define_any(cls: Any, spec: Any) -> None:
    Process.define(spec)
    spec.outputs.dynamic = True


HELPERS = {name: (lambda self, x, name=name: (name, x)) for name in NAMES}
Helpers = type("Helpers", (Process,), {"define": classmethod(_define_any), "run": _helps, **HELPERS})


class Waits(Steps):  # type: ignore[valid-type, misc]
    """All these steps, and then a signal that may come or not."""

    @classmethod
    def define(cls, spec: Any) -> None:
        WorkChain.define(spec)
        spec.outputs.dynamic = True
        spec.outline(*[getattr(cls, name) for name in NAMES[:3]], cls.wait, cls.end)

    def wait(self) -> None:
        self.to_context(go=signal_("go"))

    def end(self) -> None:
        self.out("go", self.ctx.go)


def test_there_are_names_to_try() -> None:
    assert {"_memory", "record", "process", "memory", "_took"} < set(NAMES)
    assert not {"submit", "ctx"} & set(NAMES)


def test_any_name_can_be_a_step(home: Workspace) -> None:
    assert run(Steps, workspace=home) == {"ran": NAMES}, "in order, each once, restored after each"


def test_any_name_can_be_a_helper_and_an_attribute(home: Workspace) -> None:
    assert run(Helpers, workspace=home) == {"held": NAMES}


async def test_a_process_goes_on_elsewhere_whatever_its_steps_are_called(host: Solo) -> None:
    chain = host.process(Steps)
    with ThreadPoolExecutor(1) as threads:
        for number, name in enumerate(NAMES[:5]):
            execution = chain_execution_of(chain)
            assert execution.label() == name
            assert (await Stepper(threads).step(execution)).error is None
            host.committed(chain)
            chain = host.again(chain)
            assert (chain.ctx.ran, chain_execution_of(chain).position) == (NAMES[: number + 1], (number + 1,))


def test_it_can_be_paused_played_and_killed(home: Workspace) -> None:
    ended: list[Any] = []

    def runs() -> None:
        try:
            ended.append(run(Waits, workspace=home))
        except ProcessKilled as killed:
            ended.append(killed)

    for kill in (False, True):
        thread = threading.Thread(target=runs)
        thread.start()
        eventually(lambda: bool(find(state="waiting", workspace=home)))
        (handle,) = find(state="waiting", workspace=home)
        assert handle.pause("a look").accepted
        assert handle.play().accepted
        if kill:
            assert handle.kill("enough").accepted
        else:
            handle.signal("go", 5)
        thread.join(20)
    assert ended[0]["go"] == 5
    assert isinstance(ended[1], ProcessKilled)


# Odd classes


def _raise(*_: Any, **__: Any) -> Any:
    raise RuntimeError("nobody may ask me")


T = TypeVar("T")


class Counting(WorkChain):
    """What all of these do: two steps, and a total."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("n", default=3)
        spec.output("total")
        spec.outline(cls.first, cls.second)

    def first(self) -> None:
        self.ctx.n = self.inputs.n

    def second(self) -> None:
        self.status = "adding"
        self.report("adding")
        self.out("total", self.ctx.n + len(self.outputs))


class OwnInit(Counting):
    def __init__(self) -> None:
        self.plain = self.inputs.n


class PassesOn(Counting):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plain = 5


class Slotted(Counting):
    __slots__ = ("own",)

    def first(self) -> None:
        self.own = self.inputs.n
        self.ctx.n = self.own


class SlottedMixin:
    __slots__ = ("a", "b")


class Mixed(SlottedMixin, Counting): ...


class AnyAttribute(Counting):
    def __getattr__(self, name: str) -> Any:
        return name


class NoAttribute(Counting):
    __getattr__ = _raise


class Frozen(Counting):
    def __setattr__(self, name: str, value: Any) -> None:
        raise RuntimeError("frozen")

    def second(self) -> None:
        self.out("total", self.ctx.n)


class Shared(Counting):
    everything: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.__dict__ = self.everything

    def second(self) -> None:
        self.__dict__.clear()
        super().second()


class Liar(Counting):
    __eq__ = __bool__ = __len__ = __iter__ = __contains__ = __repr__ = __str__ = __format__ = _raise
    __hash__ = __reduce_ex__ = __reduce__ = __sizeof__ = __dir__ = __call__ = __await__ = __get__ = _raise


class Same(Counting):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class RaisingProperties(Counting):
    row = host = execution = process = record = _pid = property(_raise)


class Meta(type):
    __eq__ = __bool__ = __len__ = __iter__ = __call__ = __getattr__ = _raise
    __hash__ = None  # type: ignore[assignment]


class OddMeta(Counting, metaclass=Meta): ...


class Parameter(Counting, Generic[T]): ...


class Concrete(Parameter[int]): ...


class Abstract(Counting, abc.ABC):
    @abc.abstractmethod
    def missing(self) -> None: ...


class Complete(Abstract):
    def missing(self) -> None: ...


@dataclasses.dataclass
class Data(Counting):
    plain: int = 5


@dataclasses.dataclass(slots=True, frozen=True)
class FrozenData(Counting):
    plain: int = 5

    def second(self) -> None:
        self.out("total", self.ctx.n)


class NewOfItsOwn(Counting):
    __new__ = _raise


class LogsItself(Counting):
    logger = None  # type: ignore[assignment]


class NamedLikeOurs(Counting):
    @classmethod
    def execution_of(cls) -> None: ...

    @staticmethod
    def definition_of() -> None: ...

    process_class = Process
    __quince = 1


class Private(Counting):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.__first, cls.__second)

    def __first(self) -> None:
        super().first()

    def __second(self) -> None:
        super().second()


ODD = [
    OwnInit, PassesOn, Slotted, Mixed, AnyAttribute, NoAttribute, Frozen, Shared, Liar, Same,
    RaisingProperties, OddMeta, Concrete, Complete, Data, FrozenData, NewOfItsOwn, LogsItself,
    NamedLikeOurs, Private,
]  # fmt: skip


@pytest.mark.parametrize("kind", ODD, ids=lambda kind: kind.__name__)
def test_an_odd_class_is_a_process_class(home: Workspace, kind: Any) -> None:
    assert run(kind, workspace=home) == {"total": 3}


def test_an_object_that_no_worker_has_made_says_so(host: Solo) -> None:
    chain = host.process(Counting)
    with pytest.raises(EngineError, match="this Counting is no process that runs here: it has ended"):
        _ = object.__new__(Counting).inputs
    assert "Counting object at" in repr(object.__new__(Counting))
    with pytest.raises(InvalidDefinition, match="Counting is not called"):
        copy.copy(chain)
    assert vars(chain) == {}, "nothing of the engine's is on it"


class NeedsArguments(Counting):
    def __init__(self, n: int) -> None: ...


class Mapped(Process, dict):  # type: ignore[type-arg]
    def run(self) -> None: ...


IMPOSSIBLE = [
    (Abstract, "Abstract is abstract, and cannot be submitted: it lacks missing"),
    (NeedsArguments, "its __init__ needs arguments, and workers give none"),
    (Mapped, "Mapped derives from dict, and a process cannot"),
]


@pytest.mark.parametrize(("kind", "words"), IMPOSSIBLE, ids=lambda one: getattr(one, "__name__", "words"))
def test_of_what_no_object_can_be_made_is_refused_when_it_is_submitted(
    home: Workspace, kind: Any, words: str
) -> None:
    with pytest.raises(InvalidDefinition, match=words):
        run(kind, workspace=home)


# Documented names


def test_the_documented_names_are_documented() -> None:
    text = DOCS.read_text()
    section = text[text.index("## Names that are taken") :]
    named = set(re.findall(r"^\| `(\w+)`", section[: section.index("\n## ")], re.MULTILINE))
    assert named == {name for name in _documented(WorkChain) if not name.startswith("_")}
    assert named > OVERRIDABLE


RESERVED = sorted(name for name in _documented(WorkChain) - OVERRIDABLE if not name.startswith("_"))
VALUES = (7, lambda self: None, property(lambda self: 7), type("Nested", (), {}), classmethod(lambda cls: 7))


@pytest.mark.parametrize("name", RESERVED)
def test_what_is_documented_is_refused_by_name_when_it_is_overridden(name: str) -> None:
    base = Process if name in vars(Process) else WorkChain
    words = f"^Chain: '{name}' would hide {base.__name__}.{name} \\(.{{12,}}\\), which cannot be overridden; "
    for value in VALUES:
        with pytest.raises(InvalidDefinition, match=words):
            type("Chain", (Counting,), {name: value})
    mixin = type("Mixin", (), {name: 7, "__slots__": ()})
    with pytest.raises(InvalidDefinition, match=f"'{name}' of Mixin would hide"):
        type("Chain", (mixin, Counting), {})
    type("Chain", (Counting, mixin), {}), "which hides nothing"
    later = type("Chain", (Counting,), {})
    setattr(later, name, 7)
    with pytest.raises(InvalidDefinition, match=words):
        Process.spec.__func__(later)  # type: ignore[attr-defined]
    type("Chain", (Counting,), {"__annotations__": {name: int}}), "which is a hint, and no value"


def test_what_a_plain_process_does_not_have_is_free_there(home: Workspace) -> None:
    assert run(NoChain, workspace=home) == {"n": 7}


class NoChain(Process):
    ctx = 7

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("n")

    def run(self) -> None:
        self.sleep = self.to_context = 1
        self.out("n", self.ctx)


@pytest.mark.parametrize("name", RESERVED)
def test_what_is_documented_cannot_be_set_on_the_object(host: Solo, name: str) -> None:
    chain = host.process(Counting)
    if name == "status":
        chain.status = 7
        assert chain.status == "7"
        return
    with pytest.raises(AttributeError, match=rf"^self\.{name} cannot be replaced; .{{20}}"):
        setattr(chain, name, {})


UNLIKELY: list[tuple[str, Any, str]] = [
    ("version", property(lambda self: 7), "`version` says which checkpoints the class continues from"),
    ("version", lambda self: 7, "`version` says which checkpoints the class continues from"),
    ("isolation", "process", "`isolation` .* write one of 'host' and 'thread', and not 'process'"),
    ("isolation", lambda self: None, "`isolation` says where its steps run"),
    ("migrate", lambda cls, memory, version: memory, "migrate.. is no class method"),
    ("define", lambda cls, spec: None, "define.. is no class method"),
    ("run", lambda self: None, "`run` would never be called: the work of a WorkChain is its outline"),
]


@pytest.mark.parametrize(("name", "value", "words"), UNLIKELY)
def test_what_may_be_overridden_is_what_it_should_be(name: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidDefinition, match=words):
        type("Chain", (Counting,), {name: value}).spec()  # type: ignore[attr-defined]
