"""One network through check, convert, simulate, the library and ONNX Runtime's static int8.

Runs in a process of its own, which may crash or be stopped: after each stage the row so far is
written. What a stage says when it fails becomes the row's reason.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

import hexconv
from benchmarks.wild import peer
from benchmarks.wild.draw import Feeds, Material
from benchmarks.wild.manifest import Model
from benchmarks.wild.report import is_worse
from benchmarks.wild.samples import complete, constants, loudness, samples
from hexconv.compare.accuracy import accuracy
from hexconv.compare.eight_bits import RECURRENT
from hexconv.compare.low_accuracy import low_accuracy
from hexconv.compare.metrics import Totals
from hexconv.errors import HexconvError
from hexconv.simulator import Simulator

CALIBRATION = 8
RUN_BELOW = 3e8
"""Multiply-accumulates from which on the emulator only prepares."""
LIBRARY = "v66"
"""The version that the simulator follows where no library is at hand."""


@dataclass
class Row:
    """What was found of one network.

    Attributes:
        name: of the network.
        stage: the last one that was begun.
        samples: loudness of those for calibration and of those held out.
        check: whether every node can run; None before.
        nodes: of the ONNX file, and of the DSP's graph.
        hexconv, tensor, channel: SQNR in dB by output: hexconv's, ONNX Runtime's by tensor and by
            channel.
        top1: share of agreement by output, of networks with class scores.
        device: what the real library returned.
        seconds: by stage.
        recurrent: whether it has LSTM, GRU or RNN, which ONNX Runtime leaves in float.
        warnings: of the conversion.
        low: what the command says of the accuracy of a network behind ONNX Runtime.
        errors: by stage, the reason.
    """

    name: str
    stage: str = ""
    samples: list[float] = field(default_factory=list)
    check: bool | None = None
    nodes: tuple[int, int] = (0, 0)
    hexconv: dict[str, float] = field(default_factory=dict)
    tensor: dict[str, float] = field(default_factory=dict)
    channel: dict[str, float] = field(default_factory=dict)
    top1: dict[str, float] = field(default_factory=dict)
    device: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    recurrent: bool = False
    warnings: list[str] = field(default_factory=list)
    low: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


class Bench:
    """One network.

    Args:
        model: of the manifest.
        material: for samples.
        file: the row, as JSON.
    """

    def __init__(self, model: Model, material: Material, file: Path) -> None:
        self._model, self._file = model, file
        self._material, self._macs = material, 0
        self.row = Row(model.name)

    def run(self) -> Row:
        """All stages."""
        with self._stage("fetch"):
            path = self._material.cache.model(self._model)
            self.row.recurrent = is_recurrent(path)
        with self._stage("samples"):
            calibration = samples(self._model, self._material, CALIBRATION, held=False)
            held = samples(self._model, self._material, self._model.held_out, held=True)
            self.row.samples = [float(f"{loudness(part):.4g}") for part in (calibration, held)]
        with self._stage("float"):
            expected = [] if self.row.errors else self._in_runtime(path, held)
        if self.row.errors:
            return self.row
        converted = self._hexconv(path, calibration, held, expected)
        # Before ONNX Runtime: some of its quantized files end the process.
        if converted is not None and os.environ.get("HEXCONV_LIBRARY"):
            with self._stage("device"):
                self.row.device = on_device(converted, held[0], self._macs)
        with tempfile.TemporaryDirectory() as folder:
            for kind, per_channel in (("tensor", False), ("channel", True)):
                with self._stage(kind):
                    whole = [complete(self._model, feeds) for feeds in calibration]
                    made = peer.quantized(path, Path(folder), whole, per_channel=per_channel)
                    found = self._in_runtime(made, held)
                    getattr(self.row, kind).update(decibels(expected, found))
        if converted is not None and is_worse(asdict(self.row)):
            with self._stage("accuracy"):
                found = accuracy(converted, converted.float_model, calibration, library=LIBRARY)
                self.row.low = low_accuracy(found, own_samples=True)
        self._keep("done")
        return self.row

    def _hexconv(
        self, path: Path, calibration: list[Feeds], held: list[Feeds], expected: list[Feeds]
    ) -> Any:
        """The converted model; None where it cannot be converted."""
        converted: Any = None
        shapes = {name: item.shape for name, item in self._model.inputs.items()}
        with self._stage("check"):
            report = hexconv.check(path, shapes, **self._bound())
            self.row.check, self._macs = report.ok, sum(node.macs for node in report.nodes)
        with self._stage("convert"):
            converted = self._converted(path, shapes, calibration)
        if converted is None:
            return None
        with self._stage("simulate"):
            simulator = Simulator(converted, LIBRARY)
            found = [simulator.run(feeds) for feeds in held]
            self.row.hexconv.update(decibels(expected, found))
            if self._model.classes:
                self.row.top1.update(agreement(expected, found))
        return converted

    def _converted(self, path: Path, shapes: Any, calibration: list[Feeds]) -> Any:
        import onnx

        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            settings = {"library": LIBRARY, **self._bound(), **self._model.settings}
            model = hexconv.convert(path, shapes, calibration, **settings)
        self.row.warnings = [str(item.message) for item in told]
        proto = onnx.load(str(path), load_external_data=False)
        self.row.nodes = (len(proto.graph.node), len(model.graph.nodes))
        return model

    def _bound(self) -> dict[str, Any]:
        return {"constants": constants(self._model)} if self._model.constants else {}

    def _in_runtime(self, path: Path, held: Sequence[Feeds]) -> list[Feeds]:
        session = peer.session(path)
        names = [output.name for output in session.get_outputs()]
        return [
            dict(zip(names, session.run(None, complete(self._model, feeds)), strict=True))
            for feeds in held
        ]

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self._keep(name)
        start = time.perf_counter()
        try:
            yield
        except HexconvError as error:
            self.row.errors[name] = reason(error)
        except Exception as error:
            self.row.errors[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"
        self.row.seconds[name] = round(time.perf_counter() - start, 2)

    def _keep(self, stage: str) -> None:
        self.row.stage = stage
        self._file.write_text(json.dumps(asdict(self.row), indent=1), encoding="utf-8")


def is_recurrent(path: Path) -> bool:
    """Whether a model has LSTM, GRU or RNN, in a branch or function perhaps."""
    model = ir.load(path)
    graphs = [model.graph, *model.functions.values()]
    return any(node.op_type in RECURRENT for graph in graphs for node in graph.all_nodes())


def reason(error: HexconvError) -> str:
    """An error in one line."""
    listed = getattr(error, "unsupported", None)
    first = listed[0] if listed else error
    where = f"{first.where}: " if first.where else ""
    why = f": {first.why.splitlines()[0]}" if first.why else ""
    return f"{where}{first.what}{why}"


def decibels(expected: Sequence[Feeds], found: Sequence[Feeds]) -> dict[str, float]:
    """SQNR of all samples together, by output."""
    return {name: round(item.sqnr, 2) for name, item in _totals(expected, found, False).items()}


def agreement(expected: Sequence[Feeds], found: Sequence[Feeds]) -> dict[str, float]:
    """Share of rows with the same largest element, by output."""
    totals = _totals(expected, found, True)
    return {name: round(item.top1, 4) for name, item in totals.items() if item.top1 is not None}


def _totals(expected: Sequence[Feeds], found: Sequence[Feeds], classes: bool) -> dict[str, Any]:
    names = [name for name, array in expected[0].items() if array.dtype.kind == "f"]
    totals = {name: Totals(name, classes=classes) for name in names if name in found[0]}
    for left, right in zip(expected, found, strict=True):
        for name, total in totals.items():
            total.add(np.float32(left[name]), np.reshape(right[name], left[name].shape))
    return {name: item for name, total in totals.items() if (item := total.result()) is not None}


def on_device(model: Any, feeds: Feeds, macs: int) -> str:
    """Whether the real library returns what its simulator returns; "prepared" of a large model."""
    from hexconv.device import Library

    library = Library()
    if macs > RUN_BELOW:
        library.prepare(model)
        return "prepared"
    theirs = library.run(model, feeds)
    ours = Simulator(model, library.version).run(feeds)
    differing = [name for name in ours if ours[name].tobytes() != theirs[name].tobytes()]
    return "same bits" if not differing else f"{len(differing)} of {len(ours)} outputs differ"
