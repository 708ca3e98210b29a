"""The context of a work chain: values that go from step to step."""

from __future__ import annotations

from typing import Any

from plumpy.utils import AttributesDict

from engine.once import forbid_inside
from persistence.codec import check


class Context(AttributesDict):  # type: ignore[misc]  # plumpy is not followed
    """Values by name, as attributes or items. What a checkpoint cannot hold is refused when it is set.

    What is put into a list or dict that stands in the context already is seen at the end of the step.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a value.

        Raises:
            Unsaveable: no checkpoint can hold it; names the key and the type.
            MisusedOnce: a once-block is running, and would be skipped the next time.
        """
        forbid_inside("ctx", name)
        check(value, f"ctx.{name}")
        self.__dict__[name] = value

    def setdefault(self, key: str, value: Any) -> Any:
        """The value of `key`, which is set to `value` if there is none."""
        if key not in self.__dict__:
            setattr(self, key, value)
        return self.__dict__[key]
