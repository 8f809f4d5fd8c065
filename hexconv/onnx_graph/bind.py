"""Bind inputs of a model to constants: they are initializers from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hexconv.arrays import Array, Constant
from hexconv.errors import ConfigError
from hexconv.names import did_you_mean, listed
from hexconv.numpy_files import read_npy

Dims = list[int | str | None]
TRUTH = {"true": 1, "false": 0}


def bind(
    model: onnx.ModelProto,
    constants: Mapping[str, Constant],
    shapes: Mapping[str, Sequence[int]],
) -> None:
    """Make constants of a model's inputs, in place.

    A single number fills an input's shape; other values have its shape, or as many elements.

    Args:
        model: as exported.
        constants: values by input name.
        shapes: sizes of inputs by name.

    Raises:
        ConfigError: there is no such input, or the value does not fit its shape or type.
    """
    graph = model.graph
    inputs = {value.name: value for value in graph.input}
    sizes = _named_sizes(inputs, shapes)
    for name, given in constants.items():
        if name not in inputs:
            raise ConfigError(
                f"the model has no input '{name}' to bind",
                hint=f"{did_you_mean(name, inputs)}its inputs are {listed(list(inputs))}",
            )
        dtype = _dtype(inputs[name])
        array = _of_type(name, _values(name, given), dtype)
        dims = [sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in _dims(inputs[name])]
        asked = shapes.get(name)
        array = _of_shape(name, array, list(asked) if asked is not None else dims, inputs[name])
        graph.input.remove(inputs[name])
        for held in [item for item in graph.initializer if item.name == name]:
            graph.initializer.remove(held)
        graph.initializer.append(onnx.numpy_helper.from_array(array, name))


def example(name: str, shape: Sequence[object], *, truth: bool = False) -> str:
    """`--constant lengths=1`, with a value that the input of a shape could be bound to."""
    known = [size if isinstance(size, int) and size > 0 else 1 for size in shape]
    if prod(known) > 1:
        return f"--constant {name}=FILE.npy"
    return f"--constant {name}={'true' if truth else '1'}"


def _values(name: str, given: Constant) -> Array:
    if isinstance(given, Path) or (isinstance(given, str) and Path(given).suffix == ".npy"):
        return read_npy(Path(given), f"the constant for '{name}'")
    try:
        if isinstance(given, str):
            return np.asarray(_numbers(given))
        array = np.asarray(given)
    except ValueError:
        raise _no_number(name, given) from None
    if array.dtype.kind not in "biuf":
        raise _no_number(name, given)
    return array


def _no_number(name: str, given: object) -> ConfigError:
    return ConfigError(
        f"'{str(given)[:80]}' is no constant for the input '{name}'",
        hint=f"give numbers, true or false, or the path of a .npy file: --constant {name}=300",
    )


def _numbers(text: str) -> Any:
    """The number of `300`; a list of those of `1,2,3`."""
    words = [word.strip().lower() for word in text.split(",")]
    numbers = [TRUTH[word] if word in TRUTH else _number(word) for word in words]
    return numbers if len(numbers) > 1 else numbers[0]


def _number(word: str) -> int | float:
    try:
        return int(word)
    except ValueError:
        return float(word)


def _dtype(value: onnx.ValueInfoProto) -> np.dtype[Any]:
    code = value.type.tensor_type.elem_type
    kind = "no tensor"
    if value.type.HasField("tensor_type"):
        kind = onnx.TensorProto.DataType.Name(code).lower()
        dtype: np.dtype[Any] = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
        if dtype.kind in "biuf" and code != onnx.TensorProto.UNDEFINED:
            return dtype
    raise ConfigError(
        f"the input '{value.name}' is {kind}",
        why="only inputs of numbers or booleans are bound to a constant",
    )


def _of_type(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """The values in the input's type, each the same number as before."""
    with np.errstate(all="ignore"):
        made = array.astype(dtype)
    if dtype.kind == "f":
        wrong = ~np.isfinite(made)
    elif dtype.kind == "b":
        wrong = (array != 0) & (array != 1)
    else:
        limits = np.iinfo(dtype)
        inside = (array >= limits.min) & (array <= limits.max)
        wrong = ~inside | (made != array)
    if np.any(wrong):
        first = array[wrong].reshape(-1)[0] if array.ndim else array[()]
        raise ConfigError(
            f"the constant for '{name}' has the value {first!s}",
            why=f"the input is of type {dtype.name}: {_allowed(dtype)}",
        )
    return made


def _allowed(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return "finite numbers"
    if dtype.kind == "b":
        return "true and false, or 1 and 0"
    return f"whole numbers from {np.iinfo(dtype).min} to {np.iinfo(dtype).max}"


def _named_sizes(
    inputs: Mapping[str, onnx.ValueInfoProto], shapes: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    """What `shapes` make of dimensions that have names."""
    found: dict[str, int] = {}
    for name, sizes in shapes.items():
        dims = _dims(inputs[name]) if name in inputs else []
        found.update(
            {dim: size for dim, size in zip(dims, sizes, strict=False) if isinstance(dim, str)}
        )
    return found


def _dims(value: onnx.ValueInfoProto) -> Dims:
    """Sizes, names, and None for what is neither."""
    return [
        dim.dim_value if dim.dim_value > 0 else (dim.dim_param or None)
        for dim in value.type.tensor_type.shape.dim
    ]


def _of_shape(name: str, array: Array, dims: Dims, value: onnx.ValueInfoProto) -> Array:
    if not value.type.tensor_type.HasField("shape") and not dims:
        return array
    if array.ndim == len(dims) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(dims, array.shape, strict=True)
    ):
        return array
    sizes = [1 if axis == 0 and not isinstance(dim, int) else dim for axis, dim in enumerate(dims)]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) == len(sizes):
        if array.size == 1:
            return np.full(known, array.reshape(()), array.dtype)
        if array.size == prod(known):
            return array.reshape(known)
    elif array.size > 1 and len(sizes) - len(known) == 1 and array.size % prod(known) == 0:
        return array.reshape([size if isinstance(size, int) else -1 for size in sizes])
    raise ConfigError(
        f"the constant for '{name}' has the shape {list(array.shape)}",
        why=f"the model declares {_text(dims)}",
        hint=f"give an array of that shape, or its sizes: --shape {_sizes(name, sizes)}",
    )


def _text(dims: Dims) -> str:
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in dims) + "]"


def _sizes(name: str, dims: Dims) -> str:
    return f"{name}={','.join(str(dim) if isinstance(dim, int) else '10' for dim in dims)}"
