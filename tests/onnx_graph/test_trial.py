"""A model that crashes the C++ of onnx is an error: another process reads it first."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hexconv.errors import ModelError
from hexconv.onnx_graph import load, proto_check, trial
from hexconv.onnx_graph.read import whole_model


def model(*nodes: onnx.NodeProto, **constants: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def norm(axis: int) -> onnx.ModelProto:
    outputs = ["y", "mean", "deviation"]
    node = helper.make_node("LayerNormalization", ["x", "s"], outputs, "norm", axis=axis)
    return model(node, s=np.ones(4, np.float32))


CRASHES = norm(2**31)


def test_the_model_of_these_tests_crashes_the_process_that_reads_it() -> None:
    code = "import sys, onnx; onnx.shape_inference.infer_shapes(sys.stdin.buffer.read())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=CRASHES.SerializeToString(), check=False)
    if done.returncode == 0:
        pytest.skip(f"onnx {onnx.__version__} reads it")
    assert done.returncode < 0


@pytest.mark.skipif(sys.platform == "win32", reason="other exit codes")
@pytest.mark.parametrize("read", [load, whole_model])
def test_a_crash_is_an_error(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the bound of axes, which finds this one before."""
    monkeypatch.setattr(proto_check, "AXES", set())
    monkeypatch.setattr(trial, "ENDS", frozenset())
    if trial._exit_code(CRASHES.SerializeToString()) == 0:
        pytest.skip(f"onnx {onnx.__version__} reads it")
    with pytest.raises(ModelError, match=r"crashes ONNX's own code\n.*\n  why: .* SIGSEGV"):
        read(CRASHES)


def test_a_known_crash_is_found_by_its_bound() -> None:
    with pytest.raises(ModelError, match="2147483648 is no axis"):
        load(CRASHES)


def relu(name: str, value: Any) -> onnx.ModelProto:
    node = helper.make_node("Relu", ["x"], ["y"])
    node.attribute.append(helper.make_attribute(name, value))
    return model(node)


@pytest.mark.parametrize(
    ("proto", "unusual"),
    [
        (norm(-1), False),
        (relu("pads", [2**24]), False),
        (relu("pads", [2**24 + 1]), True),
        (relu("size", -(2**40)), True),
        (relu("ends", [2**63 - 1, -(2**63), 2**31 - 1]), False),
        (model(s=np.array([4, 1])), False),
        (model(s=np.array([2**40, 1])), True),
        (model(s=np.full(65, 2**40)), False),
        (relu("value", numpy_helper.from_array(np.array(2**40))), True),
        (relu("body", model(s=np.array(2**40)).graph), True),
    ],
)
def test_what_exporters_do_not_write_is_tried(proto: onnx.ModelProto, unusual: bool) -> None:
    assert trial.is_unusual(proto) == unusual


def test_a_usual_model_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_exit_code", None)
    assert load(norm(-1)).outputs


def test_an_unusual_model_that_is_read_is_loaded() -> None:
    slices = [np.array([0]), np.array([2**40])]
    made = model(helper.make_node("Slice", ["x", "a", "b"], ["y"]), a=slices[0], b=slices[1])
    assert trial.is_unusual(made)
    assert load(made).outputs[0].shape == (1, 4)
