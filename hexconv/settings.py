"""How to convert: every setting with its type, its default and its meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

import numpy as np

from hexconv.argument_types import check_types, checks_types
from hexconv.arrays import Constant
from hexconv.errors import ConfigError
from hexconv.model_names import check_model_name
from hexconv.names import did_you_mean
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion, check_library
from hexconv.quantize import Bounds
from hexconv.raw_tensors import DATA_FORMATS, DataFormat

OptimizeLevel = Literal["none", "default", "all"]
"""none: as exported; default: all rewrites; all: a search over rewrites as well."""

Observer = Literal["minmax", "mse", "entropy", "percentile"]
"""How calibration turns the values of a tensor into a range."""

ChosenObserver = Literal["auto", "minmax", "mse", "entropy", "percentile"]
"""auto: minmax, or mse where the simulated model is better with it."""

Accuracy = Literal["minmax", "default", "high"]
"""minmax: weights and ranges as hexconv 0.1.0 had them; default: what costs nothing as well; high:
ranges, biases and weights by the error of the simulated model."""

OPTIMIZE_LEVELS: tuple[OptimizeLevel, ...] = get_args(OptimizeLevel)
ACCURACY_LEVELS: tuple[Accuracy, ...] = get_args(Accuracy)
OBSERVERS: tuple[Observer, ...] = get_args(Observer)
CHOSEN_OBSERVERS: tuple[ChosenObserver, ...] = get_args(ChosenObserver)

PERCENTILE = 99.99
"""Of the percentile observer, in %, unless told otherwise."""
EXTRA_PACKETS = 10.0
"""That accuracy="high" may spend, in %, unless told otherwise."""
MOST_EXTRA_PACKETS = 1000.0
UNROLLED = 256
"""Steps of a recurrent node, over all directions, up to which it is unrolled."""
LAYER_SAMPLES = 16
"""Samples of a set on which `verify` compares every tensor, unless told otherwise."""
MOST_NUMBERS = 16
"""Of a constant in a report."""

Progress = Callable[[str, int, int], None]
"""Called with a stage ("calibrate", "search"), how many steps of it are done, and of how many.

The last is 0 where it is not known.
"""


def calibrating(progress: Progress, total: int) -> Callable[[int], None]:
    """What tells how many of so many samples are calibrated."""

    def tick(done: int) -> None:
        progress("calibrate", done, total)

    return tick


MOST_SLICES = 16
"""Of an output."""


@dataclass(frozen=True)
class Settings:
    """How to convert.

    Attributes:
        optimize: "none" (as exported), "default", or "all" (searches as well).
        without: names of rewrites to disable.
        also: names of alternative rewrites to enable.
        explain: predict what each rewrite saved: one more conversion for each.
        accuracy: "minmax" (one scale for all weights of a layer); "default" (a scale for each
            output channel, channels brought to one size, residual sums that round less often);
            or "high" (ranges, biases, weights and tensors of more than 8 bits by the error of the
            simulated model as well, where samples that are held back agree).
        extra_packets: predicted packets that "high" may spend on precision, in % of the model's;
            0 for none.
        observer: "minmax" (all that calibration saw), "mse" (the range of the least squared error
            of 256 levels), "entropy" (that of the least Kullback-Leibler divergence),
            "percentile", or "auto": of 12 samples and more, minmax or mse by the simulated error on
            8 of them; minmax otherwise.
        percentile: of the percentile observer alone, in %: above 50, at most 100.
        input_ranges: declared (min, max) by input, for synthetic data.
        library: the version of the library to optimize for; the model runs on all of them.
        name: of the model; the file's stem by default.
        progress: called with (stage, done, total); total is 0 where it is not known.
        float_fallback: compute in float on the DSP what int8 does not support, where the library
            has a float op.
        keep_float: names of nodes, or of tensors that they compute, to compute in float.
        data_formats: how MACE's application passes 4-D inputs and outputs, by name: "NCHW" or
            "NHWC" (the DSP gets channels last), "NONE" (it gets the bytes of the ONNX order).
            Where nothing is said, NCHW for images and NONE for the rest.
        constants: values that inputs are bound to before anything else is done, by name: numbers,
            arrays, or paths of .npy files.
        inputs: tensors that become the model's inputs, all of them; what computes them is cut off.
        outputs: tensors that become the model's outputs, all of them.
        stateful: make a model of one chunk of a sequence, as long as the inputs' shapes say: the
            states of its LSTMs, GRUs and RNNs are inputs and outputs. Samples are whole sequences.
        unroll: steps, over all directions, up to which an LSTM, GRU or RNN is unrolled.
        output_slices: by output, into how many slices of its range it is cut, each with 256
            values; MACE's application adds them up.
        join_slices: let the DSP add them up, in float; the outputs stay as they are in the model.
        strict: raise FloorError if there are warnings (no samples, for one), and AccuracyError
            if an output of the simulated model, or a part of a concatenated output, is 6 dB or
            more below what 8 bits allow; on samples also if an output has less than 15 dB, or
            another largest class in a fifth of the rows.
    """

    optimize: OptimizeLevel = "default"
    without: Sequence[str] = ()
    also: Sequence[str] = ()
    explain: bool = False
    accuracy: Accuracy = "default"
    observer: ChosenObserver = "auto"
    percentile: float = PERCENTILE
    extra_packets: float = EXTRA_PACKETS
    input_ranges: Mapping[str, Bounds] = field(default_factory=dict)
    library: LibraryVersion = DEFAULT_LIBRARY
    name: str = ""
    progress: Progress | None = None
    float_fallback: bool = False
    keep_float: Sequence[str] = ()
    data_formats: Mapping[str, DataFormat] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    stateful: bool = False
    unroll: int = UNROLLED
    strict: bool = False
    output_slices: Mapping[str, int] = field(default_factory=dict)
    join_slices: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Settings:
        """Settings from keyword arguments.

        Raises:
            ConfigError: an unknown setting, or an invalid value.
        """
        known = [item.name for item in fields(cls)]
        arguments = ["samples", "ranges", "shapes", *known]
        for name in settings:
            if name not in known:
                raise ConfigError(
                    f"there is no setting '{name}'",
                    hint=f"{did_you_mean(name, arguments)}the settings are {', '.join(known)}",
                )
        default = {item.name: item.default for item in fields(cls)}
        check_types({n: value for n, value in settings.items() if value is not default[n]})
        made = cls(**settings)
        if made.name:
            check_model_name(made.name)
        _check_choice("optimize", made.optimize, OPTIMIZE_LEVELS)
        _check_choice("accuracy", made.accuracy, ACCURACY_LEVELS)
        check_library(made.library)
        _check_steps(made.unroll)
        _check_choice("observer", made.observer, CHOSEN_OBSERVERS)
        check_percentile(made.observer, made.percentile)
        _check_extra_packets(made.accuracy, made.extra_packets)
        if made.join_slices and not made.output_slices:
            raise ConfigError(
                "--join-slices has no use without --output-slices",
                hint="name the outputs that it is for: --output-slices logits=4",
            )
        for form in made.data_formats.values():
            _check_choice("data_formats", form, DATA_FORMATS)
        for name, count in made.output_slices.items():
            if not (isinstance(count, int) and 2 <= count <= MOST_SLICES):
                raise ConfigError(
                    f"output_slices['{name}'] is {count!r}",
                    hint=f"give 2 to {MOST_SLICES}: n slices have log2(n) bits more than one",
                )
        return made

    @property
    def first_observer(self) -> Observer:
        """Of the ranges that others are compared with."""
        return "minmax" if self.observer == "auto" else self.observer

    @property
    def other_observer(self) -> Observer:
        """What those are compared with."""
        return "minmax" if self.observer == "mse" else "mse"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: all but `progress`."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        found.pop("progress")
        for name in ("without", "also", "keep_float", "inputs", "outputs"):
            found[name] = list(found[name])
        found["constants"] = {name: _shown(value) for name, value in self.constants.items()}
        found["input_ranges"] = {name: list(b) for name, b in self.input_ranges.items()}
        found["output_slices"] = dict(self.output_slices)
        return {**found, "data_formats": dict(self.data_formats)}


class CommonSettings(TypedDict, total=False):
    """The settings as keyword arguments, without `library`: of `verify`, which has one already."""

    optimize: OptimizeLevel
    without: Sequence[str]
    also: Sequence[str]
    explain: bool
    accuracy: Accuracy
    observer: ChosenObserver
    percentile: float
    extra_packets: float
    input_ranges: Mapping[str, Bounds]
    name: str
    progress: Progress | None
    float_fallback: bool
    keep_float: Sequence[str]
    data_formats: Mapping[str, DataFormat]
    constants: Mapping[str, Constant]
    inputs: Sequence[str]
    outputs: Sequence[str]
    stateful: bool
    unroll: int
    strict: bool
    output_slices: Mapping[str, int]
    join_slices: bool


class SettingsDict(CommonSettings, total=False):
    """The settings as keyword arguments: see `Settings`, which holds the same names."""

    library: LibraryVersion


@checks_types()
def check_percentile(observer: ChosenObserver, percentile: float) -> None:
    """Raise for a percentile that is none, and for one that another observer would ignore.

    Raises:
        ConfigError: it is not above 50 and at most 100, or not the default of another observer.
    """
    if not 50.0 < percentile <= 100.0:
        raise ConfigError(f"percentile {percentile} is not above 50 and at most 100")
    if observer != "percentile" and percentile != PERCENTILE:
        raise ConfigError(
            f"--percentile {percentile} has no use with --observer {observer}",
            hint="add --observer percentile, or leave --percentile out",
        )


def _check_extra_packets(accuracy: Accuracy, percent: float) -> None:
    """Raise for a budget that is none, and for one that another accuracy would ignore."""
    if not 0.0 <= percent <= MOST_EXTRA_PACKETS:
        raise ConfigError(
            f"extra_packets {percent} is not 0 to {MOST_EXTRA_PACKETS:.0f}",
            hint="give the packets that precision may cost, in % of the model's",
        )
    if accuracy != "high" and percent != EXTRA_PACKETS:
        raise ConfigError(
            f"--extra-packets {percent} has no use with --accuracy {accuracy}",
            hint="add --accuracy high, or leave --extra-packets out",
        )


def _check_steps(steps: int) -> None:
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ConfigError(
            f"recurrent nodes cannot be unrolled up to {steps!r} steps",
            hint=f"--unroll takes a whole number from 1, by default {UNROLLED}",
        )


def _shown(value: Constant) -> Any:
    """A value that an input is bound to, as plain data; of many numbers their checksum."""
    if isinstance(value, (str, Path)):
        return str(value)
    array = np.asarray(value)
    if array.size <= MOST_NUMBERS:
        return array.tolist()
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype} of shape {list(array.shape)}, SHA-256 {digest}"


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(
            f"{name}={value!r} is not a choice",
            hint=f"{did_you_mean(str(value), choices)}use {', '.join(map(repr, choices))}",
        )


def other_levels(settings: Settings) -> list[Settings]:
    """Settings whose model has tensors that the one of `settings` has not, under these names."""
    optimize: OptimizeLevel = "default" if settings.optimize == "none" else "none"
    accuracy: Accuracy = "default" if settings.accuracy == "minmax" else "minmax"
    return [
        replace(settings, optimize=optimize, without=(), also=()),
        replace(settings, accuracy=accuracy, extra_packets=EXTRA_PACKETS),
    ]
