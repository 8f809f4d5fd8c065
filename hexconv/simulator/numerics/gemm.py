"""Exact uint8 matrix products on ONNX Runtime's integer kernels.

`MatMulInteger` on two uint8 operands is exact on every CPU, faster than float32 BLAS, and reads a
quarter of the memory. Each session runs on the calling thread alone; big products are cut into
tiles that `tiles` spreads over the cores, with everything that belongs to a tile, so that its data
stays in the cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]
T = TypeVar("T")


@cache
def _pool() -> ThreadPoolExecutor:
    """The one thread pool of the simulator."""
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="hexconv")


def tiles(run: Callable[[T], None], work: Iterable[T], *, parallel: bool) -> None:
    """`run` each piece of work, on all cores if `parallel`; they must not touch each other's data.

    Raises:
        Whatever `run` raises.
    """
    if not parallel:
        for piece in work:
            run(piece)
        return
    for done in [_pool().submit(run, piece) for piece in work]:
        done.result()


def _session(nodes: list[Any], inputs: list[Any], initializers: list[Any], kind: int) -> Any:
    """A single-threaded ONNX Runtime session that answers `y`."""
    import onnxruntime
    from onnx import helper

    output = helper.make_tensor_value_info("y", kind, None)
    graph = helper.make_graph(nodes, "gemm", inputs, [output], initializers)
    opset = helper.make_opsetid("", 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    data = model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


class Gemm:
    """uint8 rows times one constant uint8 matrix.

    Args:
        weights: (K, N) uint8.
        zero: the code of the weights that stands for zero.

    `columns` is N.
    """

    def __init__(self, weights: UInt8, zero: int) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self.columns = weights.shape[1]
        self._initializers = [
            numpy_helper.from_array(np.ascontiguousarray(weights), "b"),
            numpy_helper.from_array(np.array(zero, np.uint8), "b_zero"),
        ]
        self._inputs = [
            helper.make_tensor_value_info("a", TensorProto.UINT8, [None, weights.shape[0]]),
            helper.make_tensor_value_info("a_zero", TensorProto.UINT8, []),
        ]
        self._sessions: dict[str, Any] = {}

    def accumulate(self, rows: UInt8, zero: int) -> Int32:
        """(M, N) int32: the sums of (row - zero) * (weight - its zero)."""
        if "sums" not in self._sessions:
            from onnx import TensorProto, helper

            product = helper.make_node("MatMulInteger", ["a", "b", "a_zero", "b_zero"], ["y"])
            self._sessions["sums"] = _session(
                [product], self._inputs, self._initializers, TensorProto.INT32
            )
        feeds = {"a": rows, "a_zero": np.array(zero, np.uint8)}
        sums: Int32 = self._sessions["sums"].run(None, feeds)[0]
        return sums

    def requantized(self, rows: UInt8, zero: int, factor: Float64, constant: Float64) -> UInt8:
        """(M, N) uint8: floor(sum * factor + constant), clipped to 0..255.

        Args:
            rows: (M, K) uint8.
            zero: their zero code.
            factor: (N,) float64.
            constant: (N,) float64.
        """
        if "codes" not in self._sessions:
            self._sessions["codes"] = self._codes_session()
        feeds = {"a": rows, "a_zero": np.array(zero, np.uint8), "m": factor, "c": constant}
        answer: UInt8 = self._sessions["codes"].run(None, feeds)[0]
        return answer

    def _codes_session(self) -> Any:
        """Product, gain, clip and cut in one session."""
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
        inputs = [*self._inputs, *channels]
        return _session(nodes, inputs, [*self._initializers, *limits], TensorProto.UINT8)


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
    feeds = {
        "a": np.ascontiguousarray(a),
        "b": np.ascontiguousarray(b),
        "a_zero": np.array(a_zero, np.uint8),
        "b_zero": np.array(b_zero, np.uint8),
    }
    sums: Int32 = _free_session().run(None, feeds)[0]
    return sums
