"""Options shared by several verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from hexconv.cli._named import by_name
from hexconv.settings import (
    ACCURACY_LEVELS,
    CHOSEN_OBSERVERS,
    EXTRA_PACKETS,
    MOST_EXTRA_PACKETS,
    PERCENTILE,
    UNROLLED,
)

if TYPE_CHECKING:
    from hexconv.calibrate import Images
    from hexconv.cluster import Cluster

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class NumberRange(click.FloatRange):
    """A number within bounds; NaN, which is within all of click's, is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if isnan(number):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return number


def named_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """(input name, sizes) of `speech=1,144,40`."""
    name, separator, sizes = text.rpartition("=")
    try:
        if not separator or not name:
            raise ValueError
        return name, tuple(int(size) for size in sizes.split(","))
    except ValueError:
        raise click.BadParameter(f"'{text}' is not of the form speech=1,144,40") from None


def named_range(text: str) -> tuple[str, tuple[float, float]]:
    """(input name, (min, max)) of `speech=-1,1`."""
    name, separator, bounds = text.rpartition("=")
    try:
        if not separator or not name:
            raise ValueError
        low, high = (float(bound) for bound in bounds.split(","))
    except ValueError:
        raise click.BadParameter(f"'{text}' is not of the form speech=-1,1") from None
    return name, (low, high)


def _by_name(
    ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, T], ...]
) -> dict[str, T]:
    return by_name(pairs)


def shape_option(function: F) -> F:
    """--shape, once for each input with dynamic dimensions."""
    return click.option(
        "--shape",
        "shapes",
        multiple=True,
        type=named_shape,
        callback=_by_name,
        metavar="NAME=D,D,...",
        help="Sizes of an input with dynamic dimensions, e.g. speech=1,144,40.",
    )(function)


def named_constant(text: str) -> tuple[str, str]:
    """(input name, value) of `lengths=300`."""
    name, separator, value = text.rpartition("=")
    if not (separator and name and value):
        raise click.BadParameter(f"'{text}' is not of the form lengths=300")
    return name, value


def named_count(text: str) -> tuple[str, int]:
    """(output name, number) of `logits=4`."""
    name, separator, count = text.rpartition("=")
    if not (separator and name and count.isdecimal()):
        raise click.BadParameter(f"'{text}' is not of the form logits=4")
    return name, int(count)


def tensor_names(text: str) -> list[str]:
    """The names of a comma-separated list."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise click.BadParameter(f"'{text}' is not of the form tensor,tensor")
    return names


def _joined(ctx: click.Context, param: click.Parameter, lists: tuple[list[str], ...]) -> list[str]:
    return [name for names in lists for name in names]


def interface_options(function: F) -> F:
    """--shape, --constant, --inputs and --outputs, for every verb that reads an ONNX model."""
    options = [
        shape_option,
        click.option(
            "--constant",
            "constants",
            multiple=True,
            type=named_constant,
            callback=_by_name,
            metavar="NAME=VALUE",
            help="Bind an input to a number, a list (1,2,3), true, false, or a .npy file.",
        ),
        click.option(
            "--unroll",
            type=click.IntRange(1),
            default=UNROLLED,
            show_default=True,
            metavar="STEPS",
            help="Unroll an LSTM, GRU or RNN of up to so many steps, both directions counted.",
        ),
        click.option(
            "--inputs",
            multiple=True,
            type=tensor_names,
            callback=_joined,
            metavar="TENSOR,...",
            help="Make these tensors the inputs; what computes them becomes NAME.front.onnx.",
        ),
        click.option(
            "--outputs",
            multiple=True,
            type=tensor_names,
            callback=_joined,
            metavar="TENSOR,...",
            help="Make these tensors the outputs, and leave out the others.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def stateful_option(function: F) -> F:
    """--stateful, for the verbs that convert."""
    return click.option(
        "--stateful",
        is_flag=True,
        help="Make a model of one chunk, as long as --shape says: the states of LSTMs, GRUs and "
        "RNNs are inputs and outputs.",
    )(function)


def conversion_options(function: F) -> F:
    """The options of `convert` and of every verb that converts first."""
    options = [
        interface_options,
        image_options,
        click.option(
            "--samples",
            multiple=True,
            help="Sample inputs: .npy, .npz, raw .bin, a folder of them, or NAME=PATH an input.",
        ),
        click.option(
            "--ranges",
            type=click.Path(path_type=Path),
            help="A range file, one `tensor@@min,max` per line, instead of samples.",
        ),
        click.option(
            "--input-range",
            "input_ranges",
            multiple=True,
            type=named_range,
            callback=_by_name,
            metavar="NAME=MIN,MAX",
            help="Range of an input, for synthetic data where there are no samples.",
        ),
        click.option(
            "--optimize",
            type=click.Choice(["none", "default", "all"]),
            default="default",
            show_default=True,
            help="none: as exported; all: search for the cheapest form.",
        ),
        click.option("--without", multiple=True, help="Disable a rewrite, by its name."),
        click.option(
            "--float-fallback",
            is_flag=True,
            help="Use the library's float ops for what int8 does not support.",
        ),
        click.option(
            "--keep-float",
            multiple=True,
            metavar="NODE",
            help="Compute this node in float on the DSP, by its name or its tensor's.",
        ),
        click.option(
            "--accuracy",
            type=click.Choice(list(ACCURACY_LEVELS)),
            default="default",
            show_default=True,
            help="minmax: one scale for all weights of a layer and channels as they are, as 0.1.0; "
            "high: ranges, biases and weights by the simulated error, kept where samples held back "
            "agree.",
        ),
        click.option(
            "--extra-packets",
            type=NumberRange(0, MOST_EXTRA_PACKETS),
            default=EXTRA_PACKETS,
            show_default=True,
            help="With --accuracy high: predicted packets that it may spend on precision, where "
            "they remove most noise, in % of the model's.",
        ),
        click.option(
            "--observer",
            type=click.Choice(list(CHOSEN_OBSERVERS)),
            default="auto",
            show_default=True,
            help="Ranges: all that was seen (minmax), the least squared error (mse) or "
            "Kullback-Leibler divergence (entropy), or without the outermost values (percentile); "
            "auto: minmax, or of 12 samples and more mse where the simulated model is better.",
        ),
        percentile_option,
        click.option(
            "--output-slices",
            multiple=True,
            type=named_count,
            callback=_by_name,
            metavar="NAME=N",
            help="Return this output in N slices of its range, each of 256 values, which the "
            "application adds up: more than 8 bits.",
        ),
        click.option(
            "--join-slices",
            is_flag=True,
            help="With --output-slices: the DSP adds up the slices, in float.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def percentile_option(function: F) -> F:
    """--percentile, for every verb that has --observer."""
    return click.option(
        "--percentile",
        type=NumberRange(50, 100, min_open=True),
        default=PERCENTILE,
        show_default=True,
        help="With --observer percentile: the share of a tensor's values below its maximum, in %.",
    )(function)


CONVERTING = (
    "ranges",
    "input_ranges",
    "optimize",
    "without",
    "float_fallback",
    "keep_float",
    "accuracy",
    "extra_packets",
    "observer",
    "percentile",
    "output_slices",
    "join_slices",
)
"""Options that say how to convert, and have no use for a model that is converted already."""


def check_accuracy_samples(no_accuracy: bool) -> None:
    """Raise for a number of samples of a comparison that is left out."""
    source = click.get_current_context().get_parameter_source("accuracy_samples")
    if no_accuracy and source is ParameterSource.COMMANDLINE:
        raise click.UsageError("--accuracy-samples has no use with --no-accuracy")


def check_nothing_converts(given: str) -> None:
    """Raise for an option of the conversion where nothing is converted: it would be ignored.

    Args:
        given: the option that names the model that is there instead.
    """
    context = click.get_current_context()
    for param in context.command.params:
        source = context.get_parameter_source(str(param.name))
        if param.name in CONVERTING and source is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[0]} has no use with {given}: nothing is converted")


def image_options(function: F) -> F:
    """--mean, --scale and --bgr, for every verb that takes samples."""
    options = [
        click.option(
            "--mean",
            type=_numbers,
            metavar="NUMBER,...",
            help="Of pictures (a folder of .jpg, .png): the input is (pixels - mean) * scale, "
            "pixels from 0 to 255; one number, or one for each channel.",
        ),
        click.option("--scale", type=_numbers, metavar="NUMBER,...", help="See --mean."),
        click.option("--bgr", is_flag=True, help="Of pictures: blue first."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise click.BadParameter(f"'{text}' is not of the form 123.7,116.3,103.5") from None


def given_samples(
    texts: tuple[str, ...],
    mean: tuple[float, ...] | None = None,
    scale: tuple[float, ...] | None = None,
    bgr: bool = False,
) -> Images | str | list[str] | None:
    """What --samples was given, as the library takes it."""
    if not texts:
        return None
    if mean is not None or scale is not None or bgr:
        from hexconv.calibrate import Images

        if len(texts) > 1:
            raise click.UsageError("of pictures, --samples names one folder")
        return Images(texts[0], mean or (0.0,), scale or (1.0,), bgr)
    return texts[0] if len(texts) == 1 else list(texts)


def table_options(function: F) -> F:
    """--by and --top, for every verb that prints a table of nodes."""
    function = click.option(
        "--top",
        type=click.IntRange(1),
        default=25,
        show_default=True,
        help="Rows shown in the terminal.",
    )(function)
    return click.option(
        "--by",
        type=click.Choice(["type", "layer", "node"]),
        default="type",
        show_default=True,
        help="What the rows are.",
    )(function)


def cluster_option(function: F) -> F:
    """--cluster, for every verb that runs many samples."""
    return click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Distribute the samples: tcp://HOST:8786 of a dask scheduler, or local:N processes.",
    )(function)


@contextmanager
def opened_cluster(address: str | None) -> Iterator[Cluster | None]:
    """The cluster of --cluster, if it is given."""
    if address is None:
        yield None
        return
    from hexconv.cluster import Cluster

    with Cluster(address) as cluster:
        yield cluster
