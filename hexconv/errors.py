"""Errors: every message says what went wrong, where, why, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hexconv.distribution import pip_install
from hexconv.names import printable
from hexconv.option_names import in_python

DIFFERS = 3
"""The exit code where a threshold that the user set is not reached, or what is compared differs."""


class HexconvError(Exception):
    """One clear message about something that cannot be done.

    `str(error)` names keyword arguments of Python; `render(cli=True)` names command-line options.

    Args:
        what: what went wrong, one sentence.
        where: the file, node, tensor or line it concerns.
        why: the reason, if `what` does not already say it.
        hint: what the user can do next.

    Attributes:
        exit_code: of the command line: 1 the model is unsupported or the work failed, 2 wrong usage
            or input, 3 a threshold that the user set is not reached (`DIFFERS`: or what the user
            asked to compare differs).
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", hint: str = "") -> None:
        self.what, self.where, self.why, self.hint = what, where, why, hint
        super().__init__(self.render())

    def __reduce__(self) -> tuple[Any, ...]:
        """With all attributes: errors come from other processes too."""
        return _restored, (type(self), self.args, self.__dict__)

    def render(self, *, cli: bool = False) -> str:
        """The message, one part per line; control characters of names are written out."""
        lines = [self.what]
        for label, text in (("where", self.where), ("why", self.why), ("hint", self.hint)):
            if text:
                lines.append(f"  {label}: {text}")
        text = printable("\n".join(lines))
        return text if cli else in_python(text)


def _restored(kind: type[HexconvError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def too_little_memory(error: MemoryError) -> HexconvError:
    """What a user is told when an array, or anything else, does not fit into memory."""
    return HexconvError("there is too little memory", why=str(error))


class FileError(HexconvError):
    """A file that is missing, unreadable, unwritable, or not what it should be."""

    exit_code = 2


class ModelError(HexconvError):
    """An ONNX model that is invalid, or that hexconv cannot read."""


class UnsupportedOpError(HexconvError):
    """One node (or tensor) that cannot be mapped exactly to the DSP, with the reason."""

    def __init__(self, what: str, *, node: str = "", op: str = "", why: str = "", hint: str = ""):
        self.node, self.op = node, op
        where = f"node '{node}' ({op})" if node else op
        super().__init__(what, where=where, why=why, hint=hint)


class UnsupportedOpErrors(ModelError):
    """Every unsupported node of one model at once."""

    def __init__(self, unsupported: Sequence[UnsupportedOpError]) -> None:
        self.unsupported = tuple(unsupported)
        noun = "node" if len(self.unsupported) == 1 else "nodes"
        super().__init__(f"{len(self.unsupported)} {noun} cannot run on the DSP")

    def render(self, *, cli: bool = False) -> str:
        """All of them under one headline."""
        return "\n".join(
            [printable(self.what), *(error.render(cli=cli) for error in self.unsupported)]
        )


class RangeError(HexconvError):
    """Samples or ranges that are missing, malformed or not finite."""

    exit_code = 2


class PastFloat32Error(RangeError):
    """A number of the graph that a float32 cannot hold."""


class NotFiniteError(RangeError):
    """A tensor that becomes NaN or infinite on some data."""


class NodeRangeError(RangeError):
    """Numbers that a node computes, or computes with, beyond what the library holds."""

    def __init__(self, what: str, *, node: str, op: str, why: str = "", hint: str = "") -> None:
        self.node, self.op = node, op
        super().__init__(what, where=f"node '{node}' ({op})", why=why, hint=hint)


class AccuracyError(HexconvError):
    """A model that is less accurate than was asked for."""

    exit_code = DIFFERS


class GraphError(HexconvError):
    """An nnlib graph that the library would reject, crash on, or compute incorrectly."""


class ConfigError(HexconvError):
    """A deployment YAML or a call whose arguments do not fit."""

    exit_code = 2


class FloorError(HexconvError):
    """A threshold that the user set (`--fail-below`, `--strict`) is not reached."""

    exit_code = DIFFERS


class DeviceError(HexconvError):
    """The emulated library could not be built or started, or did not respond."""


class DeviceLibraryError(DeviceError):
    """A file that is not a DSP library which can be run."""

    exit_code = 2


class PhoneError(HexconvError):
    """A phone that is not there, or on which a model does not run."""


class ClusterError(HexconvError):
    """Workers that are gone, do not fit, or could not do a part of the samples."""


class HexconvWarning(UserWarning):
    """What a user must know about a conversion that succeeded."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class SampleWarning(HexconvWarning):
    """What a user must know of the samples: what is measured on them differs from the files."""


class MissingExtra(HexconvError):
    """An optional dependency that is not installed.

    Args:
        package: what could not be imported.
        extra: the extra of hexconv that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package '{package}', which is not installed",
            hint=pip_install(extra),
        )


def system_reason(error: Exception) -> str:
    """What the operating system says of an error, without its number and the path."""
    return getattr(error, "strerror", None) or str(error)
