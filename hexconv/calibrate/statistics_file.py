"""Statistics as a file, `NAME.ranges.npz`: what `calibrate --merge` reads.

Arrays: `header` (JSON as uint8), `low` and `high` (float32), and for observers with
histograms `counts` (int64, a row a value) and `widths` (float64).
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from hexconv.argument_types import checks_types
from hexconv.calibrate.derive import Derived
from hexconv.calibrate.histogram import Histogram
from hexconv.calibrate.statistics import Statistics, Watched
from hexconv.errors import FileError
from hexconv.files import parse_json, write_files
from hexconv.numpy_files import read_npz
from hexconv.paths import exists

SUFFIX = ".npz"
SCHEMA = 1


@checks_types()
def write_statistics(path: str | Path, statistics: Statistics) -> None:
    """Write statistics, whole or not at all; the same statistics give the same bytes.

    Raises:
        FileError: the file cannot be written.
    """
    header = np.frombuffer(json.dumps(_header(statistics)).encode(), np.uint8)
    arrays = {"header": header, "low": statistics.low, "high": statistics.high}
    if statistics.histograms:
        arrays["counts"] = np.stack([item.counts for item in statistics.histograms])
        arrays["widths"] = np.array([item.width for item in statistics.histograms])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_files({Path(path): buffer.getvalue()})


def _header(statistics: Statistics) -> dict[str, Any]:
    watched = statistics.watched
    return {
        "schema_version": SCHEMA,
        "observer": statistics.observer,
        "samples": statistics.samples,
        "shapes": {name: list(shape) for name, shape in watched.shapes.items()},
        "values": list(watched.values),
        "known": {name: list(bounds) for name, bounds in watched.known.items()},
        "optional": sorted(watched.optional),
        "slopes": dict(watched.slopes),
        "derived": {
            name: [item.source, item.op, list(item.numbers), item.flipped]
            for name, item in watched.derived.items()
        },
    }


NOT_OURS = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)
"""What reading the parts of another file raises."""


@checks_types()
def read_statistics(path: str | Path) -> Statistics:
    """Statistics that `write_statistics` wrote.

    Raises:
        FileError: there is no such file, or it is another one.
    """
    try:
        arrays = read_npz(path, "the file")
        header = parse_json(arrays["header"].tobytes())
        if header["schema_version"] != SCHEMA:
            raise ValueError(f"its version is {header['schema_version']}, not {SCHEMA}")
        return _statistics(header, arrays)
    except (FileError, *NOT_OURS) as error:
        if not exists(path):
            raise
        raise FileError(
            "this is not a file of ranges to merge",
            where=str(path),
            why=error.why if isinstance(error, FileError) else str(error).split("\n")[0],
            hint="write one with `hexconv calibrate MODEL.onnx --samples ... -o PART.ranges.npz`",
        ) from None


def _statistics(header: dict[str, Any], arrays: dict[str, Any]) -> Statistics:
    watched = Watched(
        shapes={name: tuple(shape) for name, shape in header["shapes"].items()},
        values=tuple(header["values"]),
        known={name: (float(low), float(high)) for name, (low, high) in header["known"].items()},
        derived={
            name: Derived(source, op, tuple(numbers), flipped)
            for name, (source, op, numbers, flipped) in header["derived"].items()
        },
        optional=frozenset(header.get("optional", ())),  # files of earlier versions have none
        slopes={str(name): float(slope) for name, slope in header.get("slopes", {}).items()},
    )
    watched.ranges(dict.fromkeys(watched.observed, (-1.0, 1.0)))  # raises where one follows of none
    statistics = Statistics(watched, header["observer"], int(header["samples"]))
    for mine, stored in ((statistics.low, arrays["low"]), (statistics.high, arrays["high"])):
        mine[:] = _like(stored, mine)
    if statistics.observer != "minmax":
        for place, histogram in enumerate(statistics.histograms):
            _fill(histogram, arrays["counts"][place], float(arrays["widths"][place]))
            histogram.low, histogram.high = map(
                float, (arrays["low"][place], arrays["high"][place])
            )
    return statistics


def _fill(histogram: Histogram, counts: Any, width: float) -> None:
    histogram.counts[:] = _like(counts, histogram.counts)
    histogram.width = width


def _like(stored: Any, mine: Any) -> Any:
    if stored.shape != mine.shape or stored.dtype != mine.dtype:
        raise ValueError(f"an array is {stored.dtype} {list(stored.shape)}")
    return stored
