"""A whole model on another version than it was converted for: needs HEXCONV_LIBRARY."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hexconv
from hexconv.device import Library
from hexconv.nnlib.graph import Const, Graph
from hexconv.nnlib.versions import LIBRARIES, LibraryVersion
from tests import real_library
from tests.networks import exports

NETWORKS = ("ds_cnn", "tcn", "mobilenet_v1", "crnn_gru", "conformer_of_parts-legacy17")
pytestmark = real_library.NEEDED


@pytest.fixture(scope="module")
def library() -> Library:
    return Library()


def feeds(name: str, seed: int) -> dict[str, np.ndarray]:
    return {exports.load(name).graph.input[0].name: exports.sample(name, seed)}


def converted(name: str, target: LibraryVersion) -> hexconv.Model:
    samples = [feeds(name, seed) for seed in (0, 1)]
    return hexconv.convert(exports.load(name), samples=samples, library=target, name="network")


def assert_same_bits(library: Library, model: hexconv.Model | Graph, name: str) -> None:
    """The library returns what the simulator of its own version does."""
    theirs = library.run(model, feeds(name, 2))
    ours = hexconv.simulate(model, feeds(name, 2), library=library.version)
    for output, values in ours.items():
        np.testing.assert_array_equal(theirs[output], values)
        assert np.ptp(values) > 0


@pytest.mark.parametrize("target", LIBRARIES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_for_any_version_has_the_bits_of_the_version_that_runs_it(
    library: Library, name: str, target: LibraryVersion, tmp_path: Path
) -> None:
    converted(name, target).save(tmp_path)
    assert_same_bits(library, hexconv.load(tmp_path / "network.pb"), name)


def with_zero_point(graph: Graph, zero: int) -> Graph:
    """All dense convolutions' weights in ranges with another zero point, as another tool may write.

    The largest weight keeps its value, those below the new range are clipped.
    """
    consts, changed = graph.const_by_id(), dict[int, Const]()
    for node in graph.nodes:
        if node.op.startswith("Supernode"):
            weights, low, high = (consts[node.inputs[place].node] for place in (1, 4, 5))
            bottom, top = float(low.array.item()), float(high.array.item())
            values = bottom + weights.array * (top - bottom) / 255.0
            step = top / (255 - zero)
            codes = np.clip(np.round(values / step) + zero, 0, 255).astype(np.uint8)
            changed[weights.id] = replace(weights, array=codes, range=None)
            for const, end in ((low, -zero), (high, 255 - zero)):
                changed[const.id] = replace(const, array=np.full_like(const.array, end * step))
    return replace(graph, consts=[changed.get(const.id, const) for const in graph.consts])


@pytest.mark.parametrize("name", ["ds_cnn", "mobilenet_v1"])
def test_weights_of_zero_point_90_run_everywhere_with_the_bits_of_that_version(
    library: Library, name: str
) -> None:
    graph = with_zero_point(converted(name, "v66").graph, 90)
    assert_same_bits(library, graph, name)
    v60, v66 = (
        hexconv.simulate(graph, feeds(name, 2), library=version) for version in ("v60", "v66")
    )
    assert any((v60[output] != v66[output]).any() for output in v60)  # v66 squeezes them
