"""Write a HiFi-GAN generator as ONNX, node by node, from its weights: no torch needed.

Every exporter and tool here uses this one writer, so the file does not depend on where the weights
come from: weight norm folded, names that say where a tensor comes from, no redundant nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hexconv.errors import ConfigError
from hexconv.models import layers
from hexconv.models.config import LAST_LEAKY_SLOPE, LEAKY_SLOPE, GeneratorConfig
from hexconv.models.config import parse as config_from_text
from hexconv.models.layers import Layer, Weights

OPSETS = range(7, min(22, onnx.defs.onnx_opset_version()) + 1)
"""Supported opsets; 7 is the first in which Add and Div broadcast as used here."""

CONFIG_KEY, ORIGIN_KEY = "hexconv.hifigan.config", "hexconv.hifigan.weights"
"""Metadata of the file: the config as JSON, and where the weights come from."""

DEFAULT_OPSET = 17


@dataclass(frozen=True)
class VocoderForm:
    """The form of the file, apart from the weights.

    Attributes:
        length: mel frames, or None for any number of them.
        conv2d: 2-D convs: (1, num_mels, T, 1) to (1, 1, hop_size*T, 1).
        opset: of the default domain.
        input_name, output_name: of the graph.
    """

    length: int | None = None
    conv2d: bool = False
    opset: int = DEFAULT_OPSET
    input_name: str = "inputs"
    output_name: str = "output"

    def __post_init__(self) -> None:
        if self.opset not in OPSETS:
            raise ConfigError(
                f"opset {self.opset} is not supported",
                hint=f"use one of {OPSETS[0]} to {OPSETS[-1]}",
            )
        if self.length is not None and self.length < 1:
            raise ConfigError(f"a length of {self.length} frames is invalid")
        if not self.input_name or not self.output_name or self.input_name == self.output_name:
            raise ConfigError("input and output need two different names")


@dataclass
class _Writer:
    """Collects nodes and initializers; every method appends one node and names its output."""

    weights: Weights
    convs: dict[str, Layer]
    conv2d: bool
    nodes: list[Any] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"/{output}", **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        self.tensors.append(numpy_helper.from_array(value, name))
        return name

    def leaky(self, x: str, slope: float = LEAKY_SLOPE, *, of: str) -> str:
        return self.node("LeakyRelu", [x], f"{of}.leaky_relu", alpha=slope)

    def conv(self, name: str, x: str) -> str:
        layer = self.convs[name]
        weight = np.asarray(self.weights[f"{name}.weight"], np.float32)
        along = [1] if self.conv2d else []
        inputs = [
            x,
            self.constant(f"{name}.weight", weight[..., None] if self.conv2d else weight),
            self.constant(f"{name}.bias", np.asarray(self.weights[f"{name}.bias"], np.float32)),
        ]
        side = [layer.padding, *(0 for _ in along)]
        more = {"output_padding": [layer.output_padding, *(0 for _ in along)]}
        return self.node(
            "ConvTranspose" if layer.transposed else "Conv",
            inputs,
            f"{name}.out",
            kernel_shape=[layer.kernel, *along],
            strides=[layer.stride, *along],
            dilations=[layer.dilation, *along],
            pads=[*side, *side],
            group=1,
            **(more if layer.output_padding else {}),
        )

    def block(self, config: GeneratorConfig, block: str, x: str) -> str:
        """One residual block."""
        dilations = config.resblock_dilation_sizes[self._kind(config, block)]
        for i in range(len(dilations)):
            if config.resblock == "1":
                first, second = f"{block}.convs1.{i}", f"{block}.convs2.{i}"
                inner = self.conv(first, self.leaky(x, of=first))
                inner = self.conv(second, self.leaky(inner, of=second))
            else:
                only = f"{block}.convs.{i}"
                inner = self.conv(only, self.leaky(x, of=only))
            x = self.node("Add", [inner, x], f"{block}.add.{i}")
        return x

    @staticmethod
    def _kind(config: GeneratorConfig, block: str) -> int:
        return int(block.split(".")[1]) % len(config.resblock_kernel_sizes)

    def stage(self, config: GeneratorConfig, stage: int, x: str) -> str:
        """One upsampling and the mean of the residual blocks after it."""
        name = f"ups.{stage}"
        x = self.conv(name, self.leaky(x, of=name))
        first, *others = layers.block_names(config, stage)
        total = self.block(config, first, x)
        for block in others:
            total = self.node("Add", [total, self.block(config, block, x)], f"{block}.sum")
        count = self.constant(f"stage.{stage}.blocks", np.float32(len(others) + 1).reshape(()))
        return self.node("Div", [total, count], f"stage.{stage}.mean")


def write(
    config: GeneratorConfig,
    weights: Weights,
    form: VocoderForm | None = None,
    *,
    name: str = "hifigan",
    origin: str = "",
) -> onnx.ModelProto:
    """The generator as a checked ONNX model.

    Args:
        config: which generator.
        weights: by official name, float32, weight norm folded (`layers.check` must accept them).
        form: length, 1-D or 2-D convs, opset and names.
        name: of the graph.
        origin: where the weights come from, kept in the file's metadata.

    Raises:
        ModelError: the weights do not fit the config.
    """
    form = form or VocoderForm()
    layers.check(config, weights)
    writer = _Writer(weights, layers.layers(config), form.conv2d)
    x = writer.conv("conv_pre", form.input_name)
    for stage in range(len(config.upsample_rates)):
        x = writer.stage(config, stage, x)
    x = writer.conv("conv_post", writer.leaky(x, LAST_LEAKY_SLOPE, of="conv_post"))
    writer.node("Tanh", [x], form.output_name)
    frames: int | str = form.length or "frames"
    samples: int | str = form.length * config.hop_size if form.length else "samples"
    graph = helper.make_graph(
        writer.nodes,
        name,
        [_value(form.input_name, [1, config.num_mels, frames], form)],
        [_value(form.output_name, [1, 1, samples], form)],
        writer.tensors,
    )
    opset = helper.make_opsetid("", form.opset)
    model = helper.make_model(graph, opset_imports=[opset], producer_name="hexconv")
    model.ir_version = max(8, helper.find_min_ir_version_for([opset]))
    helper.set_model_props(model, {CONFIG_KEY: config.to_json(), ORIGIN_KEY: origin})
    onnx.checker.check_model(model, full_check=True)
    return model


def config_of(model: onnx.ModelProto) -> GeneratorConfig | None:
    """The config that `write` stored in the file, or None for a file of another origin."""
    stored = next((p.value for p in model.metadata_props if p.key == CONFIG_KEY), None)
    return None if stored is None else config_from_text(stored)


def weights_of(model: onnx.ModelProto) -> dict[str, Any]:
    """The weights by official name of a file that `write` made, float32, 1-D form."""
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {
        name: value[..., 0] if value.ndim == 4 else value
        for name, value in arrays.items()
        if name.endswith((".weight", ".bias"))
    }


def _value(name: str, shape: list[int | str], form: VocoderForm) -> Any:
    return helper.make_tensor_value_info(
        name, TensorProto.FLOAT, [*shape, 1] if form.conv2d else shape
    )
