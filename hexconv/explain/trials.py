"""What options gain, each tried: the model is converted with it and simulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from warnings import catch_warnings, simplefilter

import numpy as np

from hexconv.arrays import Array
from hexconv.compare.noise import TensorNoise
from hexconv.conversion import convert
from hexconv.cost import predict
from hexconv.errors import HexconvError
from hexconv.model import Model
from hexconv.onnx_graph import load
from hexconv.refine.held_back import Judge
from hexconv.settings import OBSERVERS, PERCENTILE, SettingsDict

if TYPE_CHECKING:
    import onnx

    from hexconv.calibrate.samples import SampleSource
    from hexconv.settings import Settings

LEAST_SHARE = 0.1
"""Of the noise: nodes below it are not tried in float."""
MOST_NODES = 3
"""Nodes that are tried in float, one at a time."""
Change = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One option, tried.

    Attributes:
        option: as on the command line; empty for the model as it is.
        sqnr: dB, the mean over the outputs; None where the option does not work.
        gain: dB over the model as it is.
        packets: that are predicted; None where they are not known.
        why: the option does not work.
        kept: the steps of `--accuracy high` that it kept.
    """

    option: str
    sqnr: float | None
    gain: float | None
    packets: float | None
    why: str = ""
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bench:
    """What all trials have in common.

    Args:
        source: the ONNX model.
        shapes: sizes of dynamic inputs.
        samples: to calibrate on.
        settings: of the model as it is.
        test: samples to measure on.
    """

    source: str | Path | onnx.ModelProto
    shapes: Mapping[str, Sequence[int]]
    samples: SampleSource
    settings: Settings
    test: Sequence[Mapping[str, Array]]

    def scored(self, model: Model, judge: Judge, option: str = "") -> Trial:
        """The figures of a model."""
        packets = predict(model, self.settings.library).packets
        steps = model.conversion.refined if model.conversion else ()
        kept = tuple(step.name for step in steps if step.kept and not step.calibrated)
        return Trial(option, judge.score(model.graph).sqnr, None, packets, kept=kept)

    def tried(self, option: str, change: Change, judge: Judge, base: Trial) -> Trial:
        """The figures of a model that is converted with an option."""
        chosen = cast("SettingsDict", {**_keywords(self.settings), **change})
        try:
            with catch_warnings():
                simplefilter("ignore")
                model = convert(self.source, self.shapes, self.samples, **chosen)
            found = self.scored(model, judge, option)
        except HexconvError as error:
            return Trial(option, None, None, None, error.what)
        assert found.sqnr is not None and base.sqnr is not None
        return replace(found, gain=found.sqnr - base.sqnr)

    def with_softmax_outside(self, judge: Judge, base: Trial) -> Iterator[Trial]:
        """The same model up to the softmax at its end, which the application computes."""
        graph = load(self.source, self.shapes, recognize=False).graph
        node = graph.outputs[0].producer() if len(graph.outputs) == 1 else None
        if node is None or node.op_type != "Softmax" or self.settings.outputs:
            return
        axis, before = node.attributes.get("axis"), node.inputs[0]
        assert before is not None
        logits = str(before.name)
        along = -1 if axis is None else axis.as_int()
        name = str(graph.outputs[0].name)
        yield self.tried(
            f"--outputs {logits}, and the softmax in the application",
            {"outputs": [logits]},
            judge.behind(lambda found: {name: _softmax(found[logits], along)}),
            base,
        )

    def judge(self) -> Judge:
        """Of the test samples."""
        graph = load(self.source, self.shapes, recognize=False)
        return Judge(graph, self.test, self.settings.library)


def options(settings: Settings, tensors: Sequence[TensorNoise]) -> Iterator[tuple[str, Change]]:
    """What to try, and how it is said on the command line.

    Args:
        settings: of the model as it is.
        tensors: noise of each, largest first.
    """
    if settings.accuracy != "high":
        yield "--accuracy high", {"accuracy": "high"}
    for observer in OBSERVERS:
        if observer != settings.first_observer:
            change = {"observer": observer, "percentile": PERCENTILE}
            yield f"--observer {observer}", change
    for row in tensors[:MOST_NODES]:
        if row.share >= LEAST_SHARE and row.onnx_node and row.tensor not in settings.keep_float:
            kept = (*settings.keep_float, row.tensor)
            yield f"--keep-float {row.tensor}", {"keep_float": kept}


def _keywords(settings: Settings) -> dict[str, Any]:
    found = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    return {**found, "progress": None, "strict": False, "explain": False}


def _softmax(logits: Array, axis: int) -> Array:
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def best_first(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The largest gain first, then what does not work."""
    return tuple(sorted(trials, key=lambda item: -(item.gain if item.gain is not None else -1e9)))
