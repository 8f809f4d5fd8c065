"""The reference acoustic model: a Transformer encoder of the kind that runs on the DSP.

`speech` 1x144x40 to `fa_out` 1x144x287: two 3x3 convolutions with stride 2 over frequency only, a
Linear, pre-norm blocks of attention and feed-forward, a last layer norm, a Linear, a softmax. Built
from ONNX nodes, decomposed as exporters do, without torch. Seeded weights with a trained network's
spread: the outputs have realistic values, but recognize no speech.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hexconv.arrays import FloatArray as Array


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder; the defaults are those of the reference model."""

    frames: int = 144
    bands: int = 40
    channels: int = 32
    width: int = 256
    heads: int = 4
    feed_forward: int = 1024
    blocks: int = 4
    labels: int = 287
    opset: int = 13
    seed: int = 20261122


def reference_encoder(config: EncoderConfig | None = None) -> onnx.ModelProto:
    """The encoder as an ONNX model with inputs `speech` and outputs `fa_out`."""
    return _EncoderWriter(config or EncoderConfig()).model()


def sample_speech(count: int = 8, config: EncoderConfig | None = None, seed: int = 1) -> Array:
    """Feature frames that resemble speech: smooth over time, in -1..1: (count, 1, T, F)."""
    config = config or EncoderConfig()
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((count, 1, config.frames + 8, config.bands))
    kernel = np.hanning(9) / np.hanning(9).sum()
    smooth = np.apply_along_axis(lambda x: np.convolve(x, kernel, "valid"), 2, noise)
    tilt = np.linspace(1.0, 0.4, config.bands)
    return np.asarray(np.tanh(1.5 * smooth * tilt), np.float32)


class _EncoderWriter:
    """Appends nodes and initializers under readable names."""

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config
        self.rng = np.random.default_rng(config.seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        """All layers in order."""
        c = self.config
        x = self.op("Unsqueeze", ["speech", self.ints("axis1", [1])], "image")
        x = self.conv(x, 1, "conv1")
        x = self.conv(x, c.channels, "conv2")
        bands = math.ceil(math.ceil(c.bands / 2) / 2)
        x = self.op("Transpose", [x], "conv_frames", perm=[0, 2, 1, 3])
        shape = self.ints("frames_shape", [1, c.frames, c.channels * bands])
        x = self.op("Reshape", [x, shape], "conv_flat")
        x = self.linear(x, c.channels * bands, c.width, "input")
        for index in range(c.blocks):
            name = f"block{index}"
            x = self.op("Add", [x, self.attention(x, f"{name}/attention")], f"{name}/residual1")
            x = self.op("Add", [x, self.feed_forward(x, f"{name}/ff")], f"{name}/residual2")
        x = self.layer_norm(x, "last_norm")
        x = self.linear(x, c.width, c.labels, "logits", gain=2.0)
        self.nodes.append(helper.make_node("Softmax", [x], ["fa_out"], name="softmax", axis=-1))
        graph = helper.make_graph(
            self.nodes,
            "reference_encoder",
            [helper.make_tensor_value_info("speech", TensorProto.FLOAT, [1, c.frames, c.bands])],
            [helper.make_tensor_value_info("fa_out", TensorProto.FLOAT, [1, c.frames, c.labels])],
            self.weights,
        )
        opset = helper.make_opsetid("", c.opset)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)

    def op(self, kind: str, inputs: list[str], name: str, **attrs: object) -> str:
        """One node whose output is named after it."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"{name}_node", **attrs))
        return name

    def tensor(self, name: str, array: Array) -> str:
        """A float initializer."""
        self.weights.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def ints(self, name: str, values: list[int]) -> str:
        """An int64 initializer."""
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def random(self, shape: tuple[int, ...], scale: float) -> Array:
        """Normal values of a standard deviation."""
        return np.asarray(self.rng.standard_normal(shape) * scale, np.float32)

    def conv(self, x: str, inputs: int, name: str) -> str:
        """3x3, stride 2 over frequency, ReLU."""
        outputs = self.config.channels
        weight = self.random((outputs, inputs, 3, 3), (2.0 / (9 * inputs)) ** 0.5)
        bias = self.random((outputs,), 0.1)
        x = self.op(
            "Conv",
            [x, self.tensor(f"{name}.weight", weight), self.tensor(f"{name}.bias", bias)],
            f"{name}/out",
            kernel_shape=[3, 3],
            strides=[1, 2],
            pads=[1, 1, 1, 1],
        )
        return self.op("Relu", [x], f"{name}/relu")

    def linear(self, x: str, inputs: int, outputs: int, name: str, gain: float = 1.0) -> str:
        """MatMul and bias-add, as torch's exporters write a Linear on 3-D input."""
        weight = self.random((inputs, outputs), gain * inputs**-0.5)
        bias = self.random((outputs,), 0.1)
        x = self.op("MatMul", [x, self.tensor(f"{name}.weight", weight)], f"{name}/matmul")
        return self.op("Add", [self.tensor(f"{name}.bias", bias), x], f"{name}/add")

    def layer_norm(self, x: str, name: str) -> str:
        """Mean, variance, division, gamma and beta, one node each."""
        width = self.config.width
        gamma = np.asarray(1.0 + self.random((width,), 0.1), np.float32)
        mean = self.op("ReduceMean", [x], f"{name}/mean", axes=[-1])
        centered = self.op("Sub", [x, mean], f"{name}/centered")
        two = self.tensor(f"{name}/two", np.asarray(2.0, np.float32))
        square = self.op("Pow", [centered, two], f"{name}/square")
        variance = self.op("ReduceMean", [square], f"{name}/variance", axes=[-1])
        epsilon = self.tensor(f"{name}/epsilon", np.asarray(1e-5, np.float32))
        deviation = self.op(
            "Sqrt", [self.op("Add", [variance, epsilon], f"{name}/eps")], f"{name}/deviation"
        )
        scaled = self.op("Div", [centered, deviation], f"{name}/normal")
        scaled = self.op("Mul", [scaled, self.tensor(f"{name}.gamma", gamma)], f"{name}/scaled")
        beta = self.tensor(f"{name}.beta", self.random((width,), 0.1))
        return self.op("Add", [scaled, beta], f"{name}/out")

    def heads(self, x: str, name: str, perm: list[int]) -> str:
        """[1, T, D] split into heads and permuted."""
        c = self.config
        shape = self.ints(f"{name}/shape", [1, c.frames, c.heads, c.width // c.heads])
        return self.op(
            "Transpose",
            [self.op("Reshape", [x, shape], f"{name}/split")],
            f"{name}/heads",
            perm=perm,
        )

    def attention(self, x: str, name: str) -> str:
        """Pre-norm self-attention; the scale is a division."""
        c = self.config
        x = self.layer_norm(x, f"{name}/norm")
        q, k, v = (self.linear(x, c.width, c.width, f"{name}/{part}") for part in "qkv")
        q = self.heads(q, f"{name}/q", [0, 2, 1, 3])
        k = self.heads(k, f"{name}/k", [0, 2, 3, 1])
        v = self.heads(v, f"{name}/v", [0, 2, 1, 3])
        scores = self.op("MatMul", [q, k], f"{name}/scores")
        scale = self.tensor(f"{name}/scale", np.asarray((c.width / c.heads) ** 0.5, np.float32))
        scores = self.op("Div", [scores, scale], f"{name}/scaled")
        weights = self.op("Softmax", [scores], f"{name}/weights", axis=-1)
        mixed = self.op("MatMul", [weights, v], f"{name}/mixed")
        mixed = self.op("Transpose", [mixed], f"{name}/merged", perm=[0, 2, 1, 3])
        shape = self.ints(f"{name}/merged_shape", [1, c.frames, c.width])
        mixed = self.op("Reshape", [mixed, shape], f"{name}/joined")
        return self.linear(mixed, c.width, c.width, f"{name}/out")

    def feed_forward(self, x: str, name: str) -> str:
        """Pre-norm Linear, ReLU, Linear."""
        c = self.config
        x = self.layer_norm(x, f"{name}/norm")
        x = self.linear(x, c.width, c.feed_forward, f"{name}/1")
        x = self.op("Relu", [x], f"{name}/relu")
        return self.linear(x, c.feed_forward, c.width, f"{name}/2")
