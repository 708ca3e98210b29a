"""What a process class declares: ports (plumpy's) and exit codes (ours)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import plumpy

from engine.errors import InvalidDefinition, InvalidInput, InvalidOutput


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
        """The same code with the fields of its message filled in."""
        return ExitCode(self.status, (self.message or "").format(**values), self.label)


SUCCESS = ExitCode(0)
MISSING_OUTPUT = 11


class ExitCodes(Mapping[str, ExitCode]):
    """The exit codes of a process class, by label, as items and as attributes."""

    def __init__(self) -> None:
        self._codes: dict[str, ExitCode] = {}

    def add(self, code: ExitCode) -> None:
        self._codes[str(code.label)] = code

    def message_of(self, status: int) -> str | None:
        """The declared message of a status, or None."""
        return next((code.message for code in self._codes.values() if code.status == status), None)

    def __getitem__(self, label: str) -> ExitCode:
        return self._codes[label]

    def __getattr__(self, label: str) -> ExitCode:
        try:
            return self.__dict__["_codes"][label]  # type: ignore[no-any-return]
        except KeyError:
            declared = ", ".join(self.__dict__.get("_codes", ())) or "none"
            raise AttributeError(f"no exit code {label!r} is declared (declared: {declared})") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


class _ExitCodePorts:
    """The part of a spec that is ours; mixed into plumpy's specs."""

    exit_codes: ExitCodes

    def exit_code(self, status: Any, label: Any, message: str) -> None:
        """Declare an exit code.

        Args:
            status: From 100 on (0 to 99 are the engine's).
            label: A Python name; `self.exit_codes.LABEL` returns it.
            message: One sentence; may have `{fields}`, filled by `ExitCode.format`.

        Raises:
            InvalidDefinition: the label is no name, or the status is taken or out of range.
        """
        if not isinstance(status, int) or status < 100:
            raise InvalidDefinition(f"exit code {label}: status {status!r} is not an integer from 100 on")
        if not isinstance(label, str) or not label.isidentifier():
            raise InvalidDefinition(f"exit code {status}: label {label!r} is not a Python name")
        taken = next((c for c in self.exit_codes.values() if c.status == status and c.label != label), None)
        if taken is not None:
            raise InvalidDefinition(f"exit status {status} is declared twice: {taken.label} and {label}")
        self.exit_codes.add(ExitCode(status, message, label))


class ProcessSpec(_ExitCodePorts, plumpy.ProcessSpec):  # type: ignore[misc]  # plumpy is not followed
    """Ports and exit codes of a `Process`."""

    def __init__(self) -> None:
        super().__init__()
        self.exit_codes = ExitCodes()


class WorkChainSpec(_ExitCodePorts, plumpy.WorkChainSpec):  # type: ignore[misc]  # as above
    """Ports, exit codes and the outline of a `WorkChain`."""

    def __init__(self) -> None:
        super().__init__()
        self.exit_codes = ExitCodes()


def parse_inputs(spec: plumpy.ProcessSpec, class_name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in defaults and check.

    Returns:
        Plain nested dictionaries of every input, ready for the codec.

    Raises:
        InvalidInput: names the port, what is wrong, and what the class takes.
    """
    known = spec.inputs
    if not known.dynamic:
        for name in values:
            if name not in known:
                raise InvalidInput(
                    f"{class_name} has no input {name!r}; it takes {_names(known)}", f"inputs.{name}"
                )
    try:
        filled = known.pre_process(_as_floats(known, values))
    except (AttributeError, TypeError) as error:
        raise InvalidInput(f"{class_name}: inputs cannot be read: {error}") from error
    problem = known.validate(filled)
    if problem is not None:
        raise InvalidInput(
            f"{class_name}: input {_port_name(problem.port)!r}: {_plain(problem.message)}", problem.port
        )
    return _as_plain(filled)


def check_output(spec: plumpy.ProcessSpec, class_name: str, path: str, value: Any) -> tuple[str, ...]:
    """Where an output belongs, as a path of keys.

    Raises:
        InvalidOutput: the spec has no such output, or not of this type.
    """
    parts = tuple(path.split(spec.namespace_separator))
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
        raise InvalidOutput(f"{class_name} has no output {path!r}; it puts out {_names(namespace)}", path)
    return _checked(class_name, path, namespace.validate_dynamic_ports({parts[-1]: value}), parts)


def missing_outputs(spec: plumpy.ProcessSpec, outputs: Mapping[str, Any]) -> str | None:
    """One sentence about what the outputs lack, or None if they are complete."""
    problem = spec.outputs.validate(outputs)
    return None if problem is None else f"output {_port_name(problem.port)!r}: {_plain(problem.message)}"


def _as_floats(ports: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, with whole numbers as floats where a port takes floats alone."""
    plain = dict(values)
    for name, value in values.items():
        port = ports.get(name)
        if type(value) is int and port is not None and port.valid_type in (float, (float,)):
            plain[name] = float(value)
        elif isinstance(port, plumpy.PortNamespace) and isinstance(value, Mapping):
            plain[name] = _as_floats(port, value)
    return plain


def _checked(class_name: str, path: str, problem: Any, parts: tuple[str, ...]) -> tuple[str, ...]:
    if problem is not None:
        raise InvalidOutput(f"{class_name}: output {path!r}: {_plain(problem.message)}", path)
    return parts


def _names(namespace: plumpy.PortNamespace) -> str:
    return ", ".join(sorted(namespace)) or "none"


def _port_name(port: str) -> str:
    """plumpy's breadcrumbs without the leading `inputs` / `outputs`."""
    return port.partition(".")[2].replace("inputs.", "").replace("outputs.", "") or port


def _plain(message: str) -> str:
    """plumpy's sentences, with type names that people know, and without the port's name for the value's."""
    text = message.replace("<class '", "").replace("'>", "").strip()
    return _WRONG_TYPE.sub(r"it is \1, and must be \2", text)


_WRONG_TYPE = re.compile(r"^value '[^']*' is not of the right type\. Got '([^']*)', expected '?(.*?)'?$")


def _as_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    frozen = plumpy.utils.AttributesFrozendict
    return {k: _as_plain(v) if isinstance(v, frozen) else v for k, v in values.items()}
