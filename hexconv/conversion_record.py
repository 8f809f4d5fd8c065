"""The record of a conversion: from what and how a model was made, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hexconv.calibrate import SampleSet
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.onnx_graph.last_functions import LastFunction

if TYPE_CHECKING:
    import onnx

SCALING = ("equalized_channels", "gelu_tails", "outlier_channels")
"""Rewrites by ranges that give channels scales of their own."""


@dataclass(frozen=True)
class InFloat:
    """An ONNX node that is computed in float on the DSP, and its cost.

    Attributes:
        node: its name.
        why: why int8 does not support it, or that the user requested it.
        nnlib: the nnlib ops that it became.
        packets: predicted for one execution, those of `unknown` ops left out.
        milliseconds: predicted on the default SoC.
        unknown: executed ops of unknown cost.
    """

    node: str
    why: str
    nnlib: tuple[str, ...]
    packets: float
    milliseconds: float
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class FullPrecision:
    """An output whose last function the CPU can compute in float.

    Attributes:
        output: its name.
        op: the function.
        tensor: what the DSP's part would return instead, by its name in the file.
        reason: what is lost in 8 bits.
        option: of `hexconv convert`, that cuts the model there.
    """

    output: str
    op: str
    tensor: str
    reason: str
    option: str

    @classmethod
    def of(cls, last: LastFunction) -> FullPrecision:
        """What is offered for an output."""
        return cls(last.output, last.op, last.tensor, LOST[last.op], f"--split {last.tensor}")


PROBABILITIES = "8 bits hold probabilities in 255 steps, so that smaller ones become 0"
LOST = {
    "LogSoftmax": "8 bits hold logarithms in 255 steps from the smallest to 0",
    "Sigmoid": PROBABILITIES,
    "Softmax": PROBABILITIES,
}
"""What an output loses, by the function that computes it."""


@dataclass(frozen=True)
class RangeSource:
    """Ranges that were given.

    Attributes:
        source: the range file, as it was named; empty for ranges of the caller's.
        sha256: of the file, or of the ranges written as one.
    """

    source: str
    sha256: str


class AppliedRewrite(NamedTuple):
    """Something recognized, rewritten, decomposed or fused, and how often."""

    kind: str
    name: str
    times: int


class RefineStep(NamedTuple):
    """What was tried: SQNR in dB of the simulated model without it and with it.

    Attributes:
        name: what was changed.
        before, after: dB on samples that were held back from calibration.
        kept: whether the model has it.
        calibrated: whether the samples are those of the calibration instead.
        packets_before, packets_after: predicted, of a step that spends some.
    """

    name: str
    before: float
    after: float
    kept: bool
    calibrated: bool = False
    packets_before: float | None = None
    packets_after: float | None = None

    @property
    def gained(self) -> bool:
        """Whether the SQNR rose, if only by chance."""
        return self.after > self.before


@dataclass(frozen=True)
class Conversion:
    """The record of a conversion.

    Attributes:
        source: the ONNX file.
        library: that it optimized for.
        sha256: of it.
        onnx_ops: nodes of the float graph that was lowered, by op.
        rewrites: (kind, name, times) of everything recognized, rewritten, decomposed or fused.
        transposes_wanted: transposes in the float graph.
        transposes_left: Transpose_8 nodes emitted.
        warnings: what the user must know.
        saved: predicted packets that each rewrite saved, where requested.
        made: nnlib ops by the ONNX node that they come from.
        floats: nodes that are computed in float.
        full_precision: outputs whose last function the CPU can compute in float.
        refined: the choice of an observer, and the steps of accuracy="high".
        macs: multiply-accumulates of the float graph's nodes, by name, where there are any.
        settings: of the conversion (`Settings.as_dict`).
        samples: that ranges were measured on.
        ranges: that were given instead.
    """

    source: str = ""
    library: LibraryVersion = DEFAULT_LIBRARY
    sha256: str = ""
    onnx_ops: Mapping[str, int] = field(default_factory=dict)
    rewrites: tuple[AppliedRewrite, ...] = ()
    transposes_wanted: int = 0
    transposes_left: int = 0
    warnings: tuple[str, ...] = ()
    made: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    floats: tuple[InFloat, ...] = ()
    full_precision: tuple[FullPrecision, ...] = ()
    refined: tuple[RefineStep, ...] = ()
    saved: Mapping[str, float] = field(default_factory=dict)
    macs: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    samples: SampleSet | None = None
    ranges: RangeSource | None = None

    @property
    def scales_channels(self) -> bool:
        """Whether channels of the model's tensors are scaled beside those of the float model."""
        return any(item.name in SCALING for item in self.rewrites)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        floats = [
            {
                "onnx_node": row.node,
                "reason": row.why,
                "nnlib": list(row.nnlib),
                "packets": row.packets,
                "milliseconds_high": row.milliseconds,
                "unknown": list(row.unknown),
            }
            for row in self.floats
        ]
        refined = [step._asdict() for step in self.refined]
        return {**asdict(self), "floats": floats, "refined": refined}

    def coverage(self) -> dict[str, Any]:
        """The shares of nodes and of multiply-accumulates that run in int8, 0..1."""
        floats = {row.node for row in self.floats}
        total, lost = sum(self.macs.values()), sum(self.macs.get(name, 0) for name in floats)
        return {
            "ok": True,
            "node_share": 1.0 - len(floats) / max(len(self.made), 1),
            "mac_share": 1.0 - lost / total if total else 1.0,
        }


@dataclass(frozen=True)
class Parts:
    """A model cut in two.

    Attributes:
        dsp: the part to convert; its outputs are the cuts, and those outputs of the model that it
            computes itself.
        cpu: the rest; None where nothing had to be cut off.
        cuts: the tensors passed from the DSP to the CPU.
        source: the file that was cut, or its name in messages.
        only_cpu: inputs of the model that the DSP part does not read.
    """

    dsp: onnx.ModelProto
    cpu: onnx.ModelProto | None
    cuts: tuple[str, ...]
    source: str
    only_cpu: tuple[str, ...] = ()
