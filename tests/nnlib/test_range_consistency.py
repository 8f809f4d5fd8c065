"""Graphs that mean something else once the library has prepared them, or in some run, are rejected.

Each is what a rewrite or a lowering of hexconv once made: with the fix undone, the analysis says so
and names both nodes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hexconv.errors import GraphError
from hexconv.nnlib.builder import RANGE_OUTPUTS, Builder, RangeSource, Tensor
from hexconv.nnlib.check import check
from hexconv.nnlib.graph import INPUT_OP, OUTPUT_OP, Graph, Interface, Output, Padding, Ref
from hexconv.nnlib.layout import Layout
from hexconv.nnlib.prepare import trace
from hexconv.nnlib.ranges.consistency import PreparedRanges
from hexconv.nnlib.ranges.rewritten import check_scales, scales_of
from hexconv.quantize import Range, cover

SHAPE = (1, 1, 8, 32)
X = cover(-2.0, 2.0)
WEIGHTS = cover(-1.0, 1.0)


class Net:
    """A graph of one input, built node by node."""

    def __init__(self) -> None:
        self.builder = Builder("net")
        node = self.builder.node(
            INPUT_OP, [], [Output(SHAPE, "uint8"), *RANGE_OUTPUTS], name="quantize_input"
        )
        self.builder.graph.inputs.append(Interface("x", SHAPE, Layout.plain(4), (X.min, X.max)))
        refs = [Ref(node, port) for port in range(3)]
        self.x = Tensor(refs[0], refs[1], refs[2], SHAPE, X, RangeSource.RUN_TIME)

    def fixed(self, tensor: Tensor, value_range: Range = X, name: str = "fixed") -> Tensor:
        """Requantized."""
        limits = self.builder.minmax(name, value_range)
        return self.op("Requantize_8to8", [*tensor.data_min_max, *limits], value_range, name)

    def op(self, op: str, refs: list[Ref], value_range: Range, name: str) -> Tensor:
        """One node of the shape of all."""
        return self.builder.quantized(op, refs, SHAPE, value_range, name=name)

    def conv(
        self,
        tensor: Tensor,
        value_range: Range,
        name: str,
        clips: tuple[float, float] | None = None,
    ) -> Tensor:
        """A 1x1 convolution."""
        codes = self.builder.const(f"{name}/w", np.zeros((1, 1, 32, 32), np.uint8), WEIGHTS)
        refs = [tensor.data, codes, tensor.min, tensor.max]
        refs += self.builder.minmax(f"{name}/w", WEIGHTS)
        refs.append(self.builder.extent(f"{name}/stride", 1, 1))
        refs.append(self.builder.const(f"{name}/b", np.full((1, 1, 1, 32), 1000, np.int32)))
        refs += [self.builder.scalar(f"{name}/b{end}", end * 2.0**20) for end in (-1, 1)]
        refs += self.builder.minmax(name, value_range)
        made = self.builder.quantized(
            "Supernode_8x8p32to8", refs, SHAPE, value_range, name=name, padding=Padding.VALID
        )
        if clips is not None:
            self.builder.mark_saturating(made, clips)
        return made

    def pool(self, tensor: Tensor) -> Tensor:
        """A pool of one element, through which prepare looks for convolutions."""
        refs = [*tensor.data_min_max, *(self.builder.extent(n, 1, 1) for n in ("p", "s"))]
        return self.builder.quantized(
            "QuantizedMaxPool_8", refs, SHAPE, tensor.range, name="pool", padding=Padding.VALID
        )

    def concat(self, parts: list[Tensor], name: str = "joined") -> Tensor:
        """Along the depth."""
        refs = [self.builder.ints(f"{name}_axis", [3]), *(p.data for p in parts)]
        refs += [*(p.min for p in parts), *(p.max for p in parts)]
        shape = (*SHAPE[:3], 32 * len(parts))
        return self.builder.quantized("QuantizedConcat_8", refs, shape, parts[0].range, name=name)

    def read(self, tensor: Tensor, value_range: Range) -> Tensor:
        """A tensor under limits that are consts."""
        low, high = self.builder.minmax("read", value_range)
        return replace(tensor, min=low, max=high, range=value_range)

    def finish(self, *outputs: Tensor) -> Graph:
        """With these as the model's outputs."""
        refs = [ref for tensor in outputs for ref in tensor.data_min_max]
        self.builder.node(OUTPUT_OP, refs, [], name="dequantize_output")
        for number, tensor in enumerate(outputs):
            item = Interface(f"y{number}", tensor.shape, Layout.plain(4))
            self.builder.graph.outputs.append(item)
        return self.builder.finish()


def found(graph: Graph) -> str:
    """What the analysis says, as one text."""
    return "\n".join(map(str, PreparedRanges(graph, trace(graph)).conflicts()))


def test_a_graph_whose_ranges_fit_is_taken() -> None:
    net = Net()
    x = net.fixed(net.x)
    one, other = net.conv(x, cover(-3, 3), "one"), net.conv(x, cover(-5, 1), "other")
    assert found(net.finish(net.concat([one, other]))) == ""


def test_an_activation_that_a_shared_range_undoes_is_found() -> None:
    """relu_lost_in_concat: the range from 0 is the Relu, prepare gives both the union."""
    net = Net()
    x = net.fixed(net.x)
    clipped = net.conv(x, cover(0, 3), "clipped", (0.0, np.inf))
    told = found(net.finish(net.concat([clipped, net.conv(x, cover(-5, 1), "other")])))
    assert "'clipped'" in told and "has to clip at 0..inf" in told


def test_a_relu_that_prepare_moves_and_a_shared_range_undoes_is_found() -> None:
    net = Net()
    x = net.fixed(net.x)
    plain = net.conv(x, cover(-4, 3), "plain")
    relu = net.op("QuantizedRelu_8", list(plain.data_min_max), plain.range, "relu")
    told = found(net.finish(net.concat([relu, net.conv(x, cover(-5, 1), "other")])))
    assert "'relu'" in told and "'plain'" in told


@pytest.mark.parametrize("reader", ["concat", "table"])
def test_a_factor_that_a_shared_range_changes_is_found(reader: str) -> None:
    """scaled_convolution_concat: const limits stay where the range behind them does not."""
    net = Net()
    x = net.fixed(net.x)
    own, wide = cover(-1, 1), net.conv(x, cover(-9, 9), "wide")
    scaled = net.conv(x, own, "scaled")
    if reader == "concat":
        graph = net.finish(net.concat([net.read(scaled, own.scaled(4.0)), wide]))
    else:
        pool = net.pool(scaled)
        index = net.builder.node(
            "CastUInt8ToInt32", [scaled.data], [Output(SHAPE, "int32")], name="index", made_for=own
        )
        codes = net.builder.const("table", np.zeros((1, 1, 1, 256), np.uint8), own)
        table = net.op("Table_8", [Ref(index), codes, *net.builder.minmax("t", own)], own, "table")
        graph = net.finish(net.concat([pool, wide]), table)
    told = found(graph)
    assert "of 'scaled" in told and "prepare gives it the range -9.0" in told


@pytest.mark.parametrize("shared", [False, True])
def test_a_dilated_convolution_that_prepare_parts_is_looked_at_too(shared: bool) -> None:
    """It reads a scaled tensor; where a Concat makes that tensor's range another one, wrongly."""
    net = Net()
    x = net.fixed(net.x)
    own = cover(-1, 1)
    scaled = net.conv(x, own, "scaled")
    other = net.conv(x, cover(-9, 9) if shared else own, "other")
    joined = net.concat([net.pool(scaled), other])
    read = net.read(scaled, own.scaled(4.0))
    dilated = net.conv(read, cover(-3, 3), "dilated")
    node = net.builder.graph.nodes[-1]
    data, weights, low, high, w_low, w_high, stride, bias, b_low, b_high, *asked = node.inputs
    rate = net.builder.const("rate", np.array([[[[1, 2]]]], np.int32))
    inputs = (data, weights, bias, low, high, w_low, w_high, b_low, b_high, stride, rate, *asked)
    net.builder.graph.nodes[-1] = replace(
        node, op="QuantizedDilatedConv2d_8x8p32to8", inputs=inputs
    )
    told = found(net.finish(joined, dilated))
    assert ("'dilated" in told) == shared


def test_limits_that_are_no_multiple_of_the_range_are_found() -> None:
    net = Net()
    scaled = net.conv(net.fixed(net.x), cover(-1, 1), "scaled")
    again = net.fixed(net.read(scaled, cover(0, 4)), name="again")
    assert "'again' (Requantize_8to8): reads 0..4" in found(net.finish(again))


def test_const_limits_of_what_each_run_quantizes_are_found() -> None:
    net = Net()
    told = found(net.finish(net.fixed(net.read(net.x, X), name="again")))
    assert "where a range that each run finds is the range" in told


def test_a_product_that_the_zero_of_some_run_overruns_is_found() -> None:
    """product_of_input: with the calibrated range it fits."""
    net = Net()
    low, high = net.builder.minmax("b", cover(-1.33, 0))
    factor = net.builder.const("b", np.zeros((1, 1, 1, 32), np.uint8), cover(-1.33, 0))
    refs = [net.x.data, factor, net.x.min, net.x.max, low, high]
    refs += net.builder.minmax("y", cover(-2.66, 0))
    graph = net.finish(net.op("QuantizedMul_8x8to8", refs, cover(-2.66, 0), "product"))
    check(graph)
    told = found(graph)
    assert "'product'" in told and "product scale" in told and "in a run" in told


def test_a_product_is_tried_at_the_loudness_that_is_worst_for_it() -> None:
    """x in -1..4 times 0..3.42: x twice as loud wraps, though at 10 times all fits."""
    net = Net()
    x = net.builder.graph.inputs[0]
    net.builder.graph.inputs[0] = replace(x, range=(-1.0, 4.0))
    factor_range, asked = cover(0.0, 3.42), cover(-3.32, 13.07)
    factor = net.builder.const("b", np.zeros((1, 1, 1, 32), np.uint8), factor_range)
    refs = [net.x.data, factor, net.x.min, net.x.max, *net.builder.minmax("b", factor_range)]
    refs += net.builder.minmax("y", asked)
    told = found(net.finish(net.op("QuantizedMul_8x8to8", refs, asked, "product")))
    assert "'product'" in told and "product scale" in told


def test_no_node_is_tried_louder_than_inputs_may_be() -> None:
    """x - 0.01 has its worst ratio of steps at 200 times the loudness, where x * 0.02 overflows."""
    net = Net()
    factor_range, product, difference = cover(-0.01, 0.02), cover(-0.02, 0.04), cover(-2.0, 2.0)
    factor = net.builder.const("b", np.zeros((1, 1, 1, 32), np.uint8), factor_range)
    refs = [net.x.data, factor, net.x.min, net.x.max, *net.builder.minmax("b", factor_range)]
    refs += net.builder.minmax("y", product)
    small_range = cover(0.0, 0.01)
    small = net.builder.const("c", np.zeros((1, 1, 1, 32), np.uint8), small_range)
    others = [net.x.data, small, net.x.min, net.x.max, *net.builder.minmax("c", small_range)]
    others += net.builder.minmax("z", difference)
    one = net.op("QuantizedMul_8x8to8", refs, product, "product")
    other = net.op("QuantizedSub_8p8to8", others, difference, "difference")
    assert found(net.finish(one, other)) == ""


@pytest.mark.parametrize("op", ["Supernode_8x8p32to8", "QuantizedMean_8"])
def test_what_a_quiet_or_a_loud_input_breaks_is_found(op: str) -> None:
    """quiet_input: the bias of a convolution; mean_clipped: the factor of a mean."""
    net = Net()
    if op == "Supernode_8x8p32to8":
        result = net.conv(net.x, cover(-3, 3), "layer")
    else:
        refs = [*net.x.data_min_max, net.builder.ints("axes", [2])]
        refs += net.builder.minmax("layer", cover(-0.5, 0.5))
        shape = (1, 1, 1, 32)
        result = net.builder.quantized(op, refs, shape, cover(-0.5, 0.5), name="layer")
    assert "'layer'" in found(net.finish(result))


def test_a_floor_behind_the_input_is_seen() -> None:
    net = Net()
    refs = list(net.builder.floored(net.x.data_min_max, Range(2.0**-14, 128), "layer"))
    floored = net.builder.quantized(
        "Select_8", refs, SHAPE, X, name="floor", source=RangeSource.RUN_TIME
    )
    assert found(net.finish(net.conv(floored, cover(-3, 3), "layer"))) == ""


def test_a_range_that_is_empty_once_a_relu_is_moved_is_found() -> None:
    """A Relu that calibration saw at 0 only."""
    net = Net()
    plain = net.conv(net.fixed(net.x), cover(-4, 0), "plain")
    relu = net.op("QuantizedRelu_8", list(plain.data_min_max), plain.range, "relu")
    assert "empty range 0..0" in found(net.finish(relu))


def test_a_pad_value_outside_of_the_range_once_a_relu_is_moved_is_found() -> None:
    net = Net()
    plain = net.conv(net.fixed(net.x), cover(-4, 2), "plain")
    relu = net.op("QuantizedRelu_8", list(plain.data_min_max), plain.range, "relu")
    sides = net.builder.ints("pads", np.zeros((1, 1, 4, 2), np.int32))
    refs = [*relu.data_min_max, sides, net.builder.scalar("value", -4.0)]
    assert "pad value" in found(net.finish(net.op("QuantizedPad_8", refs, relu.range, "pad")))


def test_an_offset_that_overruns_a_batch_norm_is_refused() -> None:
    """affine_of_tiny_data: x * scale + offset, x 3000 times smaller."""
    net = Net()
    tiny = net.fixed(net.x, cover(-1e-4, 1e-4))
    codes = net.builder.const("s", np.full((1, 1, 1, 32), 255, np.uint8), WEIGHTS)
    refs = [tiny.data, codes, tiny.min, tiny.max, *net.builder.minmax("s", WEIGHTS)]
    step = tiny.range.step * WEIGHTS.step
    offset = np.full((1, 1, 1, 32), 1.5 / step, np.int32)
    refs += [net.builder.const("o", offset)]
    refs += [net.builder.scalar(f"o{end}", end * 2.0**31 * step) for end in (-1, 1)]
    refs += net.builder.minmax("y", cover(-2, 2))
    graph = net.finish(net.op("QuantizedBatchNorm_8x8p32to8", refs, cover(-2, 2), "affine"))
    with pytest.raises(GraphError, match="offset fits"):
        check(graph)


def test_a_rewrite_that_drops_a_requantize_with_a_factor_is_refused() -> None:
    """scale_before_join: the requantize reads the product times a quarter."""
    net = Net()
    product = net.conv(net.fixed(net.x), cover(-8, 8), "product")
    quarter = net.read(product, product.range.scaled(0.25))
    again = net.fixed(quarter, cover(-1, 1), "again")
    last = net.op("QuantizedNeg_8", list(again.data_min_max), cover(-1, 1), "last")
    graph = net.finish(last)
    before = scales_of(graph)
    check_scales(before, graph)
    product_node, requantize, reader = (
        next(node for node in graph.nodes if node.name == name)
        for name in ("product", "again", "last")
    )
    merged = [
        replace(node, inputs=tuple(Ref(product_node.id, port) for port in range(3)))
        if node.id == reader.id
        else node
        for node in graph.nodes
        if node.id != requantize.id
    ]
    with pytest.raises(GraphError, match=r"built to read it times 0\.25"):
        check_scales(before, replace(graph, nodes=merged))


def test_the_error_names_both_nodes_and_what_to_do() -> None:
    net = Net()
    x = net.fixed(net.x)
    clipped = net.conv(x, cover(0, 3), "clipped", (0.0, np.inf))
    graph = net.finish(net.concat([clipped, net.conv(x, cover(-5, 1), "other")]))
    with pytest.raises(GraphError) as caught:
        PreparedRanges(graph, trace(graph)).check()
    assert "'clipped'" in caught.value.why and "--optimize none" in caught.value.hint
    assert 'optimize="none", or leaving out a rewrite' in str(caught.value)
