"""The interface of Python and C: structures, arguments of the functions, addresses of arrays."""

from __future__ import annotations

import ctypes

from hexconv.arrays import Array

_POINTER, _INT32, _INT64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
_DOUBLE, _FLOAT = ctypes.c_double, ctypes.c_float
FOUR = ctypes.c_int64 * 4


class ConvCall(ctypes.Structure):
    """`struct conv` of conv.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("input", "packed", "output", "offsets", "multipliers")),
        *((name, _INT64) for name in ("image", "line", "pixel", "segment")),
        *((name, _INT32) for name in ("height", "width", "segments", "length", "channels")),
        *((name, _INT32) for name in ("zero", "shift")),
    ]


class DepthwiseCall(ctypes.Structure):
    """`struct depthwise` of depthwise.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("input", "weights", "output", "offsets", "multipliers")),
        *((name, _INT64) for name in ("image", "line", "pixel", "segment")),
        *((name, _INT32) for name in ("height", "width", "rows", "columns", "channels", "shift")),
    ]


class Pair(ctypes.Structure):
    """`struct pair` of elementwise.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("a", "b", "output")),
        *((name, FOUR) for name in ("sizes", "strides_a", "strides_b")),
    ]


class SumCall(ctypes.Structure):
    """`struct sum` of elementwise.c."""

    _fields_ = [
        ("of", Pair),
        *((name, _INT32) for name in ("scale_a", "scale_b", "bias", "shift")),
    ]


class ProductCall(ctypes.Structure):
    """`struct product` of elementwise.c."""

    _fields_ = [
        ("of", Pair),
        *((name, _INT32) for name in ("zero_a", "zero_b", "bias", "scale", "offset", "shift")),
    ]


class SlopesCall(ctypes.Structure):
    """`struct slopes` of elementwise.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("input", "output", "gains")),
        *((name, _INT32) for name in ("channels", "zero", "gain", "bias", "shift")),
    ]


class RowsCall(ctypes.Structure):
    """`struct rows` of softmax.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("input", "exponentials", "most", "totals")),
        *((name, _POINTER) for name in ("mantissas", "shifts", "output")),
        ("depth", _INT32),
    ]


SUM_LANES = 16
_LANES = _DOUBLE * SUM_LANES


class Comparison(ctypes.Structure):
    """`struct comparison` of compare.c."""

    _fields_ = [
        ("sums", _LANES * 5),
        ("largest", _LANES),
        ("peak", _LANES),
        ("close", _INT64),
        ("rtol", _DOUBLE),
        ("atol", _DOUBLE),
    ]


class Distance(ctypes.Structure):
    """`struct distance` of compare_codes.c."""

    _fields_ = [
        ("sums", _DOUBLE * 5),
        *((name, _FLOAT) for name in ("largest", "peak")),
        ("close", _INT64),
    ]


class Coded(ctypes.Structure):
    """`struct coded` of compare_codes.c."""

    _fields_ = [
        ("codes", _POINTER),
        *((name, _FLOAT) for name in ("inverse", "zero", "rtol", "atol")),
        ("result", Distance),
    ]


class Fit(ctypes.Structure):
    """`struct fit` of compare_codes.c."""

    _fields_ = [
        *((name, _DOUBLE) for name in ("noise", "clip_noise")),
        ("clipped", _INT64),
        ("counts", _INT64 * 256),
    ]


class Site(ctypes.Structure):
    """`struct site` of compare_codes.c."""

    _fields_ = [
        *((name, _POINTER) for name in ("expected", "scratch")),
        *((name, _INT64) for name in ("positions", "channels", "tile")),
        ("nearest", _POINTER),
        ("slack", _FLOAT),
        *((name, Coded) for name in ("own", "running")),
        ("fit", Fit),
    ]


FUNCTIONS = {
    "packed_bytes": [_INT32, _INT32, _INT32],
    "isa": [],
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
    "multiply_floats": [*[_POINTER] * 3, *[_INT64] * 3],
    "scale_down": [_POINTER, _DOUBLE, _DOUBLE, _POINTER, _INT64],
    "exponential_sums": [_POINTER, _INT64, _INT64],
    "scaled_exponentials": [_POINTER, _INT64, _INT64],
    "compare_floats": [_POINTER, _POINTER, _POINTER, _INT64],
    "compare_site": [_POINTER, _INT64],
    "extremes": [*[_POINTER] * 4, _INT64],
    "histogram": [_POINTER, _FLOAT, _INT32, _POINTER, _INT64],
}


RESULTS = {"packed_bytes": _INT64, "isa": ctypes.c_char_p}
"""Return types of the functions that return anything."""


def address(array: Array) -> int:
    """Its address. For writable arrays this is faster than `ndarray.ctypes`."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # read-only, or empty
        return array.ctypes.data


def address_or_null(array: Array | None) -> int | None:
    """Its address, if there is one."""
    return None if array is None else address(array)
