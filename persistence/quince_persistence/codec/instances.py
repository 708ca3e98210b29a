"""Instances of classes that say themselves what they hold: dataclasses, attrs, pydantic, named tuples, enums.

A class is found again by its name (`quince_persistence.codec.classes`), and must be of the family that was
written before anything is made of it. None of its code runs: neither `__init__` nor `__post_init__`, but
for the defaults of fields that were added later.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from quince_persistence.codec import classes

Family = Literal["dataclass", "attrs", "pydantic", "namedtuple"]
_PYDANTIC_STATE = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


@dataclass(frozen=True, slots=True)
class Plan:
    """How the instances of one class are taken apart and put together.

    Attributes:
        fields: Names, in order.
        defaults: What gives a field that was not written, by name.
        required: Fields that must have been written.
        slots: Names of attributes that stand in slots.
        hidden: Names of further attributes that belong to each instance.
    """

    cls: type
    family: Family
    fields: tuple[str, ...]
    defaults: dict[str, Callable[[], Any]]
    required: frozenset[str]
    slots: frozenset[str]
    hidden: tuple[str, ...] = ()

    def take(self, value: Any) -> tuple[list[str], list[Any], int]:
        """Names and values of the attributes, and how many of them are declared fields."""
        if self.family == "namedtuple":
            return list(self.fields), list(value), len(self.fields)
        held: dict[str, Any] = getattr(value, "__dict__", {})
        found = {}
        for name in self.fields:
            if name in held:
                found[name] = held[name]
            elif name in self.slots and hasattr(value, name):
                found[name] = getattr(value, name)
        declared = len(found)
        for name in (*held, *self.slots):
            if name not in found and not name.startswith("__") and self._is_state(name, value):
                found[name] = held[name] if name in held else getattr(value, name)
        for name in self.hidden:
            if name in held or isinstance(getattr(self.cls, name), types.MemberDescriptorType):
                found[name] = getattr(value, name)  # a root model has some from its class
        return list(found), list(found.values()), declared

    def _is_state(self, name: str, value: Any) -> bool:
        if isinstance(getattr(self.cls, name, None), functools.cached_property):
            return False  # is computed again
        return name not in self.slots or hasattr(value, name)

    def check(self, names: Sequence[str], declared: int) -> None:
        """Refuse what was written by another form of the class.

        Raises:
            ValueError: says what differs.
        """
        written = set(names[:declared])
        for name in written.difference(self.fields):
            raise ValueError(f"{self.cls.__qualname__} has no field {name!r} any more")
        for name in self.required - written:
            raise ValueError(f"{self.cls.__qualname__} has a field {name!r} now, which was not written")
        for name in names[declared:]:
            if name.startswith("__") and name not in self.hidden:
                raise ValueError(f"{name!r} is no attribute that is ever written")

    def new(self) -> Any:
        """An empty instance, for `fill`."""
        return object.__new__(self.cls)

    def fill(self, instance: Any, names: Sequence[str], values: Sequence[Any]) -> Any:
        """Give an instance its attributes."""
        found = dict(zip(names, values, strict=True))
        for name, default in self.defaults.items():
            if name not in found:
                found[name] = default()
        for name, value in found.items():
            if name in self.slots:
                object.__setattr__(instance, name, value)
            else:
                instance.__dict__[name] = value
        return instance

    def tuple(self, names: Sequence[str], values: Sequence[Any]) -> Any:
        """A named tuple."""
        found = dict(zip(names, values, strict=True))
        whole = [found[name] if name in found else self.defaults[name]() for name in self.fields]
        return tuple.__new__(self.cls, whole)


def plan_of(cls: type) -> Plan | None:
    """The plan of a class, or None if it is of none of these families, or one that cannot be made again."""
    if cls not in _plans:
        _plans[cls] = _plan(cls)
    return _plans[cls]


def fields_of(value: Any) -> dict[str, Any] | None:
    """What an instance holds, by name; None if it is of none of these families."""
    plan = plan_of(type(value))
    if plan is None:
        return None
    names, values, _ = plan.take(value)
    return {name: item for name, item in zip(names, values, strict=True) if not name.startswith("__")}


def load(path: str, family: str) -> Plan:
    """The plan of a class that was written under this name.

    Raises:
        ValueError: it is not of this family.
        Exception: it cannot be loaded.
    """
    cls = classes.load(path)
    plan = plan_of(cls) if isinstance(cls, type) else None
    if plan is None or plan.family != family or family not in get_args(Family):
        raise ValueError(f"{path} is not a {family} here")
    return plan


def enum_state(member: enum.Enum) -> Any:
    """A member by its name; a combination of flags, which has none, by its number."""
    if member.name in type(member).__members__:
        return member.name
    return member.value


def load_enum(path: str, state: Any) -> enum.Enum:
    """The member of an enum that was written under this name.

    Raises:
        ValueError: it is no enum, or has no such member.
        Exception: it cannot be loaded.
    """
    cls = classes.load(path)
    if not (isinstance(cls, type) and issubclass(cls, enum.Enum)):
        raise ValueError(f"{path} is not an enum here")
    if isinstance(state, int) and issubclass(cls, enum.Flag):
        return cls(state)
    if state not in cls.__members__:
        raise ValueError(f"{cls.__qualname__} has no member {state!r} now")
    return cls.__members__[state]


_plans: dict[type, Plan | None] = {}


def _plan(cls: type) -> Plan | None:
    plan: Plan | None
    if issubclass(cls, tuple):
        plan = _of_namedtuple(cls)
    elif _is_pydantic(cls):
        plan = _of_pydantic(cls)
    elif hasattr(cls, "__attrs_attrs__"):
        plan = _of_attrs(cls)
    elif dataclasses.is_dataclass(cls):
        plan = _of_dataclass(cls)
    else:
        return None
    if plan is not None and plan.family != "namedtuple":
        try:
            plan.new()
        except TypeError:  # it is a dict, an exception, ... as well, whose own content would be lost
            return None
    return plan


def _of_namedtuple(cls: Any) -> Plan | None:
    fields = getattr(cls, "_fields", None)
    if not (isinstance(fields, tuple) and all(isinstance(name, str) for name in fields)):
        return None
    if cls.__dictoffset__:  # attributes of its own would be lost
        return None
    defaults = {name: _giving(value) for name, value in getattr(cls, "_field_defaults", {}).items()}
    return Plan(cls, "namedtuple", fields, defaults, frozenset(fields) - set(defaults), frozenset())


def _of_dataclass(cls: Any) -> Plan:
    fields = dataclasses.fields(cls)
    defaults: dict[str, Callable[[], Any]] = {}
    for field in fields:
        if field.default_factory is not dataclasses.MISSING:
            defaults[field.name] = field.default_factory
        elif field.default is not dataclasses.MISSING and field.init:  # else the class has it
            defaults[field.name] = _giving(field.default)
    required = frozenset(field.name for field in fields if field.init and field.name not in defaults)
    return Plan(cls, "dataclass", tuple(field.name for field in fields), defaults, required, _slots_of(cls))


def _of_attrs(cls: Any) -> Plan:
    attr: Any = sys.modules["attr"]
    defaults: dict[str, Callable[[], Any]] = {}
    required = set()
    for field in cls.__attrs_attrs__:
        if isinstance(field.default, attr.Factory):
            if not field.default.takes_self:
                defaults[field.name] = field.default.factory
        elif field.default is not attr.NOTHING:
            defaults[field.name] = _giving(field.default)
        elif field.init:
            required.add(field.name)
    names = tuple(field.name for field in cls.__attrs_attrs__)
    return Plan(cls, "attrs", names, defaults, frozenset(required), _slots_of(cls))


def _is_pydantic(cls: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    base = getattr(pydantic, "BaseModel", None)
    return isinstance(base, type) and issubclass(cls, base) and hasattr(cls, "model_fields")


def _of_pydantic(cls: Any) -> Plan:
    fields = cls.model_fields
    defaults: dict[str, Callable[[], Any]] = {
        name: functools.partial(field.get_default, call_default_factory=True)
        for name, field in fields.items()
        if not field.is_required()
    }
    required = frozenset(name for name, field in fields.items() if field.is_required())
    return Plan(cls, "pydantic", tuple(fields), defaults, required, _slots_of(cls), _PYDANTIC_STATE)


def _slots_of(cls: type) -> frozenset[str]:
    return frozenset(
        name
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, types.MemberDescriptorType)
    )


def _giving(value: Any) -> Callable[[], Any]:
    return lambda: value
