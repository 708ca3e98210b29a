"""The context of a work chain: values that go from step to step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from typing import Any

from quince.errors import MissingName
from quince.processes.once import forbid_inside
from quince.text import close_to, name_problem
from quince_persistence.codec import LARGE, check, check_together


class Context(MutableMapping[str, Any]):
    """Values by name, as items (`ctx["n"]`) or attributes (`ctx.n`), with all that a mapping can do.

    What a checkpoint cannot hold is refused when it is set. What is put into a list or dict that stands in
    the context already is seen at the end of the step. A value under the name of a method (`items`, `get`)
    stands in its place, as long as it is there.

    Args:
        lists: Names whose value is an empty list until something is appended.
    """

    __slots__ = ("__dict__", "__lists__")

    def __init__(
        self, values: Mapping[str, Any] | None = None, lists: Callable[[], Collection[str]] = tuple
    ) -> None:
        object.__setattr__(self, "__lists__", lists)
        self.__dict__.update(values or {})

    def __getitem__(self, name: str) -> Any:
        """A value.

        Raises:
            MissingName: there is none of that name; says which there are. (A KeyError and an AttributeError.)
        """
        values = self.__dict__
        if name not in values and name in self.__lists__():
            values[name] = []
        try:
            return values[name]
        except KeyError:
            there = ", ".join(map(str, values)) or "nothing yet"
            raise MissingName(f"ctx has no {name!r}; it has: {there}{close_to(name, values)}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a value.

        Raises:
            Unsaveable: no checkpoint can hold it; names the key and the type.
            TooLarge: it is too large for one, by itself or with what stands in the context already.
            MisusedOnce: a once-block is running, and would be skipped the next time.
            ValueError: the name is no text, or none that people can write.
        """
        wrong = name_problem(name)
        if not wrong and name.startswith("__") and name.endswith("__"):
            wrong = f"is {name!r}: such names are Python's own"
        if wrong:
            raise ValueError(f"the name of a value in ctx {wrong}")
        forbid_inside("ctx", name)
        if check(value, f"ctx.{name}") > LARGE:
            check_together({**self.__dict__, name: value}, "ctx")
        self.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        forbid_inside("ctx", name)
        if name not in self.__dict__:
            _ = self[name]  # says what there is
        self.__dict__.pop(name)

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def get(self, name: str, default: Any = None) -> Any:
        """The value of that name, or `default`."""
        return self.__dict__.get(name, default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The value of that name, which is set to `default` if there is none."""
        if name not in self.__dict__:
            self[name] = default
        return self.__dict__[name]

    def clear(self) -> None:
        """Remove all values."""
        forbid_inside("ctx", "clear")
        self.__dict__.clear()

    def __eq__(self, other: object) -> bool:
        values = other.__dict__ if isinstance(other, Context) else other
        return bool(self.__dict__ == values)

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python itself looks for, in a copy that is not made yet too
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __repr__(self) -> str:
        return f"Context({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def __reduce__(self) -> Any:  # for copies, and what is sent to other programs
        return dict, (self.copy(),)

    def copy(self) -> dict[str, Any]:
        """The values, in a dictionary of their own."""
        return dict(self.__dict__)
