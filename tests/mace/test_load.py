"""What `load` takes: a net that is a graph of the library's ops, with its own weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.errors import FileError, GraphError, HexconvError
from hexconv.mace import proto

Net = Any


def network(scale: float = 1.0) -> onnx.ModelProto:
    """A convolution, a clamp and a pool."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Transpose", ["r"], ["t"], "turn", perm=[0, 1, 3, 2]),
        helper.make_node("MaxPool", ["t"], ["y"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    weights = np.random.default_rng(0).uniform(-scale, scale, (4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


SAMPLE = {"x": np.random.default_rng(1).uniform(-1, 1, (1, 3, 6, 8)).astype(np.float32)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with net.pb and net.data."""
    hexconv.convert(network(), samples=[SAMPLE], name="net").save(tmp_path)
    return tmp_path


def changed(folder: Path, change: Callable[[Net], object]) -> Path:
    """net.pb with something changed in its net."""
    path = folder / "net.pb"
    message = proto.MultiNetDef.FromString(path.read_bytes())
    change(message.net_def[0])
    path.write_bytes(message.SerializeToString())
    return path


def op(net: Net, kind: str) -> Any:
    return next(item for item in net.op if item.type.startswith(kind))


def const(net: Net, end: str) -> Any:
    return next(item for item in net.tensors if item.name.endswith(end))


def drop_output_type(net: Net) -> None:
    del op(net, "Supernode").output_type[-1]


def read_itself(net: Net) -> None:
    conv = op(net, "Supernode")
    conv.node_input[0].node_id = conv.node_id


def swap_inputs(net: Net) -> None:
    inputs = op(net, "Supernode").node_input
    inputs[0].node_id, inputs[1].node_id = inputs[1].node_id, inputs[0].node_id


BROKEN: dict[str, tuple[Callable[[Net], object], str]] = {
    "an op that does not exist": (
        lambda net: setattr(op(net, "Supernode"), "type", "Supernode_8x8p32to9"),
        "has no op 'Supernode_8x8p32to9'",
    ),
    "a node that only prepare inserts": (
        lambda net: setattr(op(net, "Supernode"), "type", "Supernode_8x8p32to8_d32"),
        "only the library's own prepare inserts such nodes",
    ),
    "an input too few": (
        lambda net: op(net, "Supernode").node_input.pop(),
        "11 inputs; it takes those",
    ),
    "an output type too few": (drop_output_type, "3 output shapes and 2 types"),
    "operands of other types": (swap_inputs, "must be"),
    "a node that reads itself": (read_itself, "nodes form a cycle: 'c' -> 'c'|cycle"),
    "an id beyond the protobuf's references": (
        lambda net: setattr(op(net, "Dequantize"), "node_id", 2**32 - 1),
        "the id 4294967295 is outside of",
    ),
    "a port that is not there": (
        lambda net: setattr(op(net, "Supernode").node_input[0], "output_port", 5),
        "is output 5 of node",
    ),
    "an output of another size": (
        lambda net: op(net, "Supernode").output_shape[0].dims.__setitem__(2, 7),
        r"output 0 is declared \[1, 6, 7, 4\], will be \[1, 6, 8, 4\]",
    ),
    "an output of 2^31 bytes": (
        lambda net: op(net, "QuantizeINPUT").output_shape[0].dims.__setitem__(1, 2**33),
        "2.31 or more",
    ),
    "a size of zero": (
        lambda net: op(net, "Supernode").output_shape[0].dims.__setitem__(2, 0),
        r"has the shape \[1, 6, 0, 4\]",
    ),
    "a type that the library lacks": (
        lambda net: setattr(net.tensors[0], "data_type", 8),
        "is of type 8",
    ),
    "an interface that the nodes do not have": (
        lambda net: net.output_info.add().CopyFrom(net.output_info[0]),
        "two outputs are called 'y'",
    ),
    "an unknown padding": (
        lambda net: setattr(op(net, "Supernode"), "padding", 77),
        "unknown padding code 77",
    ),
    "weights beyond the file": (
        lambda net: setattr(net.tensors[0], "offset", 1 << 40),
        "is outside the weight file",
    ),
    "values in the .pb": (
        lambda net: const(net, "stride").int32_data.extend([1, 1]),
        "holds its values in the .pb",
    ),
    "a range that is none": (
        lambda net: setattr(next(t for t in net.tensors if t.quantized), "maxval", float("nan")),
        "has the range .*nan",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_net_that_is_no_graph_is_an_error_of_load(folder: Path, case: str) -> None:
    change, message = BROKEN[case]
    path = changed(folder, change)
    with pytest.raises(GraphError, match=message) as caught:
        hexconv.load(path)
    assert str(path) in str(caught.value)


def test_every_fault_is_listed_at_once(folder: Path) -> None:
    def break_two(net: Net) -> None:
        op(net, "Supernode").node_input.pop()
        op(net, "QuantizedMaxPool").node_input.pop()

    with pytest.raises(GraphError, match="malformed: 2 problems"):
        hexconv.load(changed(folder, break_two))


def test_a_name_that_is_not_utf8_is_an_error_of_load(folder: Path) -> None:
    path = folder / "net.pb"
    path.write_bytes(path.read_bytes().replace(b"quantize_input", b"quantize_i\xffput"))
    with pytest.raises(FileError, match="is not UTF-8"):
        hexconv.load(path)


@pytest.mark.parametrize("name", ["../net", "..", "a/b", "a\\b"])
def test_a_model_cannot_be_called_like_a_path(folder: Path, name: str) -> None:
    path = folder / "net.pb"
    message = proto.MultiNetDef.FromString(path.read_bytes())
    message.name = name
    path.write_bytes(message.SerializeToString())
    with pytest.raises(FileError, match="cannot name a model"):
        hexconv.load(path)


def note(net: Net, name: str) -> Any:
    return next(arg for arg in net.arg if arg.name == name)


def _of_x(about: bytes) -> bytes:
    return b'{"inputs": [{"name":"x",%s}],"outputs":[]}' % about


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b"{}",
        b'{"inputs": [{"name": "x", "shape": [1, 3, 6, 8]}]}',
        _of_x(b'"shape":[0],"layout":[[0],[],[],[]],"range":[0,1]'),
        _of_x(b'"shape":[2],"layout":[[9],[],[],[]],"range":[0,1]'),
        _of_x(b'"shape":[2],"layout":[[0],[],[],[]],"range":[0,NaN]'),
    ],
    ids=["deep", "empty", "partial", "size", "axis", "range"],
)
def test_a_note_that_hexconv_did_not_write_is_an_error_of_load(folder: Path, text: bytes) -> None:
    path = changed(folder, lambda net: setattr(note(net, "hexconv_interface"), "s", text))
    with pytest.raises(FileError, match="the model is damaged"):
        hexconv.load(path)


def test_a_defect_of_the_library_stops_no_load(folder: Path) -> None:
    """MACE's converter writes such nets; `check` says what is wrong with them."""
    path = changed(folder, lambda net: setattr(op(net, "Supernode"), "padding", 0))
    model = hexconv.load(path)
    assert [line for line in check_lines(model) if "padding NA is not supported" in line]


def check_lines(model: hexconv.Model) -> list[str]:
    from hexconv.nnlib.check import problems

    return problems(model.graph)


def test_weights_of_another_conversion_are_an_error_of_load(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    hexconv.convert(network(2.0), samples=[SAMPLE], name="net").save(other)
    (folder / "net.data").write_bytes((other / "net.data").read_bytes())
    with pytest.raises(FileError, match="not the one that belongs to the model") as caught:
        hexconv.load(folder / "net.pb")
    assert "one conversion" in caught.value.hint


def test_a_net_without_a_checksum_is_loaded(folder: Path) -> None:
    """MACE's own converter writes none."""

    def remove(net: Net) -> None:
        kept = [arg for arg in net.arg if arg.name != "hexconv_data_sha256"]
        del net.arg[:]
        net.arg.extend(kept)

    assert hexconv.load(changed(folder, remove)).name == "net"


def test_what_is_loaded_is_saved_with_the_same_bytes(folder: Path) -> None:
    hexconv.load(folder / "net.pb").save(folder / "again")
    for end in ("pb", "data"):
        name = f"net.{end}"
        assert (folder / name).read_bytes() == (folder / "again" / name).read_bytes()


@pytest.mark.parametrize("value", [1e38, 3e-45, np.inf])
def test_ranges_beyond_float32_are_errors_of_the_simulator(folder: Path, value: float) -> None:
    """The library computes something of them; so does NumPy, with a warning, something else."""
    path = folder / "net.data"
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    net = proto.MultiNetDef.FromString((folder / "net.pb").read_bytes()).net_def[0]
    tensor = next(t for t in net.tensors if t.name.endswith("max") and t.data_size == 1)
    content[tensor.offset : tensor.offset + 4] = np.array([value], "<f4").view(np.uint8)
    path.write_bytes(content.tobytes())

    def remove(net: Net) -> None:
        note(net, "hexconv_data_sha256").s = b""

    changed(folder, remove)
    try:
        outputs = hexconv.simulate(hexconv.load(folder / "net.pb"), SAMPLE)
    except HexconvError as error:
        assert "range" in str(error) or "float32" in str(error)
    else:
        assert all(np.isfinite(array).all() for array in outputs.values())


KILLED = """
import os, sys
from pathlib import Path
import hexconv
from tests.mace.test_load import SAMPLE, network
real, renames = Path.replace, iter(range(99))
def replace(self, target):
    if next(renames) == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
    return real(self, target)
model = hexconv.convert(network(2.0), samples=[SAMPLE], name="net")
Path.replace = replace
model.save(sys.argv[1])
"""


@pytest.mark.parametrize("last", [1, 4])
def test_a_set_whose_writer_was_killed_between_two_renames_is_the_new_one(
    folder: Path, tmp_path: Path, last: int
) -> None:
    command = [sys.executable, "-c", KILLED, str(folder), str(last)]
    root = str(Path(__file__).parents[2])
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, check=False)
    assert killed.returncode == -signal.SIGKILL
    loaded = hexconv.load(folder / "net.pb")
    hexconv.convert(network(2.0), samples=[SAMPLE], name="net").save(tmp_path / "new")
    assert loaded.graph == hexconv.load(tmp_path / "new" / "net.pb").graph
    assert not list(folder.glob(".hexconv-*"))
