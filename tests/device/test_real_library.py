"""The real library: needs HEXCONV_LIBRARY (any version), which CI has not (`make test-device`)."""

from __future__ import annotations

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
from hexconv.simulator.run_op import run_op, single
from tests import real_library

GRAPHS = sorted((Path(__file__).parents[1] / "golden" / "graphs").glob("*.json"))
pytestmark = real_library.NEEDED


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


def convolved(
    depth: int, kernel: tuple[int, int], count: int, zero: int, *, depthwise: bool = False
) -> list[np.ndarray]:
    """The inputs of a convolution over 9x14 whose weights have a zero point of `zero`."""
    random = np.random.default_rng(zero)

    def pair(low: float, high: float) -> list[np.ndarray]:
        return [np.full((1, 1, 1, 1), value, np.float32) for value in (low, high)]

    shape = (*kernel, depth, 1 if depthwise else count)
    x, weights = (random.integers(0, 256, s).astype(np.uint8) for s in ((1, 9, 14, depth), shape))
    step = 0.01 / np.sqrt(np.prod(shape[:2] if depthwise else shape[:3]))
    bias = random.integers(-9999, 9999, (1, 1, 1, count)).astype(np.int32)
    most = 2.0**31 * (4 / 255) * step
    arrays = [x, weights, *pair(-2, 2), *pair(-zero * step, (255 - zero) * step)]
    return [*arrays, np.zeros((1, 1, 1, 1), np.uint8), bias, *pair(-most, most), *pair(-3, 3)]


@pytest.mark.parametrize("zero", [0, 1, 90, 127, 128, 130, 150, 255])
@pytest.mark.parametrize(
    ("op", "depth", "kernel", "count", "stride"),
    [
        ("Supernode_8x8p32to8", 64, (1, 7), 64, (1, 1)),
        ("Supernode_8x8p32to8", 40, (3, 3), 33, (1, 2)),
        ("Supernode_8x8p32to8", 40, (3, 3), 33, (3, 1)),
        ("Supernode_8x8p32to8", 64, (1, 7), 64, (1, 3)),
        ("Supernode_8x8p32to8", 33, (4, 4), 65, (4, 4)),
        ("Supernode_8x8p32to8", 3, (3, 3), 32, (2, 2)),
        ("DepthwiseSupernode_8x8p32to8", 64, (3, 3), 64, (1, 1)),
    ],
)
def test_weights_of_any_zero_point_give_the_bits_of_this_version(
    library: Library,
    op: str,
    depth: int,
    kernel: tuple[int, int],
    count: int,
    stride: tuple[int, int],
    zero: int,
) -> None:
    # v65 and v66 squeeze weights whose zero point is not 127 to 129, with some exceptions
    # (nnlib/convolution_code.py); v60 computes them as they are. So a model that another tool wrote
    # runs on every version, with that version's values.
    arrays = convolved(depth, kernel, count, zero, depthwise=op.startswith("Depthwise"))
    arrays[6] = np.zeros((1, *stride, 1), np.uint8)
    found = library.run_raw(single(op, arrays, "NN_PAD_SAME"), arrays[:1])[0]
    wanted = run_op(op, arrays, "NN_PAD_SAME", library.version)[0]
    np.testing.assert_array_equal(found, wanted)
    assert np.std(wanted.astype(float)) > 5  # not saturated
