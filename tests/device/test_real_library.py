"""The real library: needs HEXCONV_LIBRARY (any version), which CI has not (`make test-device`)."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hexconv.compare.agreement import Trial, agree
from hexconv.compare.device import NodeVerdict, compare_nodes
from hexconv.compare.selftest import SHAPE, checks, self_test_graph
from hexconv.device import Library
from hexconv.device.catalogue import compare_ops
from hexconv.errors import DeviceError
from hexconv.nnlib.graph import Graph, Interface, Ref
from hexconv.nnlib.layout import Layout
from hexconv.simulator.golden import Recorded, recorded

GRAPHS = sorted((Path(__file__).parents[1] / "golden" / "graphs").glob("*.json"))
pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(
        not os.environ.get("HEXCONV_LIBRARY"),
        reason="HEXCONV_LIBRARY does not name a libhexagon_nn_skel.so of MACE's",
    ),
    pytest.mark.skipif(not shutil.which("qemu-hexagon"), reason="qemu-hexagon is not installed"),
]


@pytest.fixture(scope="module")
def library() -> Library:
    return Library()


def with_interface(item: Recorded) -> tuple[Graph, dict[str, np.ndarray]]:
    """A recorded graph in MACE's wiring as a model, and the feeds of its first run."""
    layout = Layout(((0,), (1,), (2,), (3,)))
    sources, results = item.runs[0]
    graph = item.graph
    graph.inputs = [Interface(f"x{i}", a.shape, layout) for i, a in enumerate(sources[::4])]
    graph.outputs = [Interface(f"y{i}", a.shape, layout) for i, a in enumerate(results[::4])]
    return graph, {f"x{i}": a for i, a in enumerate(sources[::4])}


def mace_graphs() -> list[Path]:
    """Recorded graphs with MACE's ends."""
    return [path for path in GRAPHS if '"feeds"' in path.read_text()]


def test_everything_that_setup_looks_for_is_there() -> None:
    assert [check.found for check in checks(None) if not check.ok] == []


def test_the_catalogue_describes_this_library(library: Library) -> None:
    report = compare_ops(library.session)
    assert (report.version, report.library) == ("2.26.1", library.version)
    assert report.disagreements == []


@pytest.mark.parametrize("path", mace_graphs(), ids=lambda path: path.stem)
def test_recorded_graphs_return_what_was_recorded(library: Library, path: Path) -> None:
    item = recorded(path)
    if item.library != library.version:
        pytest.skip(f"recorded on {item.library}")
    graph, feeds = with_interface(item)
    results = library.run(graph, feeds)
    for ours, recorded_output in zip(results.values(), item.runs[0][1][::4], strict=True):
        np.testing.assert_array_equal(ours, recorded_output)


@pytest.mark.parametrize("path", mace_graphs(), ids=lambda path: path.stem)
def test_the_simulator_is_exact_node_by_node(library: Library, path: Path) -> None:
    rows = compare_nodes(*with_interface(recorded(path)), library)
    assert [row.sentence() for row in rows if row.verdict == NodeVerdict.DIFFERS] == []
    assert sum(row.verdict == NodeVerdict.EXACT for row in rows) >= 0.8 * len(rows)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_whole_graphs_agree(library: Library, path: Path) -> None:
    item = recorded(path)
    result = agree(library, Trial(item.name, "graphs", item.graph, item.runs[0][0]))
    assert result.exact, result


def test_an_error_names_the_node_and_the_librarys_reason(library: Library) -> None:
    graph = self_test_graph()
    x_over_x = tuple(Ref(5, port) for port in (0, 0, 1, 2, 1, 2))
    graph.nodes[1] = replace(graph.nodes[1], name="x/x", op="QuantizedDiv_8", inputs=x_over_x)
    with pytest.raises(DeviceError, match="only supported for scalar and 1d") as caught:
        library.run(graph, {"x": np.ones(SHAPE, np.float32)})
    assert caught.value.where == "'x/x' (QuantizedDiv_8)"


def test_packets_are_steady_and_plausible(library: Library) -> None:
    graph, feeds = self_test_graph(), {"x": np.ones(SHAPE, np.float32)}
    # A busy machine wakes workers later, which can only add packets.
    one, two, *_ = sorted(
        (library.profile(graph, feeds) for _ in range(4)), key=lambda p: p.packets
    )
    assert two.packets <= 1.1 * one.packets
    add = next(node for node in one.nodes if node.name == "add")
    assert 100 < add.packets < 5000  # 1280 elements: a dispatch and some vectors
    assert add.hvx_instructions > 0
