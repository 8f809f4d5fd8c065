"""What the arguments of the public functions may be: one error for any other type."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np

from hexconv.errors import ConfigError, too_little_memory

P = ParamSpec("P")
T = TypeVar("T")
PLAIN = (str, bytes, int, float, complex, list, tuple, dict, set, type(None))
"""Types whose values are short, or shortened, in a message; of others the type is named."""


@dataclass(frozen=True)
class Kind:
    """What an argument may be.

    Attributes:
        noun: what it is called in a message.
        test: whether a value is of this kind.
        entries: of a mapping, what its values are; its keys are names.
    """

    noun: str
    test: Callable[[Any], bool]
    entries: Kind | None = None


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_, int)) and value in (0, 1)


def _are(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether a value is a list, tuple or array of such items."""

    def found(value: Any) -> bool:
        listed = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))
        return listed and all(test(item) for item in value)

    return found


def _are_names(value: Any) -> bool:
    listed = isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping))
    return listed and all(isinstance(item, str) for item in value)


def _is_model(value: Any) -> bool:
    proto = _has(value, "SerializeToString", "graph")
    return _is_path(value) or proto


def _are_ranges(value: Any) -> bool:
    return _is_path(value) or isinstance(value, Mapping)


def _is_graph(value: Any) -> bool:
    graph = getattr(value, "graph", value)
    return hasattr(graph, "consts") and hasattr(graph, "nodes") and not isinstance(value, type)


def _are_samples(value: Any) -> bool:
    images = not isinstance(value, type) and hasattr(value, "bgr")
    text = isinstance(value, (bytes, bytearray, np.ndarray, set, frozenset, range))
    return _is_path(value) or images or (isinstance(value, Iterable) and not text)


def _is_report(value: Any) -> bool:
    known = isinstance(value, Mapping) and "kind" in value and "hexconv" in value
    return known or _has(value, "report")


def _is_constant(value: Any) -> bool:
    if _is_path(value) or isinstance(value, (Real, np.bool_)):
        return True
    numbers = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    return numbers or _are(_is_constant)(value)


def _has(value: Any, *methods: str) -> bool:
    return not isinstance(value, type) and all(hasattr(value, name) for name in methods)


def _by_name(entries: Kind, noun: str) -> Kind:
    return Kind(noun, lambda value: isinstance(value, Mapping), entries)


def _is_array(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except (TypeError, ValueError):  # lists of unlike lengths, or objects
        return False


def _is_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(entry) for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(value, (str, bool, int, float))


PATH = Kind("a path", _is_path)
TEXT = Kind("a text", lambda value: isinstance(value, str))
FLAG = Kind("True or False", _is_flag)
NUMBER = Kind("a number", _is_number)
WHOLE = Kind("a whole number", _is_whole)
NAMES = Kind("a list of names", _are_names)
CALLABLE = Kind("a function", callable)
CONVERTED = Kind("a converted model", _is_graph)
SOURCE = Kind("the path of an ONNX file, or an onnx.ModelProto", _is_model)
SAMPLES = Kind("a path, {input: path}, or a list of {input: array}", _are_samples, PATH)
BOUNDS = Kind("two numbers, (min, max)", lambda v: _are(_is_number)(v) and len(v) == 2)
RANGES = Kind("a path, or {tensor: (min, max)}", _are_ranges, BOUNDS)
REPORT = Kind("a report as hexconv writes it: a mapping, or what has a `report()`", _is_report)
ARRAYS = _by_name(Kind("an array of numbers", _is_array), "{input: array}")

BYTES = Kind("bytes", lambda value: isinstance(value, bytes))
FILES = _by_name(BYTES, "{end of a file name: bytes}")
SHAPES = Kind("a list of shapes", _are(_are(_is_whole)))
DOCUMENT = Kind("a mapping that JSON can hold", lambda v: isinstance(v, Mapping) and _is_json(v))
RANGES_BY_NAME = _by_name(BOUNDS, "{tensor: (min, max)}")
TWO_NAMES = Kind("two names", lambda value: _are_names(value) and len(value) == 2)
METRICS = Kind("a list of functions", lambda v: isinstance(v, Iterable) and not isinstance(v, str))
REPORTS = Kind("reports as hexconv writes them", _are(_is_report))
LIMITS = Kind("hexconv.device.Limits", lambda value: _has(value, "rlimits"))
OUTPUTS = Kind("a list of nnlib.Output", _are(lambda item: _has(item, "shape", "dtype")))

ARGUMENTS: dict[str, Kind] = {
    **dict.fromkeys(("source", "float_source"), SOURCE),
    **dict.fromkeys(("config", "folder", "path"), PATH),
    **dict.fromkeys(("model", "step"), CONVERTED),
    **dict.fromkeys(("samples", "held_out"), SAMPLES),
    **dict.fromkeys(("explain", "float_fallback", "fusions", "stateful", "strict"), FLAG),
    **dict.fromkeys(("bgr", "mace_layout", "preset", "taps"), FLAG),
    **dict.fromkeys(("accuracy", "library", "name", "observer", "only", "op", "optimize"), TEXT),
    **dict.fromkeys(("also", "inputs", "keep_float", "outputs", "without"), NAMES),
    **dict.fromkeys(("extra_packets", "percentile", "seconds"), NUMBER),
    **dict.fromkeys(("file_bytes", "layer_samples", "memory", "unroll"), WHOLE),
    **dict.fromkeys(("progress", "run"), CALLABLE),
    **dict.fromkeys(("new", "old", "report"), REPORT),
    "at": Kind("a name, or a list of names", lambda v: isinstance(v, str) or _are_names(v)),
    "arrays": Kind("a list of arrays", _are(lambda item: isinstance(item, np.ndarray))),
    "axes": _by_name(WHOLE, "{tensor: axis}"),
    "cluster": Kind("a hexconv.cluster.Cluster", lambda v: _has(v, "close", "workers")),
    "constants": _by_name(
        Kind("a number, an array or the path of a .npy file", _is_constant), "{input: value}"
    ),
    "data_formats": _by_name(TEXT, "{tensor: format}"),
    "device": Kind("a hexconv.device.Library", lambda v: _has(v, "run")),
    "feeds": ARRAYS,
    "input_ranges": _by_name(BOUNDS, "{input: (min, max)}"),
    "output_slices": _by_name(WHOLE, "{output: number of slices}"),
    "metrics": METRICS,
    "ranges": RANGES,
    "shapes": _by_name(Kind("a list of whole numbers", _are(_is_whole)), "{input: sizes}"),
    **dict.fromkeys(("allowed", "relative"), _by_name(NUMBER, "{figure: number}")),
    **dict.fromkeys(("input_shapes", "output_shapes"), SHAPES),
    "ints": _by_name(Kind("a list of whole numbers", _are(_is_whole)), "{constant: numbers}"),
    "consts": Kind("a list of True and False", _are(_is_flag)),
    **dict.fromkeys(("mean", "scale"), Kind("a list of numbers", _are(_is_number))),
}


def check_types(arguments: Mapping[str, Any], kinds: Mapping[str, Kind] = ARGUMENTS) -> None:
    """Check arguments by name; those without a kind may be anything.

    Raises:
        ConfigError: one, or an entry of a mapping, is of another type.
    """
    for name, value in arguments.items():
        if name in kinds:
            _check(name, value, kinds[name])


def _check(label: str, value: Any, kind: Kind) -> None:
    if not kind.test(value):
        raise ConfigError(f"{label}={_shown(value)} is not {kind.noun}")
    if kind.entries is None or not isinstance(value, Mapping):
        return
    for key, entry in value.items():
        if not isinstance(key, str):
            raise ConfigError(f"{label}: the key {_shown(key)} is not a name")
        _check(f"{label}[{key!r}]", entry, kind.entries)


def _shown(value: Any) -> str:
    return reprlib.repr(value) if isinstance(value, PLAIN) else f"<{type(value).__name__}>"


def checks_types(**kinds: Kind) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Check the arguments of a function that are not what they are by default.

    Where the function runs out of memory, it raises a HexconvError too.

    Args:
        **kinds: of arguments that are something else here than elsewhere.
    """
    table = {**ARGUMENTS, **kinds}

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        taken = signature(function)

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            given = taken.bind(*args, **kwargs).arguments
            default = {name: parameter.default for name, parameter in taken.parameters.items()}
            check_types({n: v for n, v in given.items() if v is not default[n]}, table)
            try:
                return function(*args, **kwargs)
            except MemoryError as error:
                raise too_little_memory(error) from error

        return called

    return decorate
