"""What a process class declares: ports (plumpy's) and exit codes (ours)."""

from __future__ import annotations

import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol, TypedDict, Unpack

import plumpy

from quince.errors import InvalidDefinition
from quince.processes.fitting import fitted
from quince.processes.hints import Hint
from quince.processes.ports import InputPort, OutputPort, PortNamespace, Validator, listed
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
        """This exit code, with the fields of its message filled in.

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
STATUSES = range(2**31)
"""Those that a process can end with."""


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


class HasSpec(Protocol):
    """A process class, or a `@process` function."""

    def spec(self) -> ProcessSpec:
        """What it declares."""


class PortOptions(TypedDict, total=False):
    """What `spec.output` takes, and `spec.input` with a default besides.

    Attributes:
        valid_type: A class, a tuple of classes, or any hint (`int | None`, `list[float]`, `Literal[...]`).
        validator: A function of the value, or of the value and the port: None, or what is wrong.
        required: False if it may be missing.
        help: One sentence for people.
    """

    valid_type: Hint | None
    validator: Validator | None
    required: bool
    help: str | None


class InputOptions(PortOptions, total=False):
    """What `spec.input` takes.

    Attributes:
        default: The value if none is given, or a function that makes it. With None, None may be given too.
    """

    default: Any


class NamespaceOptions(InputOptions, total=False):
    """What `spec.input_namespace` and `spec.output_namespace` take.

    Attributes:
        dynamic: Any names may be given in it; `valid_type` is that of their values.
        populate_defaults: Defaults of the ports in it count even if nothing is given for it.
    """

    dynamic: bool
    populate_defaults: bool


class ProcessSpec(plumpy.ProcessSpec):  # type: ignore[misc]  # plumpy is not followed
    """What a process class declares: inputs, outputs and exit codes.

    plumpy's, with exit codes, our ports, and a refusal of what makes no sense.

    Attributes:
        exit_codes: Those that are declared, by label.
        based: `Process.define` has been called for it, so that every parent's `define` has.
    """

    PORT_NAMESPACE_TYPE = PortNamespace
    INPUT_PORT_TYPE = InputPort
    OUTPUT_PORT_TYPE = OutputPort

    def __init__(self) -> None:
        super().__init__()
        self.exit_codes = ExitCodes()
        self.based = False
        self._declared: dict[tuple[int, str], FrameType] = {}

    @property
    def inputs(self) -> PortNamespace:
        """The ports of all inputs, by name."""
        ports: PortNamespace = super().inputs
        return ports

    @property
    def outputs(self) -> PortNamespace:
        """The ports of all outputs, by name."""
        ports: PortNamespace = super().outputs
        return ports

    def input(self, name: str, **options: Unpack[InputOptions]) -> None:
        """Declare an input: `spec.input("x", valid_type=int, default=1)`.

        Args:
            name: A Python name, or several with dots: `grid.points` lies in the namespace `grid`.
            options: `valid_type`, `default`, `validator`, `required`, `help`.

        Raises:
            InvalidDefinition: it is declared already, or an option makes no sense; says which.
        """
        self._create_port(self.inputs, InputPort, name, **options)

    def output(self, name: str, **options: Unpack[PortOptions]) -> None:
        """Declare an output: `spec.output("total", valid_type=int)`.

        Args:
            name: A Python name, or several with dots: `fit.error` lies in the namespace `fit`.
            options: `valid_type`, `validator`, `required`, `help`.

        Raises:
            InvalidDefinition: it is declared already, or an option makes no sense; says which.
        """
        self._create_port(self.outputs, OutputPort, name, **options)

    def input_namespace(self, name: str, **options: Unpack[NamespaceOptions]) -> None:
        """Declare inputs under one name: `spec.input_namespace("grid", dynamic=True)`.

        Args:
            name: A Python name, or several with dots.
            options: Those of an input, `dynamic` and `populate_defaults`.

        Raises:
            InvalidDefinition: it is declared already, or an option makes no sense; says which.
        """
        self._create_port(self.inputs, PortNamespace, name, **options)

    def output_namespace(self, name: str, **options: Unpack[NamespaceOptions]) -> None:
        """Declare outputs under one name: `spec.output_namespace("parts", dynamic=True)`.

        Args:
            name: A Python name, or several with dots.
            options: Those of an output, and `dynamic`.

        Raises:
            InvalidDefinition: it is declared already, or an option makes no sense; says which.
        """
        self._create_port(self.outputs, PortNamespace, name, **options)

    def expose_inputs(
        self,
        process_class: HasSpec,
        namespace: str | None = None,
        exclude: str | Sequence[str] | None = None,
        include: str | Sequence[str] | None = None,
        namespace_options: NamespaceOptions | None = None,
    ) -> None:
        """Take over the inputs of another process, to be handed on with `self.exposed_inputs`.

        Args:
            process_class: A process class or a `@process` function.
            namespace: Where they lie here; beside the inputs of this class if not given.
            exclude: Names that are left out.
            include: The only names that are taken; not together with `exclude`.
            namespace_options: Of the namespace: `dynamic`, `required`, `help` and so on.

        Raises:
            InvalidDefinition: the process has no such input.
        """
        super().expose_inputs(process_class, namespace, exclude, include, namespace_options)

    def expose_outputs(
        self,
        process_class: HasSpec,
        namespace: str | None = None,
        exclude: str | Sequence[str] | None = None,
        include: str | Sequence[str] | None = None,
        namespace_options: NamespaceOptions | None = None,
    ) -> None:
        """Take over the outputs of another process, to be handed on with `self.exposed_outputs`.

        Args:
            process_class: A process class or a `@process` function.
            namespace: Where they lie here; beside the outputs of this class if not given.
            exclude: Names that are left out.
            include: The only names that are taken; not together with `exclude`.
            namespace_options: Of the namespace: `dynamic`, `required`, `help` and so on.

        Raises:
            InvalidDefinition: the process has no such output.
        """
        super().expose_outputs(process_class, namespace, exclude, include, namespace_options)

    def exit_code(self, status: int, label: str, message: str) -> None:
        """Declare an exit code: `spec.exit_code(410, "NOTHING_TO_DO", "points must be positive")`.

        Args:
            status: From 100 on (0 to 99 are the engine's).
            label: A Python name; `self.exit_codes.LABEL` returns it.
            message: One sentence; may have `{fields}`, filled by `ExitCode.format`.

        Raises:
            InvalidDefinition: the label is no name, the status is taken or out of range, or the message
                is no text that can be filled in.
        """
        code = _exit_code(status, label, message, self.exit_codes)
        self._refuse_twice(id(self.exit_codes), "exit code", label, sys._getframe(1))
        self.exit_codes.add(code)

    def seal(self) -> None:
        """No more is declared."""
        self._declared.clear()
        super().seal()

    def _create_port(self, ports: PortNamespace, kind: type, name: Any, **options: Any) -> None:
        word = "input" if ports is self.inputs else "output"
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise InvalidDefinition(
                f"{word} {name!r}: a name is needed that Python takes, or several with dots (grid.points)"
            )
        if wrong := name_problem(name):
            raise InvalidDefinition(f"the name of an {word} {wrong}")
        if any(part.startswith("__") for part in name.split(".")):
            raise InvalidDefinition(
                f"{word} {name!r}: Python changes names that begin with two underscores where a class uses "
                "them (self.inputs.__name); leave one of them out"
            )
        self._refuse_twice(id(ports), word, name, sys._getframe(2))
        try:
            super()._create_port(ports, kind, name, **options)
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
                        f"{listed(source)}{close_to(str(name), source)}"
                    )
        plumpy.ProcessSpec._expose_ports(
            process_class, source, destination, expose_memory, namespace, *chosen, namespace_options
        )

    def _refuse_twice(self, place: int, word: str, name: str, frame: FrameType) -> None:
        """A class may declare again what its parent has; one `define` (`frame`) may not say a thing twice."""
        for (where, other), by in self._declared.items():
            if where == place and by is frame and (other == name or other.startswith(f"{name}.")):
                what = "twice" if other == name else f"after {other!r}, which it would drop; declare it first"
                raise InvalidDefinition(f"{word} {name!r} is declared {what}")
        self._declared[place, name] = frame


def _exit_code(status: Any, label: Any, message: Any, others: ExitCodes) -> ExitCode:
    status = fitted(status, int)
    if not isinstance(status, int) or isinstance(status, bool) or status not in STATUSES[100:]:
        raise InvalidDefinition(
            f"exit code {label}: status {status!r} is not an integer from 100 to {STATUSES[-1]}"
        )
    if not isinstance(label, str) or not label.isidentifier():
        raise InvalidDefinition(f"exit code {status}: label {label!r} is not a Python name")
    if label.startswith("_") or hasattr(ExitCodes, label):
        raise InvalidDefinition(
            f"exit code {status}: {label!r} is no label: names that mappings have, and those with an "
            f"underscore in front, are taken; call it {label.strip('_').upper() or 'FAILED'!r}, for example"
        )
    _check_message(label, message)
    taken = next((code for code in others.values() if code.status == status and code.label != label), None)
    if taken is not None:
        raise InvalidDefinition(f"exit status {status} is declared twice: {taken.label} and {label}")
    return ExitCode(status, message, label)


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
