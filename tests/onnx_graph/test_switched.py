"""What rounding weights changes them by, as the lowerings give them scales."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from hexconv.onnx_graph import load
from hexconv.onnx_graph.switched import rounded_weights
from tests.lowering.proof import model, numbers


@pytest.mark.parametrize(
    ("shape", "group", "finer"),
    [
        ((8, 5, 3, 3), 1, None),
        ((8, 3, 3, 3), 1, 1),
        ((8, 4, 1, 1), 1, 1),
        ((8, 2, 3, 3), 1, 2),
        ((8, 1, 3, 3), 1, 4),
        ((8, 1, 3, 3), 8, None),
    ],
)
def test_layers_of_few_input_channels_have_one_step(
    shape: tuple[int, ...], group: int, finer: int | None
) -> None:
    """It is finer where the input is given several times; `finer` None: a step for each channel."""
    sizes = np.geomspace(1.0, 0.01, 8).astype(np.float32)
    weights = sizes[:, None, None, None] * numbers(shape)
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="layer", group=group)
    proto = model([node], {"x": (1, shape[1] * group, 9, 9)}, ["y"], {"w": weights})
    (error,) = rounded_weights(load(proto)).values()
    flat = weights.reshape(1, -1) if finer else weights.reshape(8, -1)
    steps = np.maximum(-flat.min(axis=1) / 128, flat.max(axis=1) / 127) / (finer or 1)
    steps = np.broadcast_to(steps.reshape(-1, 1, 1, 1), weights.shape)
    assert (np.abs(error) <= 0.501 * steps).all()
    counts = (weights + error) / steps
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)
