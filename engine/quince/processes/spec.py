"""What a process class declares: ports (plumpy's) and exit codes (ours)."""

from __future__ import annotations

import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import plumpy

from quince.errors import InvalidDefinition, InvalidInput, InvalidOutput
from quince.processes.fitting import fitted, fitted_values
from quince.processes.instructions import block
from quince.processes.ports import InputPort, OutputPort, PortNamespace
from quince.text import close_to, name_problem


@dataclass(frozen=True, slots=True)
class ExitCode:
    """How a process ended, as a number for programs and a sentence for people.

    Attributes:
        status: 0 for success; 1 to 99 are the engine's own; processes take theirs from 100 on.
        message: One sentence; `{name}` fields are filled by `format`.
        label: The name under which the spec declares it.
    """

    status: int
    message: str | None = None
    label: str | None = None

    def format(self, **values: Any) -> ExitCode:
        """The same code with the fields of its message filled in.

        Raises:
            InvalidDefinition: the message has a field that is not given, or that cannot be written so.
        """
        try:
            return ExitCode(self.status, (self.message or "").format(**values), self.label)
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            given = ", ".join(values) or "none"
            raise InvalidDefinition(
                f"exit code {self.label or self.status}: its message {self.message!r} cannot be filled in: "
                f"{type(error).__name__} {error}; fields that were given: {given}"
            ) from None


SUCCESS = ExitCode(0)
MISSING_OUTPUT = 11


class ExitCodes(Mapping[str, ExitCode]):
    """The exit codes of a process class, by label: as items, as attributes, or called with a label."""

    def __init__(self) -> None:
        self._codes: dict[str, ExitCode] = {}

    def add(self, code: ExitCode) -> None:
        self._codes[str(code.label)] = code

    def message_of(self, status: int) -> str | None:
        """The declared message of a status, or None."""
        return next((code.message for code in self._codes.values() if code.status == status), None)

    def __getitem__(self, label: str) -> ExitCode:
        return self._codes[label]

    def __call__(self, label: str) -> ExitCode:
        """The exit code of that label; AiiDA's way to ask.

        Raises:
            AttributeError: there is none; says which there are.
        """
        code: ExitCode = getattr(self, label)
        return code

    def __getattr__(self, label: str) -> ExitCode:
        codes: dict[str, ExitCode] = self.__dict__.get("_codes", {})
        if label in codes:
            return codes[label]
        there = ", ".join(codes) or "none"
        raise AttributeError(
            f"no exit code {label!r} is declared (declared: {there}){close_to(label, codes)}"
        ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


class _Declaring:
    """What our specs add to plumpy's: exit codes, our ports, and a refusal of what makes no sense.

    Attributes:
        based: `Process.define` has been called for it, so that every parent's `define` has.
    """

    PORT_NAMESPACE_TYPE = PortNamespace
    INPUT_PORT_TYPE = InputPort
    OUTPUT_PORT_TYPE = OutputPort
    namespace_separator: str

    def __init__(self) -> None:
        super().__init__()
        self.exit_codes = ExitCodes()
        self.based = False
        self._declared: dict[tuple[int, str], FrameType] = {}

    def exit_code(self, status: Any, label: Any, message: str) -> None:
        """Declare an exit code.

        Args:
            status: From 100 on (0 to 99 are the engine's).
            label: A Python name; `self.exit_codes.LABEL` returns it.
            message: One sentence; may have `{fields}`, filled by `ExitCode.format`.

        Raises:
            InvalidDefinition: the label is no name, the status is taken or out of range, or the message
                is no text that can be filled in.
        """
        status = fitted(status, int)
        if not isinstance(status, int) or isinstance(status, bool) or status < 100:
            raise InvalidDefinition(f"exit code {label}: status {status!r} is not an integer from 100 on")
        if not isinstance(label, str) or not label.isidentifier():
            raise InvalidDefinition(f"exit code {status}: label {label!r} is not a Python name")
        _check_message(label, message)
        taken = next((c for c in self.exit_codes.values() if c.status == status and c.label != label), None)
        if taken is not None:
            raise InvalidDefinition(f"exit status {status} is declared twice: {taken.label} and {label}")
        self.exit_codes.add(ExitCode(status, message, label))

    def seal(self) -> None:
        """No more is declared."""
        self._declared.clear()
        super().seal()  # type: ignore[misc]

    def _create_port(self, ports: PortNamespace, kind: type, name: Any, **options: Any) -> None:
        word = "input" if ports is self.inputs else "output"  # type: ignore[attr-defined]
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise InvalidDefinition(f"{word} {name!r}: a name is needed, or several with dots (grid.points)")
        if wrong := name_problem(name):
            raise InvalidDefinition(f"the name of an {word} {wrong}")
        self._refuse_twice(id(ports), word, name)
        try:
            super()._create_port(ports, kind, name, **options)  # type: ignore[misc]
        except (InvalidDefinition, ValueError) as error:
            raise InvalidDefinition(f"{word} {name!r}: {error}") from error

    @staticmethod
    def _expose_ports(
        process_class: Any,
        source: PortNamespace,
        destination: PortNamespace,
        expose_memory: Any,
        namespace: str | None,
        exclude: str | Sequence[str] | None,
        include: str | Sequence[str] | None,
        namespace_options: dict[str, Any] | None = None,
    ) -> None:
        chosen = []
        for names in (exclude, include):
            chosen.append([names] if isinstance(names, str) else names)
            for name in chosen[-1] or ():
                if str(name).partition(".")[0] not in source:
                    raise InvalidDefinition(
                        f"{process_class.__name__} has no {name!r} that could be exposed or left out; it has "
                        f"{_names(source)}{close_to(str(name), source)}"
                    )
        plumpy.ProcessSpec._expose_ports(
            process_class, source, destination, expose_memory, namespace, *chosen, namespace_options
        )

    def _refuse_twice(self, place: int, word: str, name: str) -> None:
        """A class may declare again what its parent has; one `define` may not say a thing twice."""
        frame = sys._getframe(3)  # whoever called spec.input(...)
        for (where, other), by in self._declared.items():
            if where == place and by is frame and (other == name or other.startswith(f"{name}.")):
                what = "twice" if other == name else f"after {other!r}, which it would drop; declare it first"
                raise InvalidDefinition(f"{word} {name!r} is declared {what}")
        self._declared[place, name] = frame


class ProcessSpec(_Declaring, plumpy.ProcessSpec):  # type: ignore[misc]  # plumpy is not followed
    """Ports and exit codes of a `Process`."""


class WorkChainSpec(_Declaring, plumpy.WorkChainSpec):  # type: ignore[misc]  # as above
    """Ports, exit codes and the outline of a `WorkChain`."""

    def outline(self, *steps: Any) -> None:
        """Declare the work: methods of the class, `if_`, `while_` and `return_`, one after the other."""
        self._outline = block(steps)


def _check_message(label: str, message: Any) -> None:
    if not isinstance(message, str):
        raise InvalidDefinition(f"exit code {label}: its message {message!r} is no text")
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(message) if field is not None]
    except ValueError as error:
        raise InvalidDefinition(
            f"exit code {label}: its message {message!r} cannot be filled in ({error}); write {{{{ and }}}} "
            "for braces"
        ) from None
    unnamed = next((field for field in fields if not field[:1].isidentifier()), None)
    if unnamed is not None:
        raise InvalidDefinition(
            f"exit code {label}: the field {{{unnamed}}} of its message {message!r} has no name; "
            "write {name}"
        )


def parse_inputs(spec: plumpy.ProcessSpec, class_name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in defaults and check.

    Returns:
        Plain nested dictionaries of every input, ready for the codec.

    Raises:
        InvalidInput: names the port, what is wrong, and what the class takes.
    """
    known = spec.inputs
    if not isinstance(values, Mapping):
        raise InvalidInput(f"{class_name}: inputs are a mapping of names, not {type(values).__name__}")
    for name in values:
        wrong = name_problem(name)
        if wrong:
            raise InvalidInput(f"{class_name}: the name of an input {wrong}")
        if name not in known and not known.dynamic:
            hint = close_to(name, known)
            raise InvalidInput(
                f"{class_name} has no input {name!r}; it takes {_names(known)}{hint}", f"inputs.{name}"
            )
    try:
        filled = fitted_values(known, known.filled(values))
    except InvalidInput as error:
        raise InvalidInput(f"{class_name}: {error}", error.port) from error
    problem = known.validate(filled)
    if problem is not None:
        raise InvalidInput(
            f"{class_name}: {_port_name('input', problem.port)}: {problem.message}", problem.port
        )
    return filled


def check_output(spec: plumpy.ProcessSpec, class_name: str, path: str, value: Any) -> tuple[str, ...]:
    """Where an output belongs, as a path of keys.

    Raises:
        InvalidOutput: the spec has no such output, or not of this type.
    """
    wrong = name_problem(path)
    if wrong:
        raise InvalidOutput(f"{class_name}: the name of an output {wrong}")
    parts = tuple(path.split(spec.namespace_separator))
    if not all(parts):
        raise InvalidOutput(f"{class_name}: output {path!r}: there is no name between its dots", path)
    namespace = spec.outputs
    for depth, name in enumerate(parts[:-1]):
        if name not in namespace:
            if namespace.dynamic:
                return _checked(class_name, path, namespace.validate_dynamic_ports({name: value}), parts)
            raise InvalidOutput(
                f"{class_name} has no output namespace {'.'.join(parts[: depth + 1])!r}", path
            )
        port = namespace[name]
        if not isinstance(port, plumpy.PortNamespace):
            raise InvalidOutput(
                f"{class_name}: output {'.'.join(parts[: depth + 1])!r} is not a namespace", path
            )
        namespace = port
    if parts[-1] in namespace:
        return _checked(class_name, path, namespace[parts[-1]].validate(value), parts)
    if not namespace.dynamic:
        hint = close_to(parts[-1], namespace) or "; define() declares outputs: spec.output(...)"
        raise InvalidOutput(
            f"{class_name} has no output {path!r}; it puts out {_names(namespace)}{hint}", path
        )
    return _checked(class_name, path, namespace.validate_dynamic_ports({parts[-1]: value}), parts)


def missing_outputs(spec: plumpy.ProcessSpec, outputs: Mapping[str, Any]) -> str | None:
    """One sentence about what the outputs lack, or None if they are complete."""
    problem = spec.outputs.validate(outputs)
    return None if problem is None else f"{_port_name('output', problem.port)}: {problem.message}"


def _checked(class_name: str, path: str, problem: Any, parts: tuple[str, ...]) -> tuple[str, ...]:
    if problem is not None:
        raise InvalidOutput(f"{class_name}: output {path!r}: {problem.message}", path)
    return parts


def _names(namespace: plumpy.PortNamespace) -> str:
    return ", ".join(sorted(namespace)) or "none"


def _port_name(word: str, breadcrumbs: str) -> str:
    """`input 'a.b'`, from plumpy's breadcrumbs; `inputs` for all of them."""
    name = breadcrumbs.partition(".")[2]
    return f"{word} {name!r}" if name else f"its {word}s"
