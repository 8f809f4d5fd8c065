"""The compiled passes as functions of arrays; csrc/ documents what each computes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hexconv.arrays import Array
from hexconv.native.abi import (
    FUNCTIONS,
    RESULTS,
    Comparison,
    ConvCall,
    DepthwiseCall,
    ProductCall,
    RowsCall,
    Site,
    SlopesCall,
    SumCall,
    address,
    address_or_null,
)
from hexconv.native.broadcast import broadcast, runs
from hexconv.threads import share

UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]

PARALLEL_VALUES = 400_000
"""Elements below which using other threads costs more than it saves: 20 to 40 us to wake one."""
PARALLEL_ROWS = 200_000
"""The same for softmax, whose elements take longer."""
PARALLEL_PRODUCTS = 18_000_000
"""The same for products of matrices."""
PARALLEL_TAPS = 1_000_000
"""The same for products of depthwise convolutions."""
PRODUCTS_OF_OUTPUT = 60
"""How many products take as long as requantizing one output."""


class Windows(NamedTuple):
    """The positions of a convolution's windows in its padded, contiguous input.

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
        zero: the weights' zero point.
        sums: (channels,) of the weights less their zero point.
    """

    weights: UInt8
    rows: int
    length: int
    channels: int
    zero: int
    sums: npt.NDArray[np.int64]


class Passes:
    """A built library.

    Args:
        path: its file.

    Raises:
        OSError: it cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        self._dll = ctypes.CDLL(str(path))
        for name, arguments in FUNCTIONS.items():
            function = getattr(self._dll, name)
            function.argtypes, function.restype = arguments, RESULTS.get(name)

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
        self._dll.pack_weights(address(weights), rows, length, channels, address(packed))
        sums = np.empty(channels, np.int64)
        self._dll.column_sums(address(weights), weights.shape[0], channels, zero, address(sums))
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
        call = ConvCall(
            *(None, address(packed.weights), None, address(offsets), address_or_null(multipliers)),
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
            parallel=products + PRODUCTS_OF_OUTPUT * prod(out) >= PARALLEL_PRODUCTS,
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
        """As `convolution`, with (rows, columns, channels) weights less their zero point."""
        call = DepthwiseCall(
            *(None, address(weights), None, address(offsets), address_or_null(multipliers)),
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
            parallel=products >= PARALLEL_TAPS,
            keep=(weights, offsets, multipliers),
        )

    def multiply_matrices(self, a: UInt8, b: UInt8, zeros: tuple[int, int]) -> Int32:
        """(..., M, N) int32: sums of (a - zeros[0]) * (b - zeros[1]); leading axes are alike."""
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
        height, depth, width = *a.shape[-2:], b.shape[-1]
        result = np.empty((*a.shape[:-1], width), np.int32)
        packed = np.empty(self._dll.packed_bytes(1, depth, width), np.uint8)
        sums, offsets = np.empty(width, np.int64), np.empty(width, np.int32)
        arrays = (address(array) for array in (a, b, result, packed, sums, offsets))
        sizes = (prod(a.shape[:-2]), height, depth, width)
        self._dll.multiply_matrices(*arrays, *sizes, *zeros)
        return result

    def add(self, a: UInt8, b: UInt8, scales: tuple[int, int], bias: int, shift: int) -> UInt8:
        """saturated((a * scales[0] + b * scales[1] + bias) >> shift), in the broadcast shape."""
        pair, result, keep = broadcast(a, b)
        call = SumCall(pair, *scales, bias, shift)
        parallel = result.size >= PARALLEL_VALUES
        _share(self._dll.add, call, runs(pair), parallel=parallel)
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
        pair, result, keep = broadcast(a, b)
        call = ProductCall(pair, *zeros, bias, scale, offset, shift)
        parallel = result.size >= PARALLEL_VALUES
        _share(self._dll.multiply, call, runs(pair), parallel=parallel)
        del keep
        return result

    def prelu(self, x: UInt8, zero: int, gain: int, gains: Int32, bias: int, shift: int) -> UInt8:
        """((x - zero) * 128 * gain + bias) >> shift; `gains`, one per channel, below zero."""
        x = np.ascontiguousarray(x)
        result, depth = np.empty_like(x), x.shape[3]
        call = SlopesCall(
            address(x), address(result), address(gains), depth, zero, gain, bias, shift
        )
        _share(self._dll.prelu, call, x.size // depth, parallel=x.size >= PARALLEL_VALUES)
        return result

    def look_up(self, table: UInt8, codes: UInt8) -> UInt8:
        """table[codes], for a table of 256."""
        codes = np.ascontiguousarray(codes)
        result = np.empty_like(codes)
        self._dll.look_up(address(table), address(codes), address(result), codes.size)
        return result

    def dequantize(self, table: npt.NDArray[np.float32], codes: UInt8) -> Array:
        """table[codes], for a table of 256 floats."""
        codes = np.ascontiguousarray(codes)
        result = np.empty(codes.shape, np.float32)
        self._dll.dequantize(address(table), address(codes), address(result), codes.size)
        return result

    def quantize(
        self, x: npt.NDArray[np.float32], power: float, offset: float, factor: float
    ) -> UInt8:
        """(trunc(x * power) + offset) * factor in double, clipped and cut."""
        x = np.ascontiguousarray(x, np.float32)
        result = np.empty(x.shape, np.uint8)
        self._dll.quantize(address(x), power, offset, factor, address(result), x.size)
        return result

    def histogram(
        self, x: npt.NDArray[np.float32], scale: float, half: int, counts: npt.NDArray[np.int64]
    ) -> None:
        """Add one to counts[floor(x * scale) + half] for every finite x."""
        self._dll.histogram(address(x), scale, half, address(counts), x.size)

    def compare(
        self,
        x: npt.NDArray[np.float32],
        y: npt.NDArray[np.float32],
        tolerances: tuple[float, float],
    ) -> Comparison:
        """Sums over contiguous x and y, of equal sizes; tolerances are relative and absolute."""
        result = Comparison(rtol=tolerances[0], atol=tolerances[1])
        self._dll.compare_floats(ctypes.addressof(result), address(x), address(y), x.size)
        return result

    def extremes(self, arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """(2, arrays): the smallest and the largest element of each; NaN shows in either.

        Args:
            arrays: contiguous and not empty.
        """
        addresses = np.array([address(array) for array in arrays], np.int64)
        sizes = np.array([array.size for array in arrays], np.int64)
        ends = np.empty((2, len(arrays)), np.float32)
        given = (address(part) for part in (addresses, sizes, ends[0], ends[1]))
        self._dll.extremes(*given, len(arrays))
        return ends

    def compare_site(self, site: Site, elements: int) -> None:
        """Fill in the results of a site: float values against the codes of one or two runs."""
        self._dll.compare_site(ctypes.addressof(site), elements)

    def multiply_floats(self, a: Array, b: Array) -> Array:
        """A float32 matrix product whose terms are added in their order."""
        a, b = np.ascontiguousarray(a, np.float32), np.ascontiguousarray(b, np.float32)
        result = np.empty((a.shape[0], b.shape[1]), np.float32)
        arrays = (address(array) for array in (a, b, result))
        self._dll.multiply_floats(*arrays, *a.shape, b.shape[1])
        return result

    def scale_down(self, x: Int32, subtract: float, factor: float) -> UInt8:
        """(x - subtract) * factor + 1/2 in double, clipped and cut."""
        x = np.ascontiguousarray(x)
        result = np.empty(x.shape, np.uint8)
        self._dll.scale_down(address(x), subtract, factor, address(result), x.size)
        return result

    def softmax(
        self,
        data: UInt8,
        exp32: Int32,
        exp16: Int32,
        row_factors: Callable[[npt.NDArray[np.int64]], tuple[Int32, Int32]],
    ) -> UInt8:
        """Softmax along depth, from tables over how far a value is below its row's maximum.

        Args:
            data: uint8.
            exp32: the exponentials that are added up; a row's sum stays below 2**32.
            exp16: those that are scaled.
            row_factors: what they are multiplied by and shifted right by, by the rows' sums.
        """
        data = np.ascontiguousarray(data)
        result, shape = np.empty_like(data), (*data.shape[:3], 1)
        most, totals = np.empty(shape, np.uint8), np.empty(shape, np.int64)
        ends = (address(most), address(totals))
        call = RowsCall(address(data), address(exp32), *ends, None, None, None, data.shape[3])
        parallel = data.size >= PARALLEL_ROWS
        _share(self._dll.exponential_sums, call, most.size, parallel=parallel)
        factors = row_factors(totals)
        scales = (address(factors[0]), address(factors[1]))
        call = RowsCall(
            address(data), address(exp16), *ends, *scales, address(result), data.shape[3]
        )
        _share(self._dll.scaled_exponentials, call, most.size, parallel=parallel)
        return result


class Convolution:
    """A convolution of which everything but the data is known.

    Args:
        function: that computes a part of it.
        call: its arguments, without the two addresses.
        shape: of the output.
        units: what the work is divided by.
        parallel: whether it is large enough for more than one core.
        keep: arrays that the call points to.
    """

    def __init__(
        self,
        function: Callable[[int, int, int], None],
        call: ConvCall | DepthwiseCall,
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
        call.input, call.output = address(x), address(result)
        _share(self._function, call, self._units, parallel=self._parallel)
        return result


def _share(
    function: Callable[[int, int, int], None],
    call: ctypes.Structure,
    count: int,
    *,
    parallel: bool,
) -> None:
    where = ctypes.addressof(call)
    share(lambda first, last: function(where, first, last), count, parallel=parallel)


def _strides(shape: tuple[int, ...], windows: Windows) -> tuple[int, int, int, int]:
    """Bytes from image to image, and from line, pixel and row of a window to the next."""
    _, height, width, depth = shape
    line = width * depth
    return height * line, windows.down * line, windows.across * depth, line
