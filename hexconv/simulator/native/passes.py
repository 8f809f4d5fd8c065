"""The compiled passes as functions of arrays; csrc/ says what each computes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.simulator.threads import share

UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]

_POINTER, _INT32, _INT64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
_DOUBLE = ctypes.c_double
_FOUR = ctypes.c_int64 * 4
Four = ctypes.Array[ctypes.c_int64]

PARALLEL_VALUES = 200_000
"""Elements below which handing work to other threads costs more than it saves."""
PARALLEL_PRODUCTS = 10_000_000


class Windows(NamedTuple):
    """Where the windows of a convolution lie in its padded, contiguous input.

    Args:
        height: lines of the output.
        width: its columns.
        rows: lines of a window.
        columns: its columns.
        down: lines from window to window.
        across: columns from window to window.
    """

    height: int
    width: int
    rows: int
    columns: int
    down: int
    across: int


class Packed(NamedTuple):
    """Weights as the compiled convolution reads them.

    Args:
        weights: laid out for the CPU.
        rows: of a window.
        length: columns of a window times input channels.
        channels: of the output.
        zero: the weights' zero code.
        sums: (channels,) of the weights less their zero.
    """

    weights: UInt8
    rows: int
    length: int
    channels: int
    zero: int
    sums: npt.NDArray[np.int64]


class _Conv(ctypes.Structure):
    _fields_ = [
        *((name, _POINTER) for name in ("input", "packed", "output", "offsets", "multipliers")),
        *((name, _INT64) for name in ("image", "line", "pixel", "segment")),
        *((name, _INT32) for name in ("height", "width", "segments", "length", "channels")),
        *((name, _INT32) for name in ("zero", "shift")),
    ]


class _Depthwise(ctypes.Structure):
    _fields_ = [
        *((name, _POINTER) for name in ("input", "weights", "output", "offsets", "multipliers")),
        *((name, _INT64) for name in ("image", "line", "pixel", "segment")),
        *((name, _INT32) for name in ("height", "width", "rows", "columns", "channels", "shift")),
    ]


class _Pair(ctypes.Structure):
    _fields_ = [
        *((name, _POINTER) for name in ("a", "b", "output")),
        *((name, _FOUR) for name in ("sizes", "strides_a", "strides_b")),
    ]


class _Sum(ctypes.Structure):
    _fields_ = [
        ("of", _Pair),
        *((name, _INT32) for name in ("scale_a", "scale_b", "bias", "shift")),
    ]


class _Product(ctypes.Structure):
    _fields_ = [
        ("of", _Pair),
        *((name, _INT32) for name in ("zero_a", "zero_b", "bias", "scale", "offset", "shift")),
    ]


class _Slopes(ctypes.Structure):
    _fields_ = [
        *((name, _POINTER) for name in ("input", "output", "gains")),
        *((name, _INT32) for name in ("channels", "zero", "gain", "bias", "shift")),
    ]


class _Rows(ctypes.Structure):
    _fields_ = [
        *((name, _POINTER) for name in ("input", "exponentials", "most", "totals")),
        *((name, _POINTER) for name in ("mantissas", "shifts", "output")),
        ("depth", _INT32),
    ]


_FUNCTIONS = {
    "pack_weights": [_POINTER, _INT32, _INT32, _INT32, _POINTER],
    "column_sums": [_POINTER, _INT32, _INT32, _INT32, _POINTER],
    "multiply_matrices": [*[_POINTER] * 6, *[_INT32] * 6],
    "convolve": [_POINTER, _INT64, _INT64],
    "depthwise": [_POINTER, _INT64, _INT64],
    "add": [_POINTER, _INT64, _INT64],
    "multiply": [_POINTER, _INT64, _INT64],
    "prelu": [_POINTER, _INT64, _INT64],
    "look_up": [_POINTER, _POINTER, _POINTER, _INT64],
    "dequantize": [_POINTER, _POINTER, _POINTER, _INT64],
    "quantize": [_POINTER, _DOUBLE, _DOUBLE, _DOUBLE, _POINTER, _INT64],
    "scale_down": [_POINTER, _DOUBLE, _DOUBLE, _POINTER, _INT64],
    "exponential_sums": [_POINTER, _INT64, _INT64],
    "scaled_exponentials": [_POINTER, _INT64, _INT64],
}


def _at(array: Array) -> int:
    """Its address. What can be written tells it faster than `ndarray.ctypes` does."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # read-only, or empty
        return array.ctypes.data


class Passes:
    """A built library.

    Args:
        path: its file.

    Raises:
        OSError: it cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        self._dll = ctypes.CDLL(str(path))
        self._dll.packed_bytes.restype = _INT64
        self._dll.packed_bytes.argtypes = [_INT32, _INT32, _INT32]
        self._dll.isa.restype = ctypes.c_char_p
        for name, arguments in _FUNCTIONS.items():
            function = getattr(self._dll, name)
            function.argtypes, function.restype = arguments, None

    @property
    def isa(self) -> str:
        """The instructions that it computes products with."""
        name: bytes = self._dll.isa()
        return name.decode()

    def pack(self, weights: UInt8, rows: int, zero: int) -> Packed:
        """(rows * length, channels) weights for `convolve`."""
        weights = np.ascontiguousarray(weights)
        length, channels = weights.shape[0] // rows, weights.shape[1]
        packed = np.empty(self._dll.packed_bytes(rows, length, channels), np.uint8)
        self._dll.pack_weights(_at(weights), rows, length, channels, _at(packed))
        sums = np.empty(channels, np.int64)
        self._dll.column_sums(_at(weights), weights.shape[0], channels, zero, _at(sums))
        return Packed(packed, rows, length, channels, zero, sums)

    def convolution(
        self,
        shape: tuple[int, ...],
        windows: Windows,
        packed: Packed,
        offsets: Int32,
        multipliers: Int32 | None = None,
        shift: int = 0,
    ) -> Convolution:
        """A convolution of padded data: uint8 with multipliers, else int32 sums.

        Args:
            shape: (B,H,W,D) of the data.
            windows: of the convolution.
            packed: weights.
            offsets: (channels,) added to the sums of data times (weight - its zero).
            multipliers: (channels,) 31-bit factors.
            shift: left shift of the sums before the multiplication.
        """
        call = _Conv(
            *(None, _at(packed.weights), None, _at(offsets), _where(multipliers)),
            *_strides(shape, windows),
            *(windows.height, windows.width, packed.rows, packed.length, packed.channels),
            *(packed.zero, shift),
        )
        out = (shape[0], windows.height, windows.width, packed.channels)
        products = prod(out) * packed.rows * packed.length
        return Convolution(
            self._dll.convolve,
            call,
            out,
            units=prod(out[:3]),
            parallel=products >= PARALLEL_PRODUCTS,
            keep=(packed.weights, offsets, multipliers),
        )

    def depthwise(
        self,
        shape: tuple[int, ...],
        windows: Windows,
        weights: npt.NDArray[np.int16],
        offsets: Int32,
        multipliers: Int32 | None = None,
        shift: int = 0,
    ) -> Convolution:
        """As `convolution`, with (rows, columns, channels) weights less their zero."""
        call = _Depthwise(
            *(None, _at(weights), None, _at(offsets), _where(multipliers)),
            *_strides(shape, windows),
            *(windows.height, windows.width, windows.rows, windows.columns, shape[3], shift),
        )
        out = (shape[0], windows.height, windows.width, shape[3])
        products = prod(out) * windows.rows * windows.columns
        return Convolution(
            self._dll.depthwise,
            call,
            out,
            units=prod(out[:2]),
            parallel=products >= PARALLEL_PRODUCTS // 10,
            keep=(weights, offsets, multipliers),
        )

    def multiply_matrices(self, a: UInt8, b: UInt8, zeros: tuple[int, int]) -> Int32:
        """(..., M, N) int32: sums of (a - zeros[0]) * (b - zeros[1]); leading axes are alike."""
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
        height, depth, width = *a.shape[-2:], b.shape[-1]
        result = np.empty((*a.shape[:-1], width), np.int32)
        packed = np.empty(self._dll.packed_bytes(1, depth, width), np.uint8)
        sums, offsets = np.empty(width, np.int64), np.empty(width, np.int32)
        arrays = (_at(array) for array in (a, b, result, packed, sums, offsets))
        sizes = (prod(a.shape[:-2]), height, depth, width)
        self._dll.multiply_matrices(*arrays, *sizes, *zeros)
        return result

    def add(self, a: UInt8, b: UInt8, scales: tuple[int, int], bias: int, shift: int) -> UInt8:
        """saturated((a * scales[0] + b * scales[1] + bias) >> shift), in the broadcast shape."""
        pair, result, keep = _pair(a, b)
        call = _Sum(pair, *scales, bias, shift)
        parallel = result.size >= PARALLEL_VALUES
        _share(self._dll.add, call, _runs(pair), parallel=parallel)
        del keep
        return result

    def multiply(
        self,
        a: UInt8,
        b: UInt8,
        zeros: tuple[int, int],
        bias: int,
        scale: int,
        offset: int,
        shift: int,
    ) -> UInt8:
        """p = (a - zeros[0]) * (b - zeros[1]) - bias, then ((p*scale+2^14>>15)+offset)>>shift."""
        pair, result, keep = _pair(a, b)
        call = _Product(pair, *zeros, bias, scale, offset, shift)
        parallel = result.size >= PARALLEL_VALUES
        _share(self._dll.multiply, call, _runs(pair), parallel=parallel)
        del keep
        return result

    def prelu(self, x: UInt8, zero: int, gain: int, gains: Int32, bias: int, shift: int) -> UInt8:
        """((x - zero) * 128 * gain + bias) >> shift; `gains`, one a channel, below zero."""
        x = np.ascontiguousarray(x)
        result, depth = np.empty_like(x), x.shape[3]
        call = _Slopes(_at(x), _at(result), _at(gains), depth, zero, gain, bias, shift)
        _share(self._dll.prelu, call, x.size // depth, parallel=x.size >= PARALLEL_VALUES)
        return result

    def look_up(self, table: UInt8, codes: UInt8) -> UInt8:
        """table[codes], for a table of 256."""
        codes = np.ascontiguousarray(codes)
        result = np.empty_like(codes)
        self._dll.look_up(_at(table), _at(codes), _at(result), codes.size)
        return result

    def dequantize(self, table: npt.NDArray[np.float32], codes: UInt8) -> Array:
        """table[codes], for a table of 256 floats."""
        codes = np.ascontiguousarray(codes)
        result = np.empty(codes.shape, np.float32)
        self._dll.dequantize(_at(table), _at(codes), _at(result), codes.size)
        return result

    def quantize(
        self, x: npt.NDArray[np.float32], power: float, offset: float, factor: float
    ) -> UInt8:
        """(trunc(x * power) + offset) * factor in double, clipped and cut."""
        x = np.ascontiguousarray(x, np.float32)
        result = np.empty(x.shape, np.uint8)
        self._dll.quantize(_at(x), power, offset, factor, _at(result), x.size)
        return result

    def scale_down(self, x: Int32, subtract: float, factor: float) -> UInt8:
        """(x - subtract) * factor + 1/2 in double, clipped and cut."""
        x = np.ascontiguousarray(x)
        result = np.empty(x.shape, np.uint8)
        self._dll.scale_down(_at(x), subtract, factor, _at(result), x.size)
        return result

    def softmax(
        self,
        data: UInt8,
        exp32: Int32,
        exp16: Int32,
        row_factors: Callable[[npt.NDArray[np.int64]], tuple[Int32, Int32]],
    ) -> UInt8:
        """Softmax along depth, from tables over how far a code lies below its row's largest.

        Args:
            data: codes.
            exp32: the exponentials that are added up; a row's sum stays below 2**32.
            exp16: those that are scaled.
            row_factors: what they are multiplied by and shifted right by, by the rows' sums.
        """
        data = np.ascontiguousarray(data)
        result, shape = np.empty_like(data), (*data.shape[:3], 1)
        most, totals = np.empty(shape, np.uint8), np.empty(shape, np.int64)
        ends = (_at(most), _at(totals))
        call = _Rows(_at(data), _at(exp32), *ends, None, None, None, data.shape[3])
        parallel = data.size >= PARALLEL_VALUES
        _share(self._dll.exponential_sums, call, most.size, parallel=parallel)
        factors = row_factors(totals)
        scales = (_at(factors[0]), _at(factors[1]))
        call = _Rows(_at(data), _at(exp16), *ends, *scales, _at(result), data.shape[3])
        _share(self._dll.scaled_exponentials, call, most.size, parallel=parallel)
        return result


class Convolution:
    """A convolution of which all but the data is known.

    Args:
        function: that computes a part of it.
        call: what it is given, without the two addresses.
        shape: of the output.
        units: what the work is divided by.
        parallel: whether it is worth more than one core.
        keep: arrays that the call points to.
    """

    def __init__(
        self,
        function: Callable[[int, int, int], None],
        call: _Conv | _Depthwise,
        shape: tuple[int, ...],
        *,
        units: int,
        parallel: bool,
        keep: object,
    ) -> None:
        self._function, self._call, self._keep = function, call, keep
        self._shape, self._units, self._parallel = shape, units, parallel
        self._dtype = np.uint8 if call.multipliers else np.int32

    def __call__(self, x: UInt8) -> Array:
        """The convolution of padded, contiguous data."""
        result = np.empty(self._shape, self._dtype)
        call = type(self._call).from_buffer_copy(self._call)  # threads share the original
        call.input, call.output = _at(x), _at(result)
        _share(self._function, call, self._units, parallel=self._parallel)
        return result


def _share(
    function: Callable[[int, int, int], None],
    call: ctypes.Structure,
    count: int,
    *,
    parallel: bool,
) -> None:
    address = ctypes.addressof(call)
    share(lambda first, last: function(address, first, last), count, parallel=parallel)


def _where(array: Array | None) -> int | None:
    return None if array is None else _at(array)


def _strides(shape: tuple[int, ...], windows: Windows) -> tuple[int, int, int, int]:
    """Bytes from image to image, and from line, pixel and row of a window to the next."""
    _, height, width, depth = shape
    line = width * depth
    return height * line, windows.down * line, windows.across * depth, line


def _pair(a: UInt8, b: UInt8) -> tuple[_Pair, UInt8, tuple[UInt8, UInt8]]:
    """Two operands and their output; the last are the arrays that it points to."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    shape, sizes, strides_a, strides_b = _plan(a.shape, b.shape)
    result = np.empty(shape, np.uint8)
    pair = _Pair(_at(a), _at(b), _at(result), sizes, strides_a, strides_b)
    return pair, result, (a, b)


def _runs(pair: _Pair) -> int:
    runs: int = pair.sizes[0] * pair.sizes[1] * pair.sizes[2]
    return runs


@lru_cache(maxsize=1024)
def _plan(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[tuple[int, ...], Four, Four, Four]:
    """The broadcast shape, and sizes and strides of at most four runs that it comes to.

    Neighbouring axes along which each operand either runs on or stands still are one.
    """
    shape = np.broadcast_shapes(a, b)
    axes: list[tuple[int, bool, bool]] = []
    for size, size_a, size_b in zip(shape, a, b, strict=True):
        if size == 1:
            continue
        moves = size_a > 1, size_b > 1
        if axes and axes[-1][1:] == moves:
            axes[-1] = (axes[-1][0] * size, *moves)
        else:
            axes.append((size, *moves))
    sizes = [1] * (4 - len(axes)) + [size for size, _, _ in axes]
    moves_a = [False] * (4 - len(axes)) + [move for _, move, _ in axes]
    moves_b = [False] * (4 - len(axes)) + [move for _, _, move in axes]
    return shape, _FOUR(*sizes), _FOUR(*_steps(sizes, moves_a)), _FOUR(*_steps(sizes, moves_b))


def _steps(sizes: list[int], moves: list[bool]) -> list[int]:
    """Elements from one position to the next along each axis; 0 where the operand stretches."""
    steps, step = [0] * len(sizes), 1
    for axis in reversed(range(len(sizes))):
        if moves[axis]:
            steps[axis], step = step, step * sizes[axis]
    return steps
