"""The user's own figures, such as WER or mAP: of the float model and of the DSP, side by side.

A metric is a function `metric(outputs, samples)` that returns one number. It is called once with
the float model's outputs and once with the quantized model's, each of all samples of a set.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import runpy
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hexconv.arrays import Array
from hexconv.compare.metrics import FLOORS
from hexconv.errors import ConfigError
from hexconv.files import read_bytes

Named = Mapping[str, Array]
Metric = Callable[[Sequence[Named], Sequence[Named]], float]
"""Of (outputs by name, inputs by name), an item for each sample, in their order."""
ALL = "metric"
"""As the figure of a threshold: each metric."""
EXAMPLE = "a metric is a function of (outputs, samples) that returns one number"


@dataclass(frozen=True)
class Kept:
    """What a metric needs of one sample: the inputs, and the outputs of both models, by name."""

    sample: Named
    expected: Named
    returned: Named


@dataclass(frozen=True)
class MetricPair:
    """A metric of the float model and of the quantized one."""

    float_model: float
    quantized: float


@dataclass(frozen=True)
class MetricRow:
    """A metric on either set of samples.

    Attributes:
        name: of the function.
        calibration, held_out: None where there are no such samples.
    """

    name: str
    calibration: MetricPair | None
    held_out: MetricPair | None


def kept(sample: Named, expected: Named, returned: Named) -> Kept:
    """A sample and its outputs, as views that a metric cannot change."""
    return Kept(
        _unchangeable(sample),
        _unchangeable({name: expected[name] for name in returned}),
        _unchangeable(returned),
    )


def _unchangeable(arrays: Named) -> Named:
    views = {name: array.view() for name, array in arrays.items()}
    for view in views.values():
        view.flags.writeable = False
    return views


def load_metric(text: str) -> Metric:
    """The function that `file.py:function` names.

    The file is run as a script is, with its folder on Python's path, and is not written to.

    Raises:
        ConfigError: the text is of another form, or the file has no such function or cannot be run.
        FileError: the file cannot be read.
    """
    path, separator, name = text.rpartition(":")
    if not (separator and path.endswith(".py") and name.isidentifier()):
        raise ConfigError(
            f"'{text}' is not of the form metrics.py:function", hint=f"{EXAMPLE}, in a Python file"
        )
    found = _executed(path).get(name)
    if found is None:
        raise ConfigError(f"there is no function '{name}'", where=path, hint=EXAMPLE)
    checked([found], path)
    metric: Metric = found
    return metric


def _executed(path: str) -> Mapping[str, Any]:
    """What a file defines; nothing is written beside it."""
    read_bytes(Path(path), "file of the metric")
    folder = str(Path(path).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    with _reported(f"'{path}' cannot be run", path):
        return runpy.run_path(path, run_name="__hexconv_metric__")


def checked(metrics: Iterable[Metric], where: str = "") -> list[Metric]:
    """Functions that can be metrics, of names that tell them apart.

    Raises:
        ConfigError: one cannot be called with two arguments, or has the name of another figure.
    """
    found: list[Metric] = []
    for item in metrics:
        if not callable(item):
            raise ConfigError(f"{item!r} is not a function", where=where, hint=EXAMPLE)
        name = name_of(item)
        if name in (*FLOORS, ALL) or name in map(name_of, found):
            raise ConfigError(
                f"the name of the metric '{name}' is taken", where=where, hint="rename the function"
            )
        _check_arguments(item, name, where)
        found.append(item)
    return found


def _check_arguments(metric: Metric, name: str, where: str) -> None:
    try:
        inspect.signature(metric).bind((), ())
    except TypeError as error:
        raise ConfigError(
            f"the metric '{name}' cannot be called with (outputs, samples)",
            where=where,
            why=str(error),
            hint=EXAMPLE,
        ) from None
    except ValueError:
        return  # a function without a signature, of C: calling it will tell


def name_of(metric: Metric) -> str:
    """Its function's name."""
    return str(getattr(metric, "__name__", type(metric).__name__))


def metric_row(
    metric: Metric, calibration: Sequence[Kept] | None, held_out: Sequence[Kept] | None
) -> MetricRow:
    """A metric of either set of samples; without samples there is none."""
    pairs = [measured(metric, found) if found else None for found in (calibration, held_out)]
    return MetricRow(name_of(metric), *pairs)


def metric_thresholds(
    rows: Sequence[MetricRow], floors: Mapping[str, float], ceilings: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Each of the quantized model's metrics beside its threshold, as plain data.

    Raises:
        ConfigError: there is no metric of a name.
    """
    names = [row.name for row in rows]
    for name in [*floors, *ceilings]:
        if name not in names and not (name == ALL and names) and name not in FLOORS:
            raise ConfigError(
                f"a threshold for '{name}' is given, but no such metric",
                why=f"the metrics are {', '.join(names)}" if names else "there are no metrics",
                hint="give the function with --metric metrics.py:function",
            )
    return [
        {
            "figure": row.name,
            "of": kind.replace("_", "-"),
            "value": pair.quantized,
            "limit": limit,
            "ok": pair.quantized >= limit if least else pair.quantized <= limit,
        }
        for row in rows
        for kind in ("calibration", "held_out")
        if (pair := getattr(row, kind)) is not None
        for least, limits in ((True, floors), (False, ceilings))
        for name, limit in limits.items()
        if name in (row.name, ALL)
    ]


def metric_failures(
    rows: Sequence[MetricRow], floors: Mapping[str, float], ceilings: Mapping[str, float]
) -> list[str]:
    """The metrics that do not reach their threshold, as text."""
    failed = [item for item in metric_thresholds(rows, floors, ceilings) if not item["ok"]]
    return [
        f"metric '{item['figure']}' on {item['of']} samples: {item['value']:.4g} is "
        f"{'below' if item['value'] < item['limit'] else 'above'} {item['limit']:g}"
        for item in failed
    ]


def measured(metric: Metric, samples: Sequence[Kept]) -> MetricPair:
    """The metric of both models.

    Raises:
        ConfigError: the function fails, or returns no finite number.
    """
    inputs = [item.sample for item in samples]
    sides = ("the float model", "the quantized model")
    outputs = ([item.expected for item in samples], [item.returned for item in samples])
    return MetricPair(
        *(
            _called(metric, list(of), list(inputs), side)
            for of, side in zip(outputs, sides, strict=True)
        )
    )


def _called(metric: Metric, outputs: list[Named], inputs: list[Named], side: str) -> float:
    name = name_of(metric)
    code = getattr(metric, "__code__", None)
    where = "" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
    # What the function prints is no part of --json or --csv.
    with _reported(f"the metric '{name}' fails on the outputs of {side}", where):
        value: Any = metric(outputs, inputs)
    try:
        if isinstance(value, (str, bytes, bool, np.bool_)) or np.ndim(value):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        why = f"{type(value).__name__}: {_short(value)}"
        raise ConfigError(
            f"the metric '{name}' returns no number", where=where, why=why, hint=EXAMPLE
        ) from None
    if not math.isfinite(number):
        raise ConfigError(
            f"the metric '{name}' returns {number} on the outputs of {side}",
            where=where,
            hint="return a finite number: a mean over no items is none",
        )
    return number


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}..."


@contextlib.contextmanager
def _reported(what: str, where: str) -> Iterator[None]:
    """Errors of the user's code as one message with its line; its prints on stderr."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SyntaxError as error:
        line = f"{error.filename}:{error.lineno}"
        raise ConfigError(what, where=line, why=f"{type(error).__name__}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise ConfigError(what, where=_line_of(error, where), why=why) from None


def _line_of(error: BaseException, where: str) -> str:
    """The innermost line of the user's file, whatever that calls."""
    file = where.rpartition(":")[0] if where[-1:].isdigit() else where
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{lines[-1].lineno}" if lines else where
