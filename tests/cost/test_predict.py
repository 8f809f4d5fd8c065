"""Predicted packets against measured ones, and the contents of a prediction."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from hexconv import cost
from hexconv.cost.features import FEATURES
from hexconv.cost.table import LIBRARIES, law
from hexconv.errors import ConfigError
from hexconv.nnlib.graph import Graph, Node, Padding
from hexconv.nnlib.prepare import prepare
from tests.cost.networks import chain
from tests.cost.recorded import facts, rows


@pytest.mark.parametrize("library", LIBRARIES)
def test_half_of_the_nodes_held_out_are_within_a_twentieth(library: str) -> None:
    errors = []
    for row in rows("held_out.csv"):
        known = law(facts(row), library)
        if row["library"] == library:
            said = known.packets(facts(row)) if known else 0.0
            errors.append(abs(said - float(row["packets"])) / float(row["packets"]))
    assert len(errors) > 300
    assert np.median(errors) < 0.05  # measured 0.020 to 0.028


@pytest.mark.parametrize("library", LIBRARIES)
def test_whole_graphs_are_within_a_few_percent(library: str) -> None:
    said: dict[str, float] = defaultdict(float)
    real: dict[str, float] = defaultdict(float)
    for row in rows("graphs.csv"):
        if row["library"] != library:
            continue
        known = law(facts(row), library)
        said[row["graph"]] += int(row["count"]) * known.packets(facts(row)) if known else 0.0
        real[row["graph"]] += float(row["packets"])
    errors = {name: abs(said[name] / real[name] - 1) for name in real}
    assert len(errors) >= 9
    assert np.median(list(errors.values())) < 0.04
    assert max(errors.values()) < 0.13, errors


def test_the_nodes_are_those_of_prepare_in_order() -> None:
    graph = chain(["QuantizedMul_8x8to8", "QuantizedTanh_8", "QuantizedRelu_8"])
    predicted = cost.predict(graph)
    assert [node.op for node in predicted.nodes] == [node.op for node in prepare(graph).nodes]
    assert "Convert_to_d32" in predicted.by_type


def test_a_conversion_belongs_to_the_layer_that_it_was_made_for() -> None:
    predicted = cost.predict(chain(["QuantizedMul_8x8to8", "QuantizedRelu_8"]))
    layers = {node.op: node.onnx_node for node in predicted.nodes}
    assert layers["Convert_to_d32"] == "layer3"
    assert layers["Convert_from_d32"] == "layer3"


def test_sums_hold_every_node_once() -> None:
    predicted = cost.predict(chain(["QuantizedAdd_8p8to8"] * 4 + ["QuantizedSigmoid_8"]))
    for sums in (predicted.by_type, predicted.by_layer):
        assert sum(row.count for row in sums.values()) == len(predicted.nodes)
        assert sum(row.packets for row in sums.values()) == pytest.approx(predicted.packets)
        assert sum(row.moved for row in sums.values()) == predicted.moved
    low, high = predicted.range
    assert low < predicted.packets < high


def test_an_op_never_measured_is_named_and_not_guessed() -> None:
    graph = chain(["QuantizedRelu_8"])
    odd = [
        Node(
            n.id,
            n.name,
            "ChannelShuffle_f" if n.op == "QuantizedRelu_8" else n.op,
            n.inputs,
            n.outputs,
        )
        for n in graph.nodes
    ]
    predicted = cost.predict(Graph("odd", graph.consts, odd, graph.inputs, graph.outputs))
    assert [node.op for node in predicted.unknown] == ["ChannelShuffle_f"]
    assert "no ChannelShuffle_f was ever measured" in predicted.unknown[0].basis
    assert predicted.packets > 0


def test_a_library_that_was_not_measured_is_rejected() -> None:
    with pytest.raises(ConfigError, match="v66"):
        cost.predict(chain(["QuantizedRelu_8"]), library="v68")  # type: ignore[arg-type]


def test_one_node_can_be_requested() -> None:
    linear = cost.node_packets(
        "Supernode_8x8p32to8_d32",
        [(1, 1, 144, 256), (1, 1, 256, 256), (1, 1, 1, 256)],
        [(1, 1, 144, 256)],
        {"stride": (1, 1, 1, 1)},
        library="v60",
    )
    assert linear == pytest.approx(45_000, rel=0.1)  # encoder.md: 48 k with both conversions
    assert cost.node_packets("NoSuchOp", [(1, 1, 1, 1)]) is None


def test_time_on_w_is_cheaper_than_time_on_h() -> None:
    weights, stride = [(1, 1, 256, 256), (1, 1, 1, 256)], {"stride": (1, 1, 1, 1)}
    packets = [
        cost.node_packets("Supernode_8x8p32to8_d32", [x, *weights], [x], stride, library="v60")
        or 0.0
        for x in ((1, 1, 144, 256), (1, 144, 1, 256))
    ]
    assert packets[1] / packets[0] == pytest.approx(4.4, rel=0.15)  # encoder.md


def test_a_column_count_of_the_first_operand_that_is_no_multiple_of_16_is_expensive() -> None:
    op = "QuantizedBatchMatMul_8x8to32"
    awkward = cost.node_packets(op, [(1, 4, 144, 36), (1, 4, 36, 144)], [(1, 4, 144, 144)])
    padded = cost.node_packets(op, [(1, 4, 144, 48), (1, 4, 48, 144)], [(1, 4, 144, 144)])
    assert awkward and padded and awkward > 20 * padded


def test_no_feature_is_negative() -> None:
    for row in rows("held_out.csv")[::40]:
        for name, function in FEATURES.items():
            if len(facts(row).inputs) > 1 or "mac" not in name:
                try:
                    assert function(facts(row)) >= 0
                except IndexError:
                    assert len(facts(row).inputs) < 2


def convolution_packets(
    library: str, width: int, depth: int, kernel: tuple[int, int], count: int, stride: int = 1
) -> float:
    """Of one row (or of as many rows as the kernel has), SAME padding."""
    x = (1, kernel[0], width, depth)
    weights = [(*kernel, depth, count), (1, 1, 1, count)]
    out = (1, kernel[0], -(-width // stride), count)
    packets = cost.node_packets(
        "Supernode_8x8p32to8_d32",
        [x, *weights],
        [out],
        {"stride": (1, 1, stride, 1)},
        Padding.SAME,
        library=library,
    )
    assert packets is not None
    return packets


def test_what_v65_and_v66_compute_with_the_code_of_v60_costs_as_much() -> None:
    wide = [convolution_packets(name, 144, 96, (1, 4), 33, 4) for name in ("v60", "v65", "v66")]
    large = [convolution_packets(name, 8, 1024, (3, 3), 64) for name in ("v60", "v65", "v66")]
    assert wide[0] == wide[2] != wide[1]
    assert large[0] == large[1] == large[2]


@pytest.mark.parametrize(
    ("width", "depth", "kernel", "count", "measured"),
    [
        (128, 64, 3, 64, 5752),
        (256, 32, 1, 32, 2973),
        (128, 32, 1, 512, 12131),
        (144, 256, 1, 256, 27741),
        (512, 128, 3, 128, 65755),
    ],
)
def test_convolutions_of_one_row_on_v65(
    width: int, depth: int, kernel: int, count: int, measured: float
) -> None:
    said = convolution_packets("v65", width, depth, (1, kernel), count)
    assert said == pytest.approx(measured, rel=0.12)


def test_a_convolution_costs_less_on_v65_than_on_v60_small_or_large() -> None:
    for width, depth, count in ((16, 64, 64), (144, 256, 256), (144, 256, 1024)):
        packets = [
            convolution_packets(name, width, depth, (1, 1), count) for name in ("v60", "v65")
        ]
        assert packets[1] < packets[0]
