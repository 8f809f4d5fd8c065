"""Sound files to start from: ONNX's own node tests, a few whole models, and what they become."""

from __future__ import annotations

import functools
import io
import os
import warnings
from pathlib import Path
from random import Random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.errors import HexconvError
from hexconv.models.encoder import EncoderConfig, reference_encoder

TINY = EncoderConfig(
    frames=6, bands=8, channels=4, width=16, heads=2, feed_forward=32, blocks=1, labels=10
)
SMALL = 40_000
"""Bytes of a node test; larger ones take the time of ten."""

Files = dict[str, bytes]


def onnx_models() -> tuple[bytes, ...]:
    """Serialized models: the whole ones several times, to be chosen as often as their nodes."""
    whole = [model.SerializeToString() for model in _whole()]
    return (*whole * 8, *_node_tests())


@functools.cache
def _node_tests() -> tuple[bytes, ...]:
    """ONNX's backend node tests; HEXCONV_FUZZ_NODES=0 leaves them out (they take 10 s to make)."""
    if os.environ.get("HEXCONV_FUZZ_NODES") == "0":
        return ()
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [test.model for test in load_model_tests(kind="node") if test.model is not None]
    content = [model.SerializeToString() for model in found]
    return tuple(text for text in content if len(text) < SMALL)


@functools.cache
def _whole() -> tuple[onnx.ModelProto, ...]:
    return (reference_encoder(TINY), _image(), _recurrent(), _branches(), _quantized())


def _model(nodes: list[onnx.NodeProto], consts: dict[str, object], *shape: int) -> onnx.ModelProto:
    """x of a shape to y of any."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in consts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def _image() -> onnx.ModelProto:
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["c"], ["r"], "relu"),
        node("Conv", ["r", "d"], ["e"], "depthwise", group=8, pads=[1, 1, 1, 1]),
        node("Add", ["r", "e"], ["s"], "sum"),
        node("MaxPool", ["s"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("ConvTranspose", ["p", "t"], ["u"], "up", strides=[2, 2]),
        node("Concat", ["u", "s"], ["k"], "join", axis=1),
        node("Resize", ["k", "", "f"], ["z"], "resize", mode="nearest"),
        node("Pad", ["z", "pads"], ["g"], "pad", mode="reflect"),
        node("Slice", ["g", "from", "to", "axes"], ["h"], "slice"),
        node("GlobalAveragePool", ["h"], ["m"], "mean"),
        node("Flatten", ["m"], ["v"], "flat"),
        node("Gemm", ["v", "l", "b"], ["n"], "linear", transB=1),
        node("Softmax", ["n"], ["y"], "softmax", axis=1),
    ]
    consts = {
        "w": _random(8, 3, 3, 3),
        "d": _random(8, 1, 3, 3),
        "t": _random(8, 4, 2, 2),
        "f": np.array([1, 1, 2, 2], np.float32),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "from": np.array([0, 1]),
        "to": np.array([6, 9]),
        "axes": np.array([1, 2]),
        "l": _random(5, 6),
        "b": _random(5),
    }
    return _model(nodes, consts, 1, 3, 8, 8)


def _recurrent() -> onnx.ModelProto:
    node = helper.make_node
    nodes = [
        node("LSTM", ["x", "w", "r", "b"], ["h"], "lstm", hidden_size=3),
        node("Squeeze", ["h", "one"], ["s"], "squeeze"),
        node("GRU", ["s", "gw", "gr"], ["g"], "gru", hidden_size=2, direction="bidirectional"),
        node("Transpose", ["g"], ["t"], "turn", perm=[0, 2, 1, 3]),
        node("Reshape", ["t", "shape"], ["q"], "reshape"),
        node("LayerNormalization", ["q", "scale"], ["n"], "norm"),
        node("Gather", ["n", "index"], ["a"], "gather", axis=1),
        node("Split", ["a"], ["u", "v"], "split", axis=2),
        node("Einsum", ["u", "v"], ["y"], "product", equation="abc,abd->acd"),
    ]
    consts = {
        "w": _random(1, 12, 4),
        "r": _random(1, 12, 3),
        "b": _random(1, 24),
        "one": np.array([1]),
        "gw": _random(2, 6, 3),
        "gr": _random(2, 6, 2),
        "shape": np.array([5, -1, 4]),
        "scale": _random(4),
        "index": np.array([0, 0]),
    }
    return _model(nodes, consts, 5, 1, 4)


def _branches() -> onnx.ModelProto:
    """Constants to fold, an If, a local function."""
    node = helper.make_node
    then = helper.make_graph(
        [node("Relu", ["a"], ["then"])], "then", [], [helper.make_empty_tensor_value_info("then")]
    )
    other = helper.make_graph(
        [node("Neg", ["a"], ["else"])], "else", [], [helper.make_empty_tensor_value_info("else")]
    )
    nodes = [
        node("Shape", ["x"], ["s"], "shape"),
        node("Slice", ["s", "zero", "one"], ["d"], "first"),
        node("Concat", ["d", "minus"], ["t"], "sizes", axis=0),
        node("Reshape", ["x", "t"], ["a"], "reshape"),
        node("If", ["flag"], ["i"], "if", then_branch=then, else_branch=other),
        node("Swish", ["i"], ["w"], "swish", domain="own"),
        node("Expand", ["w", "wide"], ["e"], "expand"),
        node("Where", ["mask", "e", "low"], ["m"], "where"),
        node("ReduceMax", ["m"], ["y"], "max", axes=[-1]),
    ]
    consts = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "minus": np.array([-1]),
        "flag": np.array(True),
        "wide": np.array([3, 2, 6]),
        "mask": np.arange(6) % 2 == 0,
        "low": np.array(-1e9, np.float32),
    }
    model = _model(nodes, consts, 2, 2, 3)
    body = [node("Sigmoid", ["v"], ["s"]), node("Mul", ["v", "s"], ["z"])]
    opsets = list(model.opset_import)
    model.functions.append(helper.make_function("own", "Swish", ["v"], ["z"], body, opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


def _quantized() -> onnx.ModelProto:
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["q"], "q"),
        node("QLinearConv", ["q", "sx", "zx", "w", "sw", "zw", "sy", "zx"], ["c"], "conv"),
        node("DequantizeLinear", ["c", "sy", "zx"], ["d"], "d"),
        node("Cast", ["d"], ["h"], "half", to=TensorProto.FLOAT16),
        node("Cast", ["h"], ["y"], "float", to=TensorProto.FLOAT),
    ]
    consts = {
        "sx": np.array(0.01, np.float32),
        "zx": np.array(128, np.uint8),
        "w": np.arange(24, dtype=np.int8).reshape(4, 3, 1, 2),
        "sw": np.array([0.01, 0.02, 0.03, 0.04], np.float32),
        "zw": np.zeros(4, np.int8),
        "sy": np.array(0.05, np.float32),
    }
    return _model(nodes, consts, 1, 3, 2, 4)


@functools.lru_cache(maxsize=4096)
def converted(index: int) -> tuple[bytes, bytes] | None:
    """The .pb and .data of a model; None of one that does not convert."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            proto = onnx.ModelProto.FromString(onnx_models()[index])
            model = hexconv.convert(proto, float_fallback=index % 3 == 0, name="m")
        except (HexconvError, KeyError):
            return None
    from hexconv.mace import data_pieces, to_proto

    return to_proto(model.graph).SerializeToString(), b"".join(data_pieces(model.graph))


def any_converted(random: Random) -> tuple[bytes, bytes]:
    """The files of some model that converts."""
    while True:
        files = converted(random.randrange(len(onnx_models())))
        if files is not None:
            return files


def arrays(random: Random) -> Files:
    """A sample file."""
    array = _random(*random.choice(((1, 4), (4,), (3, 4), (3, 1, 4), (0, 4), (), (2, 2, 2))))
    array = array.astype(random.choice(("<f4", "<f4", ">f8", "<f2", "<i8", "|u1", "<c8", "|S3")))
    if random.random() < 0.5:
        array = np.asfortranarray(array)
    stream = io.BytesIO()
    if random.random() < 0.5:
        np.save(stream, array)
        return {"m.npy": stream.getvalue()}
    save = random.choice((np.savez, np.savez_compressed))
    save(stream, **random.choice(({"x": array}, {"x": array, "y": array}, {"a/b": array})))
    return {"m.npz": stream.getvalue()}


def sound(random: Random) -> bytes:
    """A sound file in one of libsndfile's formats."""
    import soundfile

    stream = io.BytesIO()
    kinds = ("WAV", "FLAC", "OGG", "AIFF", "AU", "W64", "CAF", "RF64", "WAVEX", "MP3")
    wave = _random(random.choice((1, 50, 900)), random.choice((1, 2)))
    soundfile.write(stream, wave, random.choice((8000, 22050)), format=random.choice(kinds))
    return stream.getvalue()


LOG = Path(__file__).parents[2] / "golden" / "logs" / "published_encoder.log"
COUNTERS = "node,id,name,op,executions,cycles\n" + "".join(
    f"{i},{i + 16},n{i},Supernode_8x8p32to8_d32,1,{1000 * i}\n" for i in range(9)
)


def log(random: Random) -> str:
    """A phone's log, or nnlib's counters."""
    if random.random() < 0.5:
        return COUNTERS
    lines = LOG.read_text("utf-8").splitlines(keepends=True)
    return "".join(lines[:40])
