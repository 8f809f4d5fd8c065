"""The figures of one network, each kept as soon as it is measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hexconv
from benchmarks.accuracy import peers
from benchmarks.accuracy.cases import Array, Case
from benchmarks.accuracy.peers.onnx_runtime import in_float
from hexconv import cost
from hexconv.device import Library
from hexconv.nnlib.versions import LibraryVersion
from hexconv.simulator import Simulator

LEVELS = ("minmax", "default", "high")
ROOT = Path(__file__).parents[2]
Figures = dict[str, dict[str, float]]


def decibels(expected: Sequence[Array], found: Sequence[Array]) -> float:
    """SQNR of all samples together."""
    pairs = [(np.float64(e), f) for e, f in zip(expected, found, strict=True)]
    noise_power = sum(float(((e - f) ** 2).sum()) for e, f in pairs)
    return float(10 * np.log10(sum(float((e**2).sum()) for e, _ in pairs) / noise_power))


def code() -> str:
    """A digest of the package and of what draws samples: other code has other figures."""
    digest = hashlib.sha256()
    for folder in ("hexconv", "benchmarks"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


class Row:
    """One network: `sqnr` (dB), `packets` and `task` by level, or by setting of the peer.

    Args:
        case: the network.
        library: which is simulated.
        device: counts the packets of a sample; without it they are predicted.
        file: of what was measured before, by the same code, and is now.
    """

    def __init__(
        self, case: Case, library: LibraryVersion, device: Library | None, file: Path
    ) -> None:
        self._case, self._library, self._device, self._file = case, library, device, file
        self.figures: Figures = json.loads(file.read_text("utf-8")) if file.exists() else {}
        self._expected: list[Array] | None = None

    def measure(self) -> Figures:
        """All that is missing."""
        for level in LEVELS:
            if level not in self.figures:
                self._level(level)
        for label in (*peers.ROUNDING, *peers.PART_FLOAT):
            if label not in self.figures:
                self._keep(label, peers.quantized(self._case, label))
        return self.figures

    def _level(self, level: Any) -> None:
        case = self._case
        model = hexconv.convert(
            case.proto,
            samples=list(case.calibration),
            accuracy=level,
            library=self._library,
            **case.settings,
        )
        simulator = Simulator(model, self._library)
        found = [simulator.run(feeds)[case.output] for feeds in case.held_out]
        self._keep(level, found, packets=self._packets(model))

    def _packets(self, model: hexconv.Model) -> int:
        if self._device is None:
            return cost.predict(model, self._library).packets
        return self._device.profile(model, self._case.held_out[0]).packets

    def _keep(self, label: str, found: list[Array] | None, **more: float) -> None:
        """Store a row; without figures where a peer failed."""
        case, row = self._case, dict(more)
        if self._expected is None:
            proto = case.proto.SerializeToString()
            self._expected = in_float(proto, case.held_out, case.output)
        if found is not None:
            row["sqnr"] = decibels(self._expected, found)
        if found is not None and case.task is not None:
            row["task"] = case.task.measure(self._expected, found)
        self.figures[label] = row
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self.figures, indent=1), encoding="utf-8")
