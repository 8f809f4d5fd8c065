"""Conv2d, [ChannelScale], [shrink], BiasAdd, Requantize: one chain per group of an expansion.

The fusion that follows makes one Supernode of each such chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from hexconv.nnlib.graph import Output, Padding, Ref
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.prepare.mutable_graph import SCALAR, Op, Work


@dataclass(frozen=True)
class Kinds:
    """The ops of the chain for one element type; `shrink` is "" where the bias is int32."""

    conv: str
    bias_add: str
    requantize: str
    shrink: str = ""
    dtype: str = "uint8"


BIAS32 = Kinds("QuantizedConv2d_8x8to32", "QuantizedBiasAdd_32p32to32", "Requantize_32to8")


@dataclass(frozen=True)
class Triple:
    """A tensor with its range."""

    data: Ref
    low: Ref
    high: Ref

    @classmethod
    def of(cls, op: Op) -> Triple:
        """The three outputs of a node."""
        return cls(op.ref(0), op.ref(1), op.ref(2))


def chain(
    work: Work,
    name: str,
    kinds: Kinds,
    x: Triple,
    weights: Triple,
    bias: Triple,
    out: tuple[Ref, Ref],
    stride: Ref,
    scales: Ref | None,
    shape: Shape4,
    padding: Padding,
    like: Op | None = None,
) -> list[Op]:
    """The nodes of one chain in order; the last one replaces `like`, if given."""
    wide = (Output(shape, "int32"), SCALAR, SCALAR)
    narrow = (Output(shape, kinds.dtype), SCALAR, SCALAR)
    ranges = [x.low, x.high, weights.low, weights.high]
    nodes = [
        work.make(
            f"{name}/conv", kinds.conv, [x.data, weights.data, *ranges, stride], wide, padding
        )
    ]
    last = Triple.of(nodes[-1])
    if scales is not None:
        inputs = [last.data, scales, last.low, last.high]
        nodes.append(work.make(f"{name}/scale", "QuantizedChannelScale_32xf", inputs, wide))
        last = Triple.of(nodes[-1])
    if kinds.shrink:
        inputs = [last.data, last.low, last.high]
        nodes.append(work.make(f"{name}/shrink", kinds.shrink, inputs, narrow))
        last = Triple.of(nodes[-1])
    inputs = [last.data, bias.data, last.low, last.high, bias.low, bias.high]
    nodes.append(work.make(f"{name}/bias", kinds.bias_add, inputs, wide))
    last = Triple.of(nodes[-1])
    inputs = [last.data, last.low, last.high, *out]
    nodes.append(work.make(f"{name}/out", kinds.requantize, inputs, narrow, like=like))
    return nodes
