"""Exact uint8 matrix products: compiled, or on ONNX Runtime's integer kernels.

`MatMulInteger` on two uint8 operands is exact on every CPU, faster than float32 BLAS, and reads a
quarter of the memory. Each session runs on the calling thread alone; the caller splits big
products into tiles and distributes them over the cores, with everything that belongs to a tile, so
that its data stays in the cache.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hexconv import native
from hexconv.arrays import Array
from hexconv.native import Convolution, Packed, Passes, Windows
from hexconv.onnx_runtime import opened, quiet_options
from hexconv.simulator.numerics.hvx import wrap32
from hexconv.simulator.numerics.requantize_gain import Requantizer

UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]


def _session(nodes: list[Any], inputs: list[Any], initializers: list[Any], kind: int) -> Any:
    """A single-threaded ONNX Runtime session with the output `y`."""
    from onnx import helper

    output = helper.make_tensor_value_info("y", kind, None)
    graph = helper.make_graph(nodes, "gemm", inputs, [output], initializers)
    opset = helper.make_opsetid("", 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    options = quiet_options()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return opened(model.SerializeToString(), options)


class Gemm:
    """uint8 rows times one constant uint8 matrix.

    Args:
        weights: (K, N) uint8.
        zero: the zero point of the weights.

    `columns` is N.
    """

    def __init__(self, weights: UInt8, zero: int) -> None:
        self.columns = weights.shape[1]
        self._weights, self._zero = weights, zero
        self._sessions: dict[str, Any] = {}
        self._packed: dict[int, Packed] = {}
        # The last one, and the object in its key by id: kept alive, so that the id stays its own.
        self._compiled: tuple[object, Convolution, object] | None = None

    def accumulate(self, rows: UInt8, zero: int) -> Int32:
        """(M, N) int32: the sums of (row - zero) * (weight - its zero point)."""
        passes = native.library()
        if passes is not None:
            wide: Int32 = self.windows(passes, *_as_pixels(rows), zero)[0, 0]
            return wide
        if "sums" not in self._sessions:
            self._sessions["sums"] = self._sums_session()
        feeds = {"a": rows, "a_zero": np.array(zero, np.uint8)}
        sums: Int32 = self._sessions["sums"].run(None, feeds)[0]
        return sums

    def requantized(self, rows: UInt8, finish: Requantizer) -> UInt8:
        """(M, N) uint8: the sums as quantized outputs."""
        passes = native.library()
        if passes is not None:
            narrow: UInt8 = self.windows(passes, *_as_pixels(rows), finish)[0, 0]
            return narrow
        if finish.line is None:
            return finish.codes(self.accumulate(rows, finish.zero))
        if "codes" not in self._sessions:
            self._sessions["codes"] = self._codes_session()
        factor, constant = finish.line
        feeds = {"a": rows, "a_zero": np.array(finish.zero, np.uint8), "m": factor, "c": constant}
        codes: UInt8 = self._sessions["codes"].run(None, feeds)[0]
        return codes

    def windows(self, passes: Passes, x: UInt8, windows: Windows, end: Requantizer | int) -> Array:
        """(B,Ho,Wo,N): the products of every window of padded x, in one compiled pass.

        Args:
            passes: the compiled library.
            x: (B,H,W,D); a window's rows, columns and channels are the rows of the weights.
            windows: their positions.
            end: how the sums are requantized; or the zero point of x, for int32 sums.
        """
        key = (x.shape, windows, end if isinstance(end, int) else id(end))
        last = self._compiled
        if last is None or last[0] != key:
            last = self._compiled = (key, self._convolution(passes, x.shape, windows, end), end)
        return last[1](x)

    def _convolution(
        self, passes: Passes, shape: tuple[int, ...], windows: Windows, end: Requantizer | int
    ) -> Convolution:
        """Offsets contain what the zero points add to each channel, modulo 2**32."""
        packed = self._packed.get(windows.rows)
        if packed is None:
            packed = passes.pack(self._weights, windows.rows, self._zero)
            self._packed[windows.rows] = packed
        if isinstance(end, int):
            offsets = wrap32(-end * packed.sums).astype(np.int32)
            return passes.convolution(shape, windows, packed, offsets)
        offsets = wrap32(end.offsets - end.zero * packed.sums).astype(np.int32)
        return passes.convolution(shape, windows, packed, offsets, end.multipliers, end.gain.shift)

    def _constants(self) -> tuple[list[Any], list[Any]]:
        """Inputs and initializers of a session."""
        from onnx import TensorProto, helper, numpy_helper

        initializers = [
            numpy_helper.from_array(np.ascontiguousarray(self._weights), "b"),
            numpy_helper.from_array(np.array(self._zero, np.uint8), "b_zero"),
        ]
        inputs = [
            helper.make_tensor_value_info("a", TensorProto.UINT8, [None, self._weights.shape[0]]),
            helper.make_tensor_value_info("a_zero", TensorProto.UINT8, []),
        ]
        return inputs, initializers

    def _sums_session(self) -> Any:
        from onnx import TensorProto, helper

        product = helper.make_node("MatMulInteger", ["a", "b", "a_zero", "b_zero"], ["y"])
        return _session([product], *self._constants(), TensorProto.INT32)

    def _codes_session(self) -> Any:
        """Product, gain, clip and truncation in one session."""
        from onnx import TensorProto, helper, numpy_helper

        def node(op: str, inputs: list[str], output: str, **attributes: int) -> Any:
            return helper.make_node(op, inputs, [output], **attributes)

        channels = [
            helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None]) for name in "mc"
        ]
        limits = [
            numpy_helper.from_array(np.array(0.0), "low"),
            numpy_helper.from_array(np.array(255.0), "high"),
        ]
        nodes = [
            node("MatMulInteger", ["a", "b", "a_zero", "b_zero"], "sums"),
            node("Cast", ["sums"], "wide", to=TensorProto.DOUBLE),
            node("Mul", ["wide", "m"], "scaled"),
            node("Add", ["scaled", "c"], "moved"),
            node("Clip", ["moved", "low", "high"], "clipped"),
            node("Cast", ["clipped"], "y", to=TensorProto.UINT8),
        ]
        inputs, initializers = self._constants()
        return _session(nodes, inputs + channels, initializers + limits, TensorProto.UINT8)


def _as_pixels(rows: UInt8) -> tuple[UInt8, Windows]:
    """Rows as the pixels of one line, each its own window."""
    pixels = np.ascontiguousarray(rows).reshape(1, 1, *rows.shape)
    return pixels, Windows(height=1, width=rows.shape[0], rows=1, columns=1, down=1, across=1)


@cache
def _free_session() -> Any:
    """`MatMulInteger` of two computed operands."""
    from onnx import TensorProto, helper

    names = ["a", "b", "a_zero", "b_zero"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, None if name in "ab" else [])
        for name in names
    ]
    return _session(
        [helper.make_node("MatMulInteger", names, ["y"])], inputs, [], TensorProto.INT32
    )


def multiply(a: UInt8, b: UInt8, a_zero: int, b_zero: int) -> Int32:
    """int32 sums of (a - a_zero) * (b - b_zero) over the last axis of a, batched like np.matmul."""
    passes = native.library()
    if passes is not None:
        return passes.multiply_matrices(a, b, (a_zero, b_zero))
    feeds = {
        "a": np.ascontiguousarray(a),
        "b": np.ascontiguousarray(b),
        "a_zero": np.array(a_zero, np.uint8),
        "b_zero": np.array(b_zero, np.uint8),
    }
    sums: Int32 = _free_session().run(None, feeds)[0]
    return sums
