"""Errors: every message says what went wrong, where, why, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence


class HexconvError(Exception):
    """One clear answer to something that cannot be done.

    Args:
        what: what went wrong, one sentence.
        where: the file, node, tensor or line it concerns.
        why: the reason, if `what` does not already say it.
        todo: the nearest thing that the user can do.
    """

    def __init__(self, what: str, *, where: str = "", why: str = "", todo: str = "") -> None:
        self.what, self.where, self.why, self.todo = what, where, why, todo
        super().__init__(self.render())

    def render(self) -> str:
        """The message as the terminal shows it, one line a part."""
        lines = [self.what]
        for label, text in (("where", self.where), ("why", self.why), ("do", self.todo)):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)


class FileError(HexconvError):
    """A file that is missing, unreadable, unwritable, or not what it should be."""


class ModelError(HexconvError):
    """An ONNX model that is invalid, or that hexconv cannot take in."""


class Refusal(HexconvError):
    """One node (or tensor) that cannot be put on the DSP exactly, with the reason."""

    def __init__(self, what: str, *, node: str = "", op: str = "", why: str = "", todo: str = ""):
        self.node, self.op = node, op
        where = f"node '{node}' ({op})" if node else op
        super().__init__(what, where=where, why=why, todo=todo)


class Refusals(ModelError):
    """Every refusal of one model at once."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        noun = "node" if len(self.refusals) == 1 else "nodes"
        super().__init__(f"{len(self.refusals)} {noun} cannot run on the DSP")

    def render(self) -> str:
        """All refusals below one headline."""
        return "\n".join([self.what, *(r.render() for r in self.refusals)])


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
            todo=f"pip install 'hexconv[{extra}]'",
        )
