"""Shapes of the ops that compute: element-wise, convolutions, pools, products, reductions."""

from __future__ import annotations

from hexconv.errors import GraphError
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.layout import Shape4
from hexconv.nnlib.shapes.view import View, broadcast, four, shape_rule, window


@shape_rule(
    "QuantizedRelu_8",
    "QuantizedReluX_8",
    "QuantizedClamp_8",
    "QuantizedPRelu_8",
    "QuantizedPRelu_8_V2",
    "QuantizedTanh_8",
    "QuantizedSigmoid_8",
    "QuantizedHardSwish_8",
    "QuantizedSoftmax_8",
    "QuantizedSqrt_8",
    "QuantizedRecip_8",
    "QuantizedNeg_8",
    "QuantizedInstanceNorm_8",
    "QuantizedInstanceNormBG_8",
    "QuantizedLayerNorm_i16",
    "L2Normalize_8",
    "QuantizedLRN_8",
    "AxisShuffle_8",
    "CastUInt8ToInt32",
    "Requantize_32to8",
    "Requantize_8to8",
    "QuantizeDownAndShrinkRange_32to8",
    "Requantize_32to16",
    "Requantize_32tou16",
    "Requantize_16_16",
    "AutoQuantize",
    "Quantize",
    "Dequantize",
    "Convert_8_16",
    "Convert_8_u16",
    "Convert_16_8",
    "Convert_u16_8",
    "Quantize_16",
    "Quantize_u16",
    "Dequantize_16",
    "Dequantize_u16",
    "QuantizedTanh_16",
    "QuantizedSigmoid_16",
    "QuantizedBatchNorm_8x8p32to8",
    "QuantizedBatchNorm_8x8p8to8",
    "QuantizedBiasAdd_32p32to32",
    "QuantizedBiasAdd_8p8to32",
    "Convert_to_d32",
    "Convert_from_d32",
    "Convert_to_d32_16b",
    "Convert_from_d32_16b",
    "Softmax_f",
    "LogSoftmax_f",
    "Tanh_f",
    "Sigmoid_f",
    "Relu_f",
    "Neg_f",
    "Abs_f",
    "Floor_f",
    "Ceil_f",
    "Round_f",
    "ReluX_f",
    "Clamp_f",
    "PRelu_f",
    "AddN_f",
    "BiasAdd_f",
    "InstanceNorm_f",
)
def _same(view: View) -> Shape4:
    return view.shape("data")


@shape_rule(
    "QuantizedAdd_8p8to8",
    "QuantizedSub_8p8to8",
    "QuantizedMul_8x8to8",
    "QuantizedDiv_8",
    "QuantizedMaximum_8",
    "QuantizedMinimum_8",
    "QuantizedAdd_8p8to32",
    "QuantizedMul_8x8to32",
    "QuantizedEqual_8",
    "QuantizedNotEqual_8",
    "QuantizedLess_8",
    "QuantizedLessEqual_8",
    "QuantizedGreater_8",
    "QuantizedGreaterEqual_8",
    "QuantizedAdd_16",
    "QuantizedSub_16",
    "QuantizedMul_16",
    "QuantizedAdd_u16",
    "QuantizedSub_u16",
    "QuantizedMul_u16",
    "Add_f",
    "Sub_f",
    "Mul_f",
    "Maximum_f",
    "Minimum_f",
)
def _broadcast(view: View) -> Shape4:
    return broadcast(view.shape("a"), view.shape("b"))


@shape_rule("Select_8")
def _select(view: View) -> Shape4:
    return view.shape("y")


@shape_rule(
    "Supernode_8x8p32to8",
    "QuantizedConv2d_8x8to32",
    "Supernode_16x16p32to16",
    "Conv2d_f",
    "QuantizedGroupedConv2d_8x8p32to8",
    "QuantizedDilatedConv2d_8x8p32to8",
    "DepthwiseSupernode_8x8p32to8",
)
def _conv(view: View) -> Shape4:
    (b, h, w, _), stride = view.shape("data"), view.shape("stride")
    kh, kw, depth, filters = view.shape("weights")
    dh, dw = view.ints("dilation", 2) if view.has("dilation") else (1, 1)
    out_depth = depth * filters if view.op.name.startswith("Depthwise") else filters
    return (
        b,
        window(h, (kh - 1) * dh + 1, stride[1], view.padding),
        window(w, (kw - 1) * dw + 1, stride[2], view.padding),
        out_depth,
    )


@shape_rule("QuantizedTransposeConv2d_8x8p32to8")
def _transposed_conv(view: View) -> Shape4:
    (b, h, w, _), stride = view.shape("data"), view.shape("stride")
    filters, kh, kw, _ = view.shape("weights")
    top, bottom, left, right = view.ints("pads", 4)
    groups = view.number("groups", 1)
    for kernel, step, after in ((kh, stride[1], bottom), (kw, stride[2], right)):
        # the kernel is rounded up to the stride with zeros; nothing is after that
        if after < kernel - -(-kernel // step) * step:
            raise GraphError("the output reaches beyond what the kernel writes (output padding)")
    return (
        b,
        (h - 1) * stride[1] + kh - top - bottom,
        (w - 1) * stride[2] + kw - left - right,
        filters * groups,
    )


@shape_rule("QuantizedMaxPool_8", "QuantizedAvgPool_8", "QuantizedL2Pool_8", "AvgPool_f")
def _pool(view: View) -> Shape4:
    (b, h, w, d), size, stride = view.shape("data"), view.shape("window"), view.shape("stride")
    return (
        b,
        window(h, size[1], stride[1], view.padding),
        window(w, size[2], stride[2], view.padding),
        d,
    )


@shape_rule("QuantizedMatMul_8x8to32", "QuantizedMatMul_8x8p32to16", "MatMul_f")
def _matmul(view: View) -> Shape4:
    a, b = view.shape("a"), view.shape("b")
    return 1, 1, a[0] * a[1] * a[2], b[3]


@shape_rule("SuperFC_8x8p32to8")
def _fully_connected(view: View) -> Shape4:
    data = view.shape("data")
    return 1, 1, data[0] * data[1] * data[2], view.shape("weights")[3]


@shape_rule("QuantizedMatMulDims_8x8p32to16", "QuantizedBatchMatMul_8x8to32")
def _batch_matmul(view: View) -> Shape4:
    return (*view.shape("a")[:3], view.shape("b")[3])


@shape_rule(
    "QuantizedMean_8",
    "QuantizedSum_8to32",
    "QuantizedMax_8",
    "QuantizedMin_8",
    "Moments_8to32",
    "Moments_f",
    "Sum_f",
)
def _reduce(view: View) -> Shape4:
    data = view.shape("data")
    axes = view.axes("axes") if view.has("axes") else range(4)
    kept = [1 if axis in axes else size for axis, size in enumerate(data)]
    if view.padding is Padding.VALID and view.has("axes"):  # Sum_f squeezes what it reduced
        left = [size for axis, size in enumerate(data) if axis not in axes]
        kept = [1] * (4 - len(left)) + left
    return four(kept)


@shape_rule("ArgMax_8", "ArgMax_8toInt32", "ArgMin_8")
def _arg(view: View) -> Shape4:
    axis = view.axes("axis", 1)[0]
    return four([1 if i == axis else size for i, size in enumerate(view.shape("data"))])


@shape_rule("TopK_8")
def _top_k(view: View) -> Shape4:
    b, h, w, d = view.shape("data")
    return b, h, w, min(d, view.number("k"))
