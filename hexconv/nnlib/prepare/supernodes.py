"""Convolution, MatMul or Mul with BiasAdd, Requantize and activation become one node.

prepare.c try_make_supernode_flavored and try_make_qadd_supernode. Unlike the open source, the
shipped library also fuses a convolution that has no BiasAdd: it gets a bias of zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hexconv.nnlib.graph import Ref
from hexconv.nnlib.prepare import superfc
from hexconv.nnlib.prepare.mutable_graph import Op, Work, shape4

REQUANTIZE = ("QuantizeDownAndShrinkRange_32to8", "Requantize_32to8")
REQUANTIZE_16 = ("QuantizeDownAndShrinkRange_32to16", "Requantize_32tou16")
ACTIVATIONS = ("QuantizedRelu_8", "QuantizedReluX_8", "QuantizedClamp_8")
BIAS_32, BIAS_8 = "QuantizedBiasAdd_32p32to32", "QuantizedBiasAdd_8p8to32"


def _always(work: Work, op: Op) -> bool:
    return True


def _depthwise_fits(work: Work, op: Op) -> bool:
    """dwconv_extrachecks: kernels that the depthwise supernode has."""
    weights, stride = work.array(op.inputs[1]), work.array(op.inputs[6])
    if weights is None or stride is None:
        return False
    kh, kw, _, multiplier = weights.shape
    return stride.shape[2] <= 2 and multiplier == 1 and kh >= 2 and kw in (3, 5, 7)


def _factor_fits(work: Work, op: Op) -> bool:
    """batchnorm_extrachecks: the factor is [1,1,1,D]."""
    factor = work.array(op.inputs[1])
    return factor is not None and factor.shape[:3] == (1, 1, 1)


def _matrix_fits(work: Work, op: Op) -> bool:
    """matmult_extrachecks: depths that SuperFC has."""
    weights = work.array(op.inputs[1])
    if weights is None:
        return False
    depth_in, depth_out = shape4(weights)[2:]
    return depth_in % 16 == 0 and depth_out % 16 == 0 and depth_out >= 32


@dataclass(frozen=True)
class SupernodeFlavor:
    """What one op fuses to (struct supernode_replacement_desc).

    `bias_8` and `bias_32` are the fused ops by kind of bias; "" where there is none. `needs_bias`:
    without BiasAdd nothing is fused.
    """

    bias_8: str
    bias_32: str
    fits: Callable[[Work, Op], bool]
    inputs: int
    needs_bias: bool = True
    wide: bool = False
    allow_scale: bool = False


FLAVORS = {
    "QuantizedConv2d_8x8to32": SupernodeFlavor(
        "Supernode_8x8p8to8",
        "Supernode_8x8p32to8",
        _always,
        7,
        needs_bias=False,
        allow_scale=True,
    ),
    "QuantizedDepthwiseConv2d_8x8to32": SupernodeFlavor(
        "DepthwiseSupernode_8x8p8to8",
        "DepthwiseSupernode_8x8p32to8",
        _depthwise_fits,
        7,
        needs_bias=False,
        allow_scale=True,
    ),
    "QuantizedMul_8x8to32": SupernodeFlavor(
        "QuantizedBatchNorm_8x8p8to8", "QuantizedBatchNorm_8x8p32to8", _factor_fits, 6
    ),
    "QuantizedMatMul_8x8to32": SupernodeFlavor("", "SuperFC_8x8p32to8", _matrix_fits, 6),
    "QuantizedConv2d_16x16to32": SupernodeFlavor(
        "Supernode_16x16p16to16", "Supernode_16x16p32to16", _always, 7, wide=True, allow_scale=True
    ),
}


@dataclass(frozen=True)
class Chain:
    """The nodes that one fusion absorbs, after its head."""

    scale: Op | None
    shrink: Op | None
    bias: Op | None
    requantize: Op
    activation: Op | None

    @property
    def last(self) -> Op:
        """The node whose id and outputs the fused node has."""
        return self.activation or self.requantize


def fuse(work: Work, op: Op) -> list[Op] | None:
    """Fuse the chain that starts at `op`, if there is one."""
    if op.op == "Shape_int32":
        _bypass_dequantize(work, op)
        return None
    if op.op == "QuantizedAdd_8p8to32":
        return _fuse_add(work, op)
    flavor = FLAVORS.get(op.op)
    if flavor is None or not flavor.fits(work, op):
        return None
    found = _match(work, op, flavor)
    if found is None:
        return None
    kind = flavor.bias_32
    if found.bias is None:
        bias = _no_bias(work, op)
    else:
        bias = [found.bias.inputs[i] for i in (1, 4, 5)]
        kind = flavor.bias_32 if found.bias.op == BIAS_32 else flavor.bias_8
    if not kind:
        widened = superfc.bias_to_int32(work, op, bias)
        if widened is None:
            return None
        bias, kind = widened, flavor.bias_32
    bounds = _requested(work, found.requantize, found.activation)
    inputs = [*op.inputs[: flavor.inputs], *bias, *bounds]
    outputs = found.last.outputs[:3]
    made = None
    if found.scale is not None:
        inputs.append(found.scale.inputs[1])
    elif kind in superfc.FROM:
        made = superfc.instead_of_supernode(work, found.last, kind, op.padding, inputs, outputs)
    if made is None:
        made = work.make("", kind, inputs, outputs, op.padding, like=found.last)
    parts = (op, found.scale, found.shrink, found.bias, found.requantize, found.activation)
    return [work.absorb(made, parts)]


def _match(work: Work, op: Op, flavor: SupernodeFlavor) -> Chain | None:
    head = op
    scale = None
    if flavor.allow_scale:
        scale = work.sole_reader(op.id, ("QuantizedChannelScale_32xf",))
        if scale is not None:
            own = [scale.inputs[i] for i in (0, 2, 3)]
            if own != [op.ref(0), op.ref(1), op.ref(2)] or scale.inputs[1].node not in work.consts:
                return None
            head = scale
    requantize = REQUANTIZE_16 if flavor.wide else REQUANTIZE
    bias = work.sole_reader(head.id, (*requantize, BIAS_32))
    if bias is None:
        return None
    shrink = None
    if bias.op != BIAS_32:
        if flavor.wide:
            return None
        shrink = bias
        bias = work.sole_reader(shrink.id, (BIAS_8,))
    last = None if bias is None else work.sole_reader(bias.id, requantize)
    if last is not None:
        return Chain(scale, shrink, bias, last, work.sole_reader(last.id, ACTIVATIONS))
    if shrink is None or scale is not None or flavor.needs_bias:
        return None
    return Chain(None, None, None, shrink, work.sole_reader(shrink.id, ACTIVATIONS))


def _no_bias(work: Work, op: Op) -> list[Ref]:
    """An int32 bias of zeros, with a range."""
    zeros = work.const(np.zeros(op.outputs[0].shape[3], np.int32), f"{op.name}/no_bias")
    return [zeros, work.scalar(-1.0), work.scalar(1.0)]


def _requested(work: Work, requantize: Op, activation: Op | None) -> list[Ref]:
    """The output range: the requantize's, clipped by the activation (extract_min_max_from_relu)."""
    if requantize.op in ("Requantize_32to8", "Requantize_32tou16"):
        low, high = requantize.inputs[3:5]
    else:
        low, high = work.scalar(float("-inf")), work.scalar(float("inf"))
    match activation.op if activation else "":
        case "QuantizedRelu_8":
            low = work.scalar(0.0)
        case "QuantizedReluX_8":
            low = work.scalar(0.0)
            high = activation.inputs[3] if activation else high
        case "QuantizedClamp_8":
            low, high = activation.inputs[3:5] if activation else (low, high)
    return [low, high]


def _fuse_add(work: Work, op: Op) -> list[Op] | None:
    requantize = work.sole_reader(op.id, REQUANTIZE)
    if requantize is None:
        return None
    activation = work.sole_reader(requantize.id, ACTIVATIONS)
    last = activation or requantize
    inputs = [*op.inputs[:6], *_requested(work, requantize, activation)]
    made = work.make("", "QuantizedAdd_8p8to8", inputs, last.outputs[:3], op.padding, like=last)
    return [work.absorb(made, (op, requantize, activation))]


def _bypass_dequantize(work: Work, op: Op) -> None:
    """Shape_int32 reads what Dequantize reads (try_bypass_for_shape)."""
    source = op.inputs[0]
    if source.port == 0 and work.producer(source) == "Dequantize":
        op.inputs[0] = work.by_id[source.node].inputs[0]


def run(work: Work) -> None:
    """Apply to every node."""
    work.rewrite(fuse)
