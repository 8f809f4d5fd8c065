"""Errors: every message says what went wrong, where, why, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence


class HexconvError(Exception):
    """One clear answer to something that cannot be done.

    Args:
        what: what went wrong, one sentence.
        where: the file, node, tensor or line it concerns.
        why: the reason, if `what` does not already say it.
        hint: the nearest thing that the user can do.
    """

    def __init__(self, what: str, *, where: str = "", why: str = "", hint: str = "") -> None:
        self.what, self.where, self.why, self.hint = what, where, why, hint
        super().__init__(self.render())

    def render(self) -> str:
        """The message as the terminal shows it, one line a part."""
        lines = [self.what]
        for label, text in (("where", self.where), ("why", self.why), ("hint", self.hint)):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)


class FileError(HexconvError):
    """A file that is missing, unreadable, unwritable, or not what it should be."""


class ModelError(HexconvError):
    """An ONNX model that is invalid, or that hexconv cannot take in."""


class UnsupportedOpError(HexconvError):
    """One node (or tensor) that cannot be put on the DSP exactly, with the reason."""

    def __init__(self, what: str, *, node: str = "", op: str = "", why: str = "", hint: str = ""):
        self.node, self.op = node, op
        where = f"node '{node}' ({op})" if node else op
        super().__init__(what, where=where, why=why, hint=hint)


class UnsupportedOpErrors(ModelError):
    """Every refusal of one model at once."""

    def __init__(self, unsupported: Sequence[UnsupportedOpError]) -> None:
        self.unsupported = tuple(unsupported)
        noun = "node" if len(self.unsupported) == 1 else "nodes"
        super().__init__(f"{len(self.unsupported)} {noun} cannot run on the DSP")

    def render(self) -> str:
        """All refusals below one headline."""
        return "\n".join([self.what, *(r.render() for r in self.unsupported)])


class RangeError(HexconvError):
    """Samples or ranges that are missing, malformed or not finite."""


class GraphError(HexconvError):
    """An nnlib graph that the library would refuse, crash on, or answer wrongly."""


class ConfigError(HexconvError):
    """A deployment YAML or a call whose arguments do not fit."""


class DeviceError(HexconvError):
    """The emulated library could not be built, started, or did not answer."""


class MissingExtra(HexconvError):
    """An optional dependency that is not installed.

    Args:
        package: what could not be imported.
        extra: the extra of hexconv that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package '{package}', which is not installed",
            hint=f"pip install 'hexconv[{extra}]'",
        )
