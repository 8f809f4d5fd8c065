"""Attributes that take one of a few values: modes, directions, activations, flags.

ONNX's shape inference takes any text for most of them, and ONNX Runtime takes some for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Values = Mapping[str, Sequence[str | int]]
"""Of attributes, by name."""

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
DIRECTIONS = ("forward", "reverse", "bidirectional")
LOSSES = ("none", "sum", "mean")
SCATTERS = ("none", "add", "mul", "max", "min")
ROUNDINGS = ("up", "down", "nearest")
BLOCKS = ("DCR", "CRD")
ACTIVATIONS = (
    "Relu",
    "Tanh",
    "Sigmoid",
    "Affine",
    "LeakyRelu",
    "ThresholdedRelu",
    "ScaledTanh",
    "HardSigmoid",
    "Elu",
    "Softsign",
    "Softplus",
)
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)

WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "activation": {"CausalConvWithState": ("none", "silu", "swish")},
    "activations": dict.fromkeys(("GRU", "LSTM", "RNN"), ACTIVATIONS),
    "approximate": {"Gelu": ("none", "tanh")},
    "auto_pad": dict.fromkeys(
        (
            *("AveragePool", "LpPool", "MaxPool", "QLinearAveragePool"),
            *("Conv", "ConvInteger", "ConvTranspose", "FusedConv", "QLinearConv"),
        ),
        (*AUTO_PADS, ""),  # ONNX Runtime takes an empty text for NOTSET
    ),
    "case_change_action": {"StringNormalizer": ("LOWER", "UPPER", "NONE")},
    "coordinate_transformation_mode": {
        "Resize": COORDINATES,
        "RoiAlign": ("half_pixel", "output_half_pixel"),
    },
    "direction": {
        **dict.fromkeys(("GRU", "LSTM", "RNN"), DIRECTIONS),
        "BitShift": ("LEFT", "RIGHT"),
    },
    "keep_aspect_ratio_policy": {"Resize": ("stretch", "not_larger", "not_smaller")},
    "mode": {
        **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), BLOCKS),
        "GridSample": ("linear", "nearest", "cubic", "bilinear", "bicubic"),
        "Pad": ("constant", "reflect", "edge", "wrap"),
        "Resize": ("nearest", "linear", "cubic"),
        "RoiAlign": ("avg", "max"),
        "TensorScatter": ("linear", "circular"),
        "TfIdfVectorizer": ("TF", "IDF", "TFIDF"),
        "Upsample": ("nearest", "linear"),
    },
    "nearest_mode": {"Resize": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")},
    "padding_mode": {"GridSample": ("zeros", "border", "reflection")},
    "pixel_format": {"ImageDecoder": ("RGB", "BGR", "Grayscale")},
    "reduction": {
        **dict.fromkeys(("ScatterElements", "ScatterND"), SCATTERS),
        **dict.fromkeys(("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"), LOSSES),
    },
    "round_mode": dict.fromkeys(("Cast", "CastLike"), ROUNDINGS),
    "update_rule": {"LinearAttention": ("linear", "gated", "delta", "gated_delta")},
}
"""The words of an attribute by op: those of every opset, since exporters write newer ones too."""

FLAGS = frozenset(
    (
        *("align_corners", "allowzero", "antialias", "broadcast", "ceil_mode", "center_point_box"),
        *("channels_last", "count_include_pad", "detect_negative", "detect_positive", "exclusive"),
        *("exclude_outside", "fmod", "input_forget", "interleaved", "inverse", "is_case_sensitive"),
        *("is_causal", "is_test", "keepdims", "largest", "layout", "linear_before_reset"),
        *("new_axis", "noop_with_empty_axes", "onesided", "output_sequence", "periodic"),
        *("reverse", "saturate", "select_last_index", "sorted", "spatial", "storage_order"),
        *("training_mode", "transA", "transB", "transBatchA", "transBatchB", "unidirectional"),
        "upper",
    )
)
"""Attributes that are 0 or 1: of other numbers, one program takes each as 1, the next as 0."""

GATES = {"RNN": 1, "GRU": 2, "LSTM": 3}
"""Activations of a direction."""


def choice_faults(op: str, given: Values) -> Iterator[str]:
    """The attributes of a node that are none of the values that its op knows."""
    for name, values in given.items():
        allowed = (0, 1) if name in FLAGS else WORDS.get(name, {}).get(op, ())
        for value in values if allowed else ():
            if value not in allowed:
                known = ", ".join(str(one) for one in allowed if one != "")
                yield f"{name} is {value!r}, must be one of {known}"
    if op in GATES and given.get("activations"):
        yield from _count_faults(op, given)


def _count_faults(op: str, given: Values) -> Iterator[str]:
    both = "bidirectional" in given.get("direction", ())
    count, needed = len(given["activations"]), GATES[op] * (2 if both else 1)
    if count != needed:
        yield f"activations has {count} names, must have {needed}"
