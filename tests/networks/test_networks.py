"""Networks of many kinds: each converts completely, with outputs near the float original's."""

from __future__ import annotations

import os

import pytest

import hexconv
from hexconv.compare.accuracy import accuracy
from tests.networks import light

torch = pytest.importorskip("torch")
zoo = pytest.importorskip("tests.networks.zoo")
exporting = pytest.importorskip("tests.networks.export")

SLOW = {"bert", "crnn", "crnn_gru"}
LIGHT = ["squeezenet", "shufflenet"]


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in zoo.NETWORKS],
)
def test_a_torch_network_returns_nearly_the_same_as_its_original(name: str) -> None:
    network = zoo.NETWORKS[name]
    proto = exporting.export(zoo.build(name), torch.zeros(network.shape))
    feed = proto.graph.input[0].name
    inputs = [{feed: zoo.sample(name, seed).numpy()} for seed in range(5)]
    model = hexconv.convert(proto, samples=inputs[:4])
    (found,) = accuracy(model, proto, inputs[4:], library="v60").values()
    assert found.sqnr >= network.floor
    if os.environ.get("HEXCONV_LIBRARY"):
        from hexconv.device import Library

        library = Library()
        theirs = library.run(model, inputs[4])
        ours = hexconv.simulate(model, inputs[4], library=library.version)
        assert all((theirs[name] == ours[name]).all() for name in ours)


@pytest.mark.parametrize(
    "name", [n if n in LIGHT else pytest.param(n, marks=pytest.mark.slow) for n in light.names()]
)
def test_a_light_model_of_onnx_returns_nearly_the_same_as_its_original(name: str) -> None:
    proto = light.load(name)
    inputs = [light.image(proto, seed) for seed in range(4)]
    model = hexconv.convert(proto, samples=inputs[:3])
    (found,) = accuracy(model, proto, inputs[3:], library="v60").values()
    assert found.sqnr >= light.FLOOR
