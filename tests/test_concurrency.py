"""Conversions and simulations in threads, forked and spawned processes: the same bytes as alone."""

from __future__ import annotations

import hashlib
import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.mace import data_pieces, to_proto

SEEDS = (1, 2, 3, 1, 2, 3)


def model(seed: int) -> onnx.ModelProto:
    """A convolution, a residual and a softmax over x of (1, 3, 8, 8)."""
    random = np.random.default_rng(seed)
    consts = {
        "k": random.normal(size=(3, 3, 3, 3)).astype(np.float32),
        "w": random.normal(size=(192, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Add", ["r", "x"], ["a"], "add"),
        helper.make_node("Flatten", ["a"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "w"], ["m"], "linear"),
        helper.make_node("Softmax", ["m"], ["y"], "softmax"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(array, name) for name, array in consts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def digest(seed: int) -> str:
    """Of the files that a conversion would write, and of what the model returns."""
    random = np.random.default_rng(seed)
    samples = [{"x": random.uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32)} for _ in range(3)]
    made = hexconv.convert(model(seed), samples=samples, name="m")
    found = hashlib.sha256(to_proto(made.graph).SerializeToString(deterministic=True))
    for piece in data_pieces(made.graph):
        found.update(piece)
    found.update(hexconv.simulate(made, samples[0])["y"].tobytes())
    return found.hexdigest()


def pool(kind: str) -> Executor:
    if kind == "threads":
        return ThreadPoolExecutor(3)
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind))


@pytest.mark.parametrize("kind", ["threads", "fork", "spawn"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of fork with threads
def test_the_same_bytes_wherever_it_runs(kind: str) -> None:
    alone = [digest(seed) for seed in SEEDS]  # its sessions and compiled loops are there at a fork
    assert len(set(alone)) == 3
    with pool(kind) as executor:
        assert list(executor.map(digest, SEEDS, timeout=240)) == alone


def test_one_model_is_simulated_by_several_threads_at_once() -> None:
    made = hexconv.convert(model(1), ranges=dict.fromkeys("xcramfy", (-4.0, 4.0)), name="m")
    random = np.random.default_rng(0)
    feeds = [{"x": random.uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32)} for _ in range(24)]
    alone = [hexconv.simulate(made, feed)["y"] for feed in feeds]
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(lambda feed: hexconv.simulate(made, feed)["y"], feeds))
    for one, other in zip(alone, found, strict=True):
        np.testing.assert_array_equal(one, other)
