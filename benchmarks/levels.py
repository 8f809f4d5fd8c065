"""Figures of docs/levels.md: small models at other levels, rows, masks and lengths than usual.

    python -m benchmarks.levels [--json]

Every figure is the SQNR in dB of the simulated v60 against ONNX Runtime on the same input.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.compare.metrics import decibels
from hexconv.onnx_graph import load
from hexconv.onnx_graph.session import FloatSession

Array = npt.NDArray[Any]
Feed = dict[str, Array]
Figures = tuple[str, str, float, float | None]
"""Model, what it is run at, dB of the DSP, dB of 8 bits at both ends with exact arithmetic."""

node = helper.make_node
LEVELS = (0.0, 1e-3, 0.1, 1.0)
SPREADS = (1, 10, 30, 100)
MEANS = (0.0, 1.0)
FRAMES = (50, 100, 200, 400, 800)
SHARPNESS = (0.02, 0.1, 0.25)
MASKS = (-1e2, -1e4, -1e9, float(np.finfo(np.float32).min))


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Normal float32, the same on every run."""
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def model(
    nodes: list[onnx.NodeProto], inputs: Mapping[str, list[int]], consts: Mapping[str, Array]
) -> onnx.ModelProto:
    """A model whose output is y."""
    graph = helper.make_graph(
        nodes,
        "levels",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in consts.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made


def sqnr(proto: onnx.ModelProto, samples: list[Feed], feeds: list[Feed]) -> float:
    """Of the model calibrated on `samples`, over `feeds`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hexconv.errors.HexconvWarning)
        made = hexconv.convert(proto, samples=samples)
    session, signal, noise = FloatSession(load(proto)), 0.0, 0.0
    for feed in feeds:
        wanted = session.run(feed)["y"].astype(np.float64)
        got = hexconv.simulate(made, feed)["y"]
        signal += float((wanted**2).sum())
        noise += float(((wanted - got) ** 2).sum())
    return decibels(signal, noise)


def quiet_inputs() -> Iterator[Figures]:
    """First layers with a bias, at levels down to silence."""
    bias = {"b": numbers(8, seed=8, scale=0.3)}
    first = {
        "Conv": (
            [node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1])],
            {"w": numbers(8, 8, 3, seed=1, scale=0.3), **bias},
            (1, 8, 20),
        ),
        "Linear": (
            [node("MatMul", ["x", "w"], ["h"]), node("Add", ["h", "b"], ["y"])],
            {"w": numbers(8, 8, seed=1, scale=0.3), **bias},
            (1, 20, 8),
        ),
        "BatchNormalization": (
            [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])],
            {"s": numbers(8, seed=2) + 1, "m": numbers(8, seed=4), "v": np.ones(8, "f4"), **bias},
            (1, 8, 20),
        ),
    }
    for name, (nodes, consts, shape) in first.items():
        proto = model(nodes, {"x": list(shape)}, consts)
        samples = [{"x": numbers(*shape, seed=seed)} for seed in range(6)]
        for level in LEVELS:
            feeds = [{"x": feed["x"] * np.float32(level)} for feed in samples[:2]]
            yield f"input of {name}", f"x {level:g}", sqnr(proto, samples, feeds), None


def eight_bit(values: Array, ends: Array) -> Array:
    """Values as 8 bits over the range of `ends`, and of zero, have them."""
    low, high = min(float(ends.min()), 0.0), max(float(ends.max()), 0.0)
    step = (high - low) / 255
    return (np.clip(np.round(values / step), low / step, high / step) * step).astype(np.float32)


def ideal(proto: onnx.ModelProto, samples: list[Feed]) -> float:
    """SQNR in dB of 8-bit inputs and outputs, calibrated on `samples`, and float in between."""
    session, inputs = FloatSession(load(proto)), np.stack([feed["x"] for feed in samples])
    wanted = np.stack([session.run(feed)["y"] for feed in samples]).astype(np.float64)
    made = np.stack([session.run({"x": eight_bit(x, inputs)})["y"] for x in inputs])
    noise = ((wanted - eight_bit(made, wanted)) ** 2).sum()
    return decibels(float((wanted**2).sum()), float(noise))


def norms() -> Iterator[tuple[str, onnx.ModelProto, int]]:
    """Each norm's name, model and channels that it normalizes together."""
    ones, zeros = np.ones(64, np.float32), np.zeros(64, np.float32)
    affine = {"s": ones, "b": zeros}
    shape = {"x": [1, 60, 64]}
    yield (
        "LayerNormalization",
        model([node("LayerNormalization", ["x", "s", "b"], ["y"])], shape, affine),
        1,
    )
    root = [
        node("Mul", ["x", "x"], ["square"]),
        node("ReduceMean", ["square"], ["mean"], axes=[-1]),
        node("Add", ["mean", "epsilon"], ["sum"]),
        node("Sqrt", ["sum"], ["root"]),
        node("Div", ["x", "root"], ["y"]),
    ]
    yield "RMSNorm", model(root, shape, {"epsilon": np.float32(1e-6)}), 1
    affine = {"s": np.ones(60, np.float32), "b": np.zeros(60, np.float32)}
    instance = [node("InstanceNormalization", ["x", "s", "b"], ["y"])]
    yield "InstanceNormalization", model(instance, shape, affine), 1
    groups = [
        node("Reshape", ["x", "apart"], ["grouped"]),
        node("InstanceNormalization", ["grouped", "s", "b"], ["normal"]),
        node("Reshape", ["normal", "together"], ["y"]),
    ]
    consts = {"s": np.ones(20, np.float32), "b": np.zeros(20, np.float32)}
    sizes = {"apart": np.array([1, 20, -1]), "together": np.array([1, 60, 64])}
    yield "GroupNorm of 20 groups", model(groups, shape, {**consts, **sizes}), 3
    yield "L2", model([node("LpNormalization", ["x"], ["y"], axis=-1, p=2)], shape, {}), 1


def rows(spread: float, mean: float, together: int) -> list[Feed]:
    """Rows whose loudness is uniform in the logarithm, around `mean` times their loudness."""
    samples = []
    for seed in range(6):
        generator = np.random.default_rng(seed)
        loudness = np.exp(generator.uniform(-np.log(spread), 0, (1, 60 // together, 1)))
        values = generator.standard_normal((1, 60, 64)) + mean
        samples.append({"x": (loudness.repeat(together, 1) * values).astype(np.float32)})
    return samples


def unlike_rows() -> Iterator[Figures]:
    """Norms over rows whose loudness differs, around zero and around means of their own."""
    for name, proto, together in norms():
        for mean, spread in product(MEANS, SPREADS):
            samples = rows(spread, mean, together)
            around = f", around {mean:g} of it" if mean else ""
            yield (
                name,
                f"rows x{spread}{around}",
                sqnr(proto, samples, samples),
                ideal(proto, samples),
            )


def flat_attention() -> Iterator[Figures]:
    """Attention over many frames; sharpness multiplies the scores."""
    nodes = [
        node("Transpose", ["q"], ["k"], perm=[0, 2, 1]),
        node("MatMul", ["q", "k"], ["a"]),
        node("Mul", ["a", "sharpness"], ["s"]),
        node("Softmax", ["s"], ["p"], axis=-1),
        node("MatMul", ["p", "v"], ["y"]),
    ]
    for frames in FRAMES:
        shape = [1, frames, 16]
        samples = [
            {"q": numbers(*shape, seed=i), "v": numbers(*shape, seed=50 + i) + np.float32(0.5)}
            for i in range(2)
        ]
        for sharpness in SHARPNESS:
            consts = {"sharpness": np.float32(sharpness)}
            proto = model(nodes, {"q": shape, "v": shape}, consts)
            yield (
                f"attention, {frames} frames",
                f"sharpness {sharpness:g}",
                sqnr(proto, samples, samples[:1]),
                None,
            )


def runtime_masks() -> Iterator[Figures]:
    """Attention whose mask is an input: (1 - m) * far is added to the scores."""
    nodes = [
        node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        node("MatMul", ["x", "w"], ["q"]),
        node("MatMul", ["q", "k"], ["a"]),
        node("Sub", ["one", "m"], ["padding"]),
        node("Mul", ["padding", "far"], ["bias"]),
        node("Add", ["a", "bias"], ["s"]),
        node("Softmax", ["s"], ["p"], axis=-1),
        node("MatMul", ["p", "x"], ["y"]),
    ]
    kept = np.ones((1, 1, 40), np.float32)
    kept[..., 30:] = 0
    samples = [{"x": numbers(1, 40, 16, seed=seed), "m": kept} for seed in range(6)]
    for far in MASKS:
        consts = {
            "w": numbers(16, 16, seed=7, scale=0.25),
            "one": np.float32(1),
            "far": np.float32(far),
        }
        proto = model(nodes, {"x": [1, 40, 16], "m": [1, 1, 40]}, consts)
        yield "mask of each run", f"{far:.3g}", sqnr(proto, samples, samples[:1]), None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    kinds = (quiet_inputs, unlike_rows, flat_attention, runtime_masks)
    figures = [row for kind in kinds for row in kind()]
    if as_json:
        keys = ("model", "at", "db", "ideal_db")
        print(
            json.dumps([dict(zip(keys, _rounded(row), strict=True)) for row in figures], indent=1)
        )
        return
    print("| model | at | dB | 8 bits at both ends, dB |\n|---|---|---:|---:|")
    for row in figures:
        print("| " + " | ".join("" if item is None else str(item) for item in _rounded(row)) + " |")


def _rounded(row: Figures) -> tuple[str, str, float, float | None]:
    what, where, figure, best = row
    return what, where, round(figure, 1), None if best is None else round(best, 1)


if __name__ == "__main__":
    main()
