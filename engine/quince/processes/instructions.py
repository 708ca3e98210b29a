"""What an outline is made of: `if_`, `while_`, `return_` and steps; and the refusal of what is none of them.

The classes are plumpy's (`plumpy.workchains`). plumpy refuses a step when it is written down, before anybody
knows the class, and steps under a decorator always; here an outline takes anything first, and is looked at
when its class is known.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from plumpy import workchains as plumpy_outline

from quince.errors import InvalidDefinition
from quince.text import close_to

BLOCK = plumpy_outline._Block
CALL = plumpy_outline._FunctionCall
IF = plumpy_outline._If
WHILE = plumpy_outline._While
RETURN = plumpy_outline._Return
_INSTRUCTION = plumpy_outline._Instruction
_CONDITIONAL = plumpy_outline._Conditional


class _Step(CALL):  # type: ignore[misc, valid-type]  # plumpy is not followed
    """A step, whatever was given for one."""

    def __init__(self, function: Any) -> None:
        self._fn = function


def block(steps: tuple[Any, ...]) -> Any:
    """These steps and instructions in a row."""
    return BLOCK([one if isinstance(one, _INSTRUCTION) else _Step(one) for one in steps])


def _body_of(word: str, conditional: Any, steps: tuple[Any, ...]) -> Any:
    if conditional._body is not None:
        name = _name(conditional.predicate)
        raise InvalidDefinition(
            f"{word}({name}) has its steps already: write all of them into one pair of brackets"
        )
    return block(steps)


class _Branch(_CONDITIONAL):  # type: ignore[misc, valid-type]  # as above
    def __call__(self, *steps: Any) -> Any:
        self._body = _body_of(self._label, self, steps)
        return self._parent


class _If(IF):  # type: ignore[misc, valid-type]  # as above
    def __init__(self, test: Any) -> None:
        super().__init__(test)
        self._ifs = [_Branch(self, test, label="if_")]
        self._sealed = False

    def elif_(self, test: Any) -> Any:
        if self._sealed:
            raise InvalidDefinition("elif_ comes before else_, which is the last")
        self._ifs.append(_Branch(self, test, label="elif_"))
        return self._ifs[-1]

    def else_(self, *steps: Any) -> Any:
        if self._sealed:
            raise InvalidDefinition("an if_ has one else_, and it is the last")
        self._sealed = True
        self._ifs.append(_Branch(self, _always, label="else_"))
        return self._ifs[-1](*steps)


class _While(WHILE):  # type: ignore[misc, valid-type]  # as above
    def __call__(self, *steps: Any) -> Any:
        self._body = _body_of("while_", self, steps)
        return self._parent


class _Return(RETURN):  # type: ignore[misc, valid-type]  # as above
    def __call__(self, exit_code: Any = None) -> Any:
        return _Return(exit_code)


return_ = _Return()
"""`return_` ends the chain where it stands; `return_(410)` with that exit status."""


def if_(test: Any) -> Any:
    """`if_(cls.test)(cls.step, ...)`, with `.elif_(cls.other)(...)` and `.else_(...)` if need be.

    Args:
        test: A method, `def` or `async def`, that returns True or False.
    """
    return _If(test)


def while_(test: Any) -> Any:
    """`while_(cls.test)(cls.step, ...)`: its steps again and again, as long as the test says True.

    Args:
        test: A method, `def` or `async def`, that returns True or False.
    """
    return _While(test)


def _always(chain: Any) -> bool:
    return True


def checked(outline: Any, cls: type) -> Any:
    """An outline as a block, if its class can walk it.

    Raises:
        InvalidDefinition: names the class, what cannot stand there, and what to write instead.
    """
    whole = outline if isinstance(outline, BLOCK) else block((outline,))
    if not len(whole):
        raise InvalidDefinition(f"{cls.__qualname__}: its outline has no steps: spec.outline(cls.first, ...)")
    for problem in _problems(whole, cls):
        raise InvalidDefinition(f"{cls.__qualname__}: {problem}")
    return whole


def _problems(instructions: Any, cls: type) -> Iterator[str]:
    for one in instructions:
        if isinstance(one, CALL):
            yield from _of_step(one._fn, cls)
        elif isinstance(one, IF):
            for branch in one:
                yield from _of_branch("if_", branch, cls)
        elif isinstance(one, WHILE):
            yield from _of_branch("while_", one, cls)
            if not len(one.body):
                yield f"while_({_name(one.predicate)}) has no steps, and would turn for ever"
        elif isinstance(one, RETURN):
            yield from _of_return(one._exit_code)
        else:
            yield f"the outline has {one!r} where a step belongs"


def _of_branch(word: str, branch: Any, cls: type) -> Iterator[str]:
    test = branch.predicate
    if not callable(test) or isinstance(test, type):
        yield f"{word} takes a test: a method of the class (cls.converged), not {test!r}"
    elif not takes_self(test):
        yield f"{word}({_name(test)}): a test takes self alone, not {_signature(test)}"
    elif yields(test):
        yield f"{word}({_name(test)}): a test returns True or False, and this one yields"
    if branch._body is None:
        yield f"{word}({_name(test)}) has no steps: write {word}(cls.{_name(test)})(cls.step, ...)"
    else:
        yield from _problems(branch.body, cls)


def _of_step(function: Any, cls: type) -> Iterator[str]:
    name = getattr(function, "__name__", None)
    if isinstance(function, str):
        there = hasattr(cls, function)
        hint = close_to(function, [one for one in dir(cls) if not one.startswith("_")])
        yield f"the outline has the text {function!r} where a step belongs" + (
            f"; write cls.{function}" if there else hint
        )
    elif isinstance(function, (list, tuple)):
        yield "the outline has a list where a step belongs; write the steps one after the other, as arguments"
    elif isinstance(function, property):
        yield "the outline has a property where a step belongs; a step is a plain method"
    elif not callable(function) or isinstance(function, type) or name is None:
        yield f"the outline has {function!r} where a step belongs; write cls.step, a method of the class"
    elif name == "<lambda>":
        yield "the outline has a lambda where a step belongs; write a method: checkpoints know steps by name"
    elif not callable(inspect.getattr_static(cls, name, None)) and not hasattr(cls, name):
        yield f"the outline names {name!r}, which is no method of the class"
    elif _hides(name, cls):
        yield f"a step cannot be called {name!r}: that is a method of every process, which it would hide"
    elif not takes_self(function):
        yield (
            f"step {name!r} takes {_signature(function)}, and a step takes self alone; what it needs comes "
            "through self.inputs and self.ctx"
        )
    elif yields(function):
        yield f"step {name!r} yields, and a step returns"


def _of_return(code: Any) -> Iterator[str]:
    status = getattr(code, "status", code)
    if code is not None and (not isinstance(status, int) or isinstance(status, bool) or status < 0):
        yield f"return_({code!r}): it takes an exit code (spec.exit_codes.LABEL) or a status, from 0 on"


def _hides(name: str, cls: type) -> bool:
    """It stands in the place of one of the engine's own methods, other than `run`."""
    own = [base for base in cls.__mro__ if base.__module__ in _OURS and name in vars(base)]
    return bool(own) and name != "run" and inspect.getattr_static(cls, name) is not vars(own[0])[name]


_PACKAGE = __name__.rpartition(".")[0]
_OURS = (f"{_PACKAGE}.workchain", f"{_PACKAGE}.process")


def takes_self(function: Callable[..., Any]) -> bool:
    """It can be called with the process alone."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # one that does not tell
        pass
    return True


def _signature(function: Callable[..., Any]) -> str:
    """`(self, x)`, without hints."""
    names = [str(one).partition(":")[0] for one in inspect.signature(function).parameters.values()]
    return f"({', '.join(names)})"


def yields(function: Callable[..., Any]) -> bool:
    """It is a generator function, under whatever decorators."""
    inner = inspect.unwrap(function)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", function))
