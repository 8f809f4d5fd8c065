"""What tests of rewrites share: graphs before and after, and conversions with and without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

import hexconv
from hexconv.calibrate.kept_samples import KeptSamples
from hexconv.calibration import Calibration
from hexconv.compare.metrics import decibels
from hexconv.model import Model
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.onnx_graph import FloatGraph, load
from hexconv.optimize.price import Prices
from hexconv.optimize.registry import REWRITES
from hexconv.pipeline import built
from hexconv.precision import Precision
from hexconv.settings import Settings
from hexconv.simulator import Simulator
from tests.lowering.proof import emitted, float_outputs, numbers

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


def rewritten(proto: onnx.ModelProto, name: str, feeds: Feeds) -> tuple[FloatGraph, int]:
    """The float graph after one rewrite, which must not change its outputs.

    Float32 sums in another order: 1e-4 of the largest output is far above that and far below 1
    LSB.
    """
    graph = load(proto)
    before = float_outputs(graph.to_proto(), feeds)
    count = REWRITES[name].run(Prices(DEFAULT_LIBRARY), graph)
    after = float_outputs(graph.to_proto(), feeds)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-4 * float(np.abs(old).max()))
    return graph, count


def converted(
    proto: onnx.ModelProto,
    feeds: Feeds,
    *,
    without: tuple[str, ...] = (),
    library: LibraryVersion = DEFAULT_LIBRARY,
) -> Model:
    """The model at the default level, in the ranges that were seen: no error is one of clipping."""
    return hexconv.convert(
        proto, samples=[feeds], without=without, library=library, observer="minmax"
    )


def applied(model: Model) -> dict[str, int]:
    """How often each rewrite was applied, by name."""
    assert model.conversion is not None
    return {name: count for _, name, count in model.conversion.rewrites}


def errors(model: Model, proto: onnx.ModelProto, feeds: Feeds) -> list[float]:
    """The largest error of each output against ONNX Runtime, in LSB of its range."""
    results = hexconv.simulate(model, feeds, library="v60")
    wanted = float_outputs(proto, feeds)
    return [
        float(np.abs(results[output.name] - want).max() * 255 / (output.range[1] - output.range[0]))
        for output, want in zip(model.graph.outputs, wanted, strict=True)
    ]


def better(proto: onnx.ModelProto, name: str, feeds: Feeds, steps: float) -> tuple[Model, Model]:
    """Convert with and without a rewrite: applied only with it, outputs equal within `steps`."""
    on, off = converted(proto, feeds), converted(proto, feeds, without=(name,))
    assert applied(on).get(name) and name not in applied(off)
    for model in (on, off):
        assert max(errors(model, proto, feeds)) <= steps
    return on, off


def ops(model: Model) -> dict[str, int]:
    """nnlib ops but those of the interface and of the floors of quiet inputs, and how often."""
    return emitted(model)


def feeds(proto: onnx.ModelProto, count: int, first: int = 0) -> list[dict[str, Array]]:
    """Samples of a model's one input, x."""
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    return [{"x": numbers(tuple(shape), seed)} for seed in range(first, first + count)]


def precisely(proto: onnx.ModelProto, precision: Precision) -> Model:
    """The model, of which something is computed more precisely."""
    settings = Settings.of({"name": "net"})
    known = Calibration(proto, None, KeptSamples(feeds(proto, 8)), None, settings)
    ready, observed = known.prepared(settings), dict(known.observed)
    return built(proto, *ready, observed, settings, [], precision)


def sqnr(proto: onnx.ModelProto, found: Model) -> float:
    """In dB, on samples that calibration has not seen."""
    signal = error = 0.0
    for sample in feeds(proto, 4, 50):
        (expected,) = float_outputs(proto, sample)
        y = Simulator(found).run(sample)["y"]
        signal += float((expected.astype(np.float64) ** 2).sum())
        error += float(((y - expected).astype(np.float64) ** 2).sum())
    return decibels(signal, error)
