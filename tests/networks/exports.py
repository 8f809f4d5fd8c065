"""Networks as torch's exporters write them: from files, or where torch is installed, made anew.

`exported/` has those that every run of the tests converts; `make onnx-exports` writes them (their
weights rounded to 8 bits of mantissa, so that they compress). The others need torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

FOLDER = Path(__file__).with_name("exported")
IMAGE, SMALL_IMAGE, SPEECH = (1, 3, 64, 64), (1, 3, 32, 32), (1, 48, 40)
NAMES = (["speech"], ["fa_out"])


@dataclass(frozen=True)
class Export:
    """One network through one exporter.

    Attributes:
        build: makes the torch module; imports torch.
        shape: of its input.
        floor: SQNR in dB that its conversion must reach.
        opset, dynamo, names: what the exporter is told.
        stored: whether `exported/` has it.
    """

    build: Callable[[], Any]
    shape: tuple[int, ...]
    floor: float
    opset: int = 17
    dynamo: bool = False
    names: tuple[list[str], list[str]] | None = None
    stored: bool = True


def _of_zoo(name: str) -> Callable[[], Any]:
    def build() -> Any:
        from tests.networks import zoo

        return zoo.build(name)

    return build


def _conformer(fused: bool) -> Callable[[], Any]:
    def build() -> Any:
        from tests.networks.conformer import conformer

        return conformer(blocks=1, width=64, fused_norm=fused)

    return build


def _vision(name: str) -> Callable[[], Any]:
    def build() -> Any:
        from tests.networks import vision

        return getattr(vision, name)()

    return build


# Floors lie 4 dB and more under what was measured: random weights, min-max ranges of 4 samples.
ZOO = {
    "mobilenet_v1": Export(_of_zoo("mobilenet_v1"), IMAGE, 45.0),
    "mobilenet_v3": Export(_of_zoo("mobilenet_v3"), IMAGE, 38.0),
    "efficientnet": Export(_of_zoo("efficientnet"), IMAGE, 36.0),
    "yolo": Export(_of_zoo("yolo"), IMAGE, 40.0),
    "u_net": Export(_of_zoo("u_net"), (1, 1, 64, 64), 40.0),
    "bert": Export(_of_zoo("bert"), (1, 128, 384), 20.0, stored=False),
    "vit": Export(_of_zoo("vit"), SMALL_IMAGE, 26.0),
    "crnn": Export(_of_zoo("crnn"), (1, 1, 32, 64), 24.0),
    "crnn_gru": Export(_of_zoo("crnn_gru"), (1, 1, 32, 64), 25.0),
    "dnsmos": Export(_of_zoo("dnsmos"), (1, 900, 120), 32.0),
    "tcn": Export(_of_zoo("tcn"), (1, 16, 100), 24.0),
    "ds_cnn": Export(_of_zoo("ds_cnn"), (1, 1, 49, 10), 40.0),
}

# Four networks through both exporters; floors are what was measured less 3 dB.
EXPORTERS = {"legacy11": (11, False), "legacy13": (13, False), "legacy17": (17, False)}
EXPORTERS["dynamo18"] = (18, True)
STORED = {
    "conformer-dynamo18",
    "conformer_of_parts-legacy17",
    "mobilenet-legacy17",
    "mobilenet-dynamo18",
    "resnet-legacy17",
}


def _through_exporters() -> dict[str, Export]:
    kinds: dict[str, tuple[Callable[[], Any], tuple[int, ...], float, Any]] = {
        "conformer": (_conformer(True), SPEECH, 30.4, NAMES),
        "conformer_of_parts": (_conformer(False), SPEECH, 29.7, NAMES),
        "mobilenet": (_vision("mobilenet"), SMALL_IMAGE, 41.0, None),
        "resnet": (_vision("resnet"), SMALL_IMAGE, 39.0, None),
    }
    return {
        f"{kind}-{exporter}": Export(
            build, shape, floor, opset, dynamo, names, f"{kind}-{exporter}" in STORED
        )
        for kind, (build, shape, floor, names) in kinds.items()
        for exporter, (opset, dynamo) in EXPORTERS.items()
    }


EXPORTERS_OF = _through_exporters()
EXPORTS = {**ZOO, **EXPORTERS_OF}


def made(name: str) -> onnx.ModelProto:
    """The network exported now, by the torch that is installed."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    import torch

    from tests.networks.export import export

    case = EXPORTS[name]
    example = torch.zeros(case.shape)
    return export(case.build(), example, case.opset, dynamo=case.dynamo, names=case.names)


def load(name: str) -> onnx.ModelProto:
    """The network from its file; without a file by torch, or the test is skipped."""
    return onnx.load(FOLDER / f"{name}.onnx") if EXPORTS[name].stored else made(name)


def sample(name: str, seed: int) -> npt.NDArray[np.float32]:
    """A smooth random input."""
    steps = np.random.default_rng(seed).standard_normal(EXPORTS[name].shape)
    smooth = np.cumsum(steps, axis=-2)
    return (smooth / smooth.std()).astype(np.float32)
