"""Fix the shapes of a model's inputs: every dimension gets a number, given by the input's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import onnx_ir as ir

from hexconv.errors import ConfigError, ModelError
from hexconv.names import did_you_mean, listed
from hexconv.onnx_graph.arguments import LARGEST

EXAMPLE_LENGTH = 100
PLACEHOLDERS = {"any", "dynamic", "none", "null", "unk", "unknown"}
"""What exporters write, without regard to case, for a dimension that has no name of its own."""


def fix_input_shapes(
    model: ir.Model, shapes: Mapping[str, Sequence[int]] | None
) -> dict[str, tuple[int, ...]]:
    """Give each graph input the requested shape; initializers are no longer inputs.

    A symbolic dimension that one input's shape defines (`batch`) is defined for all.

    Returns:
        The axes that the file leaves open, by input.

    Raises:
        ModelError: a dimension is not fixed.
        ConfigError: a shape does not fit, or a name is unknown.
    """
    graph = model.graph
    for value in [value for value in graph.inputs if value.name in graph.initializers]:
        graph.inputs.remove(value)
    for value in graph.inputs:
        _free_placeholders(value)
    free = {str(value.name): _open_axes(value) for value in graph.inputs}
    wanted = {name: _checked(name, shape) for name, shape in (shapes or {}).items()}
    names = [str(value.name) for value in graph.inputs]
    for name in wanted:
        if name not in names:
            raise ConfigError(
                f"the model has no input '{name}'",
                hint=f"{did_you_mean(name, names)}its inputs are {listed(names)}",
            )
    symbols: dict[str, int] = {}
    for value in graph.inputs:
        if str(value.name) in wanted:
            _merge(value, wanted[str(value.name)], symbols)
    missing = {value: text for value in graph.inputs if (text := _settle(value, symbols))}
    if missing:
        example = " ".join(f"--shape {_example(value, symbols)}" for value in missing)
        raise ModelError(
            "some input dimensions are not fixed",
            why="; ".join(missing.values()),
            hint=f"pass {example}",
        )
    return free


def _open_axes(value: ir.Value) -> tuple[int, ...]:
    dims = () if value.shape is None else value.shape
    return tuple(axis for axis, dim in enumerate(dims) if not isinstance(dim, int) or dim == 0)


def _free_placeholders(value: ir.Value) -> None:
    """Negative sizes (Paddle) and names such as '?' become dimensions without a name."""
    if value.shape is not None:
        value.shape = ir.Shape([None if _is_placeholder(dim) else dim for dim in value.shape])


def _is_placeholder(dim: int | ir.SymbolicDim) -> bool:
    if isinstance(dim, int):
        return dim < 0
    name = str(dim.value or "")
    return name.lower() in PLACEHOLDERS or not any(char.isalpha() for char in name)


def _checked(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    if any(size <= 0 for size in sizes):
        raise ConfigError(
            f"the shape {_text(sizes)} given for input '{name}' has a size below 1",
            hint="pass positive sizes",
        )
    if prod(sizes) > LARGEST:
        raise ConfigError(
            f"the shape {_text(sizes)} given for input '{name}' has 2^28 elements or more"
        )
    return sizes


def _merge(value: ir.Value, wanted: tuple[int, ...], symbols: dict[str, int]) -> None:
    declared = value.shape
    if declared is None:
        value.shape = ir.Shape(wanted)
        return
    if len(declared) != len(wanted):
        raise ConfigError(
            f"input '{value.name}' has {len(declared)} dimensions, {len(wanted)} were given",
            why=f"the model declares {_text(declared)}, the shape given is {_text(wanted)}",
        )
    for axis, (dim, size) in enumerate(zip(declared, wanted, strict=True)):
        if isinstance(dim, int):
            if dim not in (0, size):  # MXNet writes 0 for a size that it leaves open
                raise ConfigError(
                    f"dimension {axis} of input '{value.name}' is {dim}, {size} was given",
                    why=f"the model declares {_text(declared)}",
                    hint="export the model with this dimension dynamic, or leave it as it is",
                )
        elif dim.value is not None and symbols.setdefault(str(dim.value), size) != size:
            raise ConfigError(
                f"dimension '{dim.value}' was given as {symbols[str(dim.value)]} and as {size}",
                where=f"input '{value.name}'",
                why="the model says that dimensions of one name are equal",
            )
    value.shape = ir.Shape(wanted)


def _settle(value: ir.Value, symbols: Mapping[str, int]) -> str:
    """Set the sizes; return a description of those that are missing."""
    if value.shape is None:
        return f"input '{value.name}' declares no shape at all"
    sizes = [_known(dim, symbols) for dim in value.shape]
    if None not in sizes:
        value.shape = ir.Shape([size for size in sizes if size is not None])
        if any(size is not None and size <= 0 for size in sizes):
            raise ModelError(
                f"input '{value.name}' is empty",
                why=f"its shape is {_text(value.shape)}",
                hint=f"if a 0 stands for any size, pass --shape {_example(value, symbols)}",
            )
        return ""
    missing = [
        f"dimension {axis} ('{dim}')"
        if isinstance(dim, ir.SymbolicDim) and dim.value is not None
        else f"dimension {axis} (unnamed)"
        for axis, (dim, size) in enumerate(zip(value.shape, sizes, strict=True))
        if size is None
    ]
    return f"input '{value.name}' {_text(value.shape)}: {', '.join(missing)}"


def _known(dim: int | ir.SymbolicDim, symbols: Mapping[str, int]) -> int | None:
    return dim if isinstance(dim, int) else symbols.get(str(dim.value))


def _example(value: ir.Value, symbols: Mapping[str, int]) -> str:
    if value.shape is None:
        return f"{value.name}=1,3,224,224"
    sizes: list[int] = []
    for axis, dim in enumerate(value.shape):
        known = _known(dim, symbols) or None
        batch = axis == 0 or "batch" in str(dim).lower()
        sizes.append(known if known is not None else 1 if batch else EXAMPLE_LENGTH)
    return f"{value.name}={','.join(map(str, sizes))}"


def _text(shape: Sequence[object] | ir.Shape) -> str:
    return "[" + ", ".join("?" if str(dim) == "None" else str(dim) for dim in shape) + "]"
