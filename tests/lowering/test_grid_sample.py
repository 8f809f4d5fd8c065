"""GridSample at constant positions: a Gather, or a product with the weights."""

from __future__ import annotations

import numpy as np
import pytest

from hexconv.decompose import grid_sample
from tests.lowering.proof import Array, emitted, matches, numbers, one, unsupported_op

SHAPE = (2, 3, 7, 6)
STEPS = {"nearest": 1.0, "linear": 2.0, "cubic": 2.5}


def grid(*shape: int, reach: float = 1.2) -> Array:
    """Positions up to outside of the image."""
    return np.clip(numbers((1, *shape, len(shape)), 5), -reach, reach).astype(np.float32)


def twice(positions: Array) -> Array:
    return np.repeat(positions, 2, axis=0)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_each_mode_and_padding_is_within_its_lsb(mode: str, padding: str, align: int) -> None:
    """A cubic reads sixteen elements, each with a weight of 8 bits; linear four."""
    attrs = {"mode": mode, "padding_mode": padding, "align_corners": align}
    matches(one("GridSample", SHAPE, twice(grid(5, 8)), opset=20, **attrs), STEPS[mode])


def test_old_names_of_modes() -> None:
    matches(one("GridSample", SHAPE, twice(grid(5, 8)), opset=16, mode="bilinear"), steps=2.0)


def test_a_volume() -> None:
    proto = one("GridSample", (1, 2, 3, 4, 5), grid(2, 3, 4), opset=20, mode="linear")
    matches(proto, steps=2.0)


def test_nearest_elements_are_gathered_exactly() -> None:
    attrs = {"mode": "nearest", "padding_mode": "border"}
    ops = emitted(matches(one("GridSample", SHAPE, twice(grid(5, 8)), opset=20, **attrs)))
    assert ops["Gather_8"] == 1 and "QuantizedMatMul_8x8to32" not in ops


def test_a_large_image_is_a_product_for_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions of one row of the result are in few rows of the image."""
    monkeypatch.setattr(grid_sample, "LARGEST", 400)
    rows, columns = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-0.9, 0.8, 8), indexing="ij")
    positions = np.stack([columns, rows], axis=-1)[None].astype(np.float32)
    proto = one("GridSample", (1, 3, 10, 7), positions, opset=20, mode="linear")
    assert emitted(matches(proto, steps=2.0))["QuantizedConcat_8"] == 1
    monkeypatch.setattr(grid_sample, "MOST_WEIGHTS", 400)
    assert "GridSample" in unsupported_op(proto)


def test_a_grid_for_each_image_is_refused_with_what_to_do() -> None:
    positions = np.concatenate([grid(5, 8), -grid(5, 8)])
    assert 'on the CPU (at="auto")' in unsupported_op(one("GridSample", SHAPE, positions, opset=20))
