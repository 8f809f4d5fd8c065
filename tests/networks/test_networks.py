"""Networks of many kinds: each converts whole, and the result is near its float original."""

from __future__ import annotations

import os
from typing import Any

import onnx
import pytest

import hexconv
from hexconv.compare.accuracy import accuracy
from tests.networks import exports, light

SLOW = {"bert", "crnn", "crnn_gru"}
LIGHT = ["squeezenet", "shufflenet"]


def samples(proto: onnx.ModelProto, name: str, count: int) -> list[dict[str, Any]]:
    feed = proto.graph.input[0].name
    return [{feed: exports.sample(name, seed)} for seed in range(count)]


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in exports.ZOO],
)
def test_a_network_of_torch_is_near_its_original(name: str) -> None:
    proto = exports.load(name)
    inputs = samples(proto, name, 5)
    model = hexconv.convert(proto, samples=inputs[:4])
    (found,) = accuracy(model, proto, inputs[4:], library="v60").values()
    assert found.sqnr >= exports.ZOO[name].floor
    if os.environ.get("HEXCONV_LIBRARY"):
        from hexconv.device import Library

        library = Library()
        theirs = library.run(model, inputs[4])
        ours = hexconv.simulate(model, inputs[4], library=library.version)
        assert all((theirs[name] == ours[name]).all() for name in ours)


@pytest.mark.parametrize("name", [n for n, case in exports.EXPORTS.items() if case.stored])
def test_a_stored_network_is_what_torch_exports(name: str) -> None:
    stored, now = exports.load(name), exports.made(name)
    assert [node.op_type for node in stored.graph.node] == [n.op_type for n in now.graph.node]
    (x,) = samples(now, name, 1)
    theirs, ours = (run_float(proto, x) for proto in (now, stored))
    # Weights of 8 bits of mantissa are off by 2**-9 each.
    assert abs(theirs - ours).max() <= 0.03 * abs(theirs).max()


def run_float(proto: onnx.ModelProto, feeds: dict[str, Any]) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feeds)[0]


@pytest.mark.parametrize(
    "name", [n if n in LIGHT else pytest.param(n, marks=pytest.mark.slow) for n in light.names()]
)
def test_a_light_model_of_onnx_is_near_its_original(name: str) -> None:
    proto = light.load(name)
    inputs = [light.image(proto, seed) for seed in range(4)]
    model = hexconv.convert(proto, samples=inputs[:3])
    (found,) = accuracy(model, proto, inputs[3:], library="v60").values()
    assert found.sqnr >= light.FLOOR
